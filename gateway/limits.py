"""How much a client, and each of its keys, may ask of the gateway in a minute, and how HTTP says so."""

import math
from typing import Final

from grpc import StatusCode
from starlette.types import Scope

from dossier.tenants.v1.tenant_pb2 import TenantLimits
from gateway.client_limits import ClientLimits
from gateway.counts import SharedCounts
from gateway.identity import Identity
from gateway.quota import WINDOW_SECONDS, Holder, Quota, Standing
from gateway.settings import GatewaySettings
from gateway.telemetry import limited_by
from services.runtime.errors import ServiceError

_STANDINGS: Final = "dossier.limits"
"""Where the scope says which limits were looked at, and how they stood last."""
_KEY: Final = "dossier.key"
"""Where the scope says which key's limits those are."""


class RateLimitExceeded(ServiceError):
    """One of the limits of this minute is used up; `metadata` says which."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "RATE_LIMIT_EXCEEDED"

    def __init__(self, name: str, standing: Standing) -> None:
        super().__init__(
            f"{name.replace('-', ' ')}: {standing.limit} a minute are used up; "
            f"wait {math.ceil(standing.seconds)} s",
            metadata={"limit": name, "quota": str(standing.limit), "window_seconds": str(WINDOW_SECONDS)},
            retry_after_seconds=standing.seconds,
        )


class Limits:
    def __init__(self, settings: GatewaySettings, clients: ClientLimits, counts: SharedCounts | None) -> None:
        self._clients = clients
        self._requests = Quota("tenant-requests", settings.tenant_requests_per_minute, counts)
        self._key_requests = Quota("key-requests", settings.key_requests_per_minute, counts)
        # Without Redis reads and intake go on; what is written in bulk is counted by each gateway alone.
        self._body_bytes = Quota(
            "tenant-body-bytes", settings.tenant_body_bytes_per_minute, counts, open_without=False
        )
        self._rows = Quota(
            "tenant-import-rows", settings.tenant_import_rows_per_minute, counts, open_without=False
        )
        self._key_rows = Quota(
            "key-import-rows", settings.key_import_rows_per_minute, counts, open_without=False
        )
        self._webhooks = Quota("tenant-webhooks", settings.tenant_webhooks_per_minute, counts)
        self._webhook_bytes = Quota("tenant-webhook-bytes", settings.tenant_webhook_bytes_per_minute, counts)

    async def request(self, scope: Scope, *, credential: Identity, tenant: str | None) -> None:
        """Count a request to the REST API for the key, the token's subject or person, and for the client."""
        key = scope[_KEY] = Holder(credential.tenant, credential.subject)
        await _take(scope, self._key_requests, key)
        if tenant is not None:
            limit = _own(await self._clients.of(tenant), "requests_per_minute")
            await _take(scope, self._requests, Holder(tenant), limit=limit)

    async def body(self, scope: Scope, *, tenant: str | None, size: int) -> None:
        if tenant is not None and size:
            limit = _own(await self._clients.of(tenant), "body_bytes_per_minute")
            await _take(scope, self._body_bytes, Holder(tenant), size, limit=limit)

    async def rows(self, scope: Scope, *, tenant: str | None, most: int) -> int:
        """Count as many of these rows as are left to the key and to the client; how many, one at least."""
        key = await _take_some(scope, self._key_rows, scope[_KEY], most)
        count = most if key is None else key.amount
        if tenant is None:
            return count
        limit = _own(await self._clients.of(tenant), "import_rows_per_minute")
        granted = 0
        try:
            taken = await _take_some(scope, self._rows, Holder(tenant), count, limit=limit)
            granted = count if taken is None else taken.amount
        finally:
            if key is not None:
                self._key_rows.give_back(scope[_KEY], key, count - granted)
        return granted

    async def webhook(self, scope: Scope, *, tenant: str, size: int) -> None:
        """Count a webhook whose signature holds: nobody else may use a client's limits up."""
        holder = Holder(tenant)
        own = await self._clients.of(tenant)
        await _take(scope, self._webhooks, holder, limit=_own(own, "webhooks_per_minute"))
        await _take(scope, self._webhook_bytes, holder, size, limit=_own(own, "webhook_bytes_per_minute"))


def _own(limits: TenantLimits, name: str) -> int | None:
    """The client's own, 0 for none; None where it has no own."""
    return getattr(limits, name) if limits.HasField(name) else None  # type: ignore[arg-type]  # one of its names


async def _take(
    scope: Scope, quota: Quota, holder: Holder, amount: int = 1, *, limit: int | None = None
) -> None:
    _note(scope, quota, await quota.take(holder, amount, limit=limit))


async def _take_some(
    scope: Scope, quota: Quota, holder: Holder, most: int, *, limit: int | None = None
) -> Standing | None:
    """Take as much as there is, and at least something."""
    standing = await quota.take(holder, most, limit=limit)
    while standing is not None and not standing.granted and standing.left:
        standing = await quota.take(holder, standing.left, limit=limit)
    _note(scope, quota, standing)
    return standing


def _note(scope: Scope, quota: Quota, standing: Standing | None) -> None:
    if standing is None:
        return
    scope.setdefault(_STANDINGS, {})[quota.name] = standing
    if not standing.granted:
        limited_by(quota.name).inc()
        raise RateLimitExceeded(quota.name, standing)


def limit_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Say what was looked at in this request, as in draft-ietf-httpapi-ratelimit-headers-11."""
    standings: dict[str, Standing] | None = scope.get(_STANDINGS)
    if not standings:
        return []
    policies = ", ".join(
        f'"{name}";q={standing.limit};w={WINDOW_SECONDS}{_unit(name)}' for name, standing in standings.items()
    )
    left = ", ".join(
        f'"{name}";r={standing.left};t={math.ceil(standing.seconds)}' for name, standing in standings.items()
    )
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", left.encode())]


def _unit(name: str) -> str:
    return ';qu="content-bytes"' if name.endswith("bytes") else ""
