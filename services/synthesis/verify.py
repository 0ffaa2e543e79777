"""Compares each claim with what it cites.

A claim is borne out when the words that carry its meaning stand in the cited text, and so does every hard
fact in it (a number, an address, a host name, a link, an error code). A hard fact from nowhere makes the
claim unsupported however well the rest fits: an invented address costs a technician more than a missing one.
One that only the ticket has makes it partial: whoever wrote the ticket may have meant it to be repeated.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.synthesis.language import sentences, terms
from services.synthesis.model import Claim, Evidence, EvidenceId, TicketText, Verdict

# Share of a claim's meaningful words found in what it cites.
_SUPPORTED: Final = 0.7
_PARTIAL: Final = 0.4
# Words a clause must share with the source's nearest clause before their yes and no are compared.
_SAME_MATTER: Final = 2
_LONGEST_CONTEXT: Final = 65_536
_TOKEN: Final = re.compile(r"[^\s\"'\u201c\u201d\u201e\u2018\u2019(){}\[\],;<>|]+")
# Kept whole across the punctuation of addresses, versions, codes, host names and links.
_HARD: Final = re.compile(r"\d|@|://|\\|[^\W\d_]\.[^\W\d_]{2}")
_CLAUSE_END: Final = re.compile(r"[:;\u2013\u2014]\s|\s[-\u203a]\s")
_NEGATION: Final = re.compile(
    r"\b(?:not|never|no|nor|without|cannot|\w+n['\u2019]t|nothing|nobody|none)\b", re.IGNORECASE
)


def hard_facts(text: str) -> frozenset[str]:
    """Numbers, addresses, codes, links and names with digits, in lower case without outer punctuation."""
    looked_at = text[:_LONGEST_CONTEXT]
    if not _HARD.search(looked_at):
        return frozenset()
    tokens = filter(_HARD.search, _TOKEN.findall(looked_at))
    return frozenset(token.strip(".:!?/*`#-\u2026%=&+~_").lower() for token in tokens) - {""}


@dataclass(frozen=True, slots=True)
class _Clause:
    terms: frozenset[str]
    denies: bool


@dataclass(frozen=True, slots=True)
class _Source:
    """What one piece of evidence says."""

    terms: frozenset[str]
    facts: frozenset[str]
    clauses: Sequence[_Clause]

    @classmethod
    def of(cls, evidence: Evidence) -> "_Source":
        texts = (evidence.title, evidence.text, evidence.resolution)
        named = hard_facts(f"{evidence.id} {evidence.name}")
        return cls(
            terms=terms(evidence.name).union(*map(terms, texts)),
            facts=named.union(*map(hard_facts, texts)),
            clauses=[c for text in texts for c in _clauses(text) if len(c.terms) >= _SAME_MATTER],
        )


class Checker:
    """Judges the claims of one brief.

    `language` is the brief's, as a BCP 47 tag. Words can be compared only within one language, and evidence
    is taken to be English: in any other, a claim whose hard facts hold is at best partial.
    """

    def __init__(self, known: Mapping[EvidenceId, Evidence], ticket: TicketText, language: str) -> None:
        self._known = known
        self._ticket_facts = (
            hard_facts(ticket.id) | hard_facts(ticket.subject) | hard_facts(ticket.description)
        )
        self._compares_words = language.partition("-")[0].lower() == "en"
        self._sources: dict[EvidenceId, _Source] = {}

    def judged(self, claim: Claim) -> Claim:
        """The claim with its verdict, citing only evidence that exists."""
        cited = tuple(i for i in dict.fromkeys(claim.evidence_ids) if i in self._known)
        verdict = (
            self._verdict(claim.text, [self._source(i) for i in cited]) if cited else Verdict.UNSUPPORTED
        )
        return replace(claim, evidence_ids=cited, verdict=verdict)

    def _source(self, evidence_id: EvidenceId) -> _Source:
        if evidence_id not in self._sources:
            self._sources[evidence_id] = _Source.of(self._known[evidence_id])
        return self._sources[evidence_id]

    def _verdict(self, text: str, cited: Sequence[_Source]) -> Verdict:
        unheard = hard_facts(text).difference(*(source.facts for source in cited))
        if not unheard <= self._ticket_facts:
            return Verdict.UNSUPPORTED
        if not self._compares_words:
            return Verdict.PARTIAL
        claimed = terms(text)
        said = claimed.intersection(frozenset[str]().union(*(source.terms for source in cited)))
        share = len(said) / len(claimed) if claimed else 0.0
        if share < _PARTIAL:
            return Verdict.UNSUPPORTED
        if share < _SUPPORTED or unheard or _contradicts(text, cited):
            return Verdict.PARTIAL
        return Verdict.SUPPORTED


def _clauses(text: str) -> list[_Clause]:
    parts = (part for sentence in sentences(text) for part in _CLAUSE_END.split(sentence))
    return [_Clause(terms(part), bool(_NEGATION.search(part))) for part in parts]


def _contradicts(text: str, cited: Sequence[_Source]) -> bool:
    """True when a clause says yes where the clauses of the source nearest to it say no, or the reverse."""
    theirs = [clause for source in cited for clause in source.clauses]
    for ours in _clauses(text):
        shared = [len(ours.terms & each.terms) for each in theirs]
        nearest = max(shared, default=0)
        if nearest >= max(_SAME_MATTER, len(ours.terms) / 2) and all(
            each.denies != ours.denies for each, count in zip(theirs, shared, strict=True) if count == nearest
        ):
            return True
    return False
