"""Records a resolved ticket in the history, so that the next one like it finds it."""

from datetime import UTC, datetime

from dossier.history.v1.history_service_pb2 import RecordTicketRequest
from services.orchestrator import telemetry
from services.orchestrator.engine import Checkpoint
from services.orchestrator.failures import Permanent, Transient
from services.orchestrator.gather import refresh
from services.orchestrator.model import Step
from services.orchestrator.peers import PeerFailure, Peers
from services.orchestrator.steps import Attempt, Work
from services.orchestrator.tickets import as_past_ticket
from services.orchestrator.tool import Tools, required


async def record(work: Work, *, peers: Peers, tools: Tools) -> None:
    _, ticket, refreshed = await refresh(work, tools)
    this = Attempt(Step.RECORD, work.attempt.number)
    try:
        await peers.record_ticket(RecordTicketRequest(ticket=as_past_ticket(ticket)))
    except PeerFailure as failure:
        problem: Transient | Permanent = required(failure)
        problem.step = this.name
        raise problem from failure
    waited = datetime.now(UTC) - work.enhancement.create_time
    telemetry.RECORDED.observe(max(0.0, waited.total_seconds()))
    ends = [refreshed, this.end("recorded in the history")]
    await work.journal.succeeded(Checkpoint(1, "record"), work.attempt.begun, ends, ticket=ticket)
