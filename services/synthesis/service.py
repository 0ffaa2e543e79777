from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import grpc

from dossier.synthesis.v1 import synthesis_service_pb2 as pb
from dossier.synthesis.v1 import synthesis_service_pb2_grpc as pb_grpc
from services.runtime import deadline
from services.runtime.caller import current_tenant
from services.runtime.database import Database
from services.runtime.serve import Service
from services.runtime.telemetry import span
from services.synthesis import convert, telemetry
from services.synthesis.flights import Flights
from services.synthesis.model import Call, TenantId
from services.synthesis.purchase import Purchases
from services.synthesis.settings import SynthesisSettings
from services.synthesis.store import Ledger
from services.synthesis.tenant_data import tenant_rows
from services.synthesis.write import BriefWriter
from tenantdata.servicer import serving_rows


class SynthesisServicer(pb_grpc.SynthesisServiceServicer):
    def __init__(self, writer: BriefWriter, ledger: Ledger) -> None:
        self._writer = writer
        self._ledger = ledger

    async def WriteBrief(
        self,
        request: pb.WriteBriefRequest,
        context: grpc.aio.ServicerContext[pb.WriteBriefRequest, pb.WriteBriefResponse],
    ) -> pb.WriteBriefResponse:
        order = convert.order_from(request, tenant=current_tenant())
        with span(telemetry.WRITE_SPAN):
            brief = await self._writer.write(order, within_seconds=deadline.remaining_seconds())
        telemetry.count(brief)
        return convert.response_to(brief, order=order, sources=request.sources)

    async def GetUsage(
        self,
        request: pb.GetUsageRequest,
        context: grpc.aio.ServicerContext[pb.GetUsageRequest, pb.GetUsageResponse],
    ) -> pb.GetUsageResponse:
        start, end = convert.period_from(request, now=datetime.now(UTC))
        tenant = TenantId(current_tenant())
        models = await self._ledger.usage(tenant, start=start, end=end)
        budget = await self._ledger.budget_usage(tenant)
        return convert.usage_to(models, budget, start=start, end=end)


async def build(settings: SynthesisSettings, closers: AsyncExitStack) -> Service:
    database = Database.lazy(
        settings.database_url.get_secret_value(),
        role="dossier_synthesis",
        pool_max=settings.database_pool_max,
        statement_cache=settings.database_statement_cache,
    )
    closers.push_async_callback(database.close)
    ledger = Ledger(database, lease=timedelta(seconds=settings.llm_lease_seconds))
    release = version("dossier")
    writer = BriefWriter(_purchases(settings, ledger, closers, release=release), release)
    return Service(
        servicers=[
            (
                pb.DESCRIPTOR.services_by_name["SynthesisService"],
                lambda server: pb_grpc.add_SynthesisServiceServicer_to_server(
                    SynthesisServicer(writer, ledger), server
                ),
            ),
            serving_rows(tenant_rows(database, retention_days=settings.retention_days)),
        ],
        checks={"postgresql": database.check},
    )


def _purchases(
    settings: SynthesisSettings, ledger: Ledger, closers: AsyncExitStack, *, release: str
) -> Purchases | None:
    """None when no key is configured."""
    if settings.openai_api_key is None:
        return None
    # Imported here: without a key the SDK and its price tables would only take memory.
    from services.synthesis.llm import OpenAiModel  # noqa: PLC0415

    model = OpenAiModel.connect(settings, api_key=settings.openai_api_key.get_secret_value())
    closers.push_async_callback(model.close)
    flights: Flights[Call | None] = Flights()
    # What is under way is paid for: it is recorded before the database and the model are closed.
    closers.push_async_callback(flights.land)
    return Purchases(
        model=model,
        ledger=ledger,
        flights=flights,
        default_model=settings.llm_model,
        timeout_seconds=settings.llm_timeout_seconds,
        lease_seconds=settings.llm_lease_seconds,
        release=release,
    )
