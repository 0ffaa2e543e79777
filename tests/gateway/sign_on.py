"""A gateway that knows an identity provider, and what it is asked by who signed on there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.gateway.world import World, key, running_world
from tests.support.identity_provider import AUDIENCE, IdentityProvider
from tests.support.keys import Keys

READ = "/v1/tickets/1"
ROLES = {
    "msp-staff": "operator",
    "msp-desk": "technician",
    "msp-auditors": "viewer",
    "acme-admins": "acme:admin",
    "acme-desk": "acme:technician",
    "globex-desk": "globex:technician",
    "gone-desk": "gone:viewer",
    "team-north": "acme:technician, globex:viewer",
}


@asynccontextmanager
async def signing_on(keys: Keys, provider: IdentityProvider, **settings: Any) -> AsyncIterator[World]:
    known = {"oidc_issuer": provider.issuer, "oidc_audience": AUDIENCE, "oidc_roles": ROLES}
    async with running_world(keys, **known, **settings) as world:
        yield world


async def read(world: World, token: str, *, tenant: str | None = None) -> httpx.Response:
    chosen = {} if tenant is None else {"X-Dossier-Tenant": tenant}
    return await world.http.get(READ, headers={**key(token), **chosen})


def outcome(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("reason", "")
