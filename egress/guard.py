"""Decides about addresses and URLs, by the table of special-purpose ranges that ssrfguard keeps."""

import re
from collections.abc import Collection, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias

from ssrfguard import DEFAULT_DENIED, AddressTable, Block, BlockedURLError, Policy, Reach, Target, Verdict

Network: TypeAlias = IPv4Network | IPv6Network

SETTING: Final = "DOSSIER_PERMITTED_NETWORKS"
PERMITTABLE: Final = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "fc00::/7",
            "127.0.0.0/8",
            "::1/128",
        ),
    )
)
"""What somebody's own servers may have for addresses. The rest of what is not public is nobody's server, or
the metadata service of a cloud, which hands out credentials."""

_NEVER: Final = tuple(
    Block(ip_network(network), name, "", Reach.DENIED)
    for network, name in (
        ("168.63.129.16/32", "Azure's platform, which hands out credentials"),
        ("fd20:ce::254/128", "Google Cloud's metadata service"),
        ("::ffff:0:0:0/96", "an IPv4 address in translated form"),
    )
)
"""What the table does not have, and no permit opens."""
_HOST_AND_PORT: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s\[\]/\\:@?#%]+):[0-9]{1,5}")
# On-premises tools listen where their administrator likes.
_ANY_PORT: Final = frozenset(range(1, 65536))


class Refused(Exception):
    """What a tenant configured may not be reached; nothing was sent there.

    The message continues a sentence that begins with the name of the setting; `next_step` is what its text
    ends with.
    """

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(what, next_step)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what}; {self.next_step}" if self.next_step else self.what


class Guard:
    """What may be reached: what is public, and these networks, each within one of `PERMITTABLE`.

    In an address that carries another one (NAT64, 6to4, IPv4-mapped …) the inner one counts. The longest
    prefix decides, so that a permit for a range opens no metadata service within it.
    """

    def __init__(self, permitted: Collection[Network] = ()) -> None:
        opened = (Block(each, "permitted by the operator", "", Reach.PERMITTED) for each in permitted)
        rest = (block for block in DEFAULT_DENIED.blocks if block.network not in permitted)
        self._table = AddressTable((*opened, *rest, *_NEVER))
        self._policy = Policy(denied_networks=self._table, allowed_ports=_ANY_PORT)

    def check_url(self, url: str) -> Target:
        """Decide all that needs no lookup: scheme, disguises, and an address in place of a name."""
        try:
            return self._policy.check_url(url)
        except BlockedURLError as blocked:
            address = getattr(blocked.__cause__, "address", None)
            if address is None:
                raise Refused(f"is refused: {blocked.reason}") from blocked
            raise _refused(self._table.classify(address)) from blocked

    def check_target(self, target: str) -> Target:
        """The same for `host:port`."""
        if not _HOST_AND_PORT.fullmatch(target):
            raise Refused("is refused: it must be host:port, without a scheme")
        return self.check_url(f"http://{target}")

    def check_addresses(self, addresses: Iterable[str]) -> None:
        """All have to be good: a name that leads to a private address beside a public one is a trick."""
        for address in addresses:
            verdict = self._table.classify(address)
            if verdict.blocked:
                raise _refused(verdict)


def deciding_block(network: Network) -> Block | None:
    """Find the most specific row of the table that the whole network lies in."""
    around = [
        block
        for block in DEFAULT_DENIED.blocks
        if network.version == block.network.version and _within(network, block.network)
    ]
    return max(around, key=lambda block: block.network.prefixlen, default=None)


def _within(inner: Network, outer: Network) -> bool:
    return inner.network_address in outer and inner.prefixlen >= outer.prefixlen


def _refused(verdict: Verdict) -> Refused:
    permittable = verdict.block is not None and verdict.block.network in PERMITTABLE
    next_step = f"the operator can permit it with {SETTING}" if permittable else "nothing can permit it"
    return Refused(f"leads to {verdict.address}, which is not public: {verdict.reason}", next_step)
