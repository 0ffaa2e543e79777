"""Writes one brief: in a language model's words if one is configured, else the built-in writer's."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

import structlog

from services.synthesis import extractive
from services.synthesis.model import (
    Answer,
    Brief,
    Claim,
    Confidence,
    Draft,
    Evidence,
    EvidenceKind,
    Fallback,
    Finish,
    ModelUnavailable,
    Order,
    Provenance,
    SectionKind,
    Usage,
    Verdict,
    WriterKind,
    as_fallback,
    within_words,
)
from services.synthesis.prompt import UnusableAnswer, read_answer
from services.synthesis.purchase import Purchases
from services.synthesis.verify import Checker

# Time to write, check and send the built-in writer's brief when the language model's answer does not come.
_MARGIN_SECONDS: Final = 0.5
# So much is checked in a few milliseconds: as long as a thread takes to get its turn while the loop is busy.
_LITTLE_CHARACTERS: Final = 6_000
# Scores at which evidence is nearly the same matter, and at which it fits: the sources score a verbatim copy
# near 1, and the right past ticket of a newly worded incident 0.35 to 0.5.
_NEARLY_SAME: Final = 0.5
_FITS: Final = 0.3
_SAYS_WHAT_IS: Final = frozenset({EvidenceKind.ASSET, EvidenceKind.PREFIX})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BriefWriter:
    """`purchases` is None where no language model is configured.

    Long evidence takes a while to quote and to check: that happens in a thread, since other tenants' calls
    wait for the event loop.
    """

    purchases: Purchases | None
    release: str
    """Of this service."""

    async def write(self, order: Order, *, within_seconds: float | None) -> Brief:
        """`within_seconds` is how long the caller waits, None for as long as it takes."""
        provenance = Provenance(release=self.release)
        if self.purchases is None or not order.evidence:
            brief = await asyncio.to_thread(_extract, order, Usage())
            return replace(brief, provenance=provenance)
        patience = None if within_seconds is None else within_seconds - _MARGIN_SECONDS
        try:
            call = await self.purchases.call(order, within_seconds=patience)
        except ModelUnavailable as problem:
            brief = await asyncio.to_thread(_fallback, order, str(problem), Usage(), problem.kind)
        else:
            brief = await _checked_answer(order, call.answer)
            provenance = call.provenance
        return replace(brief, provenance=provenance)


async def _checked_answer(order: Order, answer: Answer) -> Brief:
    if sum(len(each.citable) for each in order.evidence) <= _LITTLE_CHARACTERS:
        return _from_answer(order, answer)
    return await asyncio.to_thread(_from_answer, order, answer)


def _from_answer(order: Order, answer: Answer) -> Brief:
    unfinished = _unfinished(answer.finish)
    if unfinished:
        return _fallback(order, unfinished, answer.usage)
    try:
        draft = read_answer(answer.text, order.options.sections)
    except UnusableAnswer as unusable:
        _log.warning("answer_unusable", model=answer.usage.model, problem=str(unusable))
        return _fallback(order, "the language model's answer was not of the form asked for", answer.usage)
    brief = checked(draft, order, writer=WriterKind.LLM, usage=answer.usage)
    if brief.nothing_similar and brief.dropped:
        return _fallback(order, "nothing in the language model's answer was borne out", answer.usage)
    return brief


def checked(draft: Draft, order: Order, *, writer: WriterKind, usage: Usage) -> Brief:
    """The draft with every claim judged, the unsupported ones dropped and the rest cut to length."""
    known = {each.id: each for each in order.evidence}
    # The built-in writer quotes the evidence in whatever language it is in, so its words can be compared.
    language = order.options.language if writer is WriterKind.LLM else "en"
    checker = Checker(known, order.ticket, language)
    claims: dict[SectionKind, list[Claim]] = {kind: [] for kind in order.options.sections}
    dropped: list[Claim] = []
    for kind, kept in claims.items():
        for claim in map(checker.judged, draft.claims.get(kind, ())):
            if claim.verdict is Verdict.UNSUPPORTED:
                dropped.append(claim)
            else:
                kept.append(claim)
    sections = within_words(claims, order.options.max_words)
    cited_ids = dict.fromkeys(i for section in sections.values() for c in section for i in c.evidence_ids)
    cited = tuple(known[i] for i in cited_ids)
    return Brief(
        sections=sections,
        dropped=tuple(dropped),
        cited=cited,
        confidence=_confidence(cited),
        writer=writer,
        usage=usage,
    )


def _extract(order: Order, usage: Usage) -> Brief:
    draft = extractive.draft(order.ticket, order.evidence, max_words=order.options.max_words)
    return checked(draft, order, writer=WriterKind.EXTRACTIVE, usage=usage)


def _fallback(order: Order, reason: str, usage: Usage, kind: Fallback = Fallback.MODEL) -> Brief:
    # A budget that is used up is warned of once; that it then holds is no news with every brief.
    log = _log.info if kind is Fallback.BUDGET else _log.warning
    log("language_model_not_used", reason=reason)
    return as_fallback(_extract(order, usage), kind=kind, reason=reason)


def _unfinished(finish: Finish) -> str:
    """Why an answer is not used; empty for a complete one."""
    match finish:
        case Finish.COMPLETE:
            return ""
        case Finish.CUT_OFF:
            return "the language model's answer was cut off"
        case Finish.DECLINED:
            return "the language model declined to answer"
        case _:
            assert_never(finish)


def _confidence(cited: Sequence[Evidence]) -> Confidence:
    """How well the best of it fits, and whether another thing agrees.

    Knowing what an address is says nothing of the problem, and two passages of one article are one thing.
    """
    best: dict[tuple[str, str], float] = {}
    for each in cited:
        if each.kind not in _SAYS_WHAT_IS:
            thing = (each.source, each.name)
            best[thing] = max(best.get(thing, 0.0), each.score)
    match sorted(best.values(), reverse=True):
        case [first, *_] if first >= _NEARLY_SAME:
            return Confidence.HIGH
        case [_, second, *_] if second >= _FITS:
            return Confidence.HIGH
        case [first, *_] if first >= _FITS:
            return Confidence.MEDIUM
        case _:
            return Confidence.LOW
