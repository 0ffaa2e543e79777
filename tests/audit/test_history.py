"""What history's changes leave in the log, from the call to the log itself."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import grpc
import pytest

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1.past_ticket_pb2 import PastTicket
from tests.audit.world import KEY, REQUEST, World, eventually
from tests.history.client import Client as History
from tests.tenants.client import Client as Tenants


@pytest.fixture
async def tenants(world: World) -> AsyncIterator[Tenants]:
    async with world.tenants("acme") as tenants:
        yield tenants


@pytest.fixture
async def acme(world: World, tenants: Tenants) -> AsyncIterator[History]:
    async with world.history() as acting_for:
        yield acting_for("acme")


async def test_an_event_says_who_did_what_by_which_request(
    world: World, tenants: Tenants, acme: History
) -> None:
    await acme.record(PastTicket(id="1", source="jira", title="Printer offline", tags=["printer"]))

    (event,) = await world.of_history(tenants)

    assert (event.principal, event.subject, event.role) == (KEY, "gateway", "admin")
    assert (event.action, event.resource, event.request_id) == ("RecordTicket", "tickets/jira/1", REQUEST)
    told = {each.field: (each.before, each.after) for each in event.changes}
    assert told == {"title": ("", '"Printer offline"'), "tags": ("", '["printer"]')}
    verdict = await tenants.verify("acme")
    assert (verdict.events, verdict.broken_at) == (2, 0)


async def test_of_a_ticket_that_was_known_only_what_changed_is_told(
    world: World, tenants: Tenants, acme: History
) -> None:
    first = PastTicket(id="1", title="Printer offline", description="password: hunter2-x")
    await acme.record(first)
    await acme.record(first)
    await acme.record(PastTicket(id="1", title="Printer on fire", description="x" * 300))

    _, changed = await world.of_history(tenants)

    assert [(each.field, each.before, each.after) for each in changed.changes] == [
        ("title", '"Printer offline"', '"Printer on fire"'),
        ("description", '"password: ***"', f'"{"x" * 200}…"'),
    ]


async def test_a_deletion_says_what_was_deleted(world: World, tenants: Tenants, acme: History) -> None:
    for source in ("jira", "zendesk", "mail"):
        await acme.record(PastTicket(id="1", source=source, title=f"From {source}"))
    await acme.delete("1", "jira")
    await acme.delete("1")
    with pytest.raises(grpc.aio.AioRpcError):
        await acme.delete("1")

    one, both = (await world.of_history(tenants))[3:]

    assert (one.action, one.resource) == ("DeleteTicket", "tickets/jira/1")
    assert [(each.field, each.before, each.after) for each in one.changes] == [("title", '"From jira"', "")]
    assert both.resource == "tickets/-/1"
    assert {each.field: each.before for each in both.changes} == {
        "zendesk": '"From zendesk"',
        "mail": '"From mail"',
    }


async def test_an_import_of_many_batches_is_one_event_with_its_counts(
    world: World, tenants: Tenants, acme: History
) -> None:
    await acme.record(PastTicket(id="1", title="Old"))
    batches = [
        [PastTicket(id=str(number), title="Imported") for number in range(start, start + 10)]
        for start in (1, 11, 21)
    ]

    await acme.stream(
        pb.ImportTicketsRequest(tickets=[*batch, PastTicket(id="broken")]) for batch in [*batches, batches[0]]
    )

    _, imported = await world.of_history(tenants)
    assert (imported.action, imported.resource, imported.request_id) == ("ImportTickets", "tickets", REQUEST)
    assert {each.field: each.after for each in imported.changes} == {
        "created": "29",
        "updated": "1",
        "unchanged": "10",
        "rejected": "4",
    }


async def test_an_import_that_changes_nothing_leaves_none(
    world: World, tenants: Tenants, acme: History
) -> None:
    await acme.import_(PastTicket(id="1", title="One"))
    await acme.import_(PastTicket(id="1", title="One"), PastTicket(id="broken"))
    await acme.import_()

    assert len(await world.of_history(tenants)) == 1


async def test_an_import_that_is_cut_off_tells_what_it_had_changed(
    world: World, tenants: Tenants, acme: History, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def cut_off() -> AsyncIterator[pb.ImportTicketsRequest]:
        for number in range(2):
            yield pb.ImportTicketsRequest(tickets=[PastTicket(id=str(number), title="Imported")])
        await asyncio.Event().wait()

    call = acme.stub.ImportTickets(cut_off(), metadata=acme.metadata)
    await eventually(lambda: admin.fetchval("select count(*) = 2 from history.tickets"))
    call.cancel()

    assert await admin.fetchval("select open_until > now() from history.audit_outbox")
    await admin.execute("update history.audit_outbox set open_until = now() - interval '1 s'")
    (event,) = await world.of_history(tenants)
    assert [(each.field, each.after) for each in event.changes] == [("created", "2")]


async def test_a_batch_that_comes_late_is_told_in_another_event(
    world: World, tenants: Tenants, acme: History, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def slow() -> AsyncIterator[pb.ImportTicketsRequest]:
        yield pb.ImportTicketsRequest(tickets=[PastTicket(id="1", title="a"), PastTicket(id="2", title="b")])
        await eventually(lambda: admin.fetchval("select count(*) from history.audit_outbox"))
        await admin.execute("update history.audit_outbox set open_until = now() - interval '1 s'")
        await world.all_handed_over()
        yield pb.ImportTicketsRequest(tickets=[PastTicket(id="3", title="c")])

    await acme.stub.ImportTickets(slow(), metadata=acme.metadata)

    told = [[each.after for each in event.changes] for event in await world.of_history(tenants)]
    assert told == [["2"], ["1"]]


async def test_there_is_no_change_without_its_event(
    world: World, tenants: Tenants, acme: History, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await acme.record(PastTicket(id="1", title="One"))
    assert len(await world.of_history(tenants)) == 1
    await admin.execute("revoke insert on history.audit_outbox from dossier_history")

    calls = (
        acme.record(PastTicket(id="1", title="Changed")),
        acme.delete("1"),
        acme.import_(PastTicket(id="2", title="Two")),
    )
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError):
            await call

    await admin.execute("grant insert on history.audit_outbox to dossier_history")
    assert (await acme.get("1")).title == "One"
    assert len((await acme.list_(pb.ListTicketsRequest())).tickets) == 1
    assert len(await world.of_history(tenants)) == 1
