"""Whose runs are taken over, and whose are not."""

import asyncio
from collections.abc import Collection

import pytest

from services.orchestrator.engine import QUEUE
from services.orchestrator.engine.leases import Holding, Lease
from services.orchestrator.engine.workflow import Claim, Superseded
from services.orchestrator.journal import Journal
from services.orchestrator.model import EnhancementId, Run, TenantId
from tests.orchestrator.backlogs import Backlog, claimer, offer
from tests.orchestrator.client import SECONDS
from tests.support.databases import TestDatabase

TENANT = TenantId("acme")


def lease(
    backlog: Backlog, executor: str, *, at_work: Collection[Holding] = (), lost: list[Holding] | None = None
) -> Lease:
    return Lease(
        backlog.database,
        executor_id=executor,
        seconds=0.8,
        at_work=lambda: at_work,
        lost=(lost if lost is not None else []).extend,
    )


async def claim(database: TestDatabase, executor: str) -> str:
    with claimer(database, executor=executor, slots=1) as claiming:
        (run,) = await asyncio.to_thread(claiming.claim, owner=f"token of {executor}", running=0)
    return run


async def status(backlog: Backlog, run: str) -> str:
    (row,) = await backlog.admin("select status from dbos.workflow_status where workflow_uuid = $1", run)
    found: str = row["status"]
    return found


async def until(backlog: Backlog, run: str, expected: str) -> None:
    async with asyncio.timeout(SECONDS):
        while await status(backlog, run) != expected:  # noqa: ASYNC110 - the database is waited for
            await asyncio.sleep(0.02)


async def test_runs_of_a_replica_without_a_lease_go_back_to_the_queue_and_those_of_the_living_stay(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(offer("acme"), offer("acme"))
    living = lease(backlog, "living")
    await living.renew()
    theirs, orphan = await claim(database, "living"), await claim(database, "dead")

    at_work = lease(backlog, "living", at_work=[(theirs, "token of living")])
    keeping = asyncio.create_task(at_work.keep())
    await until(backlog, orphan, "ENQUEUED")

    assert await status(backlog, theirs) == "PENDING"
    keeping.cancel()


async def test_what_the_former_owner_keeps_is_refused_and_nothing_of_it_is_written(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(offer("acme"))
    run = Run(TENANT, EnhancementId(await claim(database, "dead")))
    await backlog.admin("select orchestrator.recover($1, 1, 10)", QUEUE)
    assert await claim(database, "heir") == run.id
    before = await backlog.admin("select * from orchestrator.enhancements")

    with pytest.raises(Superseded):
        await Journal(backlog.database, Claim(run, "token of dead")).progressed([], begun=["history"])

    assert await backlog.admin("select * from orchestrator.enhancements") == before
    assert [row["name"] for row in await backlog.admin("select name from orchestrator.steps")] == ["refresh"]
    await Journal(backlog.database, Claim(run, "token of heir")).progressed([], begun=["history"])


async def test_a_second_attempt_is_counted_at_the_claim(backlog: Backlog, database: TestDatabase) -> None:
    await backlog.accept(offer("acme"))
    await claim(database, "dead")
    await backlog.admin("select orchestrator.recover($1, 1, 10)", QUEUE)
    await claim(database, "heir")

    (step,) = await backlog.admin("select name, attempt, state from orchestrator.steps")
    assert tuple(step) == ("refresh", 2, "running")


async def test_a_run_that_ends_its_workers_again_and_again_fails_and_says_so(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(offer("acme"))
    run = ""
    for _ in range(3):
        run = await claim(database, "dead")
        await backlog.admin("select orchestrator.recover($1, 1, 2)", QUEUE)

    (row,) = await backlog.admin("select state, failure_reason, failure_step from orchestrator.enhancements")
    assert tuple(row) == ("failed", "WORKER_LOST", "refresh")
    assert await status(backlog, run) == "MAX_RECOVERY_ATTEMPTS_EXCEEDED"


async def test_a_run_that_nobody_here_is_at_goes_back_although_its_owner_lives(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(offer("acme"))
    keeper = lease(backlog, "one")
    await keeper.renew()
    forgotten = await claim(database, "one")

    keeping = asyncio.create_task(keeper.keep())
    await until(backlog, forgotten, "ENQUEUED")
    keeping.cancel()


async def test_a_run_that_is_not_ours_any_more_is_reported(backlog: Backlog, database: TestDatabase) -> None:
    await backlog.accept(offer("acme"))
    lost: list[Holding] = []
    run = await claim(database, "one")
    keeper = lease(backlog, "one", at_work=[(run, "token of one")], lost=lost)
    await keeper.renew()
    await backlog.admin("select orchestrator.withdraw($1)", run)

    keeping = asyncio.create_task(keeper.keep())
    async with asyncio.timeout(SECONDS):
        while not lost:  # noqa: ASYNC110 - the keeper's own pace
            await asyncio.sleep(0.02)
    keeping.cancel()

    assert set(lost) == {(run, "token of one")}


async def test_who_gives_up_gives_back_at_once(backlog: Backlog, database: TestDatabase) -> None:
    await backlog.accept(offer("acme"), offer("acme"))
    leaving = lease(backlog, "leaving")
    await leaving.renew()
    run = await claim(database, "leaving")
    theirs = await claim(database, "other")

    assert await leaving.give_up() == 1

    assert (await status(backlog, run), await status(backlog, theirs)) == ("ENQUEUED", "PENDING")
    assert await backlog.admin("select from orchestrator.executors where executor_id = 'leaving'") == []
