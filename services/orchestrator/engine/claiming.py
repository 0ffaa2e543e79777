"""Which runs a replica takes up next.

DBOS would ask for each tenant in a transaction of its own, has one cap for all, no weights and no pause. So
its queue, its rows and its polling stay, and one function of ours (`orchestrator.claim`) chooses among the
rows: a weighted round robin over the tenants that have work.

1. The tenants stand in a circle, in the order of the engine's index; each poll goes on after the tenant at
   which the one before ended. Finding the next is one seek in that index, so a poll costs as much as the runs
   that it takes, however many tenants wait and however much has ended. Of tenants that may have nothing now
   (paused, at their caps) it passes 200 at most.
2. At its turn a tenant gets as many runs as its weight says (1, 2 or 4), but no more than its cap leaves,
   counted over all replicas under a lock of the tenant's, and none while it is paused.
3. Its own runs come by priority, then by age.
4. A poll is one round at most, slots left or not: so a tenant that could fill the machine by itself begins
   with its runs one after the other, and who comes between finds it not quite as busy.
5. While senders keep a replica accepting without a break, it has an eighth of its slots: they wait for their
   answer and give up, a brief may come a little later. The circle goes on, only slower.

So a tenant that begins to have work waits for one round at most, whatever the others have queued: nobody
starves.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy
from dbos._sys_db import SystemDatabase

from services.orchestrator import telemetry
from services.orchestrator.engine.workflow import APPLICATION, QUEUE

if TYPE_CHECKING:
    from dbos._queue import Queue
    from dbos._sys_db import DequeueStopReason

_DBOS_CHOICE: Final = SystemDatabase.start_queued_workflows
_PRESSED_PART: Final = 8
_CLAIM: Final = sqlalchemy.text(
    "select run, tenant from orchestrator.claim("
    ":queue, :application, :version, :executor, :owner, :slots, :default_cap, :after)"
)


class Claiming:
    """Stands in for the engine's own choice of runs, for our queue."""

    def __init__(
        self,
        pool: sqlalchemy.Engine,
        *,
        version: str,
        executor_id: str,
        slots: int,
        tenant_concurrency: int,
        pressed: Callable[[], bool] = lambda: False,
        leased: Callable[[], bool] = lambda: True,
    ) -> None:
        self._pool = pool
        self._version = version
        self._executor_id = executor_id
        self._slots = slots
        self._tenant_concurrency = tenant_concurrency
        self._pressed = pressed
        self._leased = leased
        self._after = ""

    def install(self) -> None:
        """Have the engine's queue threads ask here; everything around it, and other queues, stay DBOS's.

        Before the engine is launched, which begins to poll at once: DBOS has no seam for it. A test watches
        over what is relied on.
        """

        def start_queued_workflows(
            system: SystemDatabase, queue: "Queue", *args: Any, **options: Any
        ) -> "tuple[list[str], DequeueStopReason | None]":
            if queue.name != QUEUE:
                return _DBOS_CHOICE(system, queue, *args, **options)
            _, _, _, running, *_ = args
            return self.claim(owner=options["owner_xid"], running=running), None

        SystemDatabase.start_queued_workflows = start_queued_workflows  # type: ignore[method-assign,assignment]

    @staticmethod
    def uninstall() -> None:
        SystemDatabase.start_queued_workflows = _DBOS_CHOICE  # type: ignore[method-assign]

    def claim(self, *, owner: str, running: int) -> list[str]:
        """The ids of the runs taken up."""
        pressed = self._pressed()
        allowed = max(1, self._slots // _PRESSED_PART) if pressed else self._slots
        telemetry.SLOTS.set(allowed)
        slots = allowed - running
        # Without a lease what is taken up is anybody's, and goes to the others at once.
        if slots <= 0 or not self._leased():
            return []
        asked = {
            "queue": QUEUE,
            "application": APPLICATION,
            "version": self._version,
            "executor": self._executor_id,
            "owner": owner,
            "slots": slots,
            # Of few slots one tenant must not hold all.
            "default_cap": 1 if pressed else self._tenant_concurrency,
            "after": self._after,
        }
        with self._pool.begin() as connection:
            claimed = connection.execute(_CLAIM, asked).all()
        if claimed:
            self._after = claimed[-1].tenant
        return [row.run for row in claimed if row.run is not None]
