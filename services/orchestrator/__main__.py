import os
import sys

from services.orchestrator.service import build
from services.orchestrator.settings import OrchestratorSettings
from services.runtime.serve import run

code = run("orchestrator", OrchestratorSettings, build)
sys.stdout.flush()
# The engine's threads look for a lost database for ever and would keep a drained process from ending.
os._exit(code)
