"""The RPCs by which a client, or all that is kept of it, leaves."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc

from audit.event import current_actor
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.runtime.caller import current_caller
from services.runtime.paging import PageTokens
from services.tenants import wire, wire_deletion
from services.tenants.access import may_know, named, require_grant
from services.tenants.deeds import DeedServicer
from services.tenants.errors import DeletionNotFound
from services.tenants.export import archived
from services.tenants.pages import DEFAULT_SIZE


class DepartureServicer(DeedServicer):
    async def DeleteTenant(
        self,
        request: pb.DeleteTenantRequest,
        context: grpc.aio.ServicerContext[pb.DeleteTenantRequest, pb.DeleteTenantResponse],
    ) -> pb.DeleteTenantResponse:
        tenant = named("DeleteTenant", current_caller(), request.tenant_id)
        ask = self._deeds.deleter.preview if request.validate_only else self._deeds.deleter.begin
        return pb.DeleteTenantResponse(
            deletion=wire_deletion.write_deletion(await ask(tenant, current_actor()))
        )

    async def GetTenantDeletion(
        self,
        request: pb.GetTenantDeletionRequest,
        context: grpc.aio.ServicerContext[pb.GetTenantDeletionRequest, pb.GetTenantDeletionResponse],
    ) -> pb.GetTenantDeletionResponse:
        require_grant("GetTenantDeletion", current_caller())
        found = await self._deeds.deletions.find(request.deletion_id)
        if found is None or not may_know(current_caller(), found.tenant):
            raise DeletionNotFound(request.deletion_id)
        return pb.GetTenantDeletionResponse(deletion=wire_deletion.write_deletion(found))

    async def ListTenantDeletions(
        self,
        request: pb.ListTenantDeletionsRequest,
        context: grpc.aio.ServicerContext[pb.ListTenantDeletionsRequest, pb.ListTenantDeletionsResponse],
    ) -> pb.ListTenantDeletionsResponse:
        require_grant("ListTenantDeletions", current_caller())
        of = current_caller().tenant
        tokens = PageTokens("ListTenantDeletions", tenant=of or "")
        before = wire.place_of_page(tokens.decode(request.page_token))
        size = request.page_size or DEFAULT_SIZE
        found = await self._deeds.deletions.page(of=of, before=before, count=size + 1)
        page = found[:size]
        return pb.ListTenantDeletionsResponse(
            deletions=map(wire_deletion.write_deletion, page),
            next_page_token=tokens.encode(*wire_deletion.page_after_deletion(page[-1]))
            if len(found) > size
            else "",
        )

    async def ExportTenant(
        self,
        request: pb.ExportTenantRequest,
        context: grpc.aio.ServicerContext[pb.ExportTenantRequest, pb.ExportTenantResponse],
    ) -> AsyncIterator[pb.ExportTenantResponse]:
        tenant = named("ExportTenant", current_caller(), request.tenant_id)
        await self._deeds.changer.record_export(tenant, actor=current_actor())
        async with aclosing(archived(tenant, self._deeds.sources)) as parts:
            async for part in parts:
                yield pb.ExportTenantResponse(archive=part.archive, file=part.file, rows=part.rows)
