"""The built-in writer: it quotes and arranges the evidence and adds nothing."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from services.synthesis.language import sentences, shortened, terms
from services.synthesis.model import Claim, Draft, Evidence, EvidenceKind, SectionKind, TicketText

_TICKETS: Final = 3
_ARTICLES: Final = 3
_CAUSES: Final = 2
_STEPS: Final = 4
_QUOTE_WORDS: Final = 45
_TITLE_WORDS: Final = 16
_NETWORK_WORDS: Final = 40
# Verbs that begin a sentence of a resolution or an article which tells what to do or what was done.
_ACTIONS: Final = terms(
    """
    add adjust allow apply ask assign block calibrate change check clean clear close collect
    configure confirm connect create delete disable disconnect download enable enrol expand export
    extend find fix force free grant import increase install issue join kill look lower map mount
    move open ping plug power press purge push reboot recreate register release remove rename renew
    repair replace reserve reset restart restore revert revoke roll run schedule select send set
    sign start stop swap switch sync test trim truncate try turn unblock uninstall unlock unmount
    unplug update upgrade use verify wait wipe
    """
)
_CAUSE: Final = re.compile(
    r"\b(?:caus\w*|because|due to|result of|culprit|turned out|root|expired|ran out|exhausted"
    r"|was full|were full|mismatch\w*|misconfigur\w*|corrupt\w*|stale|duplicate\w*|faulty|failed|broken|wrong|missing|blocked)\b",
    re.IGNORECASE,
)


def draft(ticket: TicketText, evidence: Sequence[Evidence]) -> Draft:
    """Quote what bears on the ticket, best evidence first."""
    asked = terms(f"{ticket.subject}\n{ticket.description}")
    ranked = sorted(evidence, key=lambda each: each.score, reverse=True)
    tickets = [e for e in ranked if e.kind is EvidenceKind.PAST_TICKET][:_TICKETS]
    articles = [e for e in ranked if e.kind is EvidenceKind.ARTICLE][:_ARTICLES]
    network = [e for e in evidence if e.kind in {EvidenceKind.ASSET, EvidenceKind.PREFIX}]
    observations = [e for e in ranked if e.kind is EvidenceKind.OBSERVATION]
    return Draft(
        {
            SectionKind.SIMILAR_TICKETS: [_past_ticket(e) for e in tickets],
            SectionKind.KNOWLEDGE: [_passage(e, asked) for e in articles],
            SectionKind.NETWORK: [
                Claim(shortened(e.text or e.title, _NETWORK_WORDS), (e.id,))
                for e in (*network, *observations)
            ],
            SectionKind.PROBABLE_CAUSES: _unrepeated(_causes(tickets), _CAUSES),
            SectionKind.FIRST_STEPS: _unrepeated(_steps(tickets, articles), _STEPS),
        }
    )


def _past_ticket(evidence: Evidence) -> Claim:
    title = shortened(evidence.title, _TITLE_WORDS)
    if not evidence.resolution:
        return Claim(f"{title}: not resolved yet.", (evidence.id,))
    return Claim(f"{title}: {shortened(evidence.resolution, _QUOTE_WORDS)}", (evidence.id,))


def _passage(evidence: Evidence, asked: frozenset[str]) -> Claim:
    """The sentence that shares most with the ticket, and the one after it."""
    found = list(sentences(evidence.text)) or [evidence.title]
    best = max(range(len(found)), key=lambda i: (len(terms(found[i]) & asked), -i))
    quoted = " ".join(found[best : best + 2])
    return Claim(
        f"{shortened(evidence.title, _TITLE_WORDS)}: {shortened(quoted, _QUOTE_WORDS)}", (evidence.id,)
    )


def _causes(tickets: Iterable[Evidence]) -> Iterator[Claim]:
    for evidence in tickets:
        for sentence in sentences(evidence.resolution):
            if _CAUSE.search(sentence):
                yield Claim(shortened(sentence, _QUOTE_WORDS), (evidence.id,))
                break


def _steps(tickets: Iterable[Evidence], articles: Iterable[Evidence]) -> Iterator[Claim]:
    """What solved the nearest ticket, then what the nearest article tells to do."""
    for evidence in (*list(tickets)[:1], *list(articles)[:1], *list(tickets)[1:2]):
        text = evidence.resolution if evidence.kind is EvidenceKind.PAST_TICKET else evidence.text
        for sentence in sentences(text):
            if terms(sentence.partition(" ")[0]) & _ACTIONS:
                yield Claim(shortened(sentence, _QUOTE_WORDS), (evidence.id,))


def _unrepeated(claims: Iterable[Claim], limit: int) -> list[Claim]:
    """The first `limit` claims that say different things."""
    kept: list[Claim] = []
    for claim in claims:
        said = terms(claim.text)
        if said and all(len(said & terms(k.text)) < 0.8 * len(said) for k in kept):
            kept.append(claim)
        if len(kept) == limit:
            break
    return kept
