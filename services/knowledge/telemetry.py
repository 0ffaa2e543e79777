"""Every metric and span name of this service."""

from typing import Final

from prometheus_client import Counter, Gauge

from embedding.backfill import Meters
from services.runtime.importing import ImportReport

CANDIDATES_SPAN: Final = "knowledge.find_candidates"

_searches = Counter("dossier_knowledge_searches_total", "Searches for passages", ["outcome"])
_rows = Counter("dossier_knowledge_rows_total", "Articles taken in", ["outcome"])

_cache = Counter(
    "dossier_knowledge_cache_requests_total",
    "Looks into the cache of knowledge bases' answers: hit, stale, joined, miss, away",
    ["outcome"],
)
_base_searches = Counter(
    "dossier_knowledge_base_searches_total",
    "Searches of clients' knowledge bases: answered, timed_out, unavailable, failed",
    ["outcome"],
)
_base_syncs = Counter(
    "dossier_knowledge_base_syncs_total", "Syncs of clients' knowledge bases that ended", ["outcome"]
)

_questions = Counter(
    "dossier_knowledge_questions_total", "Searches by what they compared: meaning, words alone", ["by"]
)
EMBEDDING: Final = Meters(
    embedded=Counter("dossier_knowledge_embedded_total", "Passages and titles given a vector"),
    waiting=Gauge(
        "dossier_knowledge_embedding_backlog", "Passages and titles that wait for a vector, in all replicas"
    ),
    oldest_seconds=Gauge(
        "dossier_knowledge_embedding_backlog_seconds", "How long the one that was added first has waited"
    ),
)

for by in ("meaning", "words"):
    _questions.labels(by=by)
for outcome in ("found", "nothing"):
    # Shown as zero before the first, so that a rate can be taken from the beginning.
    _searches.labels(outcome=outcome)
for outcome in ("hit", "stale", "joined", "miss", "away"):
    _cache.labels(outcome=outcome)
for outcome in ("answered", "timed_out", "unavailable", "failed"):
    _base_searches.labels(outcome=outcome)
for outcome in ("done", "failed"):
    _base_syncs.labels(outcome=outcome)
for outcome in ("created", "updated", "unchanged", "rejected"):
    _rows.labels(outcome=outcome)


def count_search(results: int) -> None:
    _searches.labels(outcome="found" if results else "nothing").inc()


def count_question(*, by_meaning: bool) -> None:
    _questions.labels(by="meaning" if by_meaning else "words").inc()


def count_rows(report: ImportReport) -> None:
    for outcome in ("created", "updated", "unchanged", "rejected"):
        _rows.labels(outcome=outcome).inc(getattr(report, outcome))


def count_cache(outcome: str) -> None:
    _cache.labels(outcome=outcome).inc()


def count_base_search(outcome: str) -> None:
    _base_searches.labels(outcome=outcome).inc()


def count_base_sync(*, done: bool) -> None:
    _base_syncs.labels(outcome="done" if done else "failed").inc()
