"""Durable execution: runs whose finished steps survive any crash. DBOS is known here and nowhere else.

What is DBOS's: the queue and the states of what is in it, polling, dispatch to a worker, delayed return, and
the record of finished steps, fenced by an owner's token. What is mended, each where it is explained:

- which runs are taken up: by a round robin over tenants with weights, caps and a pause (`claiming`);
- when a step is recorded: in the transaction that keeps its result, on the service's own connections, under
  DBOS's token. DBOS records it afterwards, in a transaction of its own: a step could be done and not known,
  and a worker that lost its run could still write to our tables. It also halves the commits of a run;
- whose runs are resumed: those of every replica without a live lease, not only of one of the same name
  (`leases`);
- where a run waits for another try: in the queue, not in its worker.

A test holds what is relied on of DBOS's insides, so that another release of it is noticed.
"""

from services.orchestrator.engine.configuration import EngineSettings
from services.orchestrator.engine.engine import Engine
from services.orchestrator.engine.workflow import (
    APPLICATION,
    QUEUE,
    Checkpoint,
    Claim,
    RunFunction,
    Superseded,
    Workflow,
)

__all__ = [
    "APPLICATION",
    "QUEUE",
    "Checkpoint",
    "Claim",
    "Engine",
    "EngineSettings",
    "RunFunction",
    "Superseded",
    "Workflow",
]
