"""Every event reaches the log once, whatever is down, lost or doubled on the way."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import grpc
import pytest
from grpc.aio import AioRpcError, Metadata
from prometheus_client import REGISTRY, Gauge

from audit import telemetry
from audit.event import Action, Actor
from audit.outbox import Outbox
from audit.relay import Relay
from dossier.history.v1.past_ticket_pb2 import PastTicket
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.runtime.caller import current_caller
from services.runtime.database import Database
from tests.audit.world import World, eventually
from tests.support.keys import Keys

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

TICKETS = [PastTicket(id=str(number), title="Imported") for number in range(1, 4)]
MANY = """
insert into history.audit_outbox
    (event_id, tenant_id, principal, subject, role, request_id, action, resource, changes)
select gen_random_uuid(), $1, 'jo', 'gateway', 'admin', 'request', 'DeleteTicket',
       'tickets/import/' || number, '[]'
from generate_series(1, $2::integer) as number
"""


class Reporting:
    """The real call, with the token that the relay's channel would send; notes each, and may lose replies."""

    def __init__(self, stub: "TenantServiceAsyncStub", keys: Keys, *, lost: int = 0) -> None:
        self._stub = stub
        self._keys = keys
        self._lost = lost
        self.calls: list[tuple[str | None, list[str]]] = []

    async def RecordAuditEvents(
        self,
        request: pb.RecordAuditEventsRequest,
        *,
        timeout: float,  # noqa: ASYNC109 - the stub's
    ) -> object:
        tenant = current_caller().tenant
        self.calls.append((tenant, [event.event_id for event in request.events]))
        metadata = self._keys.metadata("tenants", tenant=tenant, subject="history")
        answer = await self._stub.RecordAuditEvents(request, metadata=metadata, timeout=timeout)
        if self._lost:
            self._lost -= 1
            raise AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata(), "the reply was lost")
        return answer


def gauge(of: Gauge) -> float:
    (sample,) = next(iter(of.collect())).samples
    return sample.value


def homeless() -> float:
    found = REGISTRY.get_sample_value("dossier_audit_handed_over_total", {"result": "homeless"})
    assert found is not None
    return found


def relay(database: Database, reporting: Reporting) -> Relay:
    return Relay("history", database, cast("TenantServiceAsyncStub", reporting), seconds=5)


