"""How each changing RPC is called, so that it changes something: the one table that a new one has to enter.

A case is made for the client and the request that it is given; what has to be there before, it makes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from dossier.context.v1.ticket_pb2 import Ticket
from dossier.history.v1 import history_service_pb2 as history
from dossier.history.v1.past_ticket_pb2 import PastTicket
from dossier.knowledge.v1 import knowledge_service_pb2 as knowledge
from dossier.knowledge.v1.article_pb2 import Article
from dossier.network.v1 import network_service_pb2 as network
from dossier.network.v1.inventory_pb2 import Asset, Prefix
from dossier.orchestrator.v1 import orchestrator_service_pb2 as orchestrator
from dossier.orchestrator.v1.enhancement_pb2 import Feedback
from dossier.orchestrator.v1.queue_pb2 import QUEUE_WEIGHT_PREFERRED
from dossier.tenants.v1 import tenant_service_pb2 as tenants
from dossier.tenants.v1.api_key_pb2 import ROLE_VIEWER
from dossier.tenants.v1.tenant_pb2 import Tenant, TicketingConnection
from tests.isolation.belongings import Belongings
from tests.tenants.client import measured

PASSWORD: Final = "hunter2-of-the-audit-tests"
"""What nobody may read in the log again."""
TEXT: Final = f"It rattles. Password: {PASSWORD}"

PROVIDER: Final = "-"
"""Whose log is the provider's own."""

Do = Callable[..., Mapping[str, Any]]
"""Calls an RPC by its name with these fields, as the provider, for the client."""


@dataclass(frozen=True, slots=True)
class Case:
    request: Message
    refused: Message | None = None
    """One that gets to the service, which refuses it."""
    client: str | None = None
    """Whose log it is, where that is not the client that is given."""


def _new(tenant: str) -> tenants.CreateTenantRequest:
    return tenants.CreateTenantRequest(
        tenant=Tenant(id=tenant, display_name="New", ticketing=TicketingConnection(tool="servicedesk_plus")),
        ticketing_credentials={"authtoken": PASSWORD},
        request_id=tenant,
    )


def _created_tenant(of: Belongings, _: Do) -> Case:
    known = _new(of.tenant)
    known.request_id = "another"
    name = f"new-{uuid4().hex[:8]}"
    return Case(_new(name), known, client=name)


def _of_a_new_client(make: Callable[[str], Case]) -> Callable[[Belongings, Do], Case]:
    def case(_: Belongings, do: Do) -> Case:
        name = f"new-{uuid4().hex[:8]}"
        do(
            "TenantService.CreateTenant",
            tenant={"id": name, "display_name": "New", "ticketing": {"tool": "servicedesk_plus"}},
        )
        return replace(make(name), client=name)

    return case


def _resumed_tenant(of: Belongings, do: Do) -> Case:
    def resume(name: str) -> Case:
        do("TenantService.SuspendTenant", tenant_id=name)
        return Case(tenants.ResumeTenantRequest(tenant_id=name))

    return _of_a_new_client(resume)(of, do)


def _updated_tenant(of: Belongings, _: Do) -> Case:
    def update(**told: Any) -> tenants.UpdateTenantRequest:
        return tenants.UpdateTenantRequest(
            tenant_id=of.tenant,
            tenant=Tenant(display_name=f"Renamed {uuid4()}"),
            update_mask=FieldMask(paths=["display_name"]),
            **told,
        )

    return Case(update(), update(etag="0"))


def _waiting(do: Do) -> str:
    """An enhancement that nobody takes up."""
    do("OrchestratorService.PauseQueue")
    made = do(
        "OrchestratorService.CreateEnhancement",
        ticket={"id": f"audit-{uuid4().hex[:8]}", "tool": "servicedesk_plus", "subject": "Rattles"},
        request_id=str(uuid4()),
    )
    enhancement: str = made["enhancement"]["id"]
    return enhancement


