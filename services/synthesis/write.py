"""Writes one brief: in a language model's words if one is configured, else the built-in writer's."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.synthesis import extractive
from services.synthesis.model import (
    Answer,
    Brief,
    Claim,
    Confidence,
    Draft,
    Evidence,
    Ledger,
    ModelUnavailable,
    Order,
    SectionKind,
    Usage,
    Verdict,
    WriterKind,
    as_fallback,
    within_words,
)
from services.synthesis.prompt import Prompt, UnusableAnswer, prompt_for, read_answer
from services.synthesis.verify import judged

# Scores at which evidence is nearly the same matter, and at which it fits.
_NEARLY_SAME: Final = 0.75
_FITS: Final = 0.5


class LanguageModel(Protocol):
    async def answer(self, model: str, prompt: Prompt) -> Answer:
        """The finished answer of the model of that name, or `ModelUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class BriefWriter:
    """`model` is None where no language model is configured."""

    model: LanguageModel | None
    default_model: str
    timeout_seconds: float

    async def write(self, order: Order, ledger: Ledger) -> Brief:
        if self.model is None or not order.evidence:
            return checked(
                extractive.draft(order.ticket, order.evidence), order, WriterKind.EXTRACTIVE, Usage()
            )
        try:
            answer = await self._answer(self.model, order, ledger)
        except (ModelUnavailable, TimeoutError) as problem:
            reason = str(problem) or "the language model did not answer in time"
            return self._fallback(order, reason, Usage())
        try:
            draft = read_answer(answer.text)
        except UnusableAnswer:
            return self._fallback(
                order, "the language model's answer was not of the form asked for", answer.usage
            )
        brief = checked(draft, order, WriterKind.LLM, answer.usage)
        if brief.nothing_similar:
            return self._fallback(order, "nothing in the language model's answer was borne out", answer.usage)
        return brief

    async def _answer(self, model: LanguageModel, order: Order, ledger: Ledger) -> Answer:
        """From the ledger, else bought, and then in the ledger before anyone uses it."""
        recorded = await ledger.find(order.request_id, order.content_hash)
        if recorded is not None:
            return recorded
        async with asyncio.timeout(self.timeout_seconds):
            answer = await model.answer(order.options.model or self.default_model, prompt_for(order))
        await ledger.record(order.request_id, order.content_hash, answer)
        return answer

    @staticmethod
    def _fallback(order: Order, reason: str, usage: Usage) -> Brief:
        draft = extractive.draft(order.ticket, order.evidence)
        return as_fallback(checked(draft, order, WriterKind.EXTRACTIVE, usage), reason=reason, usage=usage)


def checked(draft: Draft, order: Order, writer: WriterKind, usage: Usage) -> Brief:
    """The draft with every claim judged, the unsupported ones dropped and the rest cut to length."""
    known = {each.id: each for each in order.evidence}
    # The built-in writer quotes the evidence in whatever language it is in, so its words can be compared.
    language = order.options.language if writer is WriterKind.LLM else "en"
    claims: dict[SectionKind, list[Claim]] = {}
    dropped: list[Claim] = []
    for kind, section in draft.claims.items():
        for claim in section:
            verdict = judged(claim, known=known, ticket=order.ticket, language=language)
            if verdict.verdict is Verdict.UNSUPPORTED:
                dropped.append(verdict)
            else:
                claims.setdefault(kind, []).append(verdict)
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


def _confidence(cited: Sequence[Evidence]) -> Confidence:
    scores = sorted((each.score for each in cited), reverse=True)
    match scores:
        case [best, *_] if best >= _NEARLY_SAME:
            return Confidence.HIGH
        case [_, second, *_] if second >= _FITS:
            return Confidence.HIGH
        case [best, *_] if best >= _FITS:
            return Confidence.MEDIUM
        case _:
            return Confidence.LOW
