"""Every metric and span name of this service."""

from typing import Final

from prometheus_client import Counter

from services.synthesis.budget import Crossing, Limit, OverBudget
from services.synthesis.model import Brief, Usage, WriterKind

WRITE_SPAN: Final = "synthesis.write"
BUY_SPAN: Final = "synthesis.buy"
MODEL_ATTRIBUTE: Final = "dossier.llm.model"

_briefs = Counter(
    "dossier_synthesis_briefs_total",
    "Briefs written; fallback: a model is configured but did not write",
    ["writer", "fallback"],
)
_claims = Counter("dossier_synthesis_claims_total", "Claims that the checker judged", ["verdict"])
_tokens = Counter("dossier_synthesis_tokens_total", "Tokens bought from language models", ["kind"])
_cost = Counter("dossier_synthesis_cost_dollars_total", "US dollars spent on language models")
_refusals = Counter(
    "dossier_synthesis_budget_refusals_total",
    "Calls to language models not made, by the limit of a client's budget that they might have passed",
    ["limit"],
)
_crossings = Counter(
    "dossier_synthesis_budget_crossings_total",
    "Times that 80 or 100 per cent of a client's budget for a month or a day were used up",
    ["period", "percent"],
)


def count(brief: Brief) -> None:
    fallback = "yes" if brief.fallback_reason else "no"
    _briefs.labels(writer=brief.writer.value, fallback=fallback).inc()
    for claims in (*brief.sections.values(), brief.dropped):
        for claim in claims:
            _claims.labels(verdict=claim.verdict.value).inc()


def count_purchase(usage: Usage) -> None:
    _tokens.labels(kind="prompt").inc(usage.prompt_tokens)
    _tokens.labels(kind="completion").inc(usage.completion_tokens)
    _cost.inc(float(usage.cost))


def count_refusal(over: OverBudget) -> None:
    _refusals.labels(limit=over.limit.value).inc()


def count_crossing(crossing: Crossing) -> None:
    _crossings.labels(period=crossing.limit.value, percent=str(crossing.percent)).inc()


for _writer in WriterKind:
    # Shown as zero before the first brief, so that a rate can be taken from the beginning.
    _briefs.labels(writer=_writer.value, fallback="no")
for _limit in Limit:
    _refusals.labels(limit=_limit.value)