def _created_enhancement(_: Belongings, do: Do) -> Case:
    do("OrchestratorService.PauseQueue")

    def create(**told: Any) -> orchestrator.CreateEnhancementRequest:
        ticket = Ticket(id="audit-1", tool="servicedesk_plus", subject="Rattles", description=TEXT)
        return orchestrator.CreateEnhancementRequest(ticket=ticket, **told)

    return Case(create(request_id=str(uuid4())), create(request_id="x" * 129))


def _cancelled_enhancement(_: Belongings, do: Do) -> Case:
    return Case(
        orchestrator.CancelEnhancementRequest(enhancement_id=_waiting(do)),
        orchestrator.CancelEnhancementRequest(enhancement_id="nobodys"),
    )


def _retried_enhancement(of: Belongings, do: Do) -> Case:
    cancelled = _waiting(do)
    do("OrchestratorService.CancelEnhancement", enhancement_id=cancelled)
    return Case(
        orchestrator.RetryEnhancementRequest(enhancement_id=cancelled),
        orchestrator.RetryEnhancementRequest(enhancement_id=of.enhancement),
    )


def _paused_queue(_: Belongings, do: Do) -> Case:
    do("OrchestratorService.ResumeQueue")
    return Case(orchestrator.PauseQueueRequest())


def _resumed_queue(_: Belongings, do: Do) -> Case:
    do("OrchestratorService.PauseQueue")
    return Case(orchestrator.ResumeQueueRequest())


def _updated_queue(_: Belongings, do: Do) -> Case:
    do("OrchestratorService.UpdateQueue", weight="QUEUE_WEIGHT_STANDARD", max_in_progress=5)
    return Case(orchestrator.UpdateQueueRequest(weight=QUEUE_WEIGHT_PREFERRED, max_in_progress=3))


def _deleted_ticket(_: Belongings, do: Do) -> Case:
    ticket = {"id": "deleted", "source": "audit", "title": "Rattles", "description": TEXT}
    do("HistoryService.RecordTicket", ticket=ticket)
    return Case(
        history.DeleteTicketRequest(ticket_id="deleted", source="audit"),
        history.DeleteTicketRequest(ticket_id="nobodys"),
    )


def _deleted_article(_: Belongings, do: Do) -> Case:
    do("KnowledgeService.RecordArticle", article={"id": "deleted", "title": "Rattling", "body": TEXT})
    return Case(
        knowledge.DeleteArticleRequest(article_id="deleted"),
        knowledge.DeleteArticleRequest(article_id="nobodys"),
    )


def _deleted_asset(_: Belongings, do: Do) -> Case:
    do("NetworkService.ImportAssets", assets=[{"name": "deleted", "notes": TEXT}])
    return Case(network.DeleteAssetRequest(name="deleted"), network.DeleteAssetRequest(name="nobodys"))


def _deleted_prefix(_: Belongings, do: Do) -> Case:
    do("NetworkService.ImportPrefixes", prefixes=[{"prefix": "10.99.0.0/24", "description": TEXT}])
    return Case(
        network.DeletePrefixRequest(prefix="10.99.0.0/24"), network.DeletePrefixRequest(prefix="10.98.0.0/24")
    )


def _revoked_operator_key(_: Belongings, do: Do) -> Case:
    made = do("TenantService.CreateOperatorKey", role="ROLE_VIEWER", request_id=str(uuid4()))
    return Case(
        tenants.RevokeOperatorKeyRequest(key_id=made["key"]["id"]),
        tenants.RevokeOperatorKeyRequest(key_id=str(uuid4())),
        client=PROVIDER,
    )


