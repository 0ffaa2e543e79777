"""The inventory's nouns, and the forms in which its names and addresses are compared."""

import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, NewType, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
MacAddress = NewType("MacAddress", str)
"""`aa:bb:cc:dd:ee:ff`."""
AssetKey = NewType("AssetKey", str)
"""An asset's name in the form in which names are compared."""

_SEPARATORS: Final = re.compile(r"[:.-]")


@dataclass(frozen=True, slots=True)
class Asset:
    name: str
    type: str = ""
    addresses: tuple[Address, ...] = ()
    mac_addresses: tuple[MacAddress, ...] = ()
    site: str = ""
    role: str = ""
    model: str = ""
    serial: str = ""
    operating_system: str = ""
    owner: str = ""
    criticality: str = ""
    notes: str = ""

    @property
    def key(self) -> AssetKey:
        return asset_key(self.name)


@dataclass(frozen=True, slots=True)
class Prefix:
    network: Network
    site: str = ""
    vlan_id: int = 0
    vlan_name: str = ""
    role: str = ""
    gateway: Address | None = None
    description: str = ""

    @property
    def key(self) -> Network:
        return self.network


def asset_key(name: str) -> AssetKey:
    # PostgreSQL's text has no NUL: a name with one is nobody's, and is asked for as such.
    return AssetKey(name.lower().replace("\0", "\ufffd"))


def short_key(key: AssetKey) -> AssetKey:
    """The first label of a qualified name: `rtm-srv-01` of `rtm-srv-01.acme.example`."""
    return AssetKey(key.partition(".")[0])


def mac_address(text: str) -> MacAddress:
    """From any notation; what is given has twelve hexadecimal digits, or one or two in each of six groups."""
    groups = _SEPARATORS.split(text)
    digits = "".join(group.zfill(2) for group in groups) if len(groups) == 6 else "".join(groups)
    return MacAddress(":".join(digits[at : at + 2] for at in range(0, 12, 2)).lower())


def address(text: str) -> Address:
    """An IPv4 address written as IPv6 is the same address. Not an address: ValueError."""
    found = ip_address(text)
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def is_private(network: Network) -> bool:
    """Private or reserved: nobody is reached under it from elsewhere on the internet."""
    return not network.is_global or network.is_multicast


def as_network(host: Address) -> Network:
    return ip_network(host)
