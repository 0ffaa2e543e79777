"""The secrets with which clients' webhooks are verified, asked of the tenants service and never stored."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

import grpc

from dossier.tenants.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from gateway.cache import BriefCache
from gateway.client_limits import ClientLimits
from gateway.mesh import SUBJECT, asked
from services.runtime.caller import acting_for
from ticketing.model import WebhookSecret

NOBODY: Final = "-"
"""Stands for every tenant and tool that cannot exist: asked for like the others, answered with nothing."""

_SECONDS: Final = 5.0

SecretCache: TypeAlias = BriefCache[tuple[str, str], Sequence[WebhookSecret]]


def forget_secrets(secrets: SecretCache, tenant: str | None) -> None:
    """Believe nothing any more of the tenant's secrets, or of all."""
    secrets.forget(lambda key, _: tenant is None or key[0] == tenant)


def secret_cache(tenants: grpc.aio.Channel, limits: ClientLimits, *, seconds: float) -> SecretCache:
    stub = tenant_service_pb2_grpc.TenantServiceStub(tenants)

    async def load(key: tuple[str, str]) -> Sequence[WebhookSecret]:
        tenant, tool = key
        request = tenant_service_pb2.ListWebhookSecretsRequest(tenant_id=tenant, tool=tool)
        with acting_for(None, subject=SUBJECT):
            response = await asked("tenants", stub.ListWebhookSecrets(request, timeout=_SECONDS))
        if response.secrets:
            limits.learn(tenant, response.limits)
        now = datetime.now(UTC)
        return tuple(
            WebhookSecret(secret.id, secret.value)
            for secret in response.secrets
            if not secret.HasField("expire_time") or secret.expire_time.ToDatetime(UTC) > now
        )

    return BriefCache(load, known=bool, seconds=seconds)
