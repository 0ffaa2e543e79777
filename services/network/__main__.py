import sys

from services.network.service import build
from services.network.settings import NetworkSettings
from services.runtime.serve import run

sys.exit(run("network", NetworkSettings, build))
