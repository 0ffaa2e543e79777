"""What a run keeps of its progress. Every method is one commit."""

from collections.abc import Mapping, Sequence

from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1.enhancement_pb2 import Note
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest, WriteBriefResponse
from services.orchestrator import telemetry
from services.orchestrator.model import Failure, Run, State, StepEnd
from services.runtime.database import Connection, Database


class Journal:
    def __init__(self, database: Database, run: Run) -> None:
        self._database = database
        self._run = run

    async def begin(self, *names: str) -> Mapping[str, int]:
        """Say that these steps are being attempted, and which attempt it is, from 1."""
        async with self._database.tenant(self._run.tenant) as connection:
            attempts = await self._begin(connection, names)
            await self._touch(connection)
        return attempts

    async def failed(self, end: StepEnd) -> None:
        """Say that an attempt failed; it will be tried again."""
        async with self._database.tenant(self._run.tenant) as connection:
            await self._end(connection, [end])
            await self._touch(connection)

    async def refreshed(self, refresh: StepEnd, ticket: Ticket, *, next_steps: Sequence[str]) -> None:
        async with self._database.tenant(self._run.tenant) as connection:
            await self._end(connection, [refresh])
            await self._begin(connection, next_steps)
            await connection.execute(
                "update orchestrator.enhancements set version = version + 1, ticket = $2 where id = $1",
                self._run.id,
                ticket.SerializeToString(),
            )

    async def sources_ended(self, ends: Sequence[StepEnd]) -> None:
        async with self._database.tenant(self._run.tenant) as connection:
            await self._end(connection, ends)
            await self._touch(connection)

    async def gathered(self, ends: Sequence[StepEnd], inputs: WriteBriefRequest) -> None:
        async with self._database.tenant(self._run.tenant) as connection:
            await self._end(connection, ends)
            await connection.execute(
                "update orchestrator.enhancements set version = version + 1, inputs = $2 where id = $1",
                self._run.id,
                inputs.SerializeToString(),
            )

    async def written(self, end: StepEnd, answer: WriteBriefResponse) -> None:
        async with self._database.tenant(self._run.tenant) as connection:
            await self._end(connection, [end])
            await connection.execute(
                """
                update orchestrator.enhancements set version = version + 1, answer = $2, usage = $3
                where id = $1
                """,
                self._run.id,
                answer.SerializeToString(),
                answer.usage.SerializeToString(),
            )

    async def succeeded(self, end: StepEnd, *, note: Note | None = None) -> None:
        """The last step ended, and with it the run."""
        async with self._database.tenant(self._run.tenant) as connection:
            await self._end(connection, [end])
            await connection.execute(
                """
                update orchestrator.enhancements
                set version = version + 1, state = 'succeeded', note = $2, end_time = now()
                where id = $1
                """,
                self._run.id,
                None if note is None else note.SerializeToString(),
            )
        telemetry.FINISHED.labels(outcome=State.SUCCEEDED.value).inc()

    async def gave_up(self, failure: Failure) -> None:
        """The run failed. The step that was being attempted failed with it; the others did not end."""
        async with self._database.tenant(self._run.tenant) as connection:
            await connection.execute(
                """
                update orchestrator.steps
                set state = case when name = $2 then 'failed' else 'skipped' end,
                    duration_seconds = extract(epoch from now() - start_time),
                    detail = case when name = $2 then $3 else 'the run failed before' end
                where enhancement_id = $1 and (state = 'running' or name = $2)
                """,
                self._run.id,
                failure.step,
                failure.message,
            )
            await connection.execute(
                """
                update orchestrator.enhancements
                set version = version + 1, state = 'failed', end_time = now(),
                    failure_step = $2, failure_reason = $3, failure_message = $4
                where id = $1
                """,
                self._run.id,
                failure.step,
                failure.reason,
                failure.message,
            )
        telemetry.FINISHED.labels(outcome=State.FAILED.value).inc()

    async def _begin(self, connection: Connection, names: Sequence[str]) -> Mapping[str, int]:
        rows = await connection.fetch(
            """
            insert into orchestrator.steps (enhancement_id, name, tenant_id, state, attempt, start_time)
            select $1, name, $2, 'running', 1, now() from unnest($3::text[]) as name
            on conflict (enhancement_id, name) do update
            set state = 'running', attempt = steps.attempt + 1, start_time = now(), duration_seconds = null
            returning name, attempt
            """,
            self._run.id,
            self._run.tenant,
            list(names),
        )
        return {row["name"]: row["attempt"] for row in rows}

    async def _end(self, connection: Connection, ends: Sequence[StepEnd]) -> None:
        await connection.executemany(
            """
            update orchestrator.steps
            set state = $3, duration_seconds = $4, detail = $5, start_time = coalesce($6, start_time),
                report = $7
            where enhancement_id = $1 and name = $2
            """,
            [
                (
                    self._run.id,
                    end.name,
                    end.state.value,
                    end.duration_seconds,
                    end.detail.replace("\x00", ""),
                    end.start_time,
                    None if end.report is None else end.report.SerializeToString(),
                )
                for end in ends
            ],
        )
        for end in ends:
            telemetry.observe_step(end)

    async def _touch(self, connection: Connection) -> None:
        await connection.execute(
            """
            update orchestrator.enhancements
            set version = version + 1, state = 'running', start_time = coalesce(start_time, now())
            where id = $1
            """,
            self._run.id,
        )