async def run_until_empty(world: World, *relays: Relay) -> None:
    running = [asyncio.create_task(each.run()) for each in relays]
    try:
        await world.all_handed_over()
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_what_is_imported_while_tenants_is_away_is_told_when_it_is_back(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world.tenants("acme"):
        pass
    async with world.history() as acting_for:
        await acting_for("acme").import_(*TICKETS)
        await acting_for("acme").delete("1")

        async def shown() -> bool:
            return gauge(telemetry.WAITING) == 2 and gauge(telemetry.OLDEST) > 0

        await eventually(shown)
        await asyncio.sleep(2.5)
        assert await world.waiting() == 2
        assert capsys.readouterr().out.count("audit_events_wait") == 1

        async with world.tenants("acme") as tenants:
            events = await world.of_history(tenants)
            assert [event.action for event in events] == ["ImportTickets", "DeleteTicket"]
            await asyncio.sleep(1.5)
            assert len(await world.of_history(tenants)) == 2
            assert gauge(telemetry.WAITING) == gauge(telemetry.OLDEST) == 0


async def test_what_was_left_when_the_service_ended_is_told_by_the_next(world: World) -> None:
    async with world.history() as acting_for:
        await acting_for("acme").import_(*TICKETS)
    assert await world.waiting() == 1

    async with world.tenants("acme") as tenants, world.history():
        (event,) = await world.of_history(tenants)

    assert event.action == "ImportTickets"


async def test_an_event_whose_receipt_was_lost_is_no_second_one(world: World) -> None:
    async with (
        world.tenants("acme") as tenants,
        world.histories_database() as database,
        world.reporting() as stub,
    ):
        await world.admin.execute(MANY, "acme", 3)
        reporting = Reporting(stub, world.keys, lost=1)
        await run_until_empty(world, relay(database, reporting))

        assert len(reporting.calls) == 2
        assert reporting.calls[0] == reporting.calls[1]
        assert len(await world.of_history(tenants)) == 3
        assert (await tenants.verify("acme")).broken_at == 0


async def test_who_died_with_events_in_hand_is_followed_by_another(
    world: World, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """It had told them, or it had not."""
    async with (
        world.tenants("acme") as tenants,
        world.histories_database() as database,
        world.reporting() as stub,
    ):
        await admin.execute(MANY, "acme", 2)
        await admin.execute("update history.audit_outbox set lease_end = now() + interval '1 hour'")
        reporting = Reporting(stub, world.keys)
        running = asyncio.create_task(relay(database, reporting).run())
        await asyncio.sleep(1.5)
        assert reporting.calls == []

        await admin.execute("update history.audit_outbox set lease_end = now()")
        assert len(await world.of_history(tenants)) == 2
        running.cancel()


async def test_two_relays_tell_nothing_twice(world: World) -> None:
    async with (
        world.tenants("acme", "globex") as tenants,
        world.histories_database() as database,
        world.reporting() as stub,
    ):
        for name in ("acme", "globex"):
            await world.admin.execute(MANY, name, 350)
        reporting = [Reporting(stub, world.keys) for _ in range(2)]
        await run_until_empty(world, *(relay(database, each) for each in reporting))

        sent = Counter(event for each in reporting for _, events in each.calls for event in events)
        assert (len(sent), set(sent.values())) == (700, {1})
        for name in ("acme", "globex"):
            verdict = await tenants.verify(name)
            assert (verdict.events, verdict.broken_at) == (351, 0)


async def test_who_has_much_to_tell_lets_others_have_their_turn(world: World) -> None:
    async with (
        world.tenants("acme", "globex"),
        world.histories_database() as database,
        world.reporting() as stub,
    ):
        await world.admin.execute(MANY, "acme", 450)
        await world.admin.execute(MANY, "globex", 1)
        reporting = Reporting(stub, world.keys)
        await run_until_empty(world, relay(database, reporting))

    assert [tenant for tenant, _ in reporting.calls[:2]] == ["acme", "globex"]
    assert [len(events) for _, events in reporting.calls] == [100, 1, 100, 100, 100, 50]


async def test_events_of_nobody_keep_nobody_waiting(world: World) -> None:
    before = homeless()
    async with (
        world.tenants("acme") as tenants,
        world.histories_database() as database,
        world.reporting() as stub,
    ):
        await world.admin.execute(MANY, "gone", 2)
        await world.admin.execute(MANY, "acme", 1)
        await run_until_empty(world, relay(database, Reporting(stub, world.keys)))

        assert len(await world.of_history(tenants)) == 1
    assert homeless() == before + 2


async def test_the_relay_sees_of_others_only_that_they_wait(
    world: World, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await admin.execute(MANY, "acme", 2)
    connection: Any = await asyncpg.connect(world.database.url("history"))

    assert await connection.fetchval("select count(*) from history.audit_outbox") == 0
    (row,) = await connection.fetch("select * from history.audit_backlog()")
    assert (set(row.keys()), row["events"]) == ({"tenant_id", "events", "oldest"}, 2)
    await connection.close()


async def test_a_schema_that_is_not_migrated_yet_is_waited_for(
    world: World, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await admin.execute("alter function history.audit_backlog rename to not_yet")
    async with world.tenants("acme") as tenants, world.history() as acting_for:
        await acting_for("acme").import_(*TICKETS)
        await asyncio.sleep(1.5)
        await admin.execute("alter function history.not_yet rename to audit_backlog")

        assert len(await world.of_history(tenants)) == 1


async def test_an_event_in_a_relays_hands_grows_no_more(world: World) -> None:
    """What was added to it would be removed with it, and never told."""
    outbox, by = Outbox("history"), Actor("jo", "cli", "admin", "request")
    async with world.histories_database() as database:
        async with database.tenant("acme") as connection:
            action = Action("ImportTickets", "tickets")
            event_id = await outbox.add(connection, "acme", by, action, open_for=timedelta(0))
        lease = timedelta(minutes=1)
        (claimed,) = await outbox.claim(database, "acme", most=10, lease=lease)
        async with database.tenant("acme") as connection:
            grown = await outbox.renew(connection, event_id, [], open_for=lease)

    assert (claimed.id, grown) == (event_id, False)
