"""The other services' rows of a client, as calls that end well or as `DependencyUnavailable`."""

from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, TypeVar

import grpc

from dossier.tenantdata.v1 import tenant_data_service_pb2 as pb
from dossier.tenantdata.v1.tenant_data_service_pb2_grpc import TenantDataServiceStub
from services.runtime.caller import acting_for
from services.runtime.channels import open_channel
from services.runtime.errors import DependencyUnavailable
from services.runtime.tokens import TokenSigner
from services.tenants.settings import TenantsSettings
from tenantdata.rows import Chunk, Erased, LeftOut

if TYPE_CHECKING:
    from dossier.tenantdata.v1.tenant_data_service_pb2_grpc import TenantDataServiceAsyncStub

Answer = TypeVar("Answer")

SUBJECT: Final = "tenants"
_CONTRACT: Final = pb.DESCRIPTOR.services_by_name["TenantDataService"]
_SECONDS: Final = 30.0
_EXPORT_SECONDS: Final = 3600.0


class RemoteRows:
    def __init__(self, name: str, stub: "TenantDataServiceAsyncStub") -> None:
        self.name = name
        self._stub = stub

    async def count(self, tenant: str) -> Mapping[str, int]:
        with acting_for(tenant, subject=SUBJECT):
            call = self._stub.CountRows(pb.CountRowsRequest(), timeout=_SECONDS)
            return _counts((await self._answer(call)).tables)

    async def erase(self, tenant: str) -> Erased:
        with acting_for(tenant, subject=SUBJECT):
            answer = await self._answer(self._stub.EraseRows(pb.EraseRowsRequest(), timeout=_SECONDS))
        return Erased(_counts(answer.erased), _counts(answer.left))

    async def expire(self, tenant: str, days: int) -> tuple[int, bool]:
        with acting_for(tenant, subject=SUBJECT):
            answer = await self._answer(
                self._stub.ExpireRows(pb.ExpireRowsRequest(days=days), timeout=_SECONDS)
            )
        return answer.expired, answer.more

    async def export(self, tenant: str) -> AsyncGenerator[Chunk | LeftOut, None]:
        with acting_for(tenant, subject=SUBJECT):
            call = self._stub.ExportRows(pb.ExportRowsRequest(), timeout=_EXPORT_SECONDS)
        try:
            async for part in call:
                match part.WhichOneof("content"):
                    case "left_out":
                        yield LeftOut(part.left_out.what, part.left_out.reason)
                    case _:
                        chunk = part.chunk
                        yield Chunk(chunk.table, chunk.first_row, chunk.rows, chunk.lines)
        except grpc.aio.AioRpcError as error:
            raise self._away(error) from error
        finally:
            call.cancel()

    async def _answer(self, call: Awaitable[Answer]) -> Answer:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self._away(error) from error

    def _away(self, error: grpc.aio.AioRpcError) -> DependencyUnavailable:
        match error.code():
            case grpc.StatusCode.UNAVAILABLE:
                return DependencyUnavailable(self.name, "cannot be reached, or waits for its database")
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return DependencyUnavailable(self.name, f"has not answered within {_SECONDS:g} s")
            case code:
                return DependencyUnavailable(self.name, f"answered with an error ({code.name})")


def open_peers(settings: TenantsSettings, closers: AsyncExitStack) -> Mapping[str, RemoteRows]:
    """Every other service that keeps rows. Nothing connects before the first call."""
    signer = TokenSigner(settings.token_signing_key_file)
    targets = {
        "orchestrator": settings.orchestrator_target,
        "history": settings.history_target,
        "knowledge": settings.knowledge_target,
        "network": settings.network_target,
        "synthesis": settings.synthesis_target,
    }
    peers = {}
    for name, target in targets.items():
        channel = open_channel(
            target,
            audience=name,
            services=[_CONTRACT],
            signer=signer,
            subject=SUBJECT,
            tls=settings.tls,
        )
        closers.push_async_callback(channel.close)
        peers[name] = RemoteRows(name, TenantDataServiceStub(channel))
    return peers


def _counts(tables: Sequence[pb.TableRows]) -> Mapping[str, int]:
    return {each.table: each.rows for each in tables}
