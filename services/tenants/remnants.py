"""What is still kept under an id that no client has, and would be the next one's.

A deletion ends when nothing was found twice, so only a restored backup of one service, or a write from
elsewhere, leaves something.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from services.runtime.deadline import within
from services.runtime.errors import DependencyUnavailable
from services.tenants.deletions import Deletions
from services.tenants.errors import TenantRemnants
from services.tenants.model import TenantId

# Whoever takes a client on waits for it.
_SECONDS: Final = 3.0


class Counted(Protocol):
    @property
    def name(self) -> str: ...

    async def count(self, tenant: str) -> Mapping[str, int]: ...


class Remnants:
    def __init__(self, deletions: Deletions, services: Sequence[Counted]) -> None:
        self._deletions = deletions
        self._services = services

    async def require_none(self, tenant: TenantId) -> None:
        """Raises `TenantRemnants`.

        Raises `DependencyUnavailable` when a service does not answer soon and there was a client of that id:
        for one that is new, nobody has to be up.
        """
        if left := await self._left(tenant, seconds=_SECONDS):
            raise TenantRemnants(tenant, left)

    async def of(self, tenant: TenantId) -> Mapping[str, int]:
        """By service and table, without those that have nothing. Raises `DependencyUnavailable` likewise."""
        return await self._left(tenant, seconds=None)

    async def _left(self, tenant: TenantId, *, seconds: float | None) -> Mapping[str, int]:
        found = await asyncio.gather(
            *(_counted(service, tenant, seconds) for service in self._services), return_exceptions=True
        )
        left, away = dict[str, int](), list[DependencyUnavailable]()
        for service, counts in zip(self._services, found, strict=True):
            match counts:
                case DependencyUnavailable():
                    away.append(counts)
                case BaseException():
                    raise counts
                case _:
                    left |= {f"{service.name}.{table}": count for table, count in counts.items() if count}
        if not left and away and await self._deletions.page(of=tenant, before=None, count=1):
            raise away[0]
        return left


async def _counted(service: Counted, tenant: TenantId, seconds: float | None) -> Mapping[str, int]:
    def late() -> DependencyUnavailable:
        return DependencyUnavailable(
            service.name,
            f"has not said within {seconds:g} s whether anything of a former client {tenant} is left;"
            " try again when it answers",
        )

    async with within(seconds, late):
        return await service.count(tenant)
