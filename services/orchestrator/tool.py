"""A tenant's ticketing tool, through its adapter; what goes wrong is `Transient` or `Permanent`."""

from collections.abc import Awaitable, Mapping
from typing import Final, TypeVar

import httpx

from dossier.context.v1.ticket_pb2 import Ticket
from dossier.tenants.v1.tenant_pb2 import Tenant
from dossier.tenants.v1.tenant_service_pb2 import GetTicketingAccessResponse
from services.orchestrator.failures import Permanent, Transient
from services.orchestrator.peers import PeerFailure, Peers
from services.orchestrator.tickets import from_tool
from ticketing.contract import NoteFormat, TicketingTool
from ticketing.discovery import tool_named
from ticketing.errors import TicketMissing, ToolRateLimited, ToolRejected, ToolUnavailable, UnknownTool
from ticketing.model import Connection, PostedNote

T = TypeVar("T")

_NOT_SERVED: Final = frozenset({"TENANT_NOT_FOUND", "TENANT_SUSPENDED"})


class Tools:
    """The installed adapters and the one HTTP client they share."""

    def __init__(self, installed: Mapping[str, TicketingTool], http: httpx.AsyncClient, peers: Peers) -> None:
        self._installed = installed
        self._http = http
        self._peers = peers

    async def access(self) -> "ToolAccess":
        """How the tenant at hand is served now; its credentials are asked for each time and kept nowhere."""
        try:
            response = await self._peers.ticketing_access()
        except PeerFailure as failure:
            if failure.reason in _NOT_SERVED:
                raise Permanent(
                    "the tenant is suspended or gone; resume it, then ask again", reason="TENANT_NOT_SERVED"
                ) from failure
            raise required(failure) from failure
        return ToolAccess(response, self._installed, self._http)


class ToolAccess:
    def __init__(
        self,
        response: GetTicketingAccessResponse,
        installed: Mapping[str, TicketingTool],
        http: httpx.AsyncClient,
    ) -> None:
        self.tenant: Tenant = response.tenant
        ticketing = response.tenant.ticketing
        self._connection = Connection(ticketing.base_url, dict(response.credentials), dict(ticketing.options))
        self._installed = installed
        self._http = http

    @property
    def has_address(self) -> bool:
        return bool(self._connection.base_url)

    @property
    def note_format(self) -> NoteFormat:
        return self._adapter().note_format

    async def read(self, ticket_id: str) -> Ticket:
        tool = self._adapter()
        read = await _outcome(tool.read_ticket(self._http, self._connection, ticket_id))
        return from_tool(read, tool=tool.name)

    async def post(self, ticket_id: str, *, body: str, marker: str) -> PostedNote:
        tool = self._adapter()
        return await _outcome(
            tool.post_note(self._http, self._connection, ticket_id, body=body, marker=marker)
        )

    async def find(self, ticket_id: str, *, marker: str) -> PostedNote | None:
        tool = self._adapter()
        return await _outcome(tool.find_note(self._http, self._connection, ticket_id, marker=marker))

    def _adapter(self) -> TicketingTool:
        try:
            return tool_named(self._installed, self.tenant.ticketing.tool)
        except UnknownTool as error:
            raise Permanent(
                f"{error}; install it or change the tenant's tool", reason="TOOL_UNKNOWN"
            ) from error


async def _outcome(call: Awaitable[T]) -> T:
    try:
        return await call
    except ToolRateLimited as error:
        raise NothingDone(
            f"the ticketing tool limits our rate: {error}",
            reason="TOOL_UNAVAILABLE",
            retry_after_seconds=error.retry_after_seconds,
        ) from error
    except ToolUnavailable as error:
        raise Transient(f"the ticketing tool is unavailable: {error}", reason="TOOL_UNAVAILABLE") from error
    except ToolRejected as error:
        raise Permanent(f"the ticketing tool refuses: {error}", reason="TOOL_REJECTED") from error
    except TicketMissing as error:
        raise Permanent(str(error), reason="TICKET_MISSING") from error


class NothingDone(Transient):
    """Refused before anything was written."""

    def __init__(self, message: str, *, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, reason=reason, retry_after_seconds=retry_after_seconds)
        self.nothing_done = True


def required(failure: PeerFailure) -> Transient | Permanent:
    """What the failure of a service means to a run that cannot do without it."""
    if failure.final:
        return Permanent(f"{failure}; the services' versions may not fit each other", reason="STEP_FAILED")
    return Transient(str(failure))
