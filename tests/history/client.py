"""Calls the history service as one tenant."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1.past_ticket_pb2 import PastTicket

if TYPE_CHECKING:
    from dossier.history.v1.history_service_pb2_grpc import HistoryServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Client:
    stub: "HistoryServiceAsyncStub"
    metadata: tuple[tuple[str, str], ...]

    async def import_(self, *tickets: PastTicket, source: str = "") -> pb.ImportTicketsResponse:
        return await self.stream([pb.ImportTicketsRequest(source=source, tickets=tickets)])

    async def import_in_chunks(self, tickets: list[PastTicket]) -> pb.ImportTicketsResponse:
        return await self.stream(
            pb.ImportTicketsRequest(tickets=tickets[start : start + 500])
            for start in range(0, len(tickets), 500)
        )

    async def stream(self, requests: Iterable[pb.ImportTicketsRequest]) -> pb.ImportTicketsResponse:
        def send() -> Iterator[pb.ImportTicketsRequest]:
            yield from requests

        return await self.stub.ImportTickets(send(), metadata=self.metadata)

    async def record(self, ticket: PastTicket) -> pb.RecordTicketResponse:
        return await self.stub.RecordTicket(pb.RecordTicketRequest(ticket=ticket), metadata=self.metadata)

    async def get(self, ticket_id: str, source: str = "") -> PastTicket:
        request = pb.GetTicketRequest(ticket_id=ticket_id, source=source)
        return (await self.stub.GetTicket(request, metadata=self.metadata)).ticket

    async def list_(self, request: pb.ListTicketsRequest) -> pb.ListTicketsResponse:
        return await self.stub.ListTickets(request, metadata=self.metadata)

    async def delete(self, ticket_id: str, source: str = "") -> None:
        request = pb.DeleteTicketRequest(ticket_id=ticket_id, source=source)
        await self.stub.DeleteTicket(request, metadata=self.metadata)

    async def search(self, request: pb.SearchSimilarTicketsRequest) -> list[pb.SimilarTicket]:
        return list((await self.stub.SearchSimilarTickets(request, metadata=self.metadata)).results)

    async def found(self, subject: str, description: str = "") -> list[str]:
        request = pb.SearchSimilarTicketsRequest(subject=subject, description=description)
        return [result.ticket.id for result in await self.search(request)]
