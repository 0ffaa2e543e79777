"""What an adapter provides. The gateway verifies and parses; the orchestrator reads, posts, finds, lists."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import ClassVar, Literal, Protocol

from aiohttp import ClientSession

from egress.connection import Connection
from ticketing.model import (
    NoteTrial,
    PostedNote,
    Ticket,
    WebhookEvent,
    WebhookRequest,
    WebhookSecret,
)

NoteFormat = Literal["html", "text"]


class Probe(Protocol):
    """Tries out what one connection permits.

    Each method makes one attempt and returns, in words without secrets, what it saw. It raises `ToolError`s:
    `CannotTell` where the tool says it only to who does it.
    """

    async def sign_in(self) -> str:
        """Called first."""

    async def read_ticket(self) -> str: ...

    async def read_notes(self) -> str: ...

    async def add_note(self) -> str:
        """Adds a private note that says it is a test, once, and only where the trial that was given says."""

    async def list_resolved(self) -> str: ...


class TicketingTool(Protocol):
    """An adapter keeps no state: everything about a tenant comes with the call.

    Methods that reach the tool do so in the session given (`ticketing.session`), raise `ToolError`s only,
    make one attempt (retrying is the caller's) and follow no redirects.
    """

    name: ClassVar[str]
    note_format: ClassVar[NoteFormat]
    options: ClassVar[frozenset[str]]
    """What of a connection's options it reads, beside those of `ticketing.options`. None may hold a secret:
    they are shown."""

    def verify(self, request: WebhookRequest, secrets: Sequence[WebhookSecret]) -> str | None:
        """Return the id of the secret the webhook was sent with, None to refuse it.

        Compares with every secret, in the same time whether and whichever one matches.
        """

    def parse(self, request: WebhookRequest) -> WebhookEvent:
        """Read a verified webhook; raises `MalformedWebhook`."""

    async def read_ticket(self, http: ClientSession, connection: Connection, ticket_id: str) -> Ticket:
        """Read the whole ticket, its resolution included."""

    async def post_note(
        self, http: ClientSession, connection: Connection, ticket_id: str, *, body: str, marker: str
    ) -> PostedNote:
        """Add a private note: `body` in the tool's `note_format`, then `marker` as text, which is added here.

        Not idempotent: after `ToolUnavailable`, ask `find_note` whether it was posted.
        """

    async def find_note(
        self, http: ClientSession, connection: Connection, ticket_id: str, *, marker: str
    ) -> PostedNote | None:
        """Find the note that carries `marker`."""

    def list_resolved(
        self, http: ClientSession, connection: Connection, *, since: datetime
    ) -> AsyncIterator[Ticket]:
        """Yield the whole of each ticket that is resolved and has changed since then, oldest change first."""

    def probe(self, http: ClientSession, connection: Connection, *, trial: NoteTrial | None) -> Probe:
        """Give what tests the connection: by any ticket and without a note, or by the trial's."""
