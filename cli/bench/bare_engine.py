"""The bare workflow engine's pace: `python -m cli.bench.bare_engine URL COUNT STEPS QUEUE`.

COUNT workflows of STEPS empty checkpointed steps are enqueued in one commit, on a queue with the limits that
QUEUE names in JSON; printed is how many ended per second.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig

_QUEUE: Final = "bare"
_WORKFLOW: Final = "bare"
_VERSION: Final = "1"
_PARTITIONS: Final = 8
_WARM_UP: Final = 16
_LOOK_SECONDS: Final = 0.05
_LONGEST_SECONDS: Final = 60.0

_ENQUEUE: Final = """
    select dbos.enqueue_workflow('bare', 'bare', array[to_json(n)], queue_partition_key => {key})
    from generate_series(1, :count) as n
"""
_ENDED: Final = "select count(*) from dbos.workflow_status where status = 'SUCCESS' and name = 'bare'"


def measure(url: str, *, count: int, steps: int, queue: dict[str, Any]) -> float:
    """Workflows ended per second."""
    pool = sqlalchemy.create_engine(
        sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"), pool_size=8, max_overflow=0
    )
    config: DBOSConfig = {
        "name": "bare",
        "system_database_engine": pool,
        "application_version": _VERSION,
        "executor_id": "bare",
        "log_level": "WARNING",
    }
    DBOS.migrate(sqlalchemy.make_url(url).render_as_string(hide_password=False), schema="dbos")
    client = DBOSClient(system_database_engine=pool, application_name="bare")
    client.register_queue(_QUEUE, **queue)
    client.destroy()
    DBOS(config=config)
    _register(steps)
    DBOS.launch()
    key = f"(n % {_PARTITIONS})::text" if "partition_concurrency" in queue else "null"
    try:
        _enqueue(pool, _WARM_UP, key=key)
        _until_ended(pool, _WARM_UP)
        begun = time.perf_counter()
        _enqueue(pool, count, key=key)
        _until_ended(pool, _WARM_UP + count)
        return count / (time.perf_counter() - begun)
    finally:
        DBOS.destroy()


def _register(count: int) -> None:
    def empty() -> None:
        return

    steps: list[Callable[[], None]] = [DBOS.step(name=f"step-{number}")(empty) for number in range(count)]

    def body(_: int) -> None:
        for step in steps:
            step()

    DBOS.workflow(name=_WORKFLOW)(body)


def _enqueue(pool: sqlalchemy.Engine, count: int, *, key: str) -> None:
    with pool.begin() as connection:
        connection.execute(sqlalchemy.text(_ENQUEUE.format(key=key)), {"count": count})


def _until_ended(pool: sqlalchemy.Engine, count: int) -> None:
    deadline = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < deadline:
        with pool.connect() as connection:
            if connection.execute(sqlalchemy.text(_ENDED)).scalar_one() >= count:
                return
        time.sleep(_LOOK_SECONDS)
    raise TimeoutError(f"{count} empty workflows did not end in {_LONGEST_SECONDS:.0f} s")


if __name__ == "__main__":
    pace = measure(sys.argv[1], count=int(sys.argv[2]), steps=int(sys.argv[3]), queue=json.loads(sys.argv[4]))
    sys.stdout.write(f"{pace:.2f}\n")
