"""Has what is older than its client keeps it removed, everywhere, now and then."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from services.runtime.errors import DependencyUnavailable
from services.tenants.model import Retention, Tenant, TenantId, TenantState
from services.tenants.store import Directory

_PAGE: Final = 200
_FIRST_SECONDS: Final = 30.0

_log = structlog.get_logger(__name__)

KEPT_DAYS: Final[Mapping[str, Callable[[Retention], int]]] = {
    "history": lambda retention: retention.ticket_days,
    "orchestrator": lambda retention: retention.run_days,
    "synthesis": lambda retention: retention.ledger_days,
    "tenants": lambda retention: retention.audit_days,
}
"""By service that keeps something that grows old: for how long."""


class Expiring(Protocol):
    async def expire(self, tenant: str, days: int) -> tuple[int, bool]: ...


async def keep_retention(
    directory: Directory, keepers: Mapping[str, Expiring], *, every_seconds: float
) -> None:
    """Sweep for ever; replicas do not stand in each other's way."""
    await asyncio.sleep(min(_FIRST_SECONDS, every_seconds))
    while True:
        try:
            await sweep(directory, keepers)
        except (DependencyUnavailable, TimeoutError) as error:
            _log.info("retention_not_swept", reason=str(error) or "PostgreSQL is slow")
        await asyncio.sleep(every_seconds)


async def sweep(directory: Directory, keepers: Mapping[str, Expiring]) -> None:
    """Go once through all clients; what is away is asked again by the next sweep."""
    present = dict(keepers)
    last: TenantId | None = None
    while page := await directory.tenants_after(last, _PAGE):
        for tenant in page:
            for name, keeper in list(present.items()):
                if tenant.state is not TenantState.DELETING and not await _expire(tenant, name, keeper):
                    # Not waited for once a client.
                    del present[name]
        last = page[-1].id


async def _expire(tenant: Tenant, name: str, keeper: Expiring) -> bool:
    """Whether it answered."""
    days, expired, more = KEPT_DAYS[name](tenant.retention), 0, True
    try:
        while more:
            count, more = await keeper.expire(tenant.id, days)
            expired += count
    except (DependencyUnavailable, TimeoutError) as away:
        _log.info("retention_waits", service=name, reason=str(away))
        return False
    finally:
        if expired:
            _log.info("expired", tenant_id=tenant.id, service=name, count=expired)
    return True
