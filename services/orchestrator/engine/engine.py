"""DBOS: its configuration, its start and end, and how a workflow's steps reach the event loop."""

import asyncio
import concurrent.futures
import functools
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import sqlalchemy
import structlog
from dbos import DBOS
from dbos import error as dbos_error
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from services.orchestrator.engine.configuration import (
    EngineSettings,
    configuration,
    connections,
    declare_queue,
)
from services.orchestrator.engine.quiet import tame
from services.orchestrator.engine.threads import in_thread
from services.orchestrator.engine.workflow import Progress, StepFunction, Workflow
from services.orchestrator.model import EnhancementId, Run, TenantId
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable

_WORKER_THREADS: Final = "dbos-executor-"
_CLOSE_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


class EngineNotReady(Exception):
    """For the readiness check: the text says why."""


class HandedBack(BaseException):
    """Ends a workflow here without an outcome, so that it is resumed by the next start.

    Not an `Exception`: the engine keeps those as the workflow's outcome.
    """


class Engine:
    """One a process: DBOS is a singleton."""

    def __init__(
        self, settings: EngineSettings, *, database: Database, workflows: Sequence[Workflow]
    ) -> None:
        self._settings = settings
        self._pool = connections(settings)
        self._database = database
        self._workflows = workflows
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[Progress]] = set()
        self._stopping = threading.Event()
        self._singleton = threading.Lock()
        self._engine: DBOS | None = None
        self._trouble = "is starting"

    async def check(self) -> None:
        if self._engine is None:
            raise EngineNotReady(self._trouble)

    async def start(self) -> None:
        """Start, and try again for as long as the database is not there or not migrated."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(
                (sqlalchemy.exc.SQLAlchemyError, dbos_error.DBOSException, DependencyUnavailable)
            ),
            wait=wait_exponential_jitter(multiplier=0.3, max=5, jitter=0.3),
            before_sleep=self._not_started,
        ):
            with attempt:
                # The engine itself would wait for a lost database without end and without a word.
                await self._database.check()
                await in_thread(self._launch, name="engine-launch")

    async def close(self) -> None:
        """Take no more work, let steps end that are about to, and leave the rest to the next start."""
        engine, self._engine, self._trouble = self._engine, None, "is stopped"
        if engine is not None:
            for stop_polling in engine.background_thread_stop_events:
                stop_polling.set()
        self._stopping.set()
        if self._running:
            await asyncio.wait(self._running, timeout=self._settings.grace_seconds)
        for task in self._running:
            task.cancel()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await in_thread(self._destroy, name="engine-close")
        except TimeoutError:
            _log.warning("engine_left_waiting_for_the_database")

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
            # It leaves its threads to themselves: what they are about to write is the end of a run.
            for thread in threading.enumerate():
                if thread.name.startswith(_WORKER_THREADS):
                    thread.join()
            self._pool.dispose()

    def _launched(self) -> DBOS:
        tame()
        declare_queue(self._settings, self._pool)
        engine = DBOS(config=configuration(self._settings, self._pool))
        try:
            for workflow in self._workflows:
                self._register(workflow)
            DBOS.launch()
        except BaseException:
            DBOS.destroy(destroy_registry=True)
            raise
        _log.info("engine_started", executor_id=self._settings.executor_id)
        return engine

    def _register(self, workflow: Workflow) -> None:
        steps = [self._checkpointed(name, step) for name, step in workflow.steps.items()]

        def body(tenant: str, enhancement: str) -> None:
            try:
                for step in steps:
                    if step(tenant, enhancement) == Progress.END:
                        return
            except Exception as error:
                # Cut off from the database while stopping: that is not how this run ends.
                if self._stopping.is_set():
                    raise HandedBack from error
                raise

        DBOS.workflow(name=workflow.name)(body)

    def _checkpointed(self, name: str, step: StepFunction) -> Callable[[str, str], str]:
        def call(tenant: str, enhancement: str) -> str:
            run = Run(TenantId(tenant), EnhancementId(enhancement))
            return str(self._on_loop(functools.partial(step, run)))

        return DBOS.step(name=name)(call)

    def _on_loop(self, work: Callable[[], Awaitable[Progress]]) -> Progress:
        """Run it on the service's loop and wait for it in this thread, which is the engine's."""
        if self._stopping.is_set():
            raise HandedBack
        future = asyncio.run_coroutine_threadsafe(self._tracked(work), self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise HandedBack from None

    async def _tracked(self, work: Callable[[], Awaitable[Progress]]) -> Progress:
        if self._stopping.is_set():
            # Handed over just before, and so not among those that are let end.
            raise asyncio.CancelledError
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await work()


def _reason(error: BaseException | None) -> str:
    """What a person needs: an SQLAlchemy error prints its statement and a link, too."""
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        error = error.orig or error
    return " ".join(str(error).split())[:300] or type(error).__name__
