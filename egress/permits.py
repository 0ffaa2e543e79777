"""Which private networks may be reached, and for whom: the operator's word, and nobody else's."""

import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Final, Self

from egress.guard import PERMITTABLE, Guard, Network, deciding_block

_TENANT: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Permits:
    """The guard of each tenant. Tenants without a permit of their own share one."""

    def __init__(self, shared: Guard, of: Mapping[str, Guard], *, text: str) -> None:
        self.guards = (shared, *of.values())
        self._shared = shared
        self._of = of
        self._text = text

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `10.20.0.0/16, acme=192.168.7.0/24`: networks for everybody, and for one tenant only.

        Raises `ValueError` for what is not a private network.
        """
        everybody: set[Network] = set()
        own: dict[str, set[Network]] = {}
        for entry in filter(None, map(str.strip, text.split(","))):
            tenant, equals, network = entry.rpartition("=")
            if not equals:
                everybody.add(_network(network))
            elif _TENANT.fullmatch(tenant.strip()):
                own.setdefault(tenant.strip(), set()).add(_network(network))
            else:
                raise ValueError(f"{tenant!r} is not the id of a tenant; write acme=10.20.0.0/16")
        of = {tenant: Guard(everybody | networks) for tenant, networks in own.items()}
        return cls(Guard(everybody), of, text=text)

    def guard(self, tenant: str) -> Guard:
        return self._of.get(tenant, self._shared)

    def __str__(self) -> str:
        """Give what `parse` reads."""
        return self._text


def _network(text: str) -> Network:
    try:
        network = ip_network(text.strip())
    except ValueError as error:
        raise ValueError(f"{text.strip()!r} is not a network: {error}") from None
    block = deciding_block(network)
    if block is None or block.network not in PERMITTABLE:
        named = f", and is {block.name}" if block is not None else ""
        raise ValueError(
            f"{network} cannot be permitted: it has to lie within one of "
            f"{', '.join(map(str, PERMITTABLE))}{named}"
        )
    return network
