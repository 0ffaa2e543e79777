"""What a run keeps of its progress. Every method is one commit, under the run's claim."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from google.protobuf.message import Message

from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1.enhancement_pb2 import Note
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest, WriteBriefResponse
from services.orchestrator import telemetry
from services.orchestrator.engine import Checkpoint, Claim, Superseded
from services.orchestrator.model import Failure, Standing, State, Step, StepEnd
from services.runtime.database import Connection, Database

# One statement, and so one round trip: the engine's functions say whether the run is still ours, and lock it;
# all else hangs on that. A change of the ticket that came since it was gathered sends a written brief back to
# the beginning instead of on to delivery; the row itself is asked, since it may have come while this
# statement waited.
_KEEP: Final = """
with owned as materialized (
    select 1 as yes where case
        when $3::bigint is not null then orchestrator.hand_back($1, $2, $3)
        else orchestrator.checkpoint($1, $2, $4::integer, $5::text, $6::timestamptz, $7::text)
    end
), ended as (
    insert into orchestrator.steps as s (
        enhancement_id, tenant_id, name, state, attempt, start_time, duration_seconds, detail, report
    )
    select $1, $8, e.name, e.state, 1, coalesce(e.start_time, now()), e.duration, e.detail, e.report
    from unnest($9::text[], $10::text[], $11::timestamptz[], $12::float8[], $13::text[], $14::bytea[])
        as e (name, state, start_time, duration, detail, report), owned
    on conflict (enhancement_id, name) do update
    set state = excluded.state, duration_seconds = excluded.duration_seconds, detail = excluded.detail,
        report = excluded.report,
        attempt = case when s.state = 'running' then s.attempt else s.attempt + 1 end,
        start_time = case when s.state = 'running' then s.start_time else excluded.start_time end,
        uncertain_time = case when $28::boolean then now() else s.uncertain_time end
    returning 1
), turned as (
    -- Onward, or back to the beginning; not after two minutes: what changes all the time gets a brief, too.
    select $15::text in ('synthesize', 'deliver') as onward,
           now() - make_interval(secs => $29::float8) as oldest
), kept as (
    update orchestrator.enhancements e
    set version = e.version + 1,
        stale = e.stale and not (turned.onward and e.start_time > turned.oldest),
        next_step = case
            when e.stale and turned.onward and e.start_time > turned.oldest then 'refresh'
            else coalesce($15::text, e.next_step)
        end,
        ticket = case when e.stale then e.ticket else coalesce($16::bytea, e.ticket) end,
        read_hash = coalesce($17::bytea, e.read_hash),
        settings_revision = coalesce($30::bigint, e.settings_revision),
        inputs = coalesce($18::bytea, e.inputs),
        answer = case when $15::text = 'synthesize' then null else coalesce($19::bytea, e.answer) end,
        usage = coalesce($20::bytea, e.usage),
        note = coalesce($21::bytea, e.note),
        state = coalesce($22::text, e.state),
        end_time = case when $22::text in ('succeeded', 'failed') then now() else e.end_time end,
        idle_deliveries = e.idle_deliveries + $27::integer,
        next_attempt_time = now() + make_interval(secs => $3 / 1000.0),
        failure_step = $23::text, failure_reason = $24::text, failure_message = $25::text
    from owned, turned where e.id = $1
    returning e.next_step
), begun as (
    insert into orchestrator.steps as s (enhancement_id, tenant_id, name, state, attempt, start_time)
    select $1, $8, coming.name, 'running', 1, now()
    from (select count(*) from ended) as after_those, (
        select kept.next_step as name from kept where $15::text is not null
        union all
        select name from unnest($26::text[]) as name, owned
    ) as coming
    on conflict (enhancement_id, name) do update
    set state = 'running', attempt = s.attempt + 1, start_time = now(), duration_seconds = null
    returning s.name, s.attempt
)
select kept.next_step, begun.attempt from kept left join begun on begun.name = kept.next_step
"""

_GATHERED: Final = Checkpoint(1, "gather")
# A change that comes later than so long after the first start waits for no further brief of this run.
_RESTARTED_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What one commit keeps; what is None stays as it is."""

    ends: Sequence[StepEnd]
    begun: Sequence[str] = ()
    checkpoint: Checkpoint | None = None
    began: datetime | None = None
    outcome: str | None = None
    hand_back_seconds: float | None = None
    next_step: Step | None = None
    ticket: Ticket | None = None
    read_hash: bytes | None = None
    inputs: WriteBriefRequest | None = None
    settings_revision: int | None = None
    answer: WriteBriefResponse | None = None
    note: Note | None = None
    state: State | None = None
    failure: Failure | None = None
    idle_deliveries: int = 0
    uncertain: bool = False


