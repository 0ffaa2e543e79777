import sys

from services.history.service import build
from services.history.settings import HistorySettings
from services.runtime.serve import run

sys.exit(run("history", HistorySettings, build))
