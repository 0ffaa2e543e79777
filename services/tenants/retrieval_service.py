"""The RPCs about how clients are searched: their settings, for those who search, and evaluations."""

import grpc

from audit.event import current_actor
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.runtime.caller import current_caller
from services.runtime.paging import PageTokens
from services.tenants import wire_retrieval
from services.tenants.access import named, require_grant
from services.tenants.deeds import DeedServicer
from services.tenants.evaluations import record_evaluation
from services.tenants.pages import DEFAULT_SIZE, page_of_clients


class RetrievalServicer(DeedServicer):
    async def ListRetrievalSettings(
        self,
        request: pb.ListRetrievalSettingsRequest,
        context: grpc.aio.ServicerContext[pb.ListRetrievalSettingsRequest, pb.ListRetrievalSettingsResponse],
    ) -> pb.ListRetrievalSettingsResponse:
        require_grant("ListRetrievalSettings", current_caller())
        page, following = await page_of_clients(
            "ListRetrievalSettings", request, self._deeds.directory.retrieval_settings_after
        )
        return pb.ListRetrievalSettingsResponse(
            tenants=[wire_retrieval.write_of_tenant(tenant, settings) for tenant, settings in page],
            next_page_token=following,
        )

    async def RecordRetrievalEvaluation(
        self,
        request: pb.RecordRetrievalEvaluationRequest,
        context: grpc.aio.ServicerContext[
            pb.RecordRetrievalEvaluationRequest, pb.RecordRetrievalEvaluationResponse
        ],
    ) -> pb.RecordRetrievalEvaluationResponse:
        kept = await record_evaluation(
            self._deeds.directory,
            named("RecordRetrievalEvaluation", current_caller(), request.tenant_id),
            wire_retrieval.read_evaluation(request.evaluation),
            actor=current_actor(),
            request_id=request.request_id,
        )
        return pb.RecordRetrievalEvaluationResponse(evaluation=wire_retrieval.write_evaluation(kept))

    async def ListRetrievalEvaluations(
        self,
        request: pb.ListRetrievalEvaluationsRequest,
        context: grpc.aio.ServicerContext[
            pb.ListRetrievalEvaluationsRequest, pb.ListRetrievalEvaluationsResponse
        ],
    ) -> pb.ListRetrievalEvaluationsResponse:
        tenant = await self._known("ListRetrievalEvaluations", request.tenant_id)
        tokens = PageTokens("ListRetrievalEvaluations", tenant=tenant)
        size = request.page_size or DEFAULT_SIZE
        before = wire_retrieval.place_of_page(tokens.decode(request.page_token))
        found = await self._deeds.directory.evaluations_before(tenant, before, size + 1)
        page = found[:size]
        return pb.ListRetrievalEvaluationsResponse(
            evaluations=map(wire_retrieval.write_evaluation, page),
            next_page_token=tokens.encode(*wire_retrieval.page_after(page[-1])) if len(found) > size else "",
        )
