"""Every metric and span name of this service."""

from typing import Final

from prometheus_client import Counter

from services.runtime.importing import ImportReport

CANDIDATES_SPAN: Final = "knowledge.find_candidates"

_searches = Counter("dossier_knowledge_searches_total", "Searches for passages", ["outcome"])
_rows = Counter("dossier_knowledge_rows_total", "Articles taken in", ["outcome"])

for outcome in ("found", "nothing"):
    # Shown as zero before the first, so that a rate can be taken from the beginning.
    _searches.labels(outcome=outcome)
for outcome in ("created", "updated", "unchanged", "rejected"):
    _rows.labels(outcome=outcome)


def count_search(results: int) -> None:
    _searches.labels(outcome="found" if results else "nothing").inc()


def count_rows(report: ImportReport) -> None:
    for outcome in ("created", "updated", "unchanged", "rejected"):
        _rows.labels(outcome=outcome).inc(getattr(report, outcome))
