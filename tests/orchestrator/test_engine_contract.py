"""What is relied on of DBOS's insides. A test that fails here after an upgrade says what to look at."""

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from dbos import DBOSClient
from dbos._context import DBOSContext
from dbos._sys_db import SystemDatabase

from services.orchestrator.engine import APPLICATION, QUEUE
from services.orchestrator.engine.claiming import Claiming
from services.orchestrator.settings import OrchestratorSettings
from tests.orchestrator.backlogs import Backlog, claimer, offer
from tests.orchestrator.client import Client
from tests.orchestrator.world import orchestrating
from tests.support.databases import TestDatabase
from tests.support.keys import Keys

# Set anew for every row, by both.
OWN = {"workflow_uuid", "created_at", "updated_at", "owner_xid", "retention_timestamp", "inputs"}


@pytest.fixture
def dbos(database: TestDatabase) -> Iterator[DBOSClient]:
    url = sqlalchemy.make_url(database.url("orchestrator")).set(drivername="postgresql+psycopg")
    pool = sqlalchemy.create_engine(url, pool_size=1)
    client = DBOSClient(system_database_engine=pool, dbos_system_schema="dbos", application_name=APPLICATION)
    yield client
    client.destroy()
    pool.dispose()


async def row_of(backlog: Backlog, run: str, *, table: str = "workflow_status") -> dict[str, Any]:
    (row,) = await backlog.admin(f"select * from dbos.{table} where workflow_uuid = $1", run)  # noqa: S608
    return dict(row)


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in {*OWN, *names}}


async def test_a_run_is_enqueued_as_dbos_enqueues_it(backlog: Backlog) -> None:
    ours = offer("acme", priority=2)
    await backlog.accept(ours)
    await backlog.admin(
        """
        select dbos.enqueue_workflow(
            'enhance', $1, array[to_json('acme'::text), to_json($2::text)], workflow_id => 'theirs',
            priority => 2, queue_partition_key => 'acme', application_name => $3)
        """,
        QUEUE,
        ours.run.id,
        APPLICATION,
    )

    assert without(await row_of(backlog, ours.run.id)) == without(await row_of(backlog, "theirs"))
    inputs = [
        (await row_of(backlog, run, table="workflow_input"))["inputs"] for run in (ours.run.id, "theirs")
    ]
    assert inputs[0].replace(" ", "") == inputs[1].replace(" ", "")


async def test_an_orphan_is_given_back_as_dbos_gives_it_back(
    backlog: Backlog, database: TestDatabase, dbos: DBOSClient
) -> None:
    await backlog.accept(offer("acme"), offer("acme"))
    with claimer(database, executor="dead") as claiming:
        (ours,) = await asyncio.to_thread(claiming.claim, owner="owner", running=0)
        (theirs,) = await asyncio.to_thread(claiming.claim, owner="owner", running=1)

    await asyncio.to_thread(dbos._sys_db.reenqueue_for_recovery, theirs, ["dead"], "internal")
    await backlog.admin("select orchestrator.recover($1, 1, 10)", QUEUE)

    # We count how often it happened; DBOS counts at the claim.
    back = without(await row_of(backlog, ours), "recovery_attempts")
    assert back == without(await row_of(backlog, theirs), "recovery_attempts")


async def test_a_claimed_row_is_what_dbos_would_have_made_of_it(
    backlog: Backlog, database: TestDatabase, dbos: DBOSClient
) -> None:
    await backlog.accept(offer("acme"))
    await backlog.accept(offer("acme"))
    queue = await asyncio.to_thread(dbos.register_queue, QUEUE, worker_concurrency=1)
    theirs, _ = await asyncio.to_thread(
        dbos._sys_db.start_queued_workflows,
        queue,
        "one",
        "1",
        None,
        0,
        owner_xid="owner",
        is_latest_version=True,
    )
    with claimer(database, executor="one", slots=1) as claiming:
        ours = await asyncio.to_thread(claiming.claim, owner="owner", running=0)

    rows = [await row_of(backlog, run) for run in (*theirs, *ours)]
    assert len(rows) == 2
    assert {row["owner_xid"] for row in rows} == {"owner"}
    times = ("started_at_epoch_ms", "recovery_attempts")
    assert without(rows[0], *times) == without(rows[1], *times)


async def test_dbos_reads_our_checkpoints_and_our_outcome(acme: Client, dbos: DBOSClient) -> None:
    ended = await acme.ended(await acme.submit_one("1"))

    steps = await asyncio.to_thread(dbos.list_workflow_steps, ended.id)
    (status,) = await asyncio.to_thread(dbos.list_workflows, workflow_ids=[ended.id])

    assert [(step["function_id"], step["function_name"]) for step in steps] == [
        (1, "gather"),
        (2, "synthesize"),
        (3, "deliver"),
    ]
    assert all(step["output"] is None and step["error"] is None for step in steps)
    assert status.status == "SUCCESS"


async def test_dbos_withdraws_a_run_as_we_do(backlog: Backlog, dbos: DBOSClient) -> None:
    await backlog.accept(offer("acme"), offer("acme"))
    ours, theirs = (row["id"] for row in await backlog.admin("select id from orchestrator.enhancements"))

    await asyncio.to_thread(dbos.cancel_workflow, theirs)
    await backlog.admin("select orchestrator.withdraw($1)", ours)

    # DBOS takes it out of its queue, too; we do not need to, since it is asked for by its state.
    dropped = ("queue_name", "completed_at")
    assert without(await row_of(backlog, ours), *dropped) == without(await row_of(backlog, theirs), *dropped)


def test_the_queue_thread_asks_with_what_the_claim_takes_from_it() -> None:
    parameters = list(inspect.signature(SystemDatabase.start_queued_workflows).parameters)
    assert parameters[:6] == [
        "self",
        "queue",
        "executor_id",
        "app_version",
        "queue_partition_key",
        "local_running_count",
    ]
    assert "owner_xid" in parameters
    assert "owner_xid" in inspect.signature(DBOSContext.__init__).parameters or hasattr(
        DBOSContext(), "owner_xid"
    )


async def test_the_engines_own_choice_is_back_when_the_service_has_ended(
    settings: OrchestratorSettings, keys: Keys
) -> None:
    own = SystemDatabase.start_queued_workflows
    async with orchestrating(settings, keys) as running:
        acme = running.client("acme")
        await acme.ended(await acme.submit_one("1"))
        assert SystemDatabase.start_queued_workflows.__qualname__.startswith(Claiming.__name__)

    assert SystemDatabase.start_queued_workflows is own