class Journal:
    def __init__(self, database: Database, claim: Claim) -> None:
        self._database = database
        self._claim = claim

    async def progressed(self, ends: Sequence[StepEnd], *, begun: Sequence[str] = ()) -> None:
        """For who watches: some of a long step is done."""
        await self._keep(_Entry(ends=ends, begun=begun))

    async def gathered(
        self,
        begin: datetime,
        ends: Sequence[StepEnd],
        ticket: Ticket,
        inputs: WriteBriefRequest,
        *,
        read_hash: bytes,
        settings_revision: int,
    ) -> Standing:
        """What is next is writing, or gathering again where the ticket has changed meanwhile."""
        return await self._keep(
            _Entry(
                ends=ends,
                checkpoint=_GATHERED,
                began=begin,
                next_step=Step.SYNTHESIZE,
                ticket=ticket,
                read_hash=read_hash,
                inputs=inputs,
                settings_revision=settings_revision,
            )
        )

    async def unchanged(self, begin: datetime, end: StepEnd, ticket: Ticket, *, read_hash: bytes) -> Standing:
        """Read again, the ticket is as it was when the brief was written: that one is delivered."""
        return await self._keep(
            _Entry(
                ends=[end],
                checkpoint=_GATHERED,
                began=begin,
                next_step=Step.DELIVER,
                ticket=ticket,
                read_hash=read_hash,
            )
        )

    async def nothing_new(self, begin: datetime, end: StepEnd, ticket: Ticket, *, read_hash: bytes) -> bool:
        """There is nothing to do, and the run has ended; False where a change has come meanwhile."""
        run = self._claim.run
        entry = _Entry(
            ends=[end],
            checkpoint=_GATHERED,
            began=begin,
            outcome="SUCCESS",
            state=State.SUCCEEDED,
            ticket=ticket,
            read_hash=read_hash,
        )
        async with self._database.tenant(run.tenant) as connection:
            # Who takes a change in locks this row before: until the commit there comes none.
            await connection.execute(
                "select from dbos.workflow_status where workflow_uuid = $1 for no key update", run.id
            )
            if await connection.fetchval("select stale from orchestrator.enhancements where id = $1", run.id):
                return False
            await self._keep_in(connection, entry)
        _count(entry)
        return True

    async def written(self, begin: datetime, end: StepEnd, answer: WriteBriefResponse) -> Standing:
        """What is next is delivery, or gathering again where the ticket has changed meanwhile."""
        return await self._keep(
            _Entry(
                ends=[end],
                checkpoint=Checkpoint(2, "synthesize"),
                began=begin,
                next_step=Step.DELIVER,
                answer=answer,
            )
        )

    async def succeeded(
        self,
        checkpoint: Checkpoint,
        begin: datetime,
        ends: Sequence[StepEnd],
        *,
        ticket: Ticket | None = None,
        answer: WriteBriefResponse | None = None,
        note: Note | None = None,
    ) -> None:
        """The last step ended, and with it the run."""
        await self._keep(
            _Entry(
                ends=ends,
                checkpoint=checkpoint,
                began=begin,
                outcome="SUCCESS",
                state=State.SUCCEEDED,
                ticket=ticket,
                answer=answer,
                note=note,
            )
        )

    async def postponed(self, end: StepEnd, *, seconds: float, idle_delivery: bool, uncertain: bool) -> None:
        """The attempt failed; the run waits in the queue for another.

        `uncertain` where what was begun may be going on still, wherever it was begun.
        """
        await self._keep(
            _Entry(
                ends=[end],
                hand_back_seconds=seconds,
                idle_deliveries=int(idle_delivery),
                uncertain=uncertain,
            )
        )

    async def gave_up(self, end: StepEnd, failure: Failure, *, uncertain: bool) -> None:
        """The run failed. It is kept, and may be tried again from the step that failed."""
        await self._keep(
            _Entry(ends=[end], outcome="ERROR", state=State.FAILED, failure=failure, uncertain=uncertain)
        )

    async def _keep(self, entry: _Entry) -> Standing:
        async with self._database.tenant(self._claim.run.tenant) as connection:
            standing = await self._keep_in(connection, entry)
        _count(entry)
        return standing

    async def _keep_in(self, connection: Connection, entry: _Entry) -> Standing:
        run, owner = self._claim.run, self._claim.owner
        ends, checkpoint, failure = entry.ends, entry.checkpoint, entry.failure
        row = await connection.fetchrow(
            _KEEP,
            run.id,
            owner,
            None if entry.hand_back_seconds is None else round(entry.hand_back_seconds * 1000),
            None if checkpoint is None else checkpoint.place,
            None if checkpoint is None else checkpoint.step,
            entry.began,
            entry.outcome,
            run.tenant,
            [end.name for end in ends],
            [end.state.value for end in ends],
            [end.start_time for end in ends],
            [end.duration_seconds for end in ends],
            [end.detail.replace("\x00", "") for end in ends],
            [None if end.report is None else end.report.SerializeToString() for end in ends],
            None if entry.next_step is None else entry.next_step.value,
            _bytes(entry.ticket),
            entry.read_hash,
            _bytes(entry.inputs),
            _bytes(entry.answer),
            None if entry.answer is None else entry.answer.usage.SerializeToString(),
            _bytes(entry.note),
            None if entry.state is None else entry.state.value,
            None if failure is None else failure.step,
            None if failure is None else failure.reason,
            None if failure is None else failure.message.replace("\x00", ""),
            list(entry.begun),
            entry.idle_deliveries,
            entry.uncertain,
            _RESTARTED_SECONDS,
            entry.settings_revision,
        )
        if row is None:
            raise Superseded
        return Standing(Step(row["next_step"]), row["attempt"] or 0)


def _count(entry: _Entry) -> None:
    for end in entry.ends:
        telemetry.observe_step(end)
    if entry.state is not None:
        telemetry.FINISHED.labels(outcome=entry.state.value).inc()


def _bytes(message: Message | None) -> bytes | None:
    return None if message is None else message.SerializeToString()
