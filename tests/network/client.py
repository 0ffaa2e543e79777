"""What a tenant's tests say to the network service, in one line each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dossier.network.v1 import network_service_pb2 as pb
from dossier.network.v1.inventory_pb2 import Asset, Prefix

if TYPE_CHECKING:
    from dossier.network.v1.network_service_pb2_grpc import NetworkServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Client:
    stub: "NetworkServiceAsyncStub"
    metadata: tuple[tuple[str, str], ...]

    async def look_up(self, text: str, *, limit: int = 0) -> pb.LookupMentionsResponse:
        request = pb.LookupMentionsRequest(text=text, limit=limit)
        return await self.stub.LookupMentions(request, metadata=self.metadata)

    async def import_assets(self, *messages: Sequence[Asset]) -> pb.ImportAssetsResponse:
        requests = (pb.ImportAssetsRequest(assets=message) for message in messages)
        return await self.stub.ImportAssets(requests, metadata=self.metadata)

    async def import_prefixes(self, *messages: Sequence[Prefix]) -> pb.ImportPrefixesResponse:
        requests = (pb.ImportPrefixesRequest(prefixes=message) for message in messages)
        return await self.stub.ImportPrefixes(requests, metadata=self.metadata)

    async def asset(self, name: str) -> Asset:
        request = pb.GetAssetRequest(name=name)
        return (await self.stub.GetAsset(request, metadata=self.metadata)).asset

    async def assets(self, *, page_size: int = 0, page_token: str = "") -> pb.ListAssetsResponse:
        request = pb.ListAssetsRequest(page_size=page_size, page_token=page_token)
        return await self.stub.ListAssets(request, metadata=self.metadata)

    async def prefixes(self, *, page_size: int = 0, page_token: str = "") -> pb.ListPrefixesResponse:
        request = pb.ListPrefixesRequest(page_size=page_size, page_token=page_token)
        return await self.stub.ListPrefixes(request, metadata=self.metadata)

    async def delete_asset(self, name: str) -> None:
        await self.stub.DeleteAsset(pb.DeleteAssetRequest(name=name), metadata=self.metadata)

    async def delete_prefix(self, prefix: str) -> None:
        await self.stub.DeletePrefix(pb.DeletePrefixRequest(prefix=prefix), metadata=self.metadata)
