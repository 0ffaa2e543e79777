"""Runs the service, and says to it in one line what a tenant says."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
from uuid_utils import uuid7

from dossier.context.v1 import evidence_pb2, ticket_pb2
from dossier.synthesis.v1 import brief_pb2
from dossier.synthesis.v1 import synthesis_service_pb2 as pb
from dossier.synthesis.v1.synthesis_service_pb2_grpc import SynthesisServiceStub
from services.runtime.serve import serving
from services.synthesis.service import build
from services.synthesis.settings import SynthesisSettings
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.support.llm_endpoint import Answer, Asked, LlmEndpoint, Reply, Slow, running

if TYPE_CHECKING:
    from dossier.synthesis.v1.synthesis_service_pb2_grpc import SynthesisServiceAsyncStub

TICKET = ticket_pb2.Ticket(
    id="10509",
    subject="Venlo has internet but nothing from Rotterdam",
    description="Since six no file shares. The FortiGate (10.30.5.1) says no matching phase 2 proposal.",
)
TUNNEL = evidence_pb2.Evidence(
    id="history:10241",
    kind=evidence_pb2.EVIDENCE_KIND_PAST_TICKET,
    source="history",
    title="Venlo cut off from head office: tunnel up but no traffic",
    text="Nobody in Venlo can open file shares. FortiGate shows the IPsec tunnel green.",
    resolution=(
        "Phase 2 selector for 10.30.55.0/24 was added on RTM-FW01 only."
        " Added the same selector pair on VNL-FW02 and restarted IKE."
    ),
    url="https://desk.example/10241",
    score=0.41,
)
ARTICLE = evidence_pb2.Evidence(
    id="knowledge:KB-005#cause",
    kind=evidence_pb2.EVIDENCE_KIND_ARTICLE,
    source="knowledge",
    title="Site-to-site tunnel is up but passes no traffic \u203a Cause",
    text="Phase 1 is up and phase 2 is not. The selectors differ between RTM-FW01 and VNL-FW02.",
    url="https://desk.example/kb/5",
    score=0.4,
)
EVIDENCE = (TUNNEL, ARTICLE)


@dataclass(frozen=True, slots=True)
class Client:
    """One tenant's."""

    stub: "SynthesisServiceAsyncStub"
    metadata: tuple[tuple[str, str], ...]

    def begin(
        self,
        evidence: Sequence[evidence_pb2.Evidence] = EVIDENCE,
        *,
        request_id: str = "run-1",
        ticket: ticket_pb2.Ticket = TICKET,
        sources: Sequence[evidence_pb2.SourceReport] = (),
        options: pb.BriefOptions | None = None,
        seconds: float = 20,
    ) -> grpc.aio.UnaryUnaryCall[pb.WriteBriefRequest, pb.WriteBriefResponse]:
        request = pb.WriteBriefRequest(
            request_id=request_id, ticket=ticket, evidence=evidence, sources=sources, options=options
        )
        return self.stub.WriteBrief(request, metadata=self.metadata, timeout=seconds)

    async def write(
        self,
        evidence: Sequence[evidence_pb2.Evidence] = EVIDENCE,
        *,
        request_id: str = "run-1",
        ticket: ticket_pb2.Ticket = TICKET,
        sources: Sequence[evidence_pb2.SourceReport] = (),
        options: pb.BriefOptions | None = None,
        seconds: float = 20,
    ) -> pb.WriteBriefResponse:
        return await self.begin(
            evidence,
            request_id=request_id,
            ticket=ticket,
            sources=sources,
            options=options,
            seconds=seconds,
        )

    async def usage(self, request: pb.GetUsageRequest | None = None) -> pb.GetUsageResponse:
        return await self.stub.GetUsage(request or pb.GetUsageRequest(), metadata=self.metadata, timeout=20)


