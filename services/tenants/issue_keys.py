"""Issues and revokes API keys: of a client, or of the operator itself. Each leaves an audit event."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import orjson
import structlog

from audit.changes import FieldChange
from audit.event import Action, Actor
from services.tenants.errors import ApiKeyNotFound, TooManyApiKeys
from services.tenants.model import OPERATOR, ApiKey, KeptApiKey, Role, Secret, TenantId
from services.tenants.repeats import id_of
from services.tenants.store import Directory

_MOST_KEYS: Final = 100

_log = structlog.get_logger(__name__)


class KeyIssuer:
    """Without a tenant, keys are the operator's own, whom no request can name."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def create(
        self,
        tenant: TenantId | None,
        role: Role,
        *,
        actor: Actor,
        display_name: str,
        expire_time: datetime | None,
        request_id: str,
    ) -> tuple[Secret | None, KeptApiKey]:
        """None in place of the key where the same request has made it before."""
        secret = Secret.api_key()
        key_id = id_of(
            tenant or OPERATOR, actor, "key", request_id, role.value, display_name, str(expire_time)
        )
        key = ApiKey(key_id, secret.digest(), role, display_name, expire_time)
        async with self._directory.changing_keys(tenant, actor) as change:
            made_before = await change.key(key_id)
            if made_before is not None:
                return None, made_before
            if await change.good_keys() >= _MOST_KEYS:
                raise TooManyApiKeys(_MOST_KEYS)
            action = Action(_rpc("Create", tenant), _resource(tenant, key_id), tuple(_settings(key)))
            kept = await change.add_key(key, action)
        _log.info("api_key_created", tenant_id=tenant, key_id=key.id, role=role.value)
        return secret, kept

    async def revoke(self, tenant: TenantId | None, key_id: str, *, actor: Actor) -> KeptApiKey:
        async with self._directory.changing_keys(tenant, actor) as change:
            key = await change.key(key_id)
            if key is None:
                raise ApiKeyNotFound(key_id)
            if key.revoke_time is not None:
                return key
            action = Action(_rpc("Revoke", tenant), _resource(tenant, key_id))
            revoked = await change.revoke_key(key_id, action)
        _log.info("api_key_revoked", tenant_id=tenant, key_id=key_id)
        return revoked


def _rpc(verb: str, tenant: TenantId | None) -> str:
    return f"{verb}OperatorKey" if tenant is None else f"{verb}ApiKey"


def _resource(tenant: TenantId | None, key_id: str) -> str:
    return f"operator_keys/{key_id}" if tenant is None else f"api_keys/{key_id}"


def _settings(key: ApiKey) -> Iterator[FieldChange]:
    yield _set("role", key.role.value)
    if key.display_name:
        yield _set("display_name", key.display_name)
    if key.expire_time is not None:
        yield _set("expire_time", key.expire_time)


def _set(field: str, value: object) -> FieldChange:
    return FieldChange(field, "", orjson.dumps(value).decode())