CASES: Final[Mapping[str, Callable[[Belongings, Do], Case]]] = {
    "HistoryService.RecordTicket": lambda _of, _: Case(
        history.RecordTicketRequest(
            ticket=PastTicket(id="recorded", title=f"Rattles {uuid4()}", description=TEXT)
        ),
        history.RecordTicketRequest(ticket=PastTicket(id="recorded")),
    ),
    "HistoryService.ImportTickets": lambda _of, _: Case(
        history.ImportTicketsRequest(tickets=[PastTicket(id="imported", title=f"Rattles {uuid4()}")]),
        history.ImportTicketsRequest(source="x" * 65, tickets=[PastTicket(id="imported", title="Rattles")]),
    ),
    "HistoryService.DeleteTicket": _deleted_ticket,
    "KnowledgeService.RecordArticle": lambda _of, _: Case(
        knowledge.RecordArticleRequest(
            article=Article(id="recorded", title=f"Rattling {uuid4()}", body=TEXT)
        ),
        knowledge.RecordArticleRequest(article=Article(id="recorded")),
    ),
    "KnowledgeService.ImportArticles": lambda _of, _: Case(
        knowledge.ImportArticlesRequest(
            articles=[Article(id="imported", title=f"Rattling {uuid4()}", body=TEXT)]
        ),
        knowledge.ImportArticlesRequest(
            source="x" * 65, articles=[Article(id="imported", title="R", body=TEXT)]
        ),
    ),
    "KnowledgeService.DeleteArticle": _deleted_article,
    "KnowledgeService.SyncKnowledgeBase": lambda of, _: Case(
        knowledge.SyncKnowledgeBaseRequest(knowledge_base=of.knowledge_base),
        knowledge.SyncKnowledgeBaseRequest(knowledge_base="nobodys"),
    ),
    "NetworkService.ImportAssets": lambda _of, _: Case(
        network.ImportAssetsRequest(assets=[Asset(name="imported", notes=str(uuid4()))])
    ),
    "NetworkService.DeleteAsset": _deleted_asset,
    "NetworkService.ImportPrefixes": lambda _of, _: Case(
        network.ImportPrefixesRequest(prefixes=[Prefix(prefix="10.97.0.0/24", description=str(uuid4()))])
    ),
    "NetworkService.DeletePrefix": _deleted_prefix,
    "OrchestratorService.CreateEnhancement": _created_enhancement,
    "OrchestratorService.CancelEnhancement": _cancelled_enhancement,
    "OrchestratorService.RetryEnhancement": _retried_enhancement,
    "OrchestratorService.RetryFailedEnhancements": lambda _of, _: Case(
        orchestrator.RetryFailedEnhancementsRequest()
    ),
    "OrchestratorService.ReplayEnhancement": lambda of, do: Case(
        orchestrator.ReplayEnhancementRequest(
            enhancement_id=of.enhancement, instructions=TEXT, request_id=str(uuid4())
        ),
        orchestrator.ReplayEnhancementRequest(enhancement_id=_waiting(do)),
    ),
    "OrchestratorService.UpdateQueue": _updated_queue,
    "OrchestratorService.PauseQueue": _paused_queue,
    "OrchestratorService.ResumeQueue": _resumed_queue,
    "OrchestratorService.SubmitFeedback": lambda of, _: Case(
        orchestrator.SubmitFeedbackRequest(
            feedback=Feedback(enhancement_id=of.enhancement, comment=TEXT, rating=4), request_id=str(uuid4())
        ),
        orchestrator.SubmitFeedbackRequest(feedback=Feedback(enhancement_id="nobodys", rating=4)),
    ),
    "TenantService.CreateTenant": _created_tenant,
    "TenantService.UpdateTenant": _updated_tenant,
    "TenantService.SuspendTenant": _of_a_new_client(
        lambda name: Case(tenants.SuspendTenantRequest(tenant_id=name))
    ),
    "TenantService.ResumeTenant": _resumed_tenant,
    "TenantService.RotateWebhookSecret": lambda of, _: Case(
        tenants.RotateWebhookSecretRequest(tenant_id=of.tenant, request_id=str(uuid4()))
    ),
    "TenantService.SetTicketingCredentials": lambda of, _: Case(
        tenants.SetTicketingCredentialsRequest(tenant_id=of.tenant, credentials={"authtoken": PASSWORD})
    ),
    "TenantService.SetKnowledgeBaseCredentials": lambda of, _: Case(
        tenants.SetKnowledgeBaseCredentialsRequest(
            tenant_id=of.tenant, knowledge_base=of.knowledge_base, credentials={"token": PASSWORD}
        ),
        tenants.SetKnowledgeBaseCredentialsRequest(tenant_id=of.tenant, knowledge_base="nobodys"),
    ),
    "TenantService.CreateApiKey": lambda of, _: Case(
        tenants.CreateApiKeyRequest(tenant_id=of.tenant, role=ROLE_VIEWER, request_id=str(uuid4()))
    ),
    "TenantService.RevokeApiKey": lambda of, _: Case(
        tenants.RevokeApiKeyRequest(tenant_id=of.tenant, key_id=of.api_key_id),
        tenants.RevokeApiKeyRequest(tenant_id=of.tenant, key_id=str(uuid4())),
    ),
    "TenantService.RecordRetrievalEvaluation": lambda of, _: Case(
        tenants.RecordRetrievalEvaluationRequest(
            tenant_id=of.tenant, evaluation=measured(), request_id=str(uuid4())
        ),
        tenants.RecordRetrievalEvaluationRequest(
            tenant_id=of.tenant, evaluation=measured(), request_id="x" * 129
        ),
    ),
    "TenantService.TestConnection": lambda of, _: Case(
        tenants.TestConnectionRequest(tenant_id=of.tenant),
        tenants.TestConnectionRequest(tenant_id=of.tenant, ticket_id="x" * 65),
    ),
    "TenantService.ExportTenant": lambda of, _: Case(tenants.ExportTenantRequest(tenant_id=of.tenant)),
    "TenantService.CreateOperatorKey": lambda _of, _: Case(
        tenants.CreateOperatorKeyRequest(role=ROLE_VIEWER, request_id=str(uuid4())), client=PROVIDER
    ),
    "TenantService.RevokeOperatorKey": _revoked_operator_key,
}

