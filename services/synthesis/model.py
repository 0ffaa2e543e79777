"""What a brief is made of, and the rules that hold for every writer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from typing import Final, NewType
from uuid import UUID

from services.synthesis.budget import Budget, OverBudget
from services.synthesis.language import shortened

EvidenceId = NewType("EvidenceId", str)
RequestId = NewType("RequestId", str)
TenantId = NewType("TenantId", str)
PurchaseId = NewType("PurchaseId", UUID)

# What a search finds with a lower score shares chance words with the ticket: in the sample world chance
# scores up to 0.28, what is right 0.13 (an article's passage) to 0.52.
_BEARING_SCORE: Final = 0.1


class EvidenceKind(Enum):
    PAST_TICKET = "past_ticket"
    ARTICLE = "article"
    ASSET = "asset"
    PREFIX = "prefix"
    OBSERVATION = "observation"


class SectionKind(Enum):
    """In reading order."""

    SIMILAR_TICKETS = "similar_tickets"
    KNOWLEDGE = "knowledge"
    NETWORK = "network"
    PROBABLE_CAUSES = "probable_causes"
    FIRST_STEPS = "first_steps"


class Fallback(Enum):
    """Why the built-in writer wrote although a language model is configured."""

    MODEL = "model"
    BUDGET = "budget"


class Verdict(Enum):
    """From the best to the poorest."""

    SUPPORTED = "supported"
    PARTIAL = "partial"
    UNSUPPORTED = "unsupported"


class Confidence(Enum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class WriterKind(Enum):
    LLM = "llm"
    EXTRACTIVE = "extractive"


class Finish(Enum):
    """How a language model's answer ended."""

    COMPLETE = "complete"
    CUT_OFF = "cut_off"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class TicketText:
    """The part of a ticket that writing needs."""

    id: str
    subject: str
    description: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that may be cited; `score` is its source's relevance, 0 to 1."""

    id: EvidenceId
    kind: EvidenceKind
    source: str
    title: str
    text: str
    resolution: str
    url: str
    score: float

    @property
    def citable(self) -> str:
        """Every word a claim may rest on."""
        return f"{self.title}\n{self.text}\n{self.resolution}"

    @property
    def name(self) -> str:
        """The identifier within its source: a ticket's, an article's (not its passage's), an asset's name."""
        name = self.id.partition(":")[2] or self.id
        return name.partition("#")[0] or name if self.kind is EvidenceKind.ARTICLE else name

    @property
    def bears(self) -> bool:
        """False for what a search found by chance; what the ticket names or a source reports always does."""
        searched = self.kind in {EvidenceKind.PAST_TICKET, EvidenceKind.ARTICLE}
        return not searched or self.score >= _BEARING_SCORE


@dataclass(frozen=True, slots=True)
class Claim:
    text: str
    evidence_ids: tuple[EvidenceId, ...]
    verdict: Verdict = Verdict.UNSUPPORTED


@dataclass(frozen=True, slots=True)
class Draft:
    """What a writer wrote, before anything of it is believed."""

    claims: Mapping[SectionKind, Sequence[Claim]]


@dataclass(frozen=True, slots=True)
class Options:
    language: str
    model: str
    max_words: int
    instructions: str
    """To the model, instead of the service's own; empty means those."""
    additions: str = ""
    """What the client wants besides."""
    sections: tuple[SectionKind, ...] = tuple(SectionKind)
    """Those that are written, in their order."""
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class Order:
    """A brief to be written for a tenant; `evidence` is what bears on the ticket."""

    tenant: TenantId
    request_id: RequestId
    content_hash: bytes
    ticket: TicketText
    evidence: tuple[Evidence, ...]
    options: Options


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call consumed; `cost` in US dollars."""

    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal = Decimal(0)
    estimated: bool = False
    from_ledger: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A language model's finished answer, as it came."""

    text: str
    finish: Finish
    usage: Usage


@dataclass(frozen=True, slots=True)
class Provenance:
    """With what a brief was written; all but `release` empty when no model's answer went into it."""

    model: str = ""
    instructions: str = ""
    """As they were before anything was filled in."""
    prompt_version: str = ""
    release: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A finished call to a language model, as the ledger keeps it."""

    answer: Answer
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Brief:
    sections: Mapping[SectionKind, tuple[Claim, ...]]
    dropped: tuple[Claim, ...]
    cited: tuple[Evidence, ...]
    confidence: Confidence
    writer: WriterKind
    usage: Usage = field(default_factory=Usage)
    provenance: Provenance = field(default_factory=Provenance)
    fallback: Fallback | None = None
    fallback_reason: str = ""

    @property
    def nothing_similar(self) -> bool:
        return not self.sections

    @property
    def word_count(self) -> int:
        return sum(words(claim.text) for claims in self.sections.values() for claim in claims)

    def poorest_verdict(self, evidence_id: EvidenceId) -> Verdict:
        """How far the claims that cite this evidence are borne out."""
        order = list(Verdict)
        return max(
            (c.verdict for claims in self.sections.values() for c in claims if evidence_id in c.evidence_ids),
            key=order.index,
        )


class ModelUnavailable(Exception):
    """The language model gave no answer; the text is fit for a brief's reader.

    `unpaid` says that it has certainly cost nothing.
    """

    kind = Fallback.MODEL

    def __init__(self, reason: str, *, unpaid: bool = False) -> None:
        super().__init__(reason)
        self.unpaid = unpaid


class PriceUnknown(ModelUnavailable):
    """No price is configured or published for a model; it is not asked, since its cost could not be kept."""


class BudgetReached(ModelUnavailable):
    """The language model is not asked, since the call might cost more than is left."""

    kind = Fallback.BUDGET

    def __init__(self, over: OverBudget) -> None:
        super().__init__(over.told, unpaid=True)


def words(text: str) -> int:
    return len(text.split())


def within_words(
    claims: Mapping[SectionKind, Sequence[Claim]], limit: int
) -> dict[SectionKind, tuple[Claim, ...]]:
    """The claims that fit, every section's first before any section's second: none is crowded out.

    The sections stay in the order in which they are given. One ends where a claim does not fit, since steps
    with a gap mislead. If nothing fits at all, the first claim is cut to length: there is something to say.
    """
    kept: dict[SectionKind, list[Claim]] = {kind: [] for kind in claims}
    ended: set[SectionKind] = set()
    left = limit
    for rank in range(max((len(section) for section in claims.values()), default=0)):
        for kind, section in claims.items():
            if kind in ended or rank >= len(section):
                continue
            if words(section[rank].text) > left:
                ended.add(kind)
                continue
            kept[kind].append(section[rank])
            left -= words(section[rank].text)
    if left == limit:
        first = next(((kind, section[0]) for kind, section in claims.items() if section), None)
        if first is not None:
            kind, claim = first
            # One word less: the ellipsis counts as one.
            kept[kind].append(replace(claim, text=shortened(claim.text, limit - 1)))
    return {kind: tuple(section) for kind, section in kept.items() if section}


def as_fallback(brief: Brief, *, kind: Fallback, reason: str) -> Brief:
    return replace(brief, fallback=kind, fallback_reason=reason)
