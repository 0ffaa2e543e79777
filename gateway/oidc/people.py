"""Who a token of the identity provider is for, and what their groups may here."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt

from gateway.identity import Identity
from gateway.oidc.grants import Grant, groups_in, roles_of
from gateway.oidc.keys import IssuerKeys
from services.runtime.errors import (
    PermissionDenied,
    TokenExpired,
    TokenInvalid,
    TokenWrongAudience,
    Unauthenticated,
)

_CLOCK_SKEW_SECONDS: Final = 30
# Nobody can take one back.
_LONGEST_SECONDS: Final = 86_400
_REQUIRED: Final = ["exp", "iat", "iss", "aud", "sub"]
# As OpenID Connect has it. One that is longer or stranger is refused and not cut: it might become another's.
_SUBJECT: Final = re.compile(r"[\x21-\x7e]{1,255}")
_UNSAFE: Final = re.compile(r"[^\w.@+-]")
_NAME_MOST: Final = 64


class TokenWrongIssuer(Unauthenticated):
    """From somebody whose word does not count here."""

    reason = "TOKEN_WRONG_ISSUER"


class TokenWrongParty(Unauthenticated):
    """Made out to an application that is not one of ours."""

    reason = "TOKEN_WRONG_PARTY"


class GroupsUnmapped(PermissionDenied):
    """We know who it is, and nothing says what they may."""

    reason = "GROUPS_UNMAPPED"


class People:
    def __init__(
        self,
        keys: IssuerKeys,
        *,
        issuer: str,
        audience: str,
        authorized_parties: tuple[str, ...],
        algorithms: tuple[str, ...],
        groups_claim: str,
        grants: Mapping[str, Sequence[Grant]],
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._authorized_parties = authorized_parties or (audience,)
        self._algorithms = algorithms
        self._groups_claim = groups_claim
        self._grants = grants

    async def identify(self, token: str, *, claimed_issuer: str, known_only: bool) -> Identity:
        """`known_only` checks with the keys at hand and asks nobody for others."""
        if claimed_issuer != self._issuer:
            raise TokenWrongIssuer("the token is not from the identity provider of this service")
        claims = await self._verified(token, may_ask=not known_only)
        subject = claims["sub"]
        if not _SUBJECT.fullmatch(subject):
            raise TokenInvalid("the token's claims are not ours")
        roles = roles_of(groups_in(claims, self._groups_claim), self._grants)
        if not roles:
            raise GroupsUnmapped(
                "none of your groups has a role here; ask the operator to give one of them a role",
                metadata={"claim": self._groups_claim},
            )
        known_as = f"oidc:{subject}"
        name = _safe(claims.get("preferred_username"))
        return Identity(known_as, roles, on_behalf_of=f"{known_as} ({name})" if name else known_as)

    async def _verified(self, token: str, *, may_ask: bool) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise TokenInvalid("the token is not valid") from None
        key_id, algorithm = header.get("kid"), header.get("alg")
        if algorithm not in self._algorithms:
            raise TokenInvalid(f"tokens are signed with {' or '.join(self._algorithms)} here")
        if not isinstance(key_id, str):
            raise TokenInvalid("the token does not say which key it is signed with")
        key = await self._keys.find(key_id, algorithm, may_ask=may_ask)
        if key is None:
            raise TokenInvalid("the token is signed with a key that the identity provider does not name")
        claims = self._decoded(token, key, algorithm)
        if int(claims["exp"]) - int(claims["iat"]) > _LONGEST_SECONDS:
            raise TokenInvalid("the token is good for more than a day, which is too long here")
        self._check_party(claims)
        return claims

    def _decoded(self, token: str, key: jwt.PyJWK, algorithm: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_CLOCK_SKEW_SECONDS,
                options={"require": _REQUIRED},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired("the token has expired") from None
        except jwt.InvalidAudienceError:
            raise TokenWrongAudience(
                f"the token is not for {self._audience}", metadata={"audience": self._audience}
            ) from None
        except jwt.PyJWTError:
            raise TokenInvalid("the token is not valid") from None

    def _check_party(self, claims: Mapping[str, Any]) -> None:
        party, audience = claims.get("azp"), claims["aud"]
        if party is None and (isinstance(audience, str) or len(audience) == 1):
            return
        if party not in self._authorized_parties:
            raise TokenWrongParty("the token was made out to another application")


def _safe(name: object) -> str:
    """Make a name readable in logs, which whoever has it may have chosen."""
    return _UNSAFE.sub("_", name[:_NAME_MOST]) if isinstance(name, str) else ""
