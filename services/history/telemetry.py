"""Every metric and span name of this service."""

from typing import Final

from prometheus_client import Counter, Gauge

from embedding.backfill import Meters
from services.runtime.importing import ImportReport

CANDIDATES_SPAN: Final = "history.find_candidates"

_searches = Counter("dossier_history_searches_total", "Searches for similar tickets", ["outcome"])
_rows = Counter("dossier_history_rows_total", "Tickets taken in", ["outcome"])

_questions = Counter(
    "dossier_history_questions_total", "Searches by what they compared: meaning, words alone", ["by"]
)
EMBEDDING: Final = Meters(
    embedded=Counter("dossier_history_embedded_total", "Tickets given a vector"),
    waiting=Gauge("dossier_history_embedding_backlog", "Tickets that wait for a vector, in all replicas"),
    oldest_seconds=Gauge(
        "dossier_history_embedding_backlog_seconds", "How long the one that was added first has waited"
    ),
)

for by in ("meaning", "words"):
    _questions.labels(by=by)
for outcome in ("found", "nothing"):
    # Shown as zero before the first, so that a rate can be taken from the beginning.
    _searches.labels(outcome=outcome)
for outcome in ("created", "updated", "unchanged", "rejected"):
    _rows.labels(outcome=outcome)


def count_search(results: int) -> None:
    _searches.labels(outcome="found" if results else "nothing").inc()


def count_question(*, by_meaning: bool) -> None:
    _questions.labels(by="meaning" if by_meaning else "words").inc()


def count_rows(report: ImportReport) -> None:
    for outcome in ("created", "updated", "unchanged", "rejected"):
        _rows.labels(outcome=outcome).inc(getattr(report, outcome))
