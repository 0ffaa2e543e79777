"""The contract, kept by the modules beside this one."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import ClassVar

from aiohttp import ClientSession

from egress.connection import Connection
from ticketing.contract import NoteFormat
from ticketing.model import (
    NoteTrial,
    PostedNote,
    Ticket,
    WebhookEvent,
    WebhookRequest,
    WebhookSecret,
)
from ticketing.servicedesk_plus.notes import find_note, post_note
from ticketing.servicedesk_plus.probe import ServiceDeskPlusProbe
from ticketing.servicedesk_plus.signature import matching_secret
from ticketing.servicedesk_plus.tickets import list_resolved, read_ticket
from ticketing.servicedesk_plus.webhook import parse_webhook


class ServiceDeskPlus:
    name: ClassVar[str] = "servicedesk_plus"
    note_format: ClassVar[NoteFormat] = "html"
    options: ClassVar[frozenset[str]] = frozenset({"edition", "portal", "timeout_seconds"})

    def verify(self, request: WebhookRequest, secrets: Sequence[WebhookSecret]) -> str | None:
        return matching_secret(request, secrets)

    def parse(self, request: WebhookRequest) -> WebhookEvent:
        return parse_webhook(request)

    async def read_ticket(self, http: ClientSession, connection: Connection, ticket_id: str) -> Ticket:
        return await read_ticket(http, connection, ticket_id)

    async def post_note(
        self, http: ClientSession, connection: Connection, ticket_id: str, *, body: str, marker: str
    ) -> PostedNote:
        return await post_note(http, connection, ticket_id, body=body, marker=marker)

    async def find_note(
        self, http: ClientSession, connection: Connection, ticket_id: str, *, marker: str
    ) -> PostedNote | None:
        return await find_note(http, connection, ticket_id, marker=marker)

    def list_resolved(
        self, http: ClientSession, connection: Connection, *, since: datetime
    ) -> AsyncIterator[Ticket]:
        return list_resolved(http, connection, since=since)

    def probe(
        self, http: ClientSession, connection: Connection, *, trial: NoteTrial | None
    ) -> ServiceDeskPlusProbe:
        return ServiceDeskPlusProbe(http, connection, trial)
