"""Every metric, span and attribute name of this service. None carries a tenant."""

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram

from services.orchestrator.model import Accepted, StepEnd

if TYPE_CHECKING:
    # The engine counts with this module's metrics.
    from services.orchestrator.engine.backlog import Backlog

ACCEPTED: Final = Counter(
    "dossier_orchestrator_accepted_total",
    "Tickets answered as accepted; `known` are redeliveries.",
    ["result"],
)
FINISHED: Final = Counter("dossier_orchestrator_finished_total", "Runs that ended.", ["outcome"])
STEP: Final = Histogram(
    "dossier_orchestrator_step_seconds",
    "Duration of an attempt at a step.",
    ["step", "state"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60),
)
WAITING: Final = Gauge("dossier_orchestrator_queue_depth", "Runs that wait for a worker, of all replicas.")
DELAYED: Final = Gauge(
    "dossier_orchestrator_queue_delayed", "Runs that wait for the time of another try, of all replicas."
)
SLOTS: Final = Gauge("dossier_orchestrator_slots", "Runs that this replica may be at now.")
SLOTS_BUSY: Final = Gauge("dossier_orchestrator_slots_busy", "Runs that this replica is at.")
RECOVERED: Final = Counter(
    "dossier_orchestrator_recovered_total", "Runs of replicas without a live lease that were given back."
)
FENCED: Final = Counter(
    "dossier_orchestrator_fenced_total", "Runs that were stopped here since they were not ours any more."
)
IN_PROGRESS: Final = Gauge(
    "dossier_orchestrator_runs_in_progress", "Runs that a worker is at, of all replicas."
)
OLDEST: Final = Gauge("dossier_orchestrator_queue_oldest_seconds", "Age of the run that has waited longest.")
PACE_REFUSED: Final = Counter(
    "dossier_orchestrator_pace_refused_total",
    "Requests to ticketing tools put off: `full` by a tenant's limit, `blocked` by the tool's own 429.",
    ["why"],
)
PACE_UNAVAILABLE: Final = Counter(
    "dossier_orchestrator_pace_unavailable_total",
    "Requests to ticketing tools let through without looking at their limit, as Redis did not answer.",
)
EGRESS_REFUSED: Final = Counter(
    "dossier_orchestrator_egress_refused_total",
    "Addresses that tenants configured and may not reach: of a `tool`, of a `source`.",
    ["what"],
)
RECORDED: Final = Histogram(
    "dossier_orchestrator_recorded_seconds",
    "From the acceptance of a resolved ticket to its being in the history.",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900),
)
RATINGS_WAITING: Final = Gauge(
    "dossier_orchestrator_ratings_waiting",
    "Thumbs on citations that history or knowledge does not have yet, of all replicas.",
)
RATINGS: Final = Counter(
    "dossier_orchestrator_ratings_total",
    "Thumbs on citations handed over: `applied`, `unchanged` (known, or the document is gone), `refused`.",
    ["result"],
)
for _result in ("applied", "unchanged", "refused"):
    RATINGS.labels(result=_result)

_OWN_STEPS: Final = frozenset(
    {"refresh", "history", "knowledge", "network", "synthesize", "deliver", "record"}
)

ENHANCEMENT_ATTRIBUTE: Final = "dossier.enhancement.id"


def count_accepted(accepted: list[Accepted]) -> None:
    created = sum(each.created for each in accepted)
    ACCEPTED.labels(result="created").inc(created)
    ACCEPTED.labels(result="known").inc(len(accepted) - created)


def observe_step(end: StepEnd) -> None:
    # Configured sources are named by tenants.
    name = end.name if end.name in _OWN_STEPS else "source"
    STEP.labels(step=name, state=end.state.value).observe(end.duration_seconds)


def show_backlog(now: "Backlog") -> None:
    WAITING.set(now.waiting)
    DELAYED.set(now.delayed)
    IN_PROGRESS.set(now.in_progress)
    OLDEST.set(now.oldest_seconds)


def span_of(step: str) -> str:
    return f"orchestrator.{step}"
