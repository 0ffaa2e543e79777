"""Takes identity out of a mesh that is measured beside a real one; only the bench puts it on the path.

No signature is made or checked, on tokens or webhooks, and what is known of a tenant is believed for ever.
What a request carries stays what it is. Nothing of the product has a switch for this.
"""

from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import async_lru
import jwt

import gateway.cache
from services.runtime import tokens
from services.runtime.caller import Caller
from ticketing.model import WebhookRequest, WebhookSecret
from ticketing.servicedesk_plus import ServiceDeskPlus

_FOR_EVER = 1e9


def _mint(_signer: tokens.TokenSigner, **claims: Any) -> str:
    return jwt.encode(claims, "", algorithm="none")


def _verify(verifier: tokens.TokenVerifier, token: str) -> Caller:
    known = verifier._verified  # noqa: SLF001 - in place of its own
    if token not in known:
        claims = jwt.decode(token, options={"verify_signature": False})
        caller = Caller(
            subject=claims["sub"] if "sub" in claims else claims["subject"],
            tenant=claims["tenant"],
            role=claims["role"],
            on_behalf_of=claims.get("on_behalf_of", ""),
        )
        known[token] = (_FOR_EVER, caller)
    return known[token][1]


def _accept(_tool: ServiceDeskPlus, _request: WebhookRequest, secrets: Sequence[WebhookSecret]) -> str | None:
    return secrets[0].id if secrets else None


def _believing(init: Callable[..., None]) -> Callable[..., None]:
    def for_ever(cache: Any, *told: Any, **named: Any) -> None:
        init(cache, *told, **named | {"seconds": _FOR_EVER})

    return for_ever


def _keeping(decorate: Callable[..., Any]) -> Callable[..., Any]:
    return lambda maxsize=128, *, typed=False, **_ttl: decorate(maxsize=maxsize, typed=typed)


for owner, name, stand_in in (
    (tokens.TokenSigner, "mint", _mint),
    (tokens.TokenVerifier, "verify", _verify),
    (ServiceDeskPlus, "verify", _accept),
    (gateway.cache.BriefCache, "__init__", _believing(gateway.cache.BriefCache.__init__)),
    (async_lru, "alru_cache", _keeping(async_lru.alru_cache)),
):
    patch.object(owner, name, stand_in).start()
