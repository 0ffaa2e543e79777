"""The RPCs about what is the operator's own: API keys for all clients, and the log of their changes."""

import grpc

from audit.event import current_actor
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.runtime.caller import current_caller
from services.tenants import wire, wire_audit
from services.tenants.access import require_grant, require_unconfined
from services.tenants.audit import verified
from services.tenants.deeds import DeedServicer
from services.tenants.model import OPERATOR
from services.tenants.pages import page_of_events, page_of_keys


class OperatorServicer(DeedServicer):
    async def CreateOperatorKey(
        self,
        request: pb.CreateOperatorKeyRequest,
        context: grpc.aio.ServicerContext[pb.CreateOperatorKeyRequest, pb.CreateOperatorKeyResponse],
    ) -> pb.CreateOperatorKeyResponse:
        _require("CreateOperatorKey")
        secret, kept = await self._deeds.issuer.create(
            None,
            wire.read_role(request.role),
            actor=current_actor(),
            display_name=wire.read_display_name(request),
            expire_time=wire.read_expiry(request),
            request_id=request.request_id,
        )
        return pb.CreateOperatorKeyResponse(api_key=wire.write_shown(secret), key=wire.write_key(kept))

    async def ListOperatorKeys(
        self,
        request: pb.ListOperatorKeysRequest,
        context: grpc.aio.ServicerContext[pb.ListOperatorKeysRequest, pb.ListOperatorKeysResponse],
    ) -> pb.ListOperatorKeysResponse:
        _require("ListOperatorKeys")
        keys, following = await page_of_keys(self._deeds.directory, "ListOperatorKeys", OPERATOR, request)
        return pb.ListOperatorKeysResponse(keys=map(wire.write_key, keys), next_page_token=following)

    async def RevokeOperatorKey(
        self,
        request: pb.RevokeOperatorKeyRequest,
        context: grpc.aio.ServicerContext[pb.RevokeOperatorKeyRequest, pb.RevokeOperatorKeyResponse],
    ) -> pb.RevokeOperatorKeyResponse:
        _require("RevokeOperatorKey")
        key = await self._deeds.issuer.revoke(None, request.key_id, actor=current_actor())
        return pb.RevokeOperatorKeyResponse(key=wire.write_key(key))

    async def ListOperatorAuditEvents(
        self,
        request: pb.ListOperatorAuditEventsRequest,
        context: grpc.aio.ServicerContext[
            pb.ListOperatorAuditEventsRequest, pb.ListOperatorAuditEventsResponse
        ],
    ) -> pb.ListOperatorAuditEventsResponse:
        _require("ListOperatorAuditEvents")
        events, following = await page_of_events(
            self._deeds.directory, "ListOperatorAuditEvents", OPERATOR, request
        )
        return pb.ListOperatorAuditEventsResponse(
            events=map(wire_audit.write_event, events), next_page_token=following
        )

    async def VerifyOperatorAuditLog(
        self,
        request: pb.VerifyOperatorAuditLogRequest,
        context: grpc.aio.ServicerContext[
            pb.VerifyOperatorAuditLogRequest, pb.VerifyOperatorAuditLogResponse
        ],
    ) -> pb.VerifyOperatorAuditLogResponse:
        _require("VerifyOperatorAuditLog")
        known = bytes.fromhex(request.known_hash) or None
        anchor, events = await self._deeds.directory.audit_log(OPERATOR)
        verdict = await verified(events, known=known, anchor=anchor)
        return pb.VerifyOperatorAuditLogResponse(
            **wire_audit.verdict_fields(verdict, asked=known is not None)
        )


def _require(rpc: str) -> None:
    require_grant(rpc, current_caller())
    require_unconfined(current_caller())
