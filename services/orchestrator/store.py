"""One tenant's enhancements: reading them, and keeping what becomes of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import asyncpg

from audit.changes import differences
from audit.event import Action, Actor
from audit.outbox import Outbox
from dossier.context.v1.evidence_pb2 import SourceReport
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1.enhancement_pb2 import Note
from dossier.synthesis.v1.brief_pb2 import Usage
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest, WriteBriefResponse
from services.orchestrator.errors import EnhancementNotFound
from services.orchestrator.model import (
    Document,
    Earlier,
    Enhancement,
    EnhancementId,
    Failure,
    Feedback,
    Purpose,
    Run,
    Standing,
    State,
    Step,
    StepState,
    TakenStep,
    TenantId,
)
from services.orchestrator.store_ratings import keep_rating
from services.runtime.database import Database

AUDIT: Final = Outbox("orchestrator")
_COLUMNS = (
    "id, tenant_id, purpose, state, version, ticket, is_hint, deliver, priority, next_step, changes,"
    " idle_deliveries, revision, settings_revision, replay_of, trace_context, usage, note, failure_step,"
    " failure_reason, failure_message, create_time, start_time, next_attempt_time, end_time"
)


class TenantEnhancements:
    def __init__(self, database: Database, tenant: TenantId) -> None:
        self._database = database
        self._tenant = tenant

    async def read(self, enhancement_id: str) -> Enhancement:
        """All of it; `EnhancementNotFound` where this tenant has no such one."""
        async with self._database.tenant(self._tenant) as connection:
            row = await connection.fetchrow(
                f"select {_COLUMNS}, inputs, answer from orchestrator.enhancements where id = $1",  # noqa: S608
                enhancement_id,
            )
            if row is None:
                raise EnhancementNotFound(enhancement_id)
            steps = await connection.fetch(
                "select * from orchestrator.steps where enhancement_id = $1 order by ordinal", enhancement_id
            )
        return _enhancement(row, steps, inputs=row["inputs"], answer=row["answer"])

    async def take_up(self, enhancement_id: str) -> tuple[Enhancement, Standing]:
        """What a worker needs of it, without the steps taken, and where it stands."""
        async with self._database.tenant(self._tenant) as connection:
            row = await connection.fetchrow(
                f"""
                select {_COLUMNS}, inputs, answer, step.attempt, step.uncertain_time,
                    earlier.earlier_id, earlier.earlier_hash, earlier.earlier_state
                from orchestrator.enhancements e
                left join lateral (
                    select s.attempt, s.uncertain_time from orchestrator.steps s
                    where s.enhancement_id = e.id and s.name = e.next_step
                ) step on true
                left join lateral (
                    select o.id as earlier_id, o.read_hash as earlier_hash, o.state as earlier_state
                    from orchestrator.enhancements o
                    where o.tenant_id = e.tenant_id and o.ticket_id = e.ticket_id and o.tool = e.tool
                        and o.id < e.id and o.purpose = 'enhance' and o.deliver
                        and o.state in ('queued', 'running', 'succeeded')
                    order by o.id desc limit 1
                ) earlier on e.revision is not null and e.deliver
                where id = $1
                """,  # noqa: S608 - the columns are ours
                enhancement_id,
            )
        if row is None:
            raise EnhancementNotFound(enhancement_id)
        standing = Standing(Step(row["next_step"]), row["attempt"] or 1, row["uncertain_time"])
        found = _enhancement(row, (), inputs=row["inputs"], answer=row["answer"])
        if row["earlier_id"] is not None:
            earlier = Earlier(row["earlier_id"], row["earlier_hash"], State(row["earlier_state"]))
            found = replace(found, earlier=earlier)
        return found, standing

    async def version(self, enhancement_id: str) -> int:
        """Grows with every change; cheap to ask for."""
        async with self._database.tenant(self._tenant) as connection:
            version: int | None = await connection.fetchval(
                "select version from orchestrator.enhancements where id = $1", enhancement_id
            )
        if version is None:
            raise EnhancementNotFound(enhancement_id)
        return version

    async def page(
        self, *, size: int, before: str | None, state: State | None, ticket_id: str | None
    ) -> list[Enhancement]:
        """The latest that are older than `before`, without inputs and answers."""
        async with self._database.tenant(self._tenant) as connection:
            rows = await connection.fetch(
                f"""
                select {_COLUMNS} from orchestrator.enhancements
                where tenant_id = $1 and purpose <> 'record' and ($2::text is null or id < $2)
                    and ($3::text is null or state = $3) and ($4::text is null or ticket_id = $4)
                order by id desc limit $5
                """,  # noqa: S608 - the columns are ours
                self._tenant,
                before,
                state,
                ticket_id,
                size,
            )
            steps = await connection.fetch(
                "select * from orchestrator.steps where enhancement_id = any($1) order by ordinal",
                [row["id"] for row in rows],
            )
        by_enhancement: dict[str, list[asyncpg.Record]] = {row["id"]: [] for row in rows}
        for step in steps:
            by_enhancement[step["enhancement_id"]].append(step)
        return [_enhancement(row, by_enhancement[row["id"]]) for row in rows]

    async def keep_feedback(
        self, feedback: Feedback, *, rated: Document | None, request_id: str | None, by: Actor
    ) -> Feedback:
        """Keep it, and answer what is kept: the earlier one where this request was kept before.

        In the same commit it becomes the person's word on what is `rated`.
        """
        async with self._database.tenant(self._tenant) as connection:
            row = await connection.fetchrow(
                """
                insert into orchestrator.feedback
                    (id, tenant_id, enhancement_id, request_id, evidence_id, helpful, rating, comment, author,
                     create_time, withdrawn)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                on conflict do nothing
                returning *
                """,
                feedback.id,
                self._tenant,
                feedback.enhancement_id,
                request_id,
                feedback.evidence_id,
                feedback.helpful,
                feedback.rating,
                feedback.comment.replace("\x00", ""),
                feedback.author.replace("\x00", ""),
                feedback.create_time,
                feedback.withdrawn,
            )
            if row is not None:
                if rated is not None:
                    await keep_rating(connection, feedback, rated, voice=_voice(feedback.author, by))
                changes = differences(None, feedback, without={"id", "enhancement_id", "create_time"})
                action = Action("SubmitFeedback", f"enhancements/{feedback.enhancement_id}", changes)
                await AUDIT.add(connection, self._tenant, by, action)
            else:
                row = await connection.fetchrow(
                    "select * from orchestrator.feedback where tenant_id = $1 and request_id = $2",
                    self._tenant,
                    request_id,
                )
        if row is None:
            raise LookupError("feedback was neither kept nor known")
        return _feedback(row)


def _voice(author: str, by: Actor) -> str:
    """Whose word it is: the person's that the caller names, else the caller's own."""
    named = author.replace("\x00", "").strip()
    return f"author {named}" if named else f"caller {by.principal}"


def _enhancement(
    row: asyncpg.Record,
    steps: Sequence[asyncpg.Record],
    *,
    inputs: bytes | None = None,
    answer: bytes | None = None,
) -> Enhancement:
    failed = row["failure_reason"] is not None
    return Enhancement(
        run=Run(TenantId(row["tenant_id"]), EnhancementId(row["id"])),
        purpose=Purpose(row["purpose"]),
        state=State(row["state"]),
        version=row["version"],
        ticket=Ticket.FromString(row["ticket"]),
        is_hint=row["is_hint"],
        deliver=row["deliver"],
        priority=row["priority"],
        next_step=Step(row["next_step"]),
        changes=row["changes"],
        idle_deliveries=row["idle_deliveries"],
        revision=row["revision"],
        settings_revision=row["settings_revision"],
        replay_of=None if row["replay_of"] is None else EnhancementId(row["replay_of"]),
        trace_context=row["trace_context"],
        steps=tuple(_step(step) for step in steps),
        inputs=None if inputs is None else WriteBriefRequest.FromString(inputs),
        answer=None if answer is None else WriteBriefResponse.FromString(answer),
        usage=None if row["usage"] is None else Usage.FromString(row["usage"]),
        note=None if row["note"] is None else Note.FromString(row["note"]),
        failure=Failure(row["failure_step"], row["failure_reason"], row["failure_message"])
        if failed
        else None,
        create_time=row["create_time"],
        start_time=row["start_time"],
        next_attempt_time=row["next_attempt_time"],
        end_time=row["end_time"],
    )


def _step(row: asyncpg.Record) -> TakenStep:
    return TakenStep(
        name=row["name"],
        state=StepState(row["state"]),
        attempt=row["attempt"],
        start_time=row["start_time"],
        duration_seconds=row["duration_seconds"],
        detail=row["detail"],
        report=None if row["report"] is None else SourceReport.FromString(row["report"]),
    )


def _feedback(row: asyncpg.Record) -> Feedback:
    return Feedback(
        id=row["id"],
        enhancement_id=EnhancementId(row["enhancement_id"]),
        evidence_id=row["evidence_id"],
        helpful=row["helpful"],
        rating=row["rating"],
        comment=row["comment"],
        author=row["author"],
        create_time=row["create_time"],
        withdrawn=row["withdrawn"],
    )
