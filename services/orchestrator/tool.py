"""A tenant's ticketing tool, through its adapter; what goes wrong is `Transient` or `Permanent`."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Final, TypeVar

from aiohttp import ClientSession
from async_lru import alru_cache

from dossier.context.v1.ticket_pb2 import Ticket
from dossier.tenants.v1.tenant_pb2 import Tenant
from dossier.tenants.v1.tenant_service_pb2 import GetTicketingAccessResponse
from egress.connection import Connection
from egress.guard import Guard
from egress.permits import Permits
from egress.session import GuardedSessions
from services.orchestrator import telemetry
from services.orchestrator.failures import Permanent, Transient
from services.orchestrator.pace import OutOfPermits, Pace, PacedTool
from services.orchestrator.peers import PeerFailure, Peers
from services.orchestrator.tickets import from_tool
from services.runtime.caller import current_tenant
from ticketing.contract import NoteFormat, TicketingTool
from ticketing.discovery import tool_named
from ticketing.errors import (
    AddressRefused,
    TicketMissing,
    ToolRateLimited,
    ToolRejected,
    ToolUnavailable,
    UnknownTool,
)
from ticketing.model import PostedNote
from ticketing.options import requests_per_minute
from ticketing.session import tool_session

T = TypeVar("T")

_NOT_SERVED: Final = frozenset({"TENANT_NOT_FOUND", "TENANT_SUSPENDED"})
_MOST_TENANTS: Final = 4096

_permit: ContextVar[Callable[[], Awaitable[None]]] = ContextVar("dossier_tool_permit")


class ToolSessions(GuardedSessions):
    def __init__(self, permits: Permits, timeout_seconds: float) -> None:
        super().__init__(permits, lambda guard: _paced_session(guard, timeout_seconds))


def _paced_session(guard: Guard, timeout_seconds: float) -> ClientSession:
    """An adapter may make several requests: each takes a permit."""

    async def take_permit() -> None:
        await _permit.get()()

    return tool_session(guard, timeout_seconds, before_each=take_permit)


class Tools:
    """The installed adapters, the HTTP sessions they share, and the pace at which tools are asked."""

    def __init__(
        self,
        installed: Mapping[str, TicketingTool],
        http: ToolSessions,
        peers: Peers,
        pace: Pace,
        *,
        believed_seconds: float,
    ) -> None:
        self.installed = installed
        self.http = http
        self.pace = pace
        self._peers = peers
        self._answers = alru_cache(maxsize=_MOST_TENANTS, ttl=believed_seconds)(self._ask)

    async def access(self) -> "ToolAccess":
        """How the tenant at hand is served now. Credentials are believed for a moment, and kept nowhere."""
        return ToolAccess(await self._answer(), self)

    def forget(self, tenant: str | None) -> None:
        """Ask anew about the tenant, or about all."""
        if tenant is None:
            self._answers.cache_clear()
        else:
            self._answers.cache_invalidate(tenant)

    async def confirm(self, answer: GetTicketingAccessResponse) -> None:
        """Ask anew; raises `Transient` when the answer has changed, so that what it led to proves nothing."""
        self._answers.cache_invalidate(current_tenant())
        if await self._answer() != answer:
            raise Transient("the tenant's settings have changed meanwhile", reason="TOOL_UNAVAILABLE")

    async def _answer(self) -> GetTicketingAccessResponse:
        try:
            return await self._answers(current_tenant())
        except PeerFailure as failure:
            if failure.reason in _NOT_SERVED:
                raise Permanent(
                    "the tenant is suspended or gone; resume it, then ask again", reason="TENANT_NOT_SERVED"
                ) from failure
            raise required(failure) from failure

    async def _ask(self, _tenant: str) -> GetTicketingAccessResponse:
        return await self._peers.ticketing_access()


class ToolAccess:
    def __init__(self, answer: GetTicketingAccessResponse, tools: Tools) -> None:
        self.tenant: Tenant = answer.tenant
        self._answer = answer
        self._tools = tools
        self._http = tools.http.of(answer.tenant.id)
        ticketing = answer.tenant.ticketing
        self._connection = Connection(ticketing.base_url, dict(answer.credentials), dict(ticketing.options))

    @property
    def has_address(self) -> bool:
        return bool(self._connection.base_url)

    @property
    def note_format(self) -> NoteFormat:
        return self._adapter().note_format

    async def read(self, ticket_id: str) -> Ticket:
        tool = self._adapter()
        read = await self._outcome(tool.read_ticket(self._http, self._connection, ticket_id))
        return from_tool(read, tool=tool.name)

    async def post(self, ticket_id: str, *, body: str, marker: str) -> PostedNote:
        tool = self._adapter()
        return await self._outcome(
            tool.post_note(self._http, self._connection, ticket_id, body=body, marker=marker)
        )

    async def find(self, ticket_id: str, *, marker: str) -> PostedNote | None:
        tool = self._adapter()
        return await self._outcome(tool.find_note(self._http, self._connection, ticket_id, marker=marker))

    def _adapter(self) -> TicketingTool:
        try:
            return tool_named(self._tools.installed, self.tenant.ticketing.tool)
        except UnknownTool as error:
            raise Permanent(
                f"{error}; install it or change the tenant's tool", reason="TOOL_UNKNOWN"
            ) from error

    async def _outcome(self, call: Awaitable[T]) -> T:
        before = _permit.set(self._take_permit)
        try:
            return await call
        except OutOfPermits as error:
            waiting = NothingDone(
                f"the ticketing tool is not asked too often: {error}",
                reason="TOOL_UNAVAILABLE",
                retry_after_seconds=error.retry_after_seconds,
            )
            waiting.in_turn = True
            raise waiting from error
        except ToolRateLimited as error:
            await self._tools.pace.block(self._paced(), error.retry_after_seconds)
            limited = NothingDone(
                f"the ticketing tool limits our rate: {error}",
                reason="TOOL_UNAVAILABLE",
                retry_after_seconds=error.retry_after_seconds,
            )
            # As those who are refused by the block that this began.
            limited.in_turn = True
            raise limited from error
        except ToolUnavailable as error:
            unavailable = Transient(f"the ticketing tool is unavailable: {error}", reason="TOOL_UNAVAILABLE")
            unavailable.ended = error.answered
            raise unavailable from error
        except AddressRefused as error:
            telemetry.EGRESS_REFUSED.labels(what="tool").inc()
            await self._tools.confirm(self._answer)
            raise Permanent(str(error), reason="TOOL_REJECTED") from error
        except ToolRejected as error:
            await self._tools.confirm(self._answer)
            raise Permanent(f"the ticketing tool refuses: {error}", reason="TOOL_REJECTED") from error
        except TicketMissing as error:
            await self._tools.confirm(self._answer)
            raise Permanent(str(error), reason="TICKET_MISSING") from error
        finally:
            _permit.reset(before)

    async def _take_permit(self) -> None:
        await self._tools.pace.take(self._paced())

    def _paced(self) -> PacedTool:
        return PacedTool(self.tenant.id, self.tenant.ticketing.tool, requests_per_minute(self._connection))


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
