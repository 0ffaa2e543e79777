"""Compares each claim with what it cites.

A claim is borne out when the words that carry its meaning stand in the cited text, and every hard fact in it
(a number, an address, a host name, an error code) stands there or in the ticket. A hard fact from nowhere
makes the claim unsupported however well the rest fits: an invented address costs a technician more than a
missing one.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from services.synthesis.language import terms
from services.synthesis.model import Claim, Evidence, EvidenceId, TicketText, Verdict

# Share of a claim's meaningful words found in what it cites.
_SUPPORTED: Final = 0.7
_PARTIAL: Final = 0.4
# A word with a digit in it, kept whole across the punctuation of addresses, versions, codes and host names.
_HARD_FACT: Final = re.compile(r"[^\s\"'“”„(){}\[\],;<>|]*\d[^\s\"'“”„(){}\[\],;<>|]*")
_NEGATION: Final = re.compile(
    r"\b(?:not|never|no|without|cannot|can't|don't|doesn't|isn't|wasn't|won't)\b", re.IGNORECASE
)


def hard_facts(text: str) -> frozenset[str]:
    """Numbers, addresses, codes and names with digits, in lower case without surrounding punctuation."""
    return frozenset(match.group().strip(".:!?/*`#-…").lower() for match in _HARD_FACT.finditer(text)) - {""}


def judged(claim: Claim, *, known: Mapping[EvidenceId, Evidence], ticket: TicketText, language: str) -> Claim:
    """The claim with its verdict, citing only evidence that exists.

    `language` is the brief's, as a BCP 47 tag. Words can be compared only within one language, and evidence
    is taken to be English: in any other, a claim whose hard facts hold is at best partial.
    """
    cited = tuple(known[i] for i in dict.fromkeys(claim.evidence_ids) if i in known)
    return replace(
        claim,
        evidence_ids=tuple(evidence.id for evidence in cited),
        verdict=_verdict(claim.text, cited, ticket, language) if cited else Verdict.UNSUPPORTED,
    )


def _verdict(text: str, cited: tuple[Evidence, ...], ticket: TicketText, language: str) -> Verdict:
    source = "\n".join(f"{evidence.name}\n{evidence.citable}" for evidence in cited)
    context = f"{ticket.id}\n{ticket.subject}\n{ticket.description}"
    if not hard_facts(text) <= hard_facts(source) | hard_facts(context):
        return Verdict.UNSUPPORTED
    if language.partition("-")[0].lower() != "en":
        return Verdict.PARTIAL
    claimed = terms(text)
    share = len(claimed & terms(source)) / len(claimed) if claimed else 0.0
    if share < _PARTIAL:
        return Verdict.UNSUPPORTED
    denies = bool(_NEGATION.search(text)) and not _NEGATION.search(source)
    return Verdict.SUPPORTED if share >= _SUPPORTED and not denies else Verdict.PARTIAL
