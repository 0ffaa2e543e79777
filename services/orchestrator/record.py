"""Records a resolved ticket in the history, so that the next one like it finds it."""

from dossier.history.v1.history_service_pb2 import RecordTicketRequest
from services.orchestrator.gather import refresh
from services.orchestrator.peers import PeerFailure, Peers
from services.orchestrator.steps import Attempt, Work
from services.orchestrator.tickets import as_past_ticket
from services.orchestrator.tool import Tools, required


async def record(work: Work, *, peers: Peers, tools: Tools) -> None:
    _, ticket, refreshed = await refresh(work, tools)
    await work.journal.refreshed(refreshed, ticket, next_steps=())

    async def attempt(this: Attempt) -> None:
        try:
            await peers.record_ticket(RecordTicketRequest(ticket=as_past_ticket(ticket)))
        except PeerFailure as failure:
            raise required(failure) from failure
        await work.journal.succeeded(this.end("recorded in the history"))

    await work.try_step("record", attempt)
