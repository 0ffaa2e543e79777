"""The services around the orchestrator: real gRPC servers that keep the contracts and do what a test says."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from cli.demo.desk import AUTHTOKEN
from dossier.context.v1 import context_source_service_pb2 as context_pb2
from dossier.context.v1 import context_source_service_pb2_grpc as context_grpc
from dossier.context.v1.evidence_pb2 import (
    EVIDENCE_KIND_OBSERVATION,
    SOURCE_STATE_ANSWERED,
    Evidence,
    SourceReport,
)
from dossier.history.v1 import history_service_pb2 as history_pb2
from dossier.history.v1 import history_service_pb2_grpc as history_grpc
from dossier.history.v1.past_ticket_pb2 import PastTicket
from dossier.knowledge.v1 import knowledge_service_pb2 as knowledge_pb2
from dossier.knowledge.v1 import knowledge_service_pb2_grpc as knowledge_grpc
from dossier.knowledge.v1.article_pb2 import Article, Passage
from dossier.network.v1 import network_service_pb2 as network_pb2
from dossier.network.v1 import network_service_pb2_grpc as network_grpc
from dossier.network.v1.inventory_pb2 import Asset, Prefix
from dossier.synthesis.v1 import brief_pb2
from dossier.synthesis.v1 import synthesis_service_pb2 as synthesis_pb2
from dossier.synthesis.v1 import synthesis_service_pb2_grpc as synthesis_grpc
from dossier.tenants.v1 import tenant_service_pb2 as tenants_pb2
from dossier.tenants.v1 import tenant_service_pb2_grpc as tenants_grpc
from dossier.tenants.v1.tenant_pb2 import (
    BriefSettings,
    Budget,
    ContextSource,
    NoteSettings,
    QueueSettings,
    Tenant,
    TicketingConnection,
)
from services.runtime.caller import current_caller, current_tenant
from services.runtime.errors import Internal, ServiceError
from services.runtime.interceptors import server_interceptor
from services.runtime.tokens import TokenVerifier
from tests.support.keys import Keys


class TenantSuspended(ServiceError):
    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "TENANT_SUSPENDED"


class TenantNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "TENANT_NOT_FOUND"


class RequestIdReused(ServiceError):
    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "REQUEST_ID_REUSED"


@dataclass(slots=True)
class Behaviour:
    """What a peer does beside answering; the calls it got, with the tenant of each."""

    calls: list[tuple[str, Message]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    """Answer only once this is set."""
    hold_from: int = 1
    """The first call, from 1, that `hold` holds."""
    failures: int = 0
    """The next so many calls fail with INTERNAL."""
    failing: Callable[[Message], bool] = lambda _: False
    """What fails each time."""
    hanging: Callable[[Message], bool] = lambda _: False
    """What is never answered."""
    seconds: float = 0
    """How long an answer takes."""

    async def called(self, request: Message) -> None:
        self.calls.append((current_tenant(), request))
        if self.failing(request):
            raise Internal("made to fail")
        if self.hanging(request):
            await asyncio.Event().wait()
        if self.failures > 0:
            self.failures -= 1
            raise Internal("made to fail")
        if self.hold is not None and len(self.calls) >= self.hold_from:
            await self.hold.wait()
        if self.seconds:
            await asyncio.sleep(self.seconds)


class History(history_grpc.HistoryServiceServicer):
    def __init__(self) -> None:
        self.does = Behaviour()
        self.past = {
            "acme": [
                PastTicket(
                    id="10241",
                    source="servicedesk_plus",
                    title="VPN drops every hour",
                    description="The tunnel to Venlo drops.",
                    resolution="Raise the rekey interval on fw-01.",
                    url="https://desk.example/10241",
                )
            ]
        }
        self.recorded: list[PastTicket] = []

    async def SearchSimilarTickets(
        self, request: history_pb2.SearchSimilarTicketsRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> history_pb2.SearchSimilarTicketsResponse:
        await self.does.called(request)
        found = [
            history_pb2.SimilarTicket(
                ticket=ticket,
                score=0.9,
                explanation=history_pb2.MatchExplanation(matched_terms=["vpn"], boosts=["same_asset"]),
            )
            for ticket in self.past.get(current_tenant(), [])
        ]
        return history_pb2.SearchSimilarTicketsResponse(results=found)

    async def RecordTicket(
        self, request: history_pb2.RecordTicketRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> history_pb2.RecordTicketResponse:
        await self.does.called(request)
        self.recorded.append(request.ticket)
        return history_pb2.RecordTicketResponse(ticket=request.ticket, created=True)

    async def RateTicket(
        self, request: history_pb2.RateTicketRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> history_pb2.RateTicketResponse:
        await self.does.called(request)
        return history_pb2.RateTicketResponse(applied=True)


class Knowledge(knowledge_grpc.KnowledgeServiceServicer):
    def __init__(self) -> None:
        self.does = Behaviour()
        self.passages = [
            knowledge_pb2.FoundPassage(
                article=Article(id="KB-7", title="VPN rekeying", url="https://kb.example/kb-7"),
                passage=Passage(heading="Intervals", anchor="intervals", text="Rekey every eight hours."),
                score=0.7,
                surroundings=[Passage(heading="Cure", anchor="cure", text="Shorten the interval.")],
            )
        ]
        self.knowledge_bases: list[SourceReport] = []

    async def SearchArticles(
        self, request: knowledge_pb2.SearchArticlesRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> knowledge_pb2.SearchArticlesResponse:
        await self.does.called(request)
        response = knowledge_pb2.SearchArticlesResponse(
            results=self.passages, knowledge_bases=self.knowledge_bases
        )
        if not request.with_surroundings:
            for result in response.results:
                del result.surroundings[:]
        return response

    async def RateArticle(
        self, request: knowledge_pb2.RateArticleRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> knowledge_pb2.RateArticleResponse:
        await self.does.called(request)
        return knowledge_pb2.RateArticleResponse(applied=True)


class Network(network_grpc.NetworkServiceServicer):
    def __init__(self) -> None:
        self.does = Behaviour()
        self.findings = [
            network_pb2.MentionFinding(
                mention="fw-01",
                normalized="fw-01",
                kind=network_pb2.MENTION_KIND_HOST_NAME,
                verdict=network_pb2.MENTION_VERDICT_ASSET,
                asset=Asset(name="fw-01", type="firewall", addresses=["10.20.30.1"], site="Venlo"),
                prefix=Prefix(prefix="10.20.30.0/24", site="Venlo", role="management"),
            )
        ]

    async def LookupMentions(
        self, request: network_pb2.LookupMentionsRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> network_pb2.LookupMentionsResponse:
        await self.does.called(request)
        return network_pb2.LookupMentionsResponse(findings=self.findings)


class Synthesis(synthesis_grpc.SynthesisServiceServicer):
    """With a ledger, as the real one: `bought` counts what had to be written anew."""

    def __init__(self) -> None:
        self.does = Behaviour()
        self.bought: Counter[str] = Counter()
        self._ledger: dict[str, tuple[bytes, synthesis_pb2.WriteBriefResponse]] = {}

    def bought_for(self) -> Counter[str]:
        """By enhancement, whose id begins every request's."""
        found: Counter[str] = Counter()
        for request_id, count in self.bought.items():
            found[request_id.partition(":")[0]] += count
        return found

    async def WriteBrief(
        self, request: synthesis_pb2.WriteBriefRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> synthesis_pb2.WriteBriefResponse:
        asked = synthesis_pb2.WriteBriefRequest()
        asked.CopyFrom(request)
        asked.ClearField("sources")
        asked.options.ClearField("budget")
        content = asked.SerializeToString(deterministic=True)
        known = self._ledger.get(request.request_id)
        if known is not None and known[0] != content:
            raise RequestIdReused("other content")
        if known is None:
            self.bought[request.request_id] += 1
            known = self._ledger[request.request_id] = (content, brief_of(request))
        await self.does.called(request)
        return known[1]


def brief_of(request: synthesis_pb2.WriteBriefRequest) -> synthesis_pb2.WriteBriefResponse:
    claims = [
        brief_pb2.Claim(
            text=f"See {each.title}.", evidence_ids=[each.id], verdict=brief_pb2.VERDICT_SUPPORTED
        )
        for each in request.evidence
    ]
    citations = [
        brief_pb2.Citation(
            evidence_id=each.id,
            source=each.source,
            id=each.id.partition(":")[2],
            kind=each.kind,
            title=each.title,
            url=each.url,
            score=each.score,
            verdict=brief_pb2.VERDICT_SUPPORTED,
        )
        for each in request.evidence
    ]
    sections = [brief_pb2.Section(kind=brief_pb2.SECTION_KIND_FIRST_STEPS, claims=claims)] if claims else []
    brief = brief_pb2.Brief(
        sections=sections,
        citations=citations,
        nothing_similar=not claims,
        confidence=brief_pb2.CONFIDENCE_HIGH if claims else brief_pb2.CONFIDENCE_LOW,
        unavailable_sources=[each for each in request.sources if each.state != SOURCE_STATE_ANSWERED],
        writer=brief_pb2.WRITER_LLM,
        word_count=3 * len(claims),
    )
    usage = brief_pb2.Usage(model="test-model", prompt_tokens=100, completion_tokens=20, cost=0.002)
    return synthesis_pb2.WriteBriefResponse(brief=brief, usage=usage)


class Tenants(tenants_grpc.TenantServiceServicer):
    def __init__(self) -> None:
        self.does = Behaviour()
        self.suspended: set[str] = set()
        self.base_urls: dict[str, str] = {}
        self.tool = "servicedesk_plus"
        self.options = {"edition": "onprem", "timeout_seconds": "5"}
        self.authtoken = AUTHTOKEN
        self.sources: list[ContextSource] = []
        self.budget: Budget | None = None
        self.brief = BriefSettings(language="nl")
        self.note = NoteSettings()
        self.revision = 1
        self.queues: dict[str, QueueSettings] = {}
        self.shares_asked: list[Message] = []
        self.shares_answered = 0
        self.shares_held: asyncio.Event | None = None
        """Shares as they were when they were asked for are answered once this is set."""

    async def ListQueueShares(
        self, request: tenants_pb2.ListQueueSharesRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> tenants_pb2.ListQueueSharesResponse:
        self.shares_asked.append(request)
        answer = tenants_pb2.ListQueueSharesResponse(
            shares=[
                tenants_pb2.QueueShare(tenant_id=tenant, queue=queue) for tenant, queue in self.queues.items()
            ]
        )
        if self.shares_held is not None:
            await self.shares_held.wait()
        self.shares_answered += 1
        return answer

    async def UpdateTenant(
        self, request: tenants_pb2.UpdateTenantRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> tenants_pb2.UpdateTenantResponse:
        if request.tenant_id not in self.base_urls:
            raise TenantNotFound(f"there is no {request.tenant_id}")
        assert current_caller().role == "operator"
        changed = Tenant(id=request.tenant_id, queue=self.queues.get(request.tenant_id))
        request.update_mask.MergeMessage(request.tenant, changed)
        self.queues[request.tenant_id] = changed.queue
        return tenants_pb2.UpdateTenantResponse(tenant=changed)

    async def GetTicketingAccess(
        self, request: tenants_pb2.GetTicketingAccessRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> tenants_pb2.GetTicketingAccessResponse:
        await self.does.called(request)
        tenant = current_tenant()
        if tenant in self.suspended:
            raise TenantSuspended(f"{tenant} is suspended")
        return tenants_pb2.GetTicketingAccessResponse(
            tenant=Tenant(
                id=tenant,
                display_name=tenant.title(),
                ticketing=TicketingConnection(
                    tool=self.tool,
                    base_url=self.base_urls.get(tenant, ""),
                    options=self.options,
                ),
                brief=self.brief,
                sources=self.sources,
                note=self.note,
                revision=self.revision,
                budget=self.budget,
            ),
            credentials={"authtoken": self.authtoken},
        )


class Monitoring(context_grpc.ContextSourceServiceServicer):
    def __init__(self) -> None:
        self.does = Behaviour()

    async def Gather(
        self, request: context_pb2.GatherRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> context_pb2.GatherResponse:
        await self.does.called(request)
        alert = Evidence(
            id="alert-9", kind=EVIDENCE_KIND_OBSERVATION, source="whatever", title="fw-01 is down", score=1
        )
        return context_pb2.GatherResponse(evidence=[alert])


class Peers:
    """All of them, each on a port of its own, so that each can be stopped and come back."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        # What the contracts have beyond what the orchestrator calls is answered as unimplemented.
        self.history = History()  # type: ignore[abstract]
        self.knowledge = Knowledge()  # type: ignore[abstract]
        self.network = Network()  # type: ignore[abstract]
        self.synthesis = Synthesis()  # type: ignore[abstract]
        self.tenants = Tenants()  # type: ignore[abstract]
        self.monitoring = Monitoring()
        self._adders: Mapping[str, Callable[[grpc.aio.Server], None]] = {
            "history": lambda to: history_grpc.add_HistoryServiceServicer_to_server(self.history, to),
            "knowledge": lambda to: knowledge_grpc.add_KnowledgeServiceServicer_to_server(self.knowledge, to),
            "network": lambda to: network_grpc.add_NetworkServiceServicer_to_server(self.network, to),
            "synthesis": lambda to: synthesis_grpc.add_SynthesisServiceServicer_to_server(self.synthesis, to),
            "tenants": lambda to: tenants_grpc.add_TenantServiceServicer_to_server(self.tenants, to),
            "source:monitoring": lambda to: context_grpc.add_ContextSourceServiceServicer_to_server(
                self.monitoring, to
            ),
        }
        self.ports: dict[str, int] = {}
        self._servers: dict[str, grpc.aio.Server] = {}

    async def start(self, name: str) -> None:
        """Begin to serve, after a stop on the port of before."""
        verifier = TokenVerifier(self._keys.jwks_file, audience=name)
        interceptor = server_interceptor(domain=f"{name}.dossier", verifier=verifier, certified=False)
        server = grpc.aio.server(interceptors=[interceptor], options=[("grpc.so_reuseport", 0)])
        self._adders[name](server)
        self.ports[name] = server.add_insecure_port(f"127.0.0.1:{self.ports.get(name, 0)}")
        await server.start()
        self._servers[name] = server

    async def stop(self, name: str) -> None:
        await self._servers.pop(name).stop(None)

    def target(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    @property
    def targets(self) -> dict[str, str]:
        names = ("history", "knowledge", "network", "synthesis", "tenants")
        return {f"{name}_target": self.target(name) for name in names}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Peers"]:
        for name in self._adders:
            await self.start(name)
        try:
            yield self
        finally:
            for behaviour in (self.history, self.knowledge, self.network, self.synthesis, self.tenants):
                if behaviour.does.hold is not None:
                    behaviour.does.hold.set()
            for name in list(self._servers):
                await self.stop(name)
