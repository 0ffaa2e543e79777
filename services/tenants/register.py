"""Takes a new client on: its settings, its webhook secret and its first API key, all or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
import structlog
from uuid_utils import uuid7

from audit.event import Actor
from egress.permits import Permits
from services.tenants.addresses import check_addresses
from services.tenants.errors import TenantDeleting, TenantExists
from services.tenants.model import ApiKey, NewTenant, Role, Secret, SecretKind, Tenant, TenantState
from services.tenants.remnants import Remnants
from services.tenants.repeats import id_of
from services.tenants.rows import settings_of
from services.tenants.rules import Installed, check_settings
from services.tenants.sealing import KeptSecret, Place, Sealer
from services.tenants.store import Directory

_FIRST_VERSION = 1
_FIRST_KEY = "made with the client"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Issued:
    """What is shown this once."""

    webhook_secret: Secret
    api_key: Secret


@dataclass(frozen=True, slots=True)
class Registered:
    """`issued` is None when the request had been carried out before."""

    tenant: Tenant
    issued: Issued | None


class Registrar:
    def __init__(
        self,
        directory: Directory,
        remnants: Remnants,
        sealer: Sealer,
        installed: Installed,
        permits: Permits,
    ) -> None:
        self._directory = directory
        self._remnants = remnants
        self._sealer = sealer
        self._installed = installed
        self._permits = permits

    async def register(
        self, new: NewTenant, *, actor: Actor, credentials: Mapping[str, str], request_id: str
    ) -> Registered:
        """Safe to repeat with the same request id and settings for a day; the secrets are not shown again."""
        check_settings(new, self._installed)
        check_addresses(new, self._permits.guard(new.id))
        if await self._directory.tenant(new.id) is None:
            await self._remnants.require_none(new.id)
        request = ""
        if request_id:
            request = id_of(new.id, actor, "create", request_id, orjson.dumps(settings_of(new)).decode())
        issued = Issued(Secret.random(), Secret.api_key())
        tenant = await self._directory.add(
            new,
            actor=actor,
            request_id=request,
            secrets=await self._sealed(new, issued.webhook_secret, credentials),
            api_key=ApiKey(str(uuid7()), issued.api_key.digest(), Role.ADMIN, _FIRST_KEY),
        )
        if tenant is not None:
            _log.info("tenant_registered", tenant_id=tenant.id, tool=tenant.ticketing.tool)
            return Registered(tenant, issued)
        before = await self._directory.added_by_request(new.id, request) if request else None
        if before is None:
            known = await self._directory.tenant(new.id)
            deleting = known is not None and known.state is TenantState.DELETING
            raise TenantDeleting(new.id) if deleting else TenantExists(new.id)
        return Registered(before, None)

    async def _sealed(
        self, new: NewTenant, webhook_secret: Secret, credentials: Mapping[str, str]
    ) -> list[KeptSecret]:
        secrets = {SecretKind.WEBHOOK: webhook_secret}
        if credentials:
            secrets[SecretKind.TICKETING] = Secret(orjson.dumps(dict(credentials)))
        return [
            await self._sealer.seal(secret, Place(new.id, kind, _FIRST_VERSION))
            for kind, secret in secrets.items()
        ]
