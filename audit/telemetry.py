"""Every metric of the outbox. None carries a tenant."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.outbox import Waiting

WAITING: Final = Gauge("dossier_audit_outbox_events", "Audit events that wait to be handed over.")
OLDEST: Final = Gauge(
    "dossier_audit_outbox_oldest_seconds", "Age of the audit event that has waited longest."
)
_handed_over = Counter(
    "dossier_audit_handed_over_total",
    "Audit events that wait no more: `recorded` in the log, or `homeless`, of a client that is not there.",
    ["result"],
)
for result in ("recorded", "homeless"):
    _handed_over.labels(result=result)


def show_backlog(waiting: "Sequence[Waiting]") -> None:
    WAITING.set(sum(each.events for each in waiting))
    oldest = min((each.oldest for each in waiting), default=None)
    OLDEST.set(0 if oldest is None else max(0.0, (datetime.now(UTC) - oldest).total_seconds()))


def count_handed_over(events: int, *, result: str) -> None:
    _handed_over.labels(result=result).inc(events)
