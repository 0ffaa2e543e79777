"""Serves a service's rows of a tenant to the one service that coordinates them."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from dossier.tenantdata.v1 import tenant_data_service_pb2 as pb
from dossier.tenantdata.v1 import tenant_data_service_pb2_grpc as pb_grpc
from services.runtime.caller import current_caller, current_tenant
from services.runtime.errors import PermissionDenied
from tenantdata.rows import Chunk, LeftOut, TenantRows

COORDINATOR: Final = "tenants"


class RoleRequired(PermissionDenied):
    reason = "ROLE_REQUIRED"


class TenantDataServicer(pb_grpc.TenantDataServiceServicer):
    def __init__(self, rows: TenantRows) -> None:
        self._rows = rows

    async def CountRows(
        self,
        request: pb.CountRowsRequest,
        context: grpc.aio.ServicerContext[pb.CountRowsRequest, pb.CountRowsResponse],
    ) -> pb.CountRowsResponse:
        return pb.CountRowsResponse(tables=_written(await self._rows.count(_coordinated_tenant())))

    async def EraseRows(
        self,
        request: pb.EraseRowsRequest,
        context: grpc.aio.ServicerContext[pb.EraseRowsRequest, pb.EraseRowsResponse],
    ) -> pb.EraseRowsResponse:
        erased = await self._rows.erase(_coordinated_tenant())
        return pb.EraseRowsResponse(erased=_written(erased.removed), left=_written(erased.left))

    async def ExportRows(
        self,
        request: pb.ExportRowsRequest,
        context: grpc.aio.ServicerContext[pb.ExportRowsRequest, pb.ExportRowsResponse],
    ) -> AsyncIterator[pb.ExportRowsResponse]:
        async with aclosing(self._rows.export(_coordinated_tenant())) as parts:
            async for part in parts:
                yield _part(part)

    async def ExpireRows(
        self,
        request: pb.ExpireRowsRequest,
        context: grpc.aio.ServicerContext[pb.ExpireRowsRequest, pb.ExpireRowsResponse],
    ) -> pb.ExpireRowsResponse:
        expired, more = await self._rows.expire(_coordinated_tenant(), request.days)
        return pb.ExpireRowsResponse(expired=expired, more=more)


def serving_rows(rows: TenantRows) -> tuple[ServiceDescriptor, Callable[[grpc.aio.Server], None]]:
    """What a service adds to its servicers."""
    servicer = TenantDataServicer(rows)
    return (
        pb.DESCRIPTOR.services_by_name["TenantDataService"],
        lambda server: pb_grpc.add_TenantDataServiceServicer_to_server(servicer, server),
    )


def _coordinated_tenant() -> str:
    caller = current_caller()
    if caller.role != "service" or caller.subject != COORDINATOR:
        raise RoleRequired(
            f"only {COORDINATOR} may call this",
            metadata={"role": caller.role, "subject": caller.subject, "required": COORDINATOR},
        )
    return current_tenant()


def _written(counts: Mapping[str, int]) -> list[pb.TableRows]:
    return [pb.TableRows(table=table, rows=rows) for table, rows in counts.items()]


def _part(part: Chunk | LeftOut) -> pb.ExportRowsResponse:
    match part:
        case Chunk(table, first_row, rows, lines):
            chunk = pb.RowChunk(table=table, first_row=first_row, rows=rows, lines=lines)
            return pb.ExportRowsResponse(chunk=chunk)
        case LeftOut(what, reason):
            return pb.ExportRowsResponse(left_out=pb.LeftOut(what=what, reason=reason))
