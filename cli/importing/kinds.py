"""What can be imported: the fields of each kind, and the call that takes its rows."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from cli.importing import fields
from cli.importing.fields import Field
from dossier.history.v1 import history_service_pb2 as history
from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from dossier.history.v1.past_ticket_pb2 import PastTicket
from dossier.knowledge.v1 import knowledge_service_pb2 as knowledge
from dossier.knowledge.v1.article_pb2 import Article
from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub
from dossier.network.v1 import network_service_pb2 as network
from dossier.network.v1.inventory_pb2 import Asset, Prefix
from dossier.network.v1.network_service_pb2_grpc import NetworkServiceStub

M = TypeVar("M", bound=Message)

_IMPORT_SECONDS: Final = 6 * 3600.0

Batches = AsyncIterator[Sequence[Message]]
Report = (
    history.ImportTicketsResponse
    | knowledge.ImportArticlesResponse
    | network.ImportAssetsResponse
    | network.ImportPrefixesResponse
)


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    message: Callable[..., Message]
    identity: str
    """The field that names a row."""
    required: tuple[str, ...]
    fields: tuple[Field, ...]
    batch_rows: int
    service: str
    descriptor: ServiceDescriptor
    send: Callable[[grpc.aio.Channel, Batches, str], Coroutine[Any, Any, Report]]
    has_source: bool = True
    shape: Callable[[dict[str, Any]], None] = lambda _: None
    """Mends what takes more than one field to know."""

    def field_named(self, name: str) -> Field | None:
        return next((each for each in self.fields if each.name == name), None)

    def name_of(self, attribute: str) -> str:
        """Tell the import format's name of one of the contract's fields."""
        return next((each.name for each in self.fields if each.attribute == attribute), attribute)


async def _tickets(channel: grpc.aio.Channel, batches: Batches, source: str) -> Report:
    async def requests() -> AsyncIterator[history.ImportTicketsRequest]:
        async for rows in batches:
            yield history.ImportTicketsRequest(source=source, tickets=_as(PastTicket, rows))

    return await HistoryServiceStub(channel).ImportTickets(requests(), timeout=_IMPORT_SECONDS)


async def _articles(channel: grpc.aio.Channel, batches: Batches, source: str) -> Report:
    async def requests() -> AsyncIterator[knowledge.ImportArticlesRequest]:
        async for rows in batches:
            yield knowledge.ImportArticlesRequest(source=source, articles=_as(Article, rows))

    return await KnowledgeServiceStub(channel).ImportArticles(requests(), timeout=_IMPORT_SECONDS)


async def _assets(channel: grpc.aio.Channel, batches: Batches, _: str) -> Report:
    async def requests() -> AsyncIterator[network.ImportAssetsRequest]:
        async for rows in batches:
            yield network.ImportAssetsRequest(assets=_as(Asset, rows))

    return await NetworkServiceStub(channel).ImportAssets(requests(), timeout=_IMPORT_SECONDS)


async def _prefixes(channel: grpc.aio.Channel, batches: Batches, _: str) -> Report:
    async def requests() -> AsyncIterator[network.ImportPrefixesRequest]:
        async for rows in batches:
            yield network.ImportPrefixesRequest(prefixes=_as(Prefix, rows))

    return await NetworkServiceStub(channel).ImportPrefixes(requests(), timeout=_IMPORT_SECONDS)


def _as(kind: type[M], rows: Sequence[Message]) -> list[M]:
    return [row for row in rows if isinstance(row, kind)]


def _join_mask(values: dict[str, Any]) -> None:
    mask = values.pop("mask", "")
    if mask and values.get("prefix") and "/" not in values["prefix"]:
        values["prefix"] = f"{values['prefix']}/{mask}"


TICKETS: Final = Kind(
    name="tickets",
    message=PastTicket,
    identity="id",
    required=("id", "title"),
    fields=(
        Field(
            "id",
            "id",
            fields.line,
            ("ticket id", "request id", "requestid", "ticket number", "number", "key", "case number"),
        ),
        Field("title", "title", fields.line, ("subject", "summary", "short description")),
        Field("description", "description", fields.text, ("details", "body")),
        Field(
            "resolution",
            "resolution",
            fields.text,
            ("solution", "close notes", "closing notes", "resolution notes"),
        ),
        Field("status", "status", fields.line, ("state", "request status", "ticket status")),
        Field("category", "category", fields.line, ("issue type",)),
        Field("tags", "tags", fields.texts, ("labels", "keywords"), many=True),
        Field(
            "assets", "assets", fields.texts, ("asset", "asset name", "ci", "configuration item"), many=True
        ),
        Field(
            "created",
            "create_time",
            fields.time,
            ("created time", "created date", "created at", "created on", "opened", "date created"),
        ),
        Field(
            "resolved",
            "resolve_time",
            fields.time,
            ("resolved time", "resolved date", "resolved at", "completed time", "closed time", "closed"),
        ),
        Field("url", "url", fields.line, ("link",)),
        Field("site", "site", fields.line, ("site name", "location", "location name", "office", "branch")),
        Field(
            "organisation",
            "organisation",
            fields.line,
            ("organization", "company", "company name", "account", "account name", "customer", "client"),
        ),
    ),
    batch_rows=500,
    service="history",
    descriptor=history.DESCRIPTOR.services_by_name["HistoryService"],
    send=_tickets,
)

ARTICLES: Final = Kind(
    name="articles",
    message=Article,
    identity="id",
    required=("id", "title"),
    fields=(
        Field("id", "id", fields.line, ("article id", "kb id", "number", "key")),
        Field("title", "title", fields.line, ("subject", "question", "name")),
        Field("body", "body", fields.text, ("content", "text", "answer", "description")),
        Field("url", "url", fields.line, ("link",)),
        Field("tags", "tags", fields.texts, ("keywords", "labels", "topics"), many=True),
        Field(
            "updated",
            "update_time",
            fields.time,
            ("last updated", "updated at", "modified", "last modified", "updated time"),
        ),
    ),
    batch_rows=100,
    service="knowledge",
    descriptor=knowledge.DESCRIPTOR.services_by_name["KnowledgeService"],
    send=_articles,
)

# The synonyms are the columns of NetBox, IT Glue, Lansweeper and phpIPAM.
ASSETS: Final = Kind(
    name="assets",
    message=Asset,
    identity="name",
    required=("name",),
    fields=(
        Field(
            "name",
            "name",
            fields.line,
            ("asset name", "assetname", "hostname", "host name", "device name", "device", "computer name"),
        ),
        Field("type", "type", fields.line, ("asset type", "configuration type", "configuration type name")),
        Field(
            "addresses",
            "addresses",
            fields.addresses,
            (
                *("ip address", "ip addresses", "ipaddress", "primary ip", "ip", "ipv4", "ipv6"),
                *(
                    "ipv4 address",
                    "ipv6 address",
                    "primary ipv4",
                    "primary ipv6",
                    "primary ip4",
                    "primary ip6",
                ),
            ),
            many=True,
        ),
        Field(
            "mac_addresses", "mac_addresses", fields.texts, ("mac address", "mac", "macaddress"), many=True
        ),
        Field("site", "site", fields.line, ("site name", "location", "location name", "office", "branch")),
        Field("role", "role", fields.line, ("device role", "function")),
        Field("model", "model", fields.line, ("model name", "device model", "product")),
        Field("serial", "serial", fields.line, ("serial number", "serialnumber", "serial no")),
        Field(
            "operating_system",
            "operating_system",
            fields.line,
            ("os", "platform", "os name", "operating system name", "firmware"),
        ),
        Field("owner", "owner", fields.line, ("contact", "contact name", "assigned to", "responsible")),
        Field("criticality", "criticality", fields.line, ("importance", "impact")),
        Field("notes", "notes", fields.text, ("description", "comments", "comment", "remarks")),
    ),
    batch_rows=500,
    service="network",
    descriptor=network.DESCRIPTOR.services_by_name["NetworkService"],
    send=_assets,
    has_source=False,
)

PREFIXES: Final = Kind(
    name="prefixes",
    message=Prefix,
    identity="prefix",
    required=("prefix",),
    fields=(
        Field("prefix", "prefix", fields.line, ("subnet", "network", "cidr", "network address")),
        Field("mask", "mask", fields.prefix_length, ("netmask", "subnet mask", "prefix length")),
        Field("site", "site", fields.line, ("site name", "location", "scope", "section")),
        Field("vlan_id", "vlan_id", fields.number, ("vlan number", "vid", "vlan")),
        Field("vlan_name", "vlan_name", fields.line),
        Field("role", "role", fields.line, ("purpose", "usage")),
        Field("gateway", "gateway", fields.line, ("default gateway", "gw")),
        Field("description", "description", fields.text, ("comments", "notes", "name")),
    ),
    batch_rows=500,
    service="network",
    descriptor=network.DESCRIPTOR.services_by_name["NetworkService"],
    send=_prefixes,
    has_source=False,
    shape=_join_mask,
)

KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in (TICKETS, ARTICLES, ASSETS, PREFIXES)}
