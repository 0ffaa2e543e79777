"""What a person does to runs: ends them, tries them again, writes their briefs again."""

from collections.abc import Sequence
from typing import Final

from audit.changes import changed
from audit.event import Action, Actor
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest
from services.orchestrator import telemetry
from services.orchestrator.acceptance import accept
from services.orchestrator.engine import APPLICATION, QUEUE
from services.orchestrator.errors import EnhancementEnded, EnhancementNotFound, EnhancementNotReplayable
from services.orchestrator.model import (
    Accepted,
    Enhancement,
    EnhancementId,
    Offer,
    Purpose,
    Run,
    State,
    TenantId,
)
from services.orchestrator.store import AUDIT
from services.runtime.database import Connection, Database

_RETRYABLE: Final = (State.FAILED, State.CANCELLED)


async def cancel(database: Database, tenant: TenantId, enhancement_id: str, *, by: Actor) -> None:
    """End it wherever it stands; nothing happens to one that is cancelled."""
    async with database.tenant(tenant) as connection:
        was = await _state(connection, enhancement_id)
        # The engine's row before ours, as everybody locks them.
        await connection.execute("select orchestrator.withdraw($1)", enhancement_id)
        ended = await connection.fetchval(
            """
            update orchestrator.enhancements
            set state = 'cancelled', version = version + 1, end_time = now(), next_attempt_time = null
            where id = $1 and state in ('queued', 'running')
            returning id
            """,
            enhancement_id,
        )
        await connection.execute(
            """
            update orchestrator.steps
            set state = 'skipped', detail = 'cancelled', duration_seconds = null, uncertain_time = now()
            where enhancement_id = $1 and state = 'running'
            """,
            enhancement_id,
        )
        state = await _state(connection, enhancement_id)
        if ended is not None:
            changes = changed({"state": was.value}, {"state": state.value})
            action = Action("CancelEnhancement", f"enhancements/{enhancement_id}", changes)
            await AUDIT.add(connection, tenant, by, action)
    if ended is not None:
        telemetry.FINISHED.labels(outcome=State.CANCELLED.value).inc()
    elif state is not State.CANCELLED:
        raise EnhancementEnded(enhancement_id, state=state.value, wanted="there is nothing left to cancel")


async def withdraw(database: Database, run: Run) -> None:
    """Have the engine forget a run of which nothing is known here any more."""
    async with database.tenant(run.tenant) as connection:
        await connection.execute("select orchestrator.withdraw($1)", run.id)


async def retry(database: Database, tenant: TenantId, enhancement_id: str, *, by: Actor) -> None:
    """Queue it again, to go on after the last step that succeeded; one that has not ended stays as it is."""
    async with database.tenant(tenant) as connection:
        was = await _state(connection, enhancement_id)
        queued = await _queue_again(connection, tenant, [enhancement_id])
        state = await _state(connection, enhancement_id)
        if queued:
            changes = changed({"state": was.value}, {"state": state.value})
            action = Action("RetryEnhancement", f"enhancements/{enhancement_id}", changes)
            await AUDIT.add(connection, tenant, by, action)
    if not queued and state.ended:
        raise EnhancementEnded(
            enhancement_id, state=state.value, wanted="only what failed or was cancelled is tried again"
        )


async def retry_failed(
    database: Database, tenant: TenantId, *, reason: str | None, limit: int, dry_run: bool, by: Actor
) -> tuple[int, int]:
    """Queue the oldest that failed, for that reason or any; how many, and how many are left."""
    async with database.tenant(tenant) as connection:
        count: int = await connection.fetchval(
            """
            select count(*) from orchestrator.enhancements
            where tenant_id = $1 and state = 'failed' and ($2::text is null or failure_reason = $2)
            """,
            tenant,
            reason,
        )
        if dry_run:
            chosen = min(count, limit)
            return chosen, count - chosen
        rows = await connection.fetch(
            """
            select id from orchestrator.enhancements
            where tenant_id = $1 and state = 'failed' and ($2::text is null or failure_reason = $2)
            order by id limit $3
            """,
            tenant,
            reason,
            limit,
        )
        queued = await _queue_again(connection, tenant, [row["id"] for row in rows])
        if queued:
            changes = changed({}, {"retried": queued, "reason": reason, "limit": limit})
            await AUDIT.add(
                connection, tenant, by, Action("RetryFailedEnhancements", "enhancements", changes)
            )
    return queued, count - queued


async def replay(
    database: Database,
    enhancement: Enhancement,
    new_id: EnhancementId,
    *,
    model: str,
    instructions: str,
    request_id: str | None,
    by: Actor,
) -> Accepted:
    """Accept a run that writes the brief again from the same inputs; what is empty is as it was."""
    if enhancement.inputs is None:
        raise EnhancementNotReplayable(enhancement.run.id)
    inputs = WriteBriefRequest()
    inputs.CopyFrom(enhancement.inputs)
    inputs.request_id = f"{new_id}:synthesize"
    written = enhancement.answer.provenance if enhancement.answer is not None else None
    inputs.options.model = model or (written.model if written is not None else "") or inputs.options.model
    inputs.options.instructions = (
        instructions or (written.instructions if written is not None else "") or inputs.options.instructions
    )
    run = Run(enhancement.run.tenant, new_id)
    offer = Offer(
        run=run,
        purpose=Purpose.REPLAY,
        ticket=enhancement.ticket,
        is_hint=False,
        deliver=False,
        priority=enhancement.priority,
        request_id=request_id,
    )
    async with database.tenant(run.tenant) as connection:
        (accepted,) = await accept(connection, [offer])
        if accepted.created:
            await connection.execute(
                """
                update orchestrator.enhancements
                set inputs = $2, next_step = 'synthesize', replay_of = $3, settings_revision = $4
                where id = $1
                """,
                new_id,
                inputs.SerializeToString(),
                enhancement.run.id,
                enhancement.settings_revision,
            )
            asked = {"replay_of": enhancement.run.id, "model": model, "instructions": instructions}
            action = Action("ReplayEnhancement", f"enhancements/{new_id}", changed({}, asked))
            await AUDIT.add(connection, run.tenant, by, action)
    return accepted


async def _state(connection: Connection, enhancement_id: str) -> State:
    """Its state, if it is this tenant's at all: the engine's rows know no tenants."""
    state: str | None = await connection.fetchval(
        "select state from orchestrator.enhancements where id = $1", enhancement_id
    )
    if state is None:
        raise EnhancementNotFound(enhancement_id)
    return State(state)


async def _queue_again(connection: Connection, tenant: TenantId, ids: Sequence[str]) -> int:
    """Those of them that failed or were cancelled."""
    await connection.execute(
        """
        select from dbos.workflow_status where workflow_uuid = any($1)
        order by workflow_uuid for no key update
        """,
        ids,
    )
    rows = await connection.fetch(
        """
        update orchestrator.enhancements
        set state = 'queued', version = version + 1, start_time = null, end_time = null, failure_step = null,
            failure_reason = null, failure_message = null
        where id = any($1) and state = any($2)
        returning id, purpose, priority
        """,
        ids,
        _RETRYABLE,
    )
    await connection.executemany(
        "select orchestrator.requeue($1, $2, $3, $4, $5, $6)",
        [(row["id"], tenant, row["purpose"], QUEUE, APPLICATION, row["priority"]) for row in rows],
    )
    return len(rows)
