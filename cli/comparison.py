"""What differs between a brief and its replay: two enhancements in, plain values out."""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from cli.words import seconds, word
from dossier.orchestrator.v1.enhancement_pb2 import Enhancement
from dossier.synthesis.v1 import brief_pb2 as pb

_WRITING: Final = "synthesize"


@dataclass(frozen=True, slots=True)
class Said:
    """A claim where it stands."""

    section: str
    text: str
    verdict: str
    evidence_ids: tuple[str, ...]

    @property
    def key(self) -> str:
        """By what it is the same statement: spacing and line breaks are no difference."""
        return f"{self.section}: {' '.join(self.text.split())}"


@dataclass(frozen=True, slots=True)
class Cited:
    evidence_id: str
    source: str
    id: str
    title: str
    verdict: str

    @property
    def key(self) -> str:
        return self.evidence_id


Entry = TypeVar("Entry", Said, Cited)


@dataclass(frozen=True, slots=True)
class Kept(Generic[Entry]):
    original: Entry
    replay: Entry

    @property
    def changed(self) -> bool:
        """Whether it stayed with another verdict, or on other evidence."""
        return self.original != self.replay


@dataclass(frozen=True, slots=True)
class Changes(Generic[Entry]):
    """What came, what went and what stayed, each in reading order."""

    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    kept: tuple[Kept[Entry], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told of a brief beside its words."""

    model: str
    """Empty when the built-in writer wrote it unasked."""
    prompt_version: str
    writer: str
    confidence: str
    words: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
    seconds: float | None
    """How long the writing took: a replay neither gathers nor delivers. None when that is not known."""
    verdicts: Mapping[str, int]
    """Claims by what the checker found; the unsupported ones were dropped."""


@dataclass(frozen=True, slots=True)
class Comparison:
    original: Facts
    replay: Facts
    claims: Changes[Said]
    citations: Changes[Cited]


def compare(original: Enhancement, replay: Enhancement) -> Comparison:
    return Comparison(
        original=_facts(original),
        replay=_facts(replay),
        claims=_changes(_said(original.brief), _said(replay.brief)),
        citations=_changes(_cited(original.brief), _cited(replay.brief)),
    )


def _changes(before: Sequence[Entry], after: Sequence[Entry]) -> Changes[Entry]:
    """Pair what has the same key, the first with the first; a brief may say a thing twice."""
    unpaired: defaultdict[str, deque[Entry]] = defaultdict(deque)
    for entry in before:
        unpaired[entry.key].append(entry)
    added, kept = [], []
    for entry in after:
        if unpaired[entry.key]:
            kept.append(Kept(unpaired[entry.key].popleft(), entry))
        else:
            added.append(entry)
    # The first of a key are the ones that found a pair.
    pairs = Counter(each.original.key for each in kept)
    removed = []
    for entry in before:
        if pairs[entry.key]:
            pairs[entry.key] -= 1
        else:
            removed.append(entry)
    return Changes(tuple(added), tuple(removed), tuple(kept))


def _said(brief: pb.Brief) -> list[Said]:
    return [
        Said(
            section=word(pb.SectionKind.DESCRIPTOR, section.kind),
            text=claim.text,
            verdict=word(pb.Verdict.DESCRIPTOR, claim.verdict),
            evidence_ids=tuple(claim.evidence_ids),
        )
        for section in brief.sections
        for claim in section.claims
    ]


def _cited(brief: pb.Brief) -> list[Cited]:
    return [
        Cited(
            evidence_id=citation.evidence_id,
            source=citation.source,
            id=citation.id,
            title=citation.title,
            verdict=word(pb.Verdict.DESCRIPTOR, citation.verdict),
        )
        for citation in brief.citations
    ]


def _facts(enhancement: Enhancement) -> Facts:
    brief, usage = enhancement.brief, enhancement.usage
    return Facts(
        model=enhancement.provenance.model or usage.model,
        prompt_version=enhancement.provenance.prompt_version,
        writer=word(pb.Writer.DESCRIPTOR, brief.writer),
        confidence=word(pb.Confidence.DESCRIPTOR, brief.confidence),
        words=brief.word_count,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost=enhancement.cost,
        seconds=_writing_seconds(enhancement),
        verdicts=_verdicts(brief),
    )


def _verdicts(brief: pb.Brief) -> dict[str, int]:
    claims = [claim for section in brief.sections for claim in section.claims]
    counted = Counter(claim.verdict for claim in (*claims, *brief.dropped_claims))
    judged = (pb.VERDICT_SUPPORTED, pb.VERDICT_PARTIAL, pb.VERDICT_UNSUPPORTED)
    return {word(pb.Verdict.DESCRIPTOR, verdict): counted[verdict] for verdict in judged}


def _writing_seconds(enhancement: Enhancement) -> float | None:
    writing = [step for step in enhancement.steps if step.name == _WRITING and step.HasField("duration")]
    return seconds(writing[-1].duration) if writing else None
