"""Between the contract's messages and the model."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Sized
from dataclasses import replace
from ipaddress import ip_network
from typing import Final, assert_never

from google.protobuf.message import Message

from dossier.network.v1 import inventory_pb2, network_service_pb2
from services.network.lookup import Finding, Verdict
from services.network.mentions import AddressMention, HostCandidate, MacMention, Mention, PrefixMention
from services.network.model import Asset, AssetKey, Network, Prefix, address, asset_key, mac_address
from services.runtime.errors import InvalidArgument
from services.runtime.importing import Broken, ImportReport, broken_rule
from services.runtime.paging import Key

MAX_ROWS: Final = 500
_ASSET_TEXTS: Final = (
    *("name", "type", "site", "role", "model", "serial"),
    *("operating_system", "owner", "criticality", "notes"),
)
_PREFIX_TEXTS: Final = ("site", "vlan_name", "role", "description")
_PATTERNS_IN_WORDS: Final = {
    "name": "must have no white space and no slash",
    "mac_addresses": "must be MAC addresses",
}
_NUL: Final = "\0"
# As in fe80::1%eth0: it says which cable of one machine, which is nobody else's to know.
_ZONE: Final = "%"
_VERDICTS: Final[Mapping[Verdict, "network_service_pb2.MentionVerdict.ValueType"]] = {
    Verdict.ASSET: network_service_pb2.MENTION_VERDICT_ASSET,
    Verdict.PREFIX: network_service_pb2.MENTION_VERDICT_PREFIX,
    Verdict.UNKNOWN_PRIVATE: network_service_pb2.MENTION_VERDICT_UNKNOWN_PRIVATE,
    Verdict.EXTERNAL: network_service_pb2.MENTION_VERDICT_EXTERNAL,
    Verdict.UNKNOWN: network_service_pb2.MENTION_VERDICT_UNKNOWN,
}


async def asset_batches(
    requests: AsyncIterator[network_service_pb2.ImportAssetsRequest],
) -> AsyncIterator[Sequence[Asset | Broken]]:
    async for request in requests:
        _check_size(request.assets, "assets")
        yield [read_asset(row) for row in request.assets]


async def prefix_batches(
    requests: AsyncIterator[network_service_pb2.ImportPrefixesRequest],
) -> AsyncIterator[Sequence[Prefix | Broken]]:
    async for request in requests:
        _check_size(request.prefixes, "prefixes")
        yield [read_prefix(row) for row in request.prefixes]


def read_asset(row: inventory_pb2.Asset) -> Asset | Broken:
    broken = _broken(row, row.name) or _unkept(row, row.name, _ASSET_TEXTS)
    if broken is not None:
        return broken
    if any(_ZONE in each for each in row.addresses):
        return Broken(row.name, "addresses", "must have no zone")
    return Asset(
        name=row.name,
        type=row.type,
        addresses=tuple(address(each) for each in row.addresses),
        mac_addresses=tuple(mac_address(each) for each in row.mac_addresses),
        site=row.site,
        role=row.role,
        model=row.model,
        serial=row.serial,
        operating_system=row.operating_system,
        owner=row.owner,
        criticality=row.criticality,
        notes=row.notes,
    )


def read_prefix(row: inventory_pb2.Prefix) -> Prefix | Broken:
    broken = _broken(row, row.prefix) or _unkept(row, row.prefix, _PREFIX_TEXTS)
    if broken is not None:
        return broken
    if _ZONE in row.gateway:
        return Broken(row.prefix, "gateway", "must have no zone")
    return Prefix(
        network=ip_network(row.prefix),
        site=row.site,
        vlan_id=row.vlan_id,
        vlan_name=row.vlan_name,
        role=row.role,
        gateway=address(row.gateway) if row.gateway else None,
        description=row.description,
    )


def write_asset(asset: Asset) -> inventory_pb2.Asset:
    return inventory_pb2.Asset(
        name=asset.name,
        type=asset.type,
        addresses=map(str, asset.addresses),
        mac_addresses=asset.mac_addresses,
        site=asset.site,
        role=asset.role,
        model=asset.model,
        serial=asset.serial,
        operating_system=asset.operating_system,
        owner=asset.owner,
        criticality=asset.criticality,
        notes=asset.notes,
    )


def write_prefix(prefix: Prefix) -> inventory_pb2.Prefix:
    return inventory_pb2.Prefix(
        prefix=str(prefix.network),
        site=prefix.site,
        vlan_id=prefix.vlan_id,
        vlan_name=prefix.vlan_name,
        role=prefix.role,
        gateway=str(prefix.gateway) if prefix.gateway else "",
        description=prefix.description,
    )


def write_finding(finding: Finding) -> network_service_pb2.MentionFinding:
    return network_service_pb2.MentionFinding(
        mention=finding.mention.text,
        normalized=finding.normalized,
        kind=_kind(finding.mention),
        verdict=_VERDICTS[finding.verdict],
        asset=write_asset(finding.asset) if finding.asset else None,
        prefix=write_prefix(finding.prefix) if finding.prefix else None,
    )


def write_rejections(report: ImportReport) -> Iterable[network_service_pb2.RejectedInventoryRow]:
    return (
        network_service_pb2.RejectedInventoryRow(
            row=each.row, id=each.broken.id, field=each.broken.field, reason=each.broken.reason
        )
        for each in report.first_rejected
    )


def asset_key_of_page(key: tuple[Key, ...]) -> AssetKey | None:
    match key:
        case ():
            return None
        case (str(last),):
            return asset_key(last)
        case _:
            raise InvalidArgument("is not a page token", field="page_token")


def network_of_page(key: tuple[Key, ...]) -> Network | None:
    match key:
        case ():
            return None
        case (str(last),):
            return _network_of_page(last)
        case _:
            raise InvalidArgument("is not a page token", field="page_token")


def _network_of_page(last: str) -> Network:
    try:
        return ip_network(last)
    except ValueError:
        raise InvalidArgument("is not a page token", field="page_token") from None


def _check_size(rows: Sized, field: str) -> None:
    if len(rows) > MAX_ROWS:
        raise InvalidArgument(f"has {len(rows)} rows; a message has at most {MAX_ROWS}", field=field)


def _broken(row: Message, row_id: str) -> Broken | None:
    broken = broken_rule(row, row_id)
    if broken is None or "regex pattern" not in broken.reason:
        return broken
    return replace(broken, reason=_PATTERNS_IN_WORDS.get(broken.field, broken.reason))


def _unkept(row: Message, row_id: str, fields: Iterable[str]) -> Broken | None:
    """What the contract allows and PostgreSQL's text cannot hold."""
    field = next((field for field in fields if _NUL in getattr(row, field)), None)
    return Broken(row_id.replace(_NUL, ""), field, "must have no NUL character") if field else None


def _kind(mention: Mention) -> "network_service_pb2.MentionKind.ValueType":
    match mention:
        case AddressMention():
            return network_service_pb2.MENTION_KIND_IP_ADDRESS
        case PrefixMention():
            return network_service_pb2.MENTION_KIND_IP_PREFIX
        case MacMention():
            return network_service_pb2.MENTION_KIND_MAC_ADDRESS
        case HostCandidate():
            return network_service_pb2.MENTION_KIND_HOST_NAME
        case _:
            assert_never(mention)
