"""What a group of the identity provider gives: roles for clients, each for one of them or for all."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.roles import OF_CLIENTS, OF_STAFF, highest

_TENANT: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Grant:
    """Without a tenant it is for all clients."""

    tenant: str | None
    role: str


def parse_grants(text: object) -> object:
    """Read `operator`, `acme:admin`, or several with commas between: `acme:admin, globex:viewer`."""
    if not isinstance(text, str):
        return text
    grants = tuple(_grant(each.strip()) for each in text.split(","))
    twice = [grant.tenant for grant in grants if [each.tenant for each in grants].count(grant.tenant) > 1]
    if twice:
        raise ValueError(f"gives two roles for {twice[0] or 'all clients'}; one is enough")
    return grants


def _grant(text: str) -> Grant:
    tenant, colon, role = text.rpartition(":")
    if not colon:
        if role not in OF_STAFF:
            raise ValueError(f"for all clients, a role is one of: {', '.join(sorted(OF_STAFF))}")
        return Grant(None, role)
    if not _TENANT.fullmatch(tenant):
        raise ValueError("before the colon stands a client's id, as in acme:viewer")
    if role not in OF_CLIENTS:
        raise ValueError(f"for one client, a role is one of: {', '.join(sorted(OF_CLIENTS))}")
    return Grant(tenant, role)


def roles_of(groups: Iterable[str], grants: Mapping[str, Sequence[Grant]]) -> Mapping[str | None, str]:
    """By client, the highest role that one of the groups gives."""
    roles: dict[str | None, str] = {}
    for group in groups:
        for grant in grants.get(group, ()):
            roles[grant.tenant] = highest([grant.role, *filter(None, [roles.get(grant.tenant)])])
    return roles


def groups_in(claims: Mapping[str, Any], claim: str) -> list[str]:
    """Read a claim by its name, or by its path with dots between; one group may stand without a list."""
    found: object = claims.get(claim)
    if found is None:
        found = claims
        for step in claim.split("."):
            found = found.get(step) if isinstance(found, dict) else None
    listed = found if isinstance(found, list) else [found]
    return [group for group in listed if isinstance(group, str)]
