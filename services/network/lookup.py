"""Says what each mention in a text is in a client's network."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeVar, assert_never

from services.network.mentions import (
    AddressMention,
    HostCandidate,
    MacMention,
    Mention,
    PrefixMention,
    find_mentions,
)
from services.network.model import (
    Address,
    Asset,
    AssetKey,
    Network,
    Prefix,
    as_network,
    is_private,
)
from services.network.model import short_key as short_form
from services.network.store import Inventory, Reading
from services.network.telemetry import FINDINGS, LOOKUP_SPAN, MENTIONS_SPAN
from services.runtime.telemetry import span

# Up to here it takes less than handing the work to a thread.
_SHORT_CHARACTERS: Final = 4_096


class Verdict(Enum):
    ASSET = auto()
    PREFIX = auto()
    UNKNOWN_PRIVATE = auto()
    EXTERNAL = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Finding:
    mention: Mention
    normalized: str
    verdict: Verdict
    asset: Asset | None
    prefix: Prefix | None


@dataclass(frozen=True, slots=True)
class Findings:
    findings: tuple[Finding, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class _Sighting:
    """A mention that counts, with its asset if it has one and the network to place it by."""

    mention: Mention
    asset: Asset | None
    network: Network | None


async def look_up(text: str, *, limit: int, inventory: Inventory) -> Findings:
    with span(MENTIONS_SPAN):
        # A megabyte takes a while, and other calls wait for this event loop.
        short = len(text) <= _SHORT_CHARACTERS
        mentions = find_mentions(text) if short else await asyncio.to_thread(find_mentions, text)
    with span(LOOKUP_SPAN):
        mentions = _first_certain(mentions, limit + 1)
        if not mentions:
            return Findings((), truncated=False)
        async with inventory.reading() as kept:
            known = _KnownAssets(await _assets(mentions, kept))
            sightings = list(_sightings(mentions, known))
            counted = sightings[:limit]
            networks = {each.network for each in counted if each.network is not None}
            prefixes = await kept.prefixes(networks) if networks else {}
    findings = tuple(_finding(each, prefixes) for each in counted)
    for finding in findings:
        FINDINGS.labels(finding.verdict.name.lower()).inc()
    return Findings(findings, truncated=len(sightings) > limit)


def _first_certain(mentions: Sequence[Mention], count: int) -> Sequence[Mention]:
    """The mentions up to the `count`th that counts whatever the inventory knows: the rest is not answered."""
    certain = 0
    for index, mention in enumerate(mentions):
        match mention:
            case HostCandidate() | MacMention(candidate=True):
                continue
            case _:
                certain += 1
        if certain == count:
            return mentions[: index + 1]
    return mentions


async def _assets(mentions: Sequence[Mention], kept: Reading) -> Sequence[Asset]:
    hosts = [each for each in mentions if isinstance(each, HostCandidate)]
    return await kept.assets(
        addresses=[each.address for each in mentions if isinstance(each, AddressMention)],
        mac_addresses=[each.mac_address for each in mentions if isinstance(each, MacMention)],
        keys={key for each in hosts for key in (each.key, each.short)},
        short_keys=[each.key for each in hosts if each.key == each.short],
    )


class _KnownAssets:
    """Assets by what they are mentioned by. Where several share it, the first by name speaks for them."""

    def __init__(self, assets: Sequence[Asset]) -> None:
        self._by_address = _indexed(assets, lambda asset: asset.addresses)
        self._by_mac = _indexed(assets, lambda asset: asset.mac_addresses)
        self._by_key = _indexed(assets, lambda asset: (asset.key,))
        self._by_short_key = _indexed(assets, lambda asset: (short_form(asset.key),))

    def at(self, address: Address) -> Asset | None:
        return self._by_address.get(address)

    def with_mac(self, mention: MacMention) -> Asset | None:
        return self._by_mac.get(mention.mac_address)

    def named(self, host: HostCandidate) -> Asset | None:
        """By the name itself; else by the first label, of the mention or of the asset, not of both."""
        exact = self._by_key.get(host.key)
        if exact is not None:
            return exact
        return (self._by_short_key if host.key == host.short else self._by_key).get(host.short)


Key = TypeVar("Key")


def _indexed(assets: Sequence[Asset], keys_of: Callable[[Asset], Iterable[Key]]) -> Mapping[Key, Asset]:
    index: dict[Key, Asset] = {}
    for asset in assets:
        for key in keys_of(asset):
            index.setdefault(key, asset)
    return index


def _sightings(mentions: Iterable[Mention], known: _KnownAssets) -> Iterator[_Sighting]:
    named: set[AssetKey] = set()
    for mention in mentions:
        match mention:
            case AddressMention():
                yield _Sighting(mention, known.at(mention.address), as_network(mention.address))
            case PrefixMention():
                yield _Sighting(mention, None, mention.network)
            case MacMention():
                asset = known.with_mac(mention)
                if asset is not None or not mention.candidate:
                    yield _Sighting(mention, asset, _first_network(asset))
            case HostCandidate():
                asset = known.named(mention)
                # The short and the qualified name of one asset are one mention.
                if asset is not None and asset.key not in named:
                    named.add(asset.key)
                    yield _Sighting(mention, asset, _first_network(asset))
            case _:
                assert_never(mention)


def _first_network(asset: Asset | None) -> Network | None:
    return as_network(asset.addresses[0]) if asset is not None and asset.addresses else None


def _finding(sighting: _Sighting, prefixes: Mapping[Network, Prefix]) -> Finding:
    mention, asset, network = sighting.mention, sighting.asset, sighting.network
    prefix = prefixes.get(network) if network is not None else None
    return Finding(
        mention,
        _normalized(mention, asset),
        _verdict(asset, prefix, network),
        asset,
        prefix,
    )


def _verdict(asset: Asset | None, prefix: Prefix | None, network: Network | None) -> Verdict:
    if asset is not None:
        return Verdict.ASSET
    if prefix is not None:
        return Verdict.PREFIX
    if network is None:
        return Verdict.UNKNOWN
    return Verdict.UNKNOWN_PRIVATE if is_private(network) else Verdict.EXTERNAL


def _normalized(mention: Mention, asset: Asset | None) -> str:
    match mention:
        case AddressMention():
            return str(mention.address)
        case PrefixMention():
            return str(mention.network)
        case MacMention():
            return mention.mac_address
        case HostCandidate():
            return asset.name if asset is not None else mention.key
        case _:
            assert_never(mention)
