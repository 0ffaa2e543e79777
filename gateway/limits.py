"""How much a client, and each of its keys, may ask of the gateway in a minute, and how HTTP says so."""

import math
from typing import Final

from grpc import StatusCode
from starlette.types import Scope

from gateway.counts import SharedCounts
from gateway.quota import WINDOW_SECONDS, Holder, Quota, Standing
from gateway.settings import GatewaySettings
from gateway.telemetry import limited_by
from services.runtime.caller import Caller
from services.runtime.errors import ServiceError

_STANDINGS: Final = "dossier.limits"
"""Where the scope says which limits were looked at."""


class RateLimitExceeded(ServiceError):
    """One of the limits of this minute is used up; `metadata` says which."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "RATE_LIMIT_EXCEEDED"


class Limits:
    def __init__(self, settings: GatewaySettings, counts: SharedCounts | None) -> None:
        self._requests = Quota("tenant-requests", settings.tenant_requests_per_minute, counts)
        self._key_requests = Quota("key-requests", settings.key_requests_per_minute, counts)
        self._body_bytes = Quota("tenant-body-bytes", settings.tenant_body_bytes_per_minute, counts)
        self._webhooks = Quota("tenant-webhooks", settings.tenant_webhooks_per_minute, counts)
        self._webhook_bytes = Quota("tenant-webhook-bytes", settings.tenant_webhook_bytes_per_minute, counts)

    async def request(self, scope: Scope, *, credential: Caller, tenant: str | None) -> None:
        """Count a request to the REST API for the key, or the token's subject, and for the client."""
        await _take(scope, self._key_requests, Holder(credential.tenant, credential.subject))
        if tenant is not None:
            await _take(scope, self._requests, Holder(tenant))

    async def body(self, scope: Scope, *, tenant: str | None, size: int) -> None:
        if tenant is not None and size:
            await _take(scope, self._body_bytes, Holder(tenant), size)

    async def webhook(self, scope: Scope, *, tenant: str, size: int) -> None:
        """Count a webhook whose signature holds: nobody else may use a client's limits up."""
        holder = Holder(tenant)
        await _take(scope, self._webhooks, holder)
        await _take(scope, self._webhook_bytes, holder, size)


async def _take(scope: Scope, quota: Quota, holder: Holder, amount: int = 1) -> None:
    standing = await quota.take(holder, amount)
    if standing is None:
        return
    scope.setdefault(_STANDINGS, []).append((quota, standing))
    if not standing.granted:
        limited_by(quota.name).inc()
        raise RateLimitExceeded(
            f"{quota.name.replace('-', ' ')}: {quota.limit} a minute are used up; "
            f"wait {math.ceil(standing.seconds)} s",
            metadata={"limit": quota.name, "quota": str(quota.limit), "window_seconds": str(WINDOW_SECONDS)},
            retry_after_seconds=standing.seconds,
        )


def limit_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Say what was looked at in this request, as in draft-ietf-httpapi-ratelimit-headers-11."""
    standings: list[tuple[Quota, Standing]] | None = scope.get(_STANDINGS)
    if not standings:
        return []
    policies = ", ".join(
        f'"{quota.name}";q={quota.limit};w={WINDOW_SECONDS}{_unit(quota)}' for quota, _ in standings
    )
    left = ", ".join(
        f'"{quota.name}";r={standing.left};t={math.ceil(standing.seconds)}' for quota, standing in standings
    )
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", left.encode())]


def _unit(quota: Quota) -> str:
    return ';qu="content-bytes"' if quota.name.endswith("bytes") else ""
