from contextlib import AsyncExitStack
from datetime import UTC, datetime

import grpc

from dossier.synthesis.v1 import synthesis_service_pb2 as pb
from dossier.synthesis.v1 import synthesis_service_pb2_grpc as pb_grpc
from services.runtime.caller import current_tenant
from services.runtime.database import Database
from services.runtime.errors import InvalidArgument
from services.runtime.serve import Service
from services.runtime.telemetry import span
from services.synthesis import convert, telemetry
from services.synthesis.flights import Flights
from services.synthesis.model import Brief
from services.synthesis.settings import SynthesisSettings
from services.synthesis.store import TenantLedger
from services.synthesis.write import BriefWriter, LanguageModel


class SynthesisServicer(pb_grpc.SynthesisServiceServicer):
    def __init__(self, database: Database, writer: BriefWriter, flights: Flights[Brief]) -> None:
        self._database = database
        self._writer = writer
        self._flights = flights

    async def WriteBrief(
        self,
        request: pb.WriteBriefRequest,
        context: grpc.aio.ServicerContext[pb.WriteBriefRequest, pb.WriteBriefResponse],
    ) -> pb.WriteBriefResponse:
        order = convert.order_from(request)
        tenant = current_tenant()
        ledger = TenantLedger(self._database, tenant)
        with span(telemetry.WRITE_SPAN):
            # A call to a language model is finished and recorded even if its caller dies meanwhile.
            brief = await self._flights.join(
                (tenant, order.request_id, order.content_hash), lambda: self._writer.write(order, ledger)
            )
        telemetry.count(brief)
        return convert.response_to(brief, order=order, sources=request.sources)

    async def GetUsage(
        self,
        request: pb.GetUsageRequest,
        context: grpc.aio.ServicerContext[pb.GetUsageRequest, pb.GetUsageResponse],
    ) -> pb.GetUsageResponse:
        end = request.end_time.ToDatetime(UTC) if request.HasField("end_time") else datetime.now(UTC)
        start = (
            request.start_time.ToDatetime(UTC)
            if request.HasField("start_time")
            else datetime(end.year, end.month, 1, tzinfo=UTC)
        )
        if start > end:
            raise InvalidArgument("start_time must not be after end_time", field="start_time")
        models = await TenantLedger(self._database, current_tenant()).usage(start, end)
        response = pb.GetUsageResponse(
            models=[convert.model_usage_to(usage) for usage in models],
            cost=float(sum(usage.cost for usage in models)),
        )
        response.start_time.FromDatetime(start)
        response.end_time.FromDatetime(end)
        return response


async def build(settings: SynthesisSettings, closers: AsyncExitStack) -> Service:
    database = Database.lazy(
        settings.database_url.get_secret_value(),
        role="dossier_synthesis",
        pool_max=settings.database_pool_max,
        statement_cache=settings.database_statement_cache,
    )
    closers.push_async_callback(database.close)
    flights: Flights[Brief] = Flights()
    model = _language_model(settings, closers)
    closers.push_async_callback(flights.land)
    writer = BriefWriter(model, settings.llm_model, settings.llm_timeout_seconds)
    return Service(
        servicers=[
            (
                pb.DESCRIPTOR.services_by_name["SynthesisService"],
                lambda server: pb_grpc.add_SynthesisServiceServicer_to_server(
                    SynthesisServicer(database, writer, flights), server
                ),
            )
        ],
        checks={"postgresql": database.check},
    )


def _language_model(settings: SynthesisSettings, closers: AsyncExitStack) -> LanguageModel | None:
    """None when no key is configured; `PriceUnknown` when the configured model's cost could not be kept."""
    if settings.openai_api_key is None:
        return None
    # Imported here: without a key the SDK and its price tables would only take memory.
    from services.synthesis.llm import OpenAiModel  # noqa: PLC0415

    model = OpenAiModel.connect(settings, api_key=settings.openai_api_key.get_secret_value())
    closers.push_async_callback(model.close)
    model.check_price(settings.llm_model)
    return model
