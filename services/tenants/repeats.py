"""Ids that a repeated request makes again, so that it makes nothing twice."""

from typing import Final
from uuid import UUID, uuid5

import orjson

from audit.event import Actor
from services.tenants.model import TenantId

_REQUESTS: Final = UUID("0b6c1f0e-6a54-4f0e-9d1d-6c8f1c3f4b57")


def id_of(tenant: TenantId, actor: Actor, *request: str) -> str:
    """The same for the same request of the same caller, and for no other."""
    return str(uuid5(_REQUESTS, orjson.dumps([tenant, actor.principal, actor.role, *request]).decode()))