@dataclass(frozen=True, slots=True)
class Running:
    stub: "SynthesisServiceAsyncStub"
    arrangement: "Arrangement"
    target: str
    metrics_url: str

    def tenant(self, name: str) -> Client:
        tenant = self.arrangement.tenant(name)
        return Client(self.stub, self.arrangement.keys.metadata("synthesis", tenant=tenant))

    @property
    def acme(self) -> Client:
        return self.tenant("acme")


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What a test's service is run with."""

    database: TestDatabase
    keys: Keys
    _suffix: str = field(default_factory=lambda: str(uuid7()))

    def tenant(self, name: str) -> str:
        """The id of this test's tenant of that name."""
        return f"{name}-{self._suffix}"

    @asynccontextmanager
    async def service(
        self, endpoint: LlmEndpoint | None = None, **settings: object
    ) -> AsyncIterator[Running]:
        """Run it; without an endpoint there is no language model."""
        if endpoint is None:
            async with self._serving(settings) as service:
                yield service
            return
        async with running(endpoint) as base_url:
            model = {
                "OPENAI_API_KEY": endpoint.api_key,
                "OPENAI_BASE_URL": base_url,
                "llm_model": endpoint.models[0],
                "llm_input_price": "1",
                "llm_output_price": "10",
            }
            async with self._serving(model | settings) as service:
                yield service

    @asynccontextmanager
    async def _serving(self, settings: Mapping[str, object]) -> AsyncIterator[Running]:
        usual = {
            "grpc_port": 0,
            "metrics_port": 0,
            "database_url": self.database.url("synthesis"),
            "token_jwks_file": self.keys.jwks_file,
        }
        validated = SynthesisSettings.model_validate(usual | dict(settings))
        async with (
            serving("synthesis", validated, build) as service,
            grpc.aio.insecure_channel(service.target) as channel,
        ):
            yield Running(SynthesisServiceStub(channel), self, service.target, service.metrics_url)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """As the superuser: for arranging and for looking."""
        connection = await asyncpg.connect(self.database.admin_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def execute(self, statement: str, *arguments: object) -> None:
        async with self.connection() as connection:
            await connection.execute(statement, *arguments)

    async def recorded_calls(self) -> int:
        return await self._rows_of("calls")

    async def purchases(self) -> int:
        """Answers that are being bought, or were when their buyer was killed."""
        return await self._rows_of("purchases")

    async def surplus_calls(self) -> int:
        return await self._rows_of("surplus_calls")

    async def _rows_of(self, table: str) -> int:
        async with self.connection() as connection:
            count: int = await connection.fetchval(
                f"select count(*) from synthesis.{table} where tenant_id like '%' || $1",  # noqa: S608
                self._suffix,
            )
        return count


def form(**sections: Sequence[tuple[str, Sequence[str]]]) -> Mapping[str, Any]:
    """A language model's answer: `form(first_steps=[("Restart it.", ["history:1"])])`."""
    names = ("similar_tickets", "knowledge", "network", "probable_causes", "first_steps")
    assert set(sections) <= set(names)
    return {
        name: [{"text": text, "evidence_ids": list(ids)} for text, ids in sections.get(name, ())]
        for name in names
    }


def claims(brief: brief_pb2.Brief, kind: "brief_pb2.SectionKind.ValueType | None" = None) -> list[str]:
    return [
        claim.text
        for section in brief.sections
        if kind is None or section.kind == kind
        for claim in section.claims
    ]


FIX = "Added the same selector pair on VNL-FW02 and restarted IKE."
GOOD = Answer(form(similar_tickets=[(FIX, [TUNNEL.id])]), prompt_tokens=1000, completion_tokens=50)


class Gate:
    """Replies slowly, and says when it was asked and how often."""

    def __init__(self, *, seconds: float, then: Answer = GOOD) -> None:
        self.asked = asyncio.Event()
        self.count = 0
        self._slow = Slow(seconds, then)

    def __call__(self, asked: Asked) -> Reply:  # noqa: ARG002
        self.asked.set()
        self.count += 1
        return self._slow


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 10
    while not await holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)
