from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

import grpc

from audit.event import current_actor
from audit.imports import ImportEvent, Origin
from audit.relay import Relay
from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1 import history_service_pb2_grpc as pb_grpc
from embedding.backfill import Backfill
from embedding.questions import Questions
from retrieval.relevance import OF_TICKETS
from services.history import telemetry, wire
from services.history.errors import TicketNotFound
from services.history.ingest import keep, record
from services.history.ratings import rate
from services.history.settings import HistorySettings
from services.history.similar import find_similar
from services.history.store import AUDIT, TenantTickets
from services.history.tenant_data import tenant_rows
from services.history.upkeep import tend_indexes
from services.history.vectors import Vectors
from services.runtime.caller import current_tenant
from services.runtime.database import Database
from services.runtime.importing import take_in
from services.runtime.paging import PageTokens
from services.runtime.serve import Service
from tenantdata.servicer import serving_rows
from tuning.rankings import Rankings


class HistoryServicer(pb_grpc.HistoryServiceServicer):
    def __init__(self, database: Database, questions: Questions, rankings: Rankings) -> None:
        self._database = database
        self._questions = questions
        self._rankings = rankings

    async def SearchSimilarTickets(
        self,
        request: pb.SearchSimilarTicketsRequest,
        context: grpc.aio.ServicerContext[pb.SearchSimilarTicketsRequest, pb.SearchSimilarTicketsResponse],
    ) -> pb.SearchSimilarTicketsResponse:
        search = wire.search_from(request, self._rankings.of(current_tenant()), now=datetime.now(UTC))
        found = await find_similar(self._tickets(), self._questions, search)
        telemetry.count_search(len(found))
        return pb.SearchSimilarTicketsResponse(results=map(wire.write_similar, found))

    async def GetTicket(
        self,
        request: pb.GetTicketRequest,
        context: grpc.aio.ServicerContext[pb.GetTicketRequest, pb.GetTicketResponse],
    ) -> pb.GetTicketResponse:
        reference = wire.reference_to(request.ticket_id, request.source)
        ticket = await self._tickets().find(reference)
        if ticket is None:
            raise TicketNotFound(reference.id)
        return pb.GetTicketResponse(ticket=wire.write_ticket(ticket))

    async def ListTickets(
        self,
        request: pb.ListTicketsRequest,
        context: grpc.aio.ServicerContext[pb.ListTicketsRequest, pb.ListTicketsResponse],
    ) -> pb.ListTicketsResponse:
        tokens = PageTokens("ListTickets", current_tenant(), request.source)
        tickets, end = await self._tickets().page(
            source=wire.source_filter(request.source),
            after=wire.place_from(tokens, request.page_token),
            size=wire.page_size(request),
        )
        return pb.ListTicketsResponse(
            tickets=map(wire.write_ticket, tickets), next_page_token=wire.token_to(tokens, end)
        )

    async def RecordTicket(
        self,
        request: pb.RecordTicketRequest,
        context: grpc.aio.ServicerContext[pb.RecordTicketRequest, pb.RecordTicketResponse],
    ) -> pb.RecordTicketResponse:
        ticket = wire.recorded_from(request)
        created = await record(self._tickets(), ticket, by=current_actor())
        return pb.RecordTicketResponse(ticket=wire.write_ticket(ticket), created=created)

    async def ImportTickets(
        self,
        request_iterator: AsyncIterator[pb.ImportTicketsRequest],
        context: grpc.aio.ServicerContext[pb.ImportTicketsRequest, pb.ImportTicketsResponse],
    ) -> pb.ImportTicketsResponse:
        batches = wire.batches_from(request_iterator)
        event = ImportEvent(AUDIT, Origin(current_tenant(), current_actor(), "ImportTickets", "tickets"))
        report = await take_in(batches, partial(keep, self._tickets(), event))
        await event.end(self._database, report)
        telemetry.count_rows(report)
        return wire.write_report(report)

    async def DeleteTicket(
        self,
        request: pb.DeleteTicketRequest,
        context: grpc.aio.ServicerContext[pb.DeleteTicketRequest, pb.DeleteTicketResponse],
    ) -> pb.DeleteTicketResponse:
        reference = wire.reference_to(request.ticket_id, request.source)
        if not await self._tickets().delete(reference, by=current_actor()):
            raise TicketNotFound(reference.id)
        return pb.DeleteTicketResponse()

    async def RateTicket(
        self,
        request: pb.RateTicketRequest,
        context: grpc.aio.ServicerContext[pb.RateTicketRequest, pb.RateTicketResponse],
    ) -> pb.RateTicketResponse:
        applied = await rate(self._database, current_tenant(), wire.rating_from(request))
        return pb.RateTicketResponse(applied=applied)

    def _tickets(self) -> TenantTickets:
        return TenantTickets(self._database, current_tenant(), embedded=self._questions.embedded)


async def build(settings: HistorySettings, closers: AsyncExitStack) -> Service:
    database = Database.lazy(
        settings.database_url.get_secret_value(),
        role="dossier_history",
        pool_max=settings.database_pool_max,
        statement_cache=settings.database_statement_cache,
        planned_anew=True,
    )
    closers.push_async_callback(database.close)
    embedder = settings.embedder()
    closers.push_async_callback(embedder.close)
    rankings = Rankings.open(
        "history", settings, closers, usual=OF_TICKETS, part=lambda settings: settings.tickets
    )
    return Service(
        servicers=[
            (
                pb.DESCRIPTOR.services_by_name["HistoryService"],
                lambda server: pb_grpc.add_HistoryServiceServicer_to_server(
                    HistoryServicer(database, Questions(embedder), rankings), server
                ),
            ),
            serving_rows(tenant_rows(database, retention_days=settings.retention_days)),
        ],
        checks={"postgresql": database.check},
        background=[
            rankings.follow,
            Relay.open("history", database, settings, closers).run,
            *Backfill(Vectors(database), embedder, telemetry.EMBEDDING).jobs,
            partial(tend_indexes, database),
        ],
    )
