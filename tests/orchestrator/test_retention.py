"""What is removed when it has ended long ago, and what is kept for longer."""

from dataclasses import replace
from datetime import timedelta

from services.orchestrator.engine.backlog import backlog as counted
from services.orchestrator.engine.retention import sweep
from services.orchestrator.tenant_data import tenant_rows
from tests.orchestrator.backlogs import Backlog, claimer, offer
from tests.support.databases import TestDatabase


async def ended(backlog: Backlog, run: str, *, days_ago: int) -> None:
    await backlog.admin(
        "update orchestrator.enhancements"
        " set state = 'succeeded', end_time = now() - make_interval(days => $2) where id = $1",
        run,
        days_ago,
    )
    await backlog.admin(
        "update dbos.workflow_status"
        " set status = 'SUCCESS', completed_at = orchestrator.now_ms() - $2::bigint * 86400000"
        " where workflow_uuid = $1",
        run,
        days_ago,
    )


async def expired(backlog: Backlog, *, days: int = 0) -> set[str]:
    """The enhancements of acme that are left; 0 days is the service's own 90."""
    await tenant_rows(backlog.database, retention_days=90).expire("acme", days)
    kept = await backlog.admin("select id from orchestrator.enhancements where tenant_id = 'acme'")
    return {row["id"] for row in kept}


async def test_the_engines_rows_of_what_ended_go_and_those_of_what_waits_stay(backlog: Backlog) -> None:
    old, waiting = offer("acme"), offer("globex")
    await backlog.accept(old, waiting)
    await ended(backlog, old.run.id, days_ago=1)

    await sweep(backlog.database, engine_rows=timedelta(hours=1))

    engine = await backlog.admin("select workflow_uuid from dbos.workflow_status")
    assert {row["workflow_uuid"] for row in engine} == {waiting.run.id}
    assert len(await backlog.admin("select id from orchestrator.enhancements")) == 2


async def test_what_ended_long_ago_goes_and_what_ended_lately_waits_or_is_anothers_stays(
    backlog: Backlog,
) -> None:
    old, late, waiting, anothers = offer("acme"), offer("acme"), offer("acme"), offer("globex")
    await backlog.accept(old, late, waiting, anothers)
    await ended(backlog, old.run.id, days_ago=91)
    await ended(backlog, late.run.id, days_ago=89)
    await ended(backlog, anothers.run.id, days_ago=91)

    assert await expired(backlog) == {late.run.id, waiting.run.id}
    assert await expired(backlog, days=90) == {late.run.id, waiting.run.id}
    assert await expired(backlog, days=88) == {waiting.run.id}
    left = await backlog.admin("select id from orchestrator.enhancements where tenant_id = 'globex'")
    assert [row["id"] for row in left] == [anothers.run.id]


async def test_a_client_that_keeps_its_runs_for_longer_than_the_default_keeps_them(backlog: Backlog) -> None:
    old = offer("acme")
    await backlog.accept(old)
    await ended(backlog, old.run.id, days_ago=91)

    assert await expired(backlog, days=92) == {old.run.id}


async def test_the_keys_of_a_change_are_kept_for_as_long_as_its_sender_may_deliver_it_again(
    backlog: Backlog,
) -> None:
    first = offer("acme")
    await backlog.accept(first)
    await ended(backlog, first.run.id, days_ago=91)
    unchanged = replace(first, run=offer("acme").run, revision="the same again", is_update=True)
    (taken_in,) = await backlog.accept(unchanged)
    assert taken_in.id == first.run.id

    assert await expired(backlog) == {first.run.id}
    await backlog.admin("update orchestrator.changes set create_time = now() - interval '97 hours'")
    assert await expired(backlog) == set()


async def test_what_comes_back_to_the_queue_has_waited_since_then(
    backlog: Backlog, database: TestDatabase
) -> None:
    await backlog.accept(offer("acme"))
    await backlog.admin(
        "update dbos.workflow_status set created_at = created_at - 600000, updated_at = updated_at - 600000"
    )
    assert (await counted(backlog.database)).oldest_seconds > 590

    with claimer(database) as claiming:
        (run,) = claiming.claim(owner="one", running=0)
    await backlog.admin("select orchestrator.hand_back($1, 'one', 0)", run)

    assert (await counted(backlog.database)).oldest_seconds < 60
