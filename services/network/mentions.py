"""Finds addresses, MACs and what may be host names in a text that a person wrote.

Every pattern is a run of characters or of bounded length, so that the time is linear in any text. A form
that is as often something else (twelve digits in a row, any word) is a *candidate*: it counts only when the
inventory knows it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, ip_interface, ip_network
from typing import Final, NamedTuple

from services.network.model import (
    Address,
    AssetKey,
    MacAddress,
    Network,
    address,
    asset_key,
    mac_address,
    short_key,
)


@dataclass(frozen=True, slots=True)
class AddressMention:
    start: int
    text: str
    address: Address


@dataclass(frozen=True, slots=True)
class PrefixMention:
    start: int
    text: str
    network: Network


@dataclass(frozen=True, slots=True)
class MacMention:
    start: int
    text: str
    mac_address: MacAddress
    candidate: bool = False


class HostCandidate(NamedTuple):
    """`short` differs from `key` when the name is qualified with a domain.

    A tuple, unlike the others: there is one for every word of a text.
    """

    start: int
    text: str
    key: AssetKey
    short: AssetKey


Mention = AddressMention | PrefixMention | MacMention | HostCandidate

# As threat reports and careful colleagues write a dot: 10[.]20[.]30[.]5.
_DOT: Final = r"(?:\.|\[\.\]|\(\.\)|\[dot\])"
_IPV4: Final = re.compile(
    # Not the tail of a word, a longer version number or v1.2.3.4.
    rf"(?<![\w.])(?<!\.[\])])(?<!dot\])\d{{1,3}}(?:{_DOT}\d{{1,3}}){{3}}(?:/\d{{1,2}}(?![\w/]|\.\d))?+(?!\w|{_DOT}\d|\.in-addr)",
    re.ASCII | re.IGNORECASE,
)
_DEFANGED_DOT: Final = re.compile(_DOT, re.IGNORECASE)
# "version 10.2.3.4", "firmware: 7.4.1.2".
_VERSION_BEFORE: Final = re.compile(
    r"\b(?:v|ver|version|versie|rev|revision|release|build|firmware)[\s.:=]{1,3}$", re.IGNORECASE
)
_LOOK_BACK: Final = 16
_URL_BEFORE: Final = "//"
# It begins where the run of its characters begins, and never goes back: hence linear.
_IPV6: Final = re.compile(
    r"(?<![0-9A-Fa-f:.])[0-9A-Fa-f.]*+:[0-9A-Fa-f:.]*+(?:%\w{1,16})?+(?:/\d{1,3}(?![\w/]))?+"
)
_IPV6_LONGEST: Final = 64
_EUI64: Final = re.compile(r"(?:[0-9A-Fa-f]{2}:){7}[0-9A-Fa-f]{2}")
_MAC: Final = re.compile(
    # Not within a longer row of groups; a label may stand before it, as in "MAC:".
    r"(?<![\w.-])(?<!\b[0-9A-F]{2}:)(?<!\b[0-9A-F]:)(?:"
    r"[0-9A-F]{1,2}(?::[0-9A-F]{1,2}){5}"
    r"|[0-9A-F]{2}(?:-[0-9A-F]{2}){5}"
    r"|[0-9A-F]{4}(?:[.-][0-9A-F]{4}){2}"
    r"|(?P<candidate>[0-9A-F]{6}-?[0-9A-F]{6})"
    r")(?![\w-]|[:.][0-9A-F])",
    re.ASCII | re.IGNORECASE,
)
_HOST: Final = re.compile(rf"\w[\w-]*+(?:{_DOT}[\w-]++)*+", re.IGNORECASE)
_LETTER: Final = re.compile(r"[^\W\d_]")
# The most that a name of the inventory may have.
_HOST_LONGEST: Final = 256


def find_mentions(text: str) -> Sequence[Mention]:
    """Each distinct mention once, where it first stands, in the order of the text."""
    addresses = _without_overlaps([*_ipv6(text), *_ipv4(text), *_macs(text)])
    mentions: list[Mention] = [*addresses, *_hosts(text, _Spans(addresses))]
    mentions.sort(key=lambda each: each.start)
    distinct: dict[object, Mention] = {}
    for mention in mentions:
        distinct.setdefault(_identity(mention), mention)
    return list(distinct.values())


def _ipv4(text: str) -> Iterator[Mention]:
    for match in _IPV4.finditer(text):
        start, written = match.start(), match.group()
        plain = _DEFANGED_DOT.sub(".", written)
        dotted, _, length = plain.partition("/")
        octets = [int(octet) for octet in dotted.split(".")]
        if max(octets) > 255 or _is_netmask(octets) or _is_version(text, start):
            continue
        # Some devices pad with zeros; decimal is what the people who read them mean.
        found = ".".join(map(str, octets))
        if length and int(length) <= 32 and not text.startswith(_URL_BEFORE, start - 2):
            yield _with_length(start, written, f"{found}/{length}")
        else:
            yield AddressMention(start, written.partition("/")[0], IPv4Address(found))


def _ipv6(text: str) -> Iterator[Mention]:
    for match in _IPV6.finditer(text):
        run, start = match.group(), match.start()
        if start and _is_word(text[start - 1]):
            # A label before it, as in "IPv6:2001:db8::1". What is left of "std::d1" is no address.
            label = run.index(":") + 1
            run, start = run[label:], start + label
        if len(run) > _IPV6_LONGEST or run.count(":") < 2 or _is_word(text[match.end() : match.end() + 1]):
            continue
        run = run.rstrip(".")
        run = run if run.endswith("::") else run.rstrip(":")
        # Without a digit it is as likely a qualified name in some programming language.
        if any(character.isdigit() for character in run) and not _EUI64.fullmatch(run):
            yield from _parsed_ipv6(start, run)


def _parsed_ipv6(start: int, run: str) -> Iterator[Mention]:
    written, _, length = run.partition("/")
    try:
        found = address(written.partition("%")[0])
    except ValueError:
        return
    if length and int(length) <= found.max_prefixlen:
        yield _with_length(start, run, f"{found}/{length}")
    else:
        yield AddressMention(start, written, found)


def _macs(text: str) -> Iterator[Mention]:
    found = [
        MacMention(match.start(), match.group(), mac_address(match.group()), bool(match.group("candidate")))
        for match in _MAC.finditer(text)
    ]
    certain = {each.mac_address for each in found if not each.candidate}
    return (replace(each, candidate=each.mac_address not in certain) for each in found)


def _hosts(text: str, taken: "_Spans") -> Iterator[HostCandidate]:
    """What may be a host's name, beside what is taken; each spelling once."""
    seen: set[str] = set()
    for match in _HOST.finditer(text):
        run = match.group()
        written = run.strip("_-")
        if written in seen or not 2 <= len(written) <= _HOST_LONGEST:
            continue
        start = match.start() + run.index(written)
        keys = _host_keys(written)
        if keys and not taken.overlap(start, len(written)):
            seen.add(written)
            yield HostCandidate(start, written, *keys)


