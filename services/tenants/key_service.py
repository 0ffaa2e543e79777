"""The RPCs about API keys of clients."""

import grpc

from audit.event import current_actor
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.runtime.caller import current_caller
from services.tenants import wire
from services.tenants.access import named, require_grant
from services.tenants.authenticate import holder_of
from services.tenants.deeds import DeedServicer
from services.tenants.model import Secret
from services.tenants.pages import page_of_keys


class KeyServicer(DeedServicer):
    async def AuthenticateApiKey(
        self,
        request: pb.AuthenticateApiKeyRequest,
        context: grpc.aio.ServicerContext[pb.AuthenticateApiKeyRequest, pb.AuthenticateApiKeyResponse],
    ) -> pb.AuthenticateApiKeyResponse:
        require_grant("AuthenticateApiKey", current_caller())
        holder = await holder_of(Secret(request.api_key.encode()), directory=self._deeds.directory)
        found = await self._deeds.directory.tenant(holder.tenant) if holder.tenant is not None else None
        return wire.write_holder(holder, found.limits if found is not None else None)

    async def CreateApiKey(
        self,
        request: pb.CreateApiKeyRequest,
        context: grpc.aio.ServicerContext[pb.CreateApiKeyRequest, pb.CreateApiKeyResponse],
    ) -> pb.CreateApiKeyResponse:
        secret, kept = await self._deeds.issuer.create(
            named("CreateApiKey", current_caller(), request.tenant_id),
            wire.read_role(request.role),
            actor=current_actor(),
            display_name=wire.read_display_name(request),
            expire_time=wire.read_expiry(request),
            request_id=request.request_id,
        )
        return pb.CreateApiKeyResponse(api_key=wire.write_shown(secret), key=wire.write_key(kept))

    async def ListApiKeys(
        self,
        request: pb.ListApiKeysRequest,
        context: grpc.aio.ServicerContext[pb.ListApiKeysRequest, pb.ListApiKeysResponse],
    ) -> pb.ListApiKeysResponse:
        tenant = await self._known("ListApiKeys", request.tenant_id)
        keys, following = await page_of_keys(self._deeds.directory, "ListApiKeys", tenant, request)
        return pb.ListApiKeysResponse(keys=map(wire.write_key, keys), next_page_token=following)

    async def RevokeApiKey(
        self,
        request: pb.RevokeApiKeyRequest,
        context: grpc.aio.ServicerContext[pb.RevokeApiKeyRequest, pb.RevokeApiKeyResponse],
    ) -> pb.RevokeApiKeyResponse:
        key = await self._deeds.issuer.revoke(
            named("RevokeApiKey", current_caller(), request.tenant_id), request.key_id, actor=current_actor()
        )
        return pb.RevokeApiKeyResponse(key=wire.write_key(key))
