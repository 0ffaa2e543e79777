"""DBOS: its configuration, its start and end, and how the runs that it takes up reach the event loop."""

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Final, NoReturn

import sqlalchemy
import structlog
from dbos import DBOS
from dbos import error as dbos_error
from dbos._context import assert_current_dbos_context
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from services.orchestrator import telemetry
from services.orchestrator.engine.claiming import Claiming
from services.orchestrator.engine.configuration import (
    VERSION,
    EngineSettings,
    configuration,
    connections,
    declare_queue,
)
from services.orchestrator.engine.leases import Holding, Lease
from services.orchestrator.engine.quiet import tame
from services.orchestrator.engine.threads import in_thread
from services.orchestrator.engine.workflow import Claim, RunFunction, Superseded, Workflow
from services.orchestrator.model import EnhancementId, Run, TenantId
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable

_WORKER_THREADS: Final = "dbos-executor-"
_CLOSE_SECONDS: Final = 5.0
# A poll takes the interpreter from a busy event loop ten times; with the usual 5 ms each it is twice as late.
_SWITCH_SECONDS: Final = 0.001

_log = structlog.get_logger(__name__)


class EngineNotReady(Exception):
    """For the readiness check: the text says why."""


class Kept(BaseException):
    """Ends a workflow for DBOS, which writes nothing then: its outcome, or its return, is kept already.

    Not an `Exception`: DBOS keeps those as the workflow's outcome.
    """


class Engine:
    """One a process: DBOS is a singleton."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        database: Database,
        workflows: Sequence[Workflow],
        pressed: Callable[[], bool],
    ) -> None:
        """`pressed` says when other work of this process goes first."""
        self._settings = settings
        self._pool = connections(settings)
        self._database = database
        self._workflows = workflows
        self._loop = asyncio.get_running_loop()
        self._running: dict[asyncio.Task[None], Holding] = {}
        self._stopping = threading.Event()
        self._singleton = threading.Lock()
        self._engine: DBOS | None = None
        self._trouble = "is starting"
        self._lease = Lease(
            database,
            executor_id=settings.executor_id,
            seconds=settings.lease_seconds,
            at_work=self._running.values,
            lost=self._cancel,
        )
        self._claiming = Claiming(
            self._pool,
            version=VERSION,
            executor_id=settings.executor_id,
            slots=settings.worker_concurrency,
            tenant_concurrency=settings.tenant_concurrency,
            pressed=pressed,
            leased=lambda: self._lease.left_seconds > 0,
        )

    async def check(self) -> None:
        if self._engine is None:
            raise EngineNotReady(self._trouble)

    @property
    def lease_seconds(self) -> float:
        """How long nobody else takes over what this process is at."""
        return self._lease.left_seconds

    async def run(self) -> None:
        """Start, again and again while the database is not there or not migrated; then stay alive."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(
                (
                    sqlalchemy.exc.SQLAlchemyError,
                    dbos_error.DBOSException,
                    DependencyUnavailable,
                    TimeoutError,
                )
            ),
            wait=wait_exponential_jitter(multiplier=0.3, max=5, jitter=0.3),
            before_sleep=self._not_started,
        ):
            with attempt:
                # The engine itself would wait for a lost database without end and without a word.
                await self._database.check()
                # Before the first claim: a run without a lease is anybody's.
                await self._lease.renew()
                await in_thread(self._launch, name="engine-launch")
        await self._lease.keep()

    async def close(self) -> None:
        """Take no more work, let runs end that are about to, and give the rest to the other replicas."""
        engine, self._engine, self._trouble = self._engine, None, "is stopped"
        if engine is not None:
            for stop_polling in engine.background_thread_stop_events:
                stop_polling.set()
        self._stopping.set()
        if self._running:
            await asyncio.wait(self._running, timeout=self._settings.grace_seconds)
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=_CLOSE_SECONDS)
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await in_thread(self._destroy, name="engine-close")
                released = await self._lease.give_up()
                _log.info("engine_closed", given_back=released)
        except (TimeoutError, DependencyUnavailable):
            # Its lease runs out by itself.
            _log.warning("engine_left_waiting_for_the_database")

    def _cancel(self, runs: Collection[Holding]) -> None:
        """Stop at once what is not ours any more."""
        telemetry.FENCED.inc(len(runs))
        for task, run in self._running.items():
            if run in runs:
                task.cancel()

    def _not_started(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._trouble = f"cannot start: {_reason(error)}"
        _log.warning("engine_not_started", reason=_reason(error))

    def _launch(self) -> None:
        with self._singleton:
            # A start that was given up while this thread waited for the database.
            if not self._stopping.is_set():
                self._engine = self._launched()

    def _destroy(self) -> None:
        with self._singleton:
            DBOS.destroy(destroy_registry=True)
            self._claiming.uninstall()
            # It leaves its threads to themselves: what they wait for is the end of a run.
            for thread in threading.enumerate():
                if thread.name.startswith(_WORKER_THREADS):
                    thread.join()
            self._pool.dispose()

    def _launched(self) -> DBOS:
        tame()
        sys.setswitchinterval(_SWITCH_SECONDS)
        settings = self._settings
        declare_queue(settings, self._pool)
        engine = DBOS(config=configuration(settings, self._pool))
        try:
            for workflow in self._workflows:
                self._register(workflow)
            self._claiming.install()
            DBOS.launch()
        except BaseException:
            DBOS.destroy(destroy_registry=True)
            raise
        _log.info("engine_started", executor_id=settings.executor_id)
        return engine

    def _register(self, workflow: Workflow) -> None:
        def body(tenant: str, enhancement: str) -> NoReturn:
            owner = assert_current_dbos_context().owner_xid
            claim = Claim(Run(TenantId(tenant), EnhancementId(enhancement)), str(owner))
            self._on_loop(claim, workflow.run)
            raise Kept

        DBOS.workflow(name=workflow.name)(body)

    def _on_loop(self, claim: Claim, run: RunFunction) -> None:
        """Run it on the service's loop and wait for it in this thread, which is the engine's."""
        if self._stopping.is_set():
            raise Kept
        future = asyncio.run_coroutine_threadsafe(self._tracked(claim, run), self._loop)
        try:
            future.result()
        except concurrent.futures.CancelledError:
            raise Kept from None

    async def _tracked(self, claim: Claim, run: RunFunction) -> None:
        if self._stopping.is_set():
            # Handed over just before, and so not among those that are let end.
            return
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a coroutine that runs is a task's")
        self._running[task] = (claim.run.id, claim.owner)
        telemetry.SLOTS_BUSY.inc()
        try:
            await run(claim)
        except Superseded:
            telemetry.FENCED.inc()
            _log.info("run_superseded", enhancement_id=claim.run.id)
        except (DependencyUnavailable, TimeoutError) as error:
            # The claim stays open, and the lease's keeper gives it back once the database is there again.
            _log.warning(
                "run_interrupted", enhancement_id=claim.run.id, reason=str(error) or "PostgreSQL is slow"
            )
        except Exception:  # noqa: BLE001 - what a run does about its own failures is above this
            # It stays open likewise.
            _log.exception("run_broke", enhancement_id=claim.run.id)
        finally:
            del self._running[task]
            telemetry.SLOTS_BUSY.dec()


def _reason(error: BaseException | None) -> str:
    """What a person needs: an SQLAlchemy error prints its statement and a link, too."""
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        error = error.orig or error
    return " ".join(str(error).split())[:300] or type(error).__name__
