import sys

from services.knowledge.service import build
from services.knowledge.settings import KnowledgeSettings
from services.runtime.serve import run

sys.exit(run("knowledge", KnowledgeSettings, build))
