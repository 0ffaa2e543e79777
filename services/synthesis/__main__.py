import sys

from services.runtime.serve import run
from services.synthesis.service import build
from services.synthesis.settings import SynthesisSettings

sys.exit(run("synthesis", SynthesisSettings, build))
