"""When webhook secrets were last used, as the gateways tell it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from services.tenants.model import TenantId
from services.tenants.store import Directory


@dataclass(frozen=True, slots=True)
class SecretUse:
    tenant: TenantId
    secret_id: str
    time: datetime


async def record_uses(directory: Directory, uses: Sequence[SecretUse]) -> None:
    """Each client's in a transaction of its own; what is recorded twice is recorded once."""
    in_order = sorted(uses, key=lambda use: (use.tenant, use.secret_id))
    for tenant, of_tenant in groupby(in_order, key=lambda use: use.tenant):
        await directory.secrets_used(tenant, {use.secret_id: use.time for use in of_tenant})
