"""Which runs are taken up, and in what order: fairness between tenants."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import Any

from audit.event import Actor
from services.orchestrator.acceptance import Acceptance
from services.orchestrator.engine.claiming import Claiming
from services.orchestrator.model import TenantId
from services.orchestrator.queue import Queue
from tests.orchestrator.backlogs import Backlog, claimer, offer
from tests.orchestrator.client import SECONDS
from tests.support.databases import TestDatabase

SOMEBODY = Actor("jo", "cli", "operator", "request-1")


async def claimed(claiming: Claiming, backlog: Backlog, *, running: int = 0) -> list[str]:
    """The tenants of what one poll takes, in order."""
    ids = await asyncio.to_thread(claiming.claim, owner="owner", running=running)
    rows = await backlog.admin("select id, tenant_id from orchestrator.enhancements where id = any($1)", ids)
    tenants = {row["id"]: row["tenant_id"] for row in rows}
    return [tenants[each] for each in ids]


async def polled(claiming: Claiming, backlog: Backlog, *, times: int) -> Counter[str]:
    """How many runs of each tenant so many polls take."""
    taken: Counter[str] = Counter()
    for _ in range(times):
        taken.update(await claimed(claiming, backlog))
    return taken


async def test_in_a_round_every_tenant_gets_one_however_much_another_has(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(*(offer("big") for _ in range(200)), offer("small"), offer("tiny"))

    with claimer(database, slots=3) as claiming:
        assert sorted(await claimed(claiming, backlog)) == ["big", "small", "tiny"]


async def test_the_next_poll_goes_on_where_the_one_before_ended(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(*(offer(tenant) for tenant in "abcdef" for _ in range(3)))

    with claimer(database, slots=2) as claiming:
        polls = [await claimed(claiming, backlog) for _ in range(6)]

    assert polls == [["a", "b"], ["c", "d"], ["e", "f"], ["a", "b"], ["c", "d"], ["e", "f"]]


async def test_a_weight_is_the_share_of_a_round(backlog: Backlog, database: TestDatabase) -> None:
    await backlog.accept(*(offer(tenant) for tenant in ("gold", "plain") for _ in range(50)))
    await backlog.share("gold", weight=4, max_in_progress=100)

    with claimer(database, slots=50, cap=100) as claiming:
        assert await polled(claiming, backlog, times=3) == {"gold": 12, "plain": 3}


async def test_a_tenant_alone_gets_all_its_cap_allows_and_no_more_on_all_replicas_together(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(*(offer("acme") for _ in range(50)))

    with claimer(database, slots=10) as one, claimer(database, executor="two", slots=10) as two:
        assert await polled(one, backlog, times=6) == {"acme": 4}
        assert await claimed(two, backlog) == []


async def test_a_tenant_may_have_a_cap_of_its_own(backlog: Backlog, database: TestDatabase) -> None:
    await backlog.accept(*(offer(tenant) for tenant in ("narrow", "wide") for _ in range(50)))
    await backlog.share("wide", max_in_progress=9)
    await backlog.share("narrow", max_in_progress=1)

    with claimer(database) as claiming:
        assert await polled(claiming, backlog, times=12) == {"wide": 9, "narrow": 1}


async def test_replicas_that_claim_at_once_never_exceed_a_cap_or_take_the_same(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(*(offer(tenant) for tenant in "abcd" for _ in range(20)))

    with (
        claimer(database, executor="one") as one,
        claimer(database, executor="two") as two,
        claimer(database, executor="three") as three,
    ):
        taken = await asyncio.gather(
            *(claimed(each, backlog) for _ in range(8) for each in (one, two, three))
        )
        # Whom another poll has under its lock is passed over, so some may be left for the next.
        left = await polled(one, backlog, times=4)

    assert left + Counter(tenant for tenants in taken for tenant in tenants) == dict.fromkeys("abcd", 4)


async def test_its_own_runs_come_by_priority_then_by_age(backlog: Backlog, database: TestDatabase) -> None:
    low, first, second, urgent = (
        offer("acme", priority=5),
        offer("acme", priority=3),
        offer("acme", priority=3),
        offer("acme", priority=1),
    )
    for each in (low, first, second, urgent):
        await backlog.accept(each)

    with claimer(database) as claiming:
        ids = [
            run for _ in range(4) for run in await asyncio.to_thread(claiming.claim, owner="owner", running=0)
        ]

    assert ids == [urgent.run.id, first.run.id, second.run.id, low.run.id]


async def test_what_is_paused_waits_and_what_is_resumed_goes_on(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(*(offer(tenant) for tenant in ("acme", "globex") for _ in range(2)))
    acme, everything = (Queue(backlog.database, tenant, default_cap=4) for tenant in (TenantId("acme"), None))

    with claimer(database, slots=100) as claiming:
        await acme.pause(by=SOMEBODY)
        await everything.pause(by=SOMEBODY)
        assert await claimed(claiming, backlog) == []
        assert (await acme.state()).paused
        assert (await everything.state()).paused

        await everything.resume(by=SOMEBODY)
        assert await polled(claiming, backlog, times=3) == {"globex": 2}
        assert (await acme.state()).paused

        await acme.resume(by=SOMEBODY)
        assert await polled(claiming, backlog, times=3) == {"acme": 2}


async def test_a_claim_says_that_the_run_and_its_step_are_begun(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(offer("acme"))

    with claimer(database, executor="one") as claiming:
        (run,) = await asyncio.to_thread(claiming.claim, owner="token", running=0)

    (row,) = await backlog.admin(
        """
        select e.state, e.start_time is not null as started, s.name, s.attempt, w.status, w.owner_xid,
               w.executor_id
        from orchestrator.enhancements e join orchestrator.steps s on s.enhancement_id = e.id
            join dbos.workflow_status w on w.workflow_uuid = e.id
        where e.id = $1
        """,
        run,
    )
    assert tuple(row) == ("running", True, "refresh", 1, "PENDING", "token", "one")


async def test_no_slots_no_claim(backlog: Backlog, database: TestDatabase) -> None:
    await backlog.accept(offer("acme"))

    with claimer(database, slots=4) as claiming:
        assert await claimed(claiming, backlog, running=4) == []
        assert await claimed(claiming, backlog, running=5) == []


async def test_while_senders_press_acceptance_goes_first_and_the_circle_goes_on(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(*(offer(tenant) for tenant in "abcd" for _ in range(10)))
    acceptance = Acceptance(backlog.database, settle_seconds=0)

    async def keep_sending() -> None:
        while True:
            await acceptance.accept([offer("sender")])

    with claimer(database, slots=16, pressed=lambda: acceptance.pressed) as claiming:
        assert len(await claimed(claiming, backlog)) == 4
        await finish_all(backlog)

        senders = [asyncio.create_task(keep_sending()) for _ in range(2)]
        async with asyncio.timeout(SECONDS):
            while not acceptance.pressed:  # noqa: ASYNC110 - it takes a while to show
                await asyncio.sleep(0.02)
        first, second = await claimed(claiming, backlog), await claimed(claiming, backlog, running=2)
        for sender in senders:
            sender.cancel()

    # One of each tenant: of few slots nobody holds all.
    assert (len(set(first)), len(first), second) == (2, 2, [])


async def test_every_tenant_of_a_thousand_gets_its_turn_within_a_round(
    backlog: Backlog, database: TestDatabase
) -> None:
    tenants = [f"t{number:04}" for number in range(1000)]
    await backlog.accept(*(offer(tenant) for tenant in tenants for _ in range(2)))

    served: Counter[str] = Counter()
    with claimer(database, slots=16) as claiming:
        while served.total() < 1000:
            served.update(await claimed(claiming, backlog))
            await finish_all(backlog)

    # Sixteen at a time do not divide a thousand: the last poll begins the next round.
    assert set(served) == set(tenants)
    assert served.most_common(1)[0][1] <= 2
    assert served.total() <= 1008


async def test_a_poll_costs_the_same_for_ten_tenants_and_a_thousand_and_whatever_has_ended(
    backlog: Backlog, database: TestDatabase
) -> None:
    few = await pages_of_a_claim(backlog, tenants=10)

    await backlog.admin("delete from dbos.workflow_status")
    many = await pages_of_a_claim(backlog, tenants=1000)
    await backlog.admin("update dbos.workflow_status set status = 'ENQUEUED' where status = 'PENDING'")
    await backlog.admin(
        """
        insert into dbos.workflow_status (
            workflow_uuid, status, name, queue_name, queue_partition_key, completed_at
        )
        select 'ended-' || n, 'SUCCESS', 'enhance', 'enhancements', 't' || n % 1000, n
        from generate_series(1, 50000) as n
        """
    )
    await backlog.admin("vacuum analyze dbos.workflow_status")
    after_much = await pages_of_a_claim(backlog, tenants=0)

    # The trees are a level or two deeper; nothing is read once a tenant, let alone once a row.
    assert many < 2 * few
    assert after_much < 2 * few


async def pages_of_a_claim(backlog: Backlog, *, tenants: int) -> int:
    """Pages touched by taking four runs up."""
    if tenants:
        offers = [offer(f"t{number:04}") for number in range(tenants) for _ in range(3)]
        for start in range(0, len(offers), 500):
            await backlog.accept(*offers[start : start + 500])
        await backlog.admin("vacuum analyze dbos.workflow_status")
    claim = "select * from orchestrator.claim('enhancements', 'a', '1', 'one', 'owner', 4, 4, '')"
    rows = await backlog.admin(f"explain (analyze, buffers, format json) {claim}")
    plan: dict[str, Any] = json.loads(rows[0][0])[0]["Plan"]
    assert plan["Actual Rows"] == 4
    pages: int = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return pages


async def test_of_many_that_are_paused_a_poll_passes_some_and_the_next_goes_on_from_there(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(*(offer(f"paused-{number:03}") for number in range(450)), offer("willing"))
    await backlog.admin(
        "insert into orchestrator.queue_policies (tenant_id, pause_time)"
        " select 'paused-' || lpad(n::text, 3, '0'), now() from generate_series(0, 449) as n"
    )

    with claimer(database) as claiming:
        polls = [await claimed(claiming, backlog) for _ in range(3)]

    assert polls == [[], [], ["willing"]]


async def test_what_becomes_urgent_while_it_waits_gets_its_place(
    backlog: Backlog, database: TestDatabase
) -> None:
    waiting = [offer("acme", priority=3) for _ in range(3)]
    await backlog.accept(*waiting)
    last = waiting[-1]
    urgent = replace(last, priority=1, revision="later", is_update=True)
    (accepted,) = await backlog.accept(urgent)

    with claimer(database, slots=1) as claiming:
        taken = claiming.claim(owner="one", running=0)

    assert accepted.id == last.run.id
    assert taken == [last.run.id]


async def finish_all(backlog: Backlog) -> None:
    await backlog.admin("update dbos.workflow_status set status = 'SUCCESS' where status = 'PENDING'")


async def test_without_a_lease_nothing_is_taken_up(backlog: Backlog, database: TestDatabase) -> None:
    await backlog.accept(offer("acme"))
    leased = False

    with claimer(database, leased=lambda: leased) as claiming:
        assert await claimed(claiming, backlog) == []
        leased = True
        assert await claimed(claiming, backlog) == ["acme"]
