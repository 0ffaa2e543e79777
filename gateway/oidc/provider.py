"""Puts it together, from the settings."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar

from gateway.oidc.keys import IssuerKeys
from gateway.oidc.people import People
from gateway.oidc.settings import OidcSettings

_SECONDS: Final = 5.0


async def open_people(settings: OidcSettings, closers: AsyncExitStack) -> People | None:
    """None without an identity provider. It need not be there yet."""
    if settings.oidc_issuer is None:
        return None
    session = ClientSession(
        timeout=ClientTimeout(total=_SECONDS),
        cookie_jar=DummyCookieJar(),
        # An installation behind a proxy names it in the environment.
        trust_env=True,
    )
    closers.push_async_callback(session.close)
    keys = IssuerKeys(
        session,
        settings.oidc_issuer,
        settings.oidc_algorithms,
        keep_seconds=settings.oidc_keys_seconds,
        pause_seconds=settings.oidc_refetch_seconds,
    )
    closers.push_async_callback(keys.close)
    watching = asyncio.create_task(keys.watch())
    closers.callback(watching.cancel)
    return People(
        keys,
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        authorized_parties=settings.oidc_authorized_parties,
        algorithms=settings.oidc_algorithms,
        groups_claim=settings.oidc_groups_claim,
        grants=settings.oidc_roles,
    )