EXCEPTED: Final[Mapping[str, str]] = {
    "OrchestratorService.SubmitEnhancements": (
        "thousands a second, of no person: the enhancement itself is kept, with delivery, revision and time"
    ),
    "HistoryService.RateTicket": "hands over a person's feedback, which is an event of the orchestrator's",
    "KnowledgeService.RateArticle": "hands over a person's feedback, which is an event of the orchestrator's",
    "SynthesisService.WriteBrief": "of no person; the ledger of calls says what was bought for which request",
    "TenantService.RecordAuditEvents": "leaves the events that it is given",
    "TenantService.DeleteTenant": "the log goes with the client; the deletion's record says who asked for it",
    "TenantService.RecordWebhookSecretUses": "notes when a secret was last used, and changes nothing of it",
    "TenantDataService.EraseRows": "part of a deletion, whose record says who asked for it",
    "TenantDataService.ExpireRows": "carries out what the client's settings say, which is an event of theirs",
    "TenantService.ReencryptSecrets": (
        "one for each client with secrets under an older key, as tests/tenants/test_secrets.py shows"
    ),
}
"""RPCs that change something and leave no event of their own, and why."""

REPEATED: Final[Mapping[str, str]] = {
    "TenantService.SetTicketingCredentials": "has no request's id, and keeps what it is given anew each time",
    "TenantService.SetKnowledgeBaseCredentials": "as with those of the ticketing tool",
    "KnowledgeService.SyncKnowledgeBase": "has a sync begin anew each time",
    "TenantService.TestConnection": "tries the tool anew each time",
    "TenantService.ExportTenant": "hands the data out anew each time",
}
"""Those whose repetition is another change."""

THROUGH: Final[Mapping[str, tuple[str, str]]] = {
    "OrchestratorService.UpdateQueue": ("UpdateTenant", "orchestrator"),
}
"""Those that make their change by an RPC of tenants, whose event it is then; and who calls that."""