@lru_cache(maxsize=8_192)
def _host_keys(written: str) -> tuple[AssetKey, AssetKey] | None:
    """The whole name and its first label; None where there is no letter. Most words come again and again."""
    if not _LETTER.search(written):
        return None
    key = asset_key(_DEFANGED_DOT.sub(".", written))
    return key, short_key(key)


def _with_length(start: int, written: str, notation: str) -> Mention:
    """A range; or, where host bits are set, an address and the length of the network it is in."""
    interface = ip_interface(notation)
    if interface.ip == interface.network.network_address:
        return PrefixMention(start, written, ip_network(notation))
    return AddressMention(start, written, address(str(interface.ip)))


def _is_netmask(octets: Sequence[int]) -> bool:
    inverted = ~int.from_bytes(bytes(octets)) & 0xFFFFFFFF
    return octets[0] == 255 and inverted & (inverted + 1) == 0


def _is_version(text: str, start: int) -> bool:
    return _VERSION_BEFORE.search(text[max(0, start - _LOOK_BACK) : start]) is not None


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _without_overlaps(mentions: Iterable[Mention]) -> list[Mention]:
    """Of those that overlap, the first; of those that start together, the longest."""
    kept: list[Mention] = []
    end = 0
    for mention in sorted(mentions, key=lambda each: (each.start, -len(each.text))):
        if mention.start >= end:
            kept.append(mention)
            end = mention.start + len(mention.text)
    return kept


class _Spans:
    """Where the mentions stand; they are in order and do not overlap one another."""

    def __init__(self, mentions: Sequence[Mention]) -> None:
        self._starts = [each.start for each in mentions]
        self._ends = [each.start + len(each.text) for each in mentions]

    def overlap(self, start: int, length: int) -> bool:
        before = bisect_right(self._starts, start + length - 1)
        return before > 0 and self._ends[before - 1] > start


def _identity(mention: Mention) -> object:
    match mention:
        case HostCandidate():
            return mention.key
        case AddressMention():
            return mention.address
        case PrefixMention():
            return mention.network
        case MacMention():
            # No host's name has its colons.
            return mention.mac_address
