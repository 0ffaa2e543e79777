import sys

from services.runtime.serve import run
from services.tenants.service import build
from services.tenants.settings import TenantsSettings

sys.exit(run("tenants", TenantsSettings, build))
