"""Durable execution: workflows whose finished steps survive any crash. DBOS is known here and nowhere else.

Workflows run on the engine's own threads, since the engine talks to PostgreSQL synchronously, and hand each
step to the service's event loop, where the channels and connection pools live. A step that ended is never run
again; one that was cut off is, so steps look for what they did before.
"""

from services.orchestrator.engine.configuration import EngineSettings
from services.orchestrator.engine.engine import Engine
from services.orchestrator.engine.workflow import QUEUE, Progress, StepFunction, Workflow

__all__ = ["QUEUE", "Engine", "EngineSettings", "Progress", "StepFunction", "Workflow"]
