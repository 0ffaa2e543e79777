"""Builds the service, and translates between its contract and its deeds."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from ipaddress import ip_network
from typing import Final

import grpc

from audit.event import current_actor
from audit.imports import ImportEvent, Origin
from audit.relay import Relay
from dossier.network.v1 import network_service_pb2 as pb
from dossier.network.v1.network_service_pb2_grpc import (
    NetworkServiceServicer,
    add_NetworkServiceServicer_to_server,
)
from services.network import wire
from services.network.errors import AssetNotFound, PrefixNotFound
from services.network.ingest import import_rows
from services.network.lookup import look_up
from services.network.model import asset_key
from services.network.settings import NetworkSettings
from services.network.store import AUDIT, Inventory
from services.network.tenant_data import tenant_rows
from services.runtime.caller import current_tenant
from services.runtime.database import Database
from services.runtime.paging import PageTokens
from services.runtime.serve import Service
from tenantdata.servicer import serving_rows

_FINDINGS: Final = 50
_PAGE: Final = 50


async def build(settings: NetworkSettings, closers: AsyncExitStack) -> Service:
    database = Database.lazy(
        settings.database_url.get_secret_value(),
        role="dossier_network",
        pool_max=settings.database_pool_max,
        statement_cache=settings.database_statement_cache,
        planned_anew=True,
    )
    closers.push_async_callback(database.close)
    servicer = NetworkServicer(database)
    return Service(
        servicers=[
            (
                pb.DESCRIPTOR.services_by_name["NetworkService"],
                lambda server: add_NetworkServiceServicer_to_server(servicer, server),
            ),
            serving_rows(tenant_rows(database)),
        ],
        checks={"postgresql": database.check},
        background=[Relay.open("network", database, settings, closers).run],
    )


class NetworkServicer(NetworkServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def LookupMentions(
        self,
        request: pb.LookupMentionsRequest,
        context: grpc.aio.ServicerContext[pb.LookupMentionsRequest, pb.LookupMentionsResponse],
    ) -> pb.LookupMentionsResponse:
        found = await look_up(request.text, limit=request.limit or _FINDINGS, inventory=self._inventory())
        return pb.LookupMentionsResponse(
            findings=map(wire.write_finding, found.findings), truncated=found.truncated
        )

    async def GetAsset(
        self,
        request: pb.GetAssetRequest,
        context: grpc.aio.ServicerContext[pb.GetAssetRequest, pb.GetAssetResponse],
    ) -> pb.GetAssetResponse:
        asset = await self._inventory().asset(asset_key(request.name))
        if asset is None:
            raise AssetNotFound(request.name)
        return pb.GetAssetResponse(asset=wire.write_asset(asset))

    async def ListAssets(
        self,
        request: pb.ListAssetsRequest,
        context: grpc.aio.ServicerContext[pb.ListAssetsRequest, pb.ListAssetsResponse],
    ) -> pb.ListAssetsResponse:
        tokens = PageTokens("ListAssets", current_tenant())
        after = wire.asset_key_of_page(tokens.decode(request.page_token))
        size = request.page_size or _PAGE
        found = await self._inventory().assets_after(after, size + 1)
        page = found[:size]
        return pb.ListAssetsResponse(
            assets=map(wire.write_asset, page),
            next_page_token=tokens.encode(page[-1].key) if len(found) > size else "",
        )

    async def ImportAssets(
        self,
        request_iterator: AsyncIterator[pb.ImportAssetsRequest],
        context: grpc.aio.ServicerContext[pb.ImportAssetsRequest, pb.ImportAssetsResponse],
    ) -> pb.ImportAssetsResponse:
        batches = wire.asset_batches(request_iterator)
        event = ImportEvent(AUDIT, Origin(current_tenant(), current_actor(), "ImportAssets", "assets"))
        report = await import_rows("assets", batches, partial(self._inventory().save_assets, event))
        await event.end(self._database, report)
        return pb.ImportAssetsResponse(
            created_count=report.created,
            updated_count=report.updated,
            unchanged_count=report.unchanged,
            rejected_count=report.rejected,
            rejected=wire.write_rejections(report),
        )

    async def DeleteAsset(
        self,
        request: pb.DeleteAssetRequest,
        context: grpc.aio.ServicerContext[pb.DeleteAssetRequest, pb.DeleteAssetResponse],
    ) -> pb.DeleteAssetResponse:
        if not await self._inventory().delete_asset(asset_key(request.name), by=current_actor()):
            raise AssetNotFound(request.name)
        return pb.DeleteAssetResponse()

    async def ListPrefixes(
        self,
        request: pb.ListPrefixesRequest,
        context: grpc.aio.ServicerContext[pb.ListPrefixesRequest, pb.ListPrefixesResponse],
    ) -> pb.ListPrefixesResponse:
        tokens = PageTokens("ListPrefixes", current_tenant())
        after = wire.network_of_page(tokens.decode(request.page_token))
        size = request.page_size or _PAGE
        found = await self._inventory().prefixes_after(after, size + 1)
        page = found[:size]
        return pb.ListPrefixesResponse(
            prefixes=map(wire.write_prefix, page),
            next_page_token=tokens.encode(str(page[-1].network)) if len(found) > size else "",
        )

    async def ImportPrefixes(
        self,
        request_iterator: AsyncIterator[pb.ImportPrefixesRequest],
        context: grpc.aio.ServicerContext[pb.ImportPrefixesRequest, pb.ImportPrefixesResponse],
    ) -> pb.ImportPrefixesResponse:
        batches = wire.prefix_batches(request_iterator)
        event = ImportEvent(AUDIT, Origin(current_tenant(), current_actor(), "ImportPrefixes", "prefixes"))
        report = await import_rows("prefixes", batches, partial(self._inventory().save_prefixes, event))
        await event.end(self._database, report)
        return pb.ImportPrefixesResponse(
            created_count=report.created,
            updated_count=report.updated,
            unchanged_count=report.unchanged,
            rejected_count=report.rejected,
            rejected=wire.write_rejections(report),
        )

    async def DeletePrefix(
        self,
        request: pb.DeletePrefixRequest,
        context: grpc.aio.ServicerContext[pb.DeletePrefixRequest, pb.DeletePrefixResponse],
    ) -> pb.DeletePrefixResponse:
        network = ip_network(request.prefix)
        if not await self._inventory().delete_prefix(network, by=current_actor()):
            raise PrefixNotFound(network)
        return pb.DeletePrefixResponse()

    def _inventory(self) -> Inventory:
        return Inventory(self._database, current_tenant())
