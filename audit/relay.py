"""Hands over what waits in the outbox to the tenants service, which keeps the logs."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

import grpc
import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from audit import telemetry
from audit.event import OPERATOR
from audit.outbox import Event, Outbox
from audit.settings import AuditedSettings
from dossier.tenants.v1 import audit_pb2
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from services.runtime.caller import acting_for
from services.runtime.channels import open_channel
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable
from services.runtime.tokens import TokenSigner

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

_AT_ONCE: Final = 100
"""Of one log, before the next one's turn."""
_LOGS_A_ROUND: Final = 50
_IDLE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 8.0
# Of the longest call: within it, no other replica hands over the same; a killed one's events wait so long.
_LEASE_CALLS: Final = 3
_AWAY: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})

_log = structlog.get_logger(__name__)


class Relay:
    """Each event reaches the log once: removed when it is there, and known there when it comes again."""

    def __init__(
        self, service: str, database: Database, stub: "TenantServiceAsyncStub", *, seconds: float
    ) -> None:
        self._service = service
        self._database = database
        self._outbox = Outbox(service)
        self._stub = stub
        self._seconds = seconds
        self._lease = timedelta(seconds=_LEASE_CALLS * seconds)
        self._failing = False

    @classmethod
    def open(
        cls, service: str, database: Database, settings: AuditedSettings, closers: AsyncExitStack
    ) -> Self:
        channel = open_channel(
            settings.tenants_target,
            audience="tenants",
            services=[pb.DESCRIPTOR.services_by_name["TenantService"]],
            signer=TokenSigner(settings.token_signing_key_file),
            subject=service,
            tls=settings.tls,
        )
        closers.push_async_callback(channel.close)
        return cls(service, database, TenantServiceStub(channel), seconds=settings.tenants_seconds)

    async def run(self) -> None:
        pause = _IDLE_SECONDS
        while True:
            handed_over, failed = await self._round_or_why_not()
            self._tell(failed)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS) if failed else _IDLE_SECONDS
            await asyncio.sleep(0 if handed_over and not failed else pause)

    async def _round_or_why_not(self) -> tuple[int, str | None]:
        try:
            return await self._round()
        except (DependencyUnavailable, TimeoutError):
            # Readiness tells of a lost database; what waits there goes on to wait.
            return 0, None
        except Exception as error:  # noqa: BLE001 - a schema that is not migrated yet must not end the service
            return 0, type(error).__name__

    async def _round(self) -> tuple[int, str | None]:
        """One turn for each log; how many events it was, and what kept others from it."""
        waiting = await self._outbox.backlog(self._database)
        telemetry.show_backlog(waiting)
        handed_over, failed = 0, None
        for each in waiting[:_LOGS_A_ROUND]:
            events = await self._outbox.claim(self._database, each.tenant, most=_AT_ONCE, lease=self._lease)
            if not events:
                continue
            trouble = await self._hand_over(each.tenant, events)
            if trouble is None:
                handed_over += len(events)
                continue
            failed = trouble.name
            await self._outbox.give_back(self._database, each.tenant, events)
            if trouble in _AWAY:
                break
        return handed_over, failed

    async def _hand_over(self, tenant: str, events: Sequence[Event]) -> grpc.StatusCode | None:
        request = pb.RecordAuditEventsRequest(events=map(_reported, events))
        result = "recorded"
        try:
            with acting_for(None if tenant == OPERATOR else tenant, subject=self._service):
                await self._stub.RecordAuditEvents(request, timeout=self._seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                return error.code()
            # Deleted meanwhile, and its log with it.
            result = "homeless"
            _log.warning("audit_events_without_client", tenant_id=tenant, events=len(events))
        await self._outbox.remove(self._database, tenant, events)
        telemetry.count_handed_over(len(events), result=result)
        return None

    def _tell(self, failed: str | None) -> None:
        """One line when events begin to wait, one when they do no more."""
        if failed is not None and not self._failing:
            _log.warning("audit_events_wait", cause=failed)
        if failed is None and self._failing:
            _log.info("audit_events_handed_over_again")
        self._failing = failed is not None


def _reported(event: Event) -> audit_pb2.ReportedEvent:
    made = Timestamp()
    made.FromDatetime(event.create_time)
    return audit_pb2.ReportedEvent(
        event_id=event.id,
        create_time=made,
        principal=event.actor.principal,
        subject=event.actor.subject,
        role=event.actor.role,
        request_id=event.actor.request_id,
        action=event.action.name,
        resource=event.action.resource,
        changes=[
            audit_pb2.FieldChange(field=each.field, before=each.before, after=each.after)
            for each in event.action.changes
        ],
    )
