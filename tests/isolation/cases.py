"""What each RPC is asked with, by its name: the one table that a new RPC has to enter.

An entry makes the requests by which somebody would get at the things it is given. It is used three times,
each time as *borealis*: for what *aster* has and for what nobody has, which must be answered alike, and for
its own, which must be answered well, so that an entry that asks nonsense fails. What has no id to ask
by, such as a list, ignores what it is given, and is compared before and after aster came.

To add

- an RPC: an entry here. If it asks by something that is not in `Belongings` yet, a field there and its making
  in `filling.py`, which does the same for every client. A unary RPC is called once with each message, a
  client's stream gets them all. If a role may see all clients, say so in `ACROSS_CLIENTS`;
- a REST route: nothing where it is an RPC's, else an entry in `test_rest.py`;
- a table: rows in it, from `filling.py`; if it has no tenant, the reason in `test_catalogue.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from cli.demo.desk import AUTHTOKEN
from dossier.context.v1 import context_source_service_pb2 as context
from dossier.context.v1.evidence_pb2 import Evidence, EvidenceKind
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
from dossier.synthesis.v1 import synthesis_service_pb2 as synthesis
from dossier.tenantdata.v1 import tenant_data_service_pb2 as tenantdata
from dossier.tenants.v1 import tenant_service_pb2 as tenants
from dossier.tenants.v1.api_key_pb2 import ROLE_OPERATOR, ROLE_VIEWER
from dossier.tenants.v1.audit_pb2 import ReportedEvent
from dossier.tenants.v1.tenant_pb2 import Tenant, TicketingConnection
from tests.isolation.belongings import Belongings
from tests.tenants.client import measured

Case = Callable[[Belongings], Sequence[Message]]

CASES: Final[Mapping[str, Case]] = {
    "ContextSourceService.Gather": lambda of: [context.GatherRequest(ticket=Ticket(id=of.reported))],
    "HistoryService.SearchSimilarTickets": lambda of: [
        # Above the floor: one's own tickets mean something near to any word, and to each something else; and
        # below it, what another test has recorded comes in once it is embedded.
        history.SearchSimilarTicketsRequest(subject=of.word, assets=[of.asset]),
        # By words that every client has: scores and places must not tell how often another has them.
        history.SearchSimilarTicketsRequest(subject="printer prints labels, scanner broken"),
    ],
    "HistoryService.GetTicket": lambda of: [
        history.GetTicketRequest(ticket_id=of.ticket),
        history.GetTicketRequest(ticket_id=of.ticket, source=of.ticket_source),
    ],
    "HistoryService.ListTickets": lambda of: [
        history.ListTicketsRequest(),
        history.ListTicketsRequest(source=of.ticket_source),
        history.ListTicketsRequest(page_size=1, page_token=of.pages.get("HistoryService.ListTickets", "")),
    ],
    "HistoryService.RecordTicket": lambda of: [
        history.RecordTicketRequest(ticket=PastTicket(id=of.ticket, source=of.ticket_source, title="Mine"))
    ],
    "HistoryService.ImportTickets": lambda of: [
        history.ImportTicketsRequest(source=of.ticket_source),
        history.ImportTicketsRequest(tickets=[PastTicket(id=of.ticket, title="Mine, too")]),
    ],
    "HistoryService.RateTicket": lambda of: [
        history.RateTicketRequest(
            rating_id=f"{of.word}-rating",
            revision=2,
            ticket_id=of.ticket,
            source=of.ticket_source,
            helpful=False,
            subject=of.word,
        )
    ],
    "HistoryService.DeleteTicket": lambda of: [
        history.DeleteTicketRequest(ticket_id=of.ticket, source=of.ticket_source)
    ],
    "KnowledgeService.SearchArticles": lambda of: [
        # Above the floor, as with tickets.
        knowledge.SearchArticlesRequest(subject=of.word, with_surroundings=True),
        knowledge.SearchArticlesRequest(subject="printer prints labels"),
    ],
    "KnowledgeService.GetArticle": lambda of: [
        knowledge.GetArticleRequest(article_id=of.article),
        knowledge.GetArticleRequest(article_id=of.article, source=of.article_source),
    ],
    "KnowledgeService.ListArticles": lambda of: [
        knowledge.ListArticlesRequest(),
        knowledge.ListArticlesRequest(
            page_size=1, page_token=of.pages.get("KnowledgeService.ListArticles", "")
        ),
    ],
    "KnowledgeService.RecordArticle": lambda of: [
        knowledge.RecordArticleRequest(
            article=Article(id=of.article, source=of.article_source, title="Mine", body="Mine.")
        )
    ],
    "KnowledgeService.ImportArticles": lambda of: [
        knowledge.ImportArticlesRequest(source=of.article_source),
        knowledge.ImportArticlesRequest(articles=[Article(id=of.article, title="Mine, too", body="Mine.")]),
    ],
    "KnowledgeService.RateArticle": lambda of: [
        knowledge.RateArticleRequest(
            rating_id=f"{of.word}-rating",
            revision=2,
            article_id=of.article,
            source=of.article_source,
            helpful=False,
            subject=of.word,
        )
    ],
    "KnowledgeService.ListKnowledgeBaseSyncs": lambda _: [knowledge.ListKnowledgeBaseSyncsRequest()],
    "KnowledgeService.SyncKnowledgeBase": lambda of: [
        knowledge.SyncKnowledgeBaseRequest(knowledge_base=of.knowledge_base)
    ],
    "KnowledgeService.TestKnowledgeBase": lambda of: [
        knowledge.TestKnowledgeBaseRequest(knowledge_base=of.knowledge_base)
    ],
    "KnowledgeService.DeleteArticle": lambda of: [
        knowledge.DeleteArticleRequest(article_id=of.article, source=of.article_source)
    ],
    "NetworkService.LookupMentions": lambda of: [
        network.LookupMentionsRequest(text=f"{of.asset} at {of.address} ({of.mac_address}), {of.prefix}")
    ],
    "NetworkService.GetAsset": lambda of: [network.GetAssetRequest(name=of.asset)],
    "NetworkService.ListAssets": lambda of: [
        network.ListAssetsRequest(),
        network.ListAssetsRequest(page_size=1, page_token=of.pages.get("NetworkService.ListAssets", "")),
    ],
    "NetworkService.ImportAssets": lambda of: [
        network.ImportAssetsRequest(
            assets=[Asset(name=of.asset, addresses=[of.address], mac_addresses=[of.mac_address])]
        )
    ],
    "NetworkService.DeleteAsset": lambda of: [network.DeleteAssetRequest(name=of.asset)],
    "NetworkService.ListPrefixes": lambda of: [
        network.ListPrefixesRequest(),
        network.ListPrefixesRequest(page_size=1, page_token=of.pages.get("NetworkService.ListPrefixes", "")),
    ],
    "NetworkService.ImportPrefixes": lambda of: [
        network.ImportPrefixesRequest(prefixes=[Prefix(prefix=of.prefix, site="Mine")])
    ],
    "NetworkService.DeletePrefix": lambda of: [network.DeletePrefixRequest(prefix=of.prefix)],
    "SynthesisService.WriteBrief": lambda of: [
        # The orchestrator asks under the enhancement's id.
        synthesis.WriteBriefRequest(
            request_id=of.enhancement,
            ticket=Ticket(id=of.reported, tool="servicedesk_plus", subject="Printer"),
            evidence=[
                Evidence(
                    id="ticket:1",
                    kind=EvidenceKind.EVIDENCE_KIND_PAST_TICKET,
                    source="history",
                    title="Printer out of paper",
                    resolution="Put paper into the printer.",
                    score=0.9,
                )
            ],
        )
    ],
    "SynthesisService.GetUsage": lambda _: [synthesis.GetUsageRequest()],
    "OrchestratorService.SubmitEnhancements": lambda of: [
        orchestrator.SubmitEnhancementsRequest(
            submissions=[
                orchestrator.Submission(
                    tenant_id=of.tenant,
                    delivery_id="an intruder's",
                    revision="an intruder's",
                    ticket=Ticket(id=of.reported, tool="servicedesk_plus", subject="Foreign"),
                    is_update=True,
                )
            ]
        )
    ],
    "OrchestratorService.CreateEnhancement": lambda of: [
        orchestrator.CreateEnhancementRequest(
            ticket=Ticket(id=of.reported, tool="servicedesk_plus", subject="Foreign"),
            request_id=of.request_id,
        )
    ],
    "OrchestratorService.GetEnhancement": lambda of: [
        orchestrator.GetEnhancementRequest(enhancement_id=each)
        for each in (of.enhancement, of.waiting, of.failed)
    ],
    "OrchestratorService.ListEnhancements": lambda of: [
        orchestrator.ListEnhancementsRequest(),
        orchestrator.ListEnhancementsRequest(ticket_id=of.reported),
        orchestrator.ListEnhancementsRequest(
            page_size=1, page_token=of.pages.get("OrchestratorService.ListEnhancements", "")
        ),
    ],
    "OrchestratorService.WatchEnhancement": lambda of: [
        orchestrator.WatchEnhancementRequest(enhancement_id=each) for each in (of.enhancement, of.waiting)
    ],
    "OrchestratorService.CancelEnhancement": lambda of: [
        orchestrator.CancelEnhancementRequest(enhancement_id=of.waiting)
    ],
    "OrchestratorService.RetryEnhancement": lambda of: [
        orchestrator.RetryEnhancementRequest(enhancement_id=each) for each in (of.failed, of.waiting)
    ],
    "OrchestratorService.RetryFailedEnhancements": lambda _: [
        orchestrator.RetryFailedEnhancementsRequest(dry_run=True),
        orchestrator.RetryFailedEnhancementsRequest(),
    ],
    "OrchestratorService.ReplayEnhancement": lambda of: [
        orchestrator.ReplayEnhancementRequest(enhancement_id=of.enhancement, request_id=of.request_id)
    ],
    "OrchestratorService.GetQueue": lambda _: [orchestrator.GetQueueRequest()],
    "OrchestratorService.UpdateQueue": lambda _: [
        orchestrator.UpdateQueueRequest(weight=QUEUE_WEIGHT_PREFERRED, max_in_progress=3)
    ],
    "OrchestratorService.PauseQueue": lambda _: [orchestrator.PauseQueueRequest()],
    "OrchestratorService.ResumeQueue": lambda _: [orchestrator.ResumeQueueRequest()],
    "OrchestratorService.SubmitFeedback": lambda of: [
        orchestrator.SubmitFeedbackRequest(
            feedback=Feedback(enhancement_id=of.enhancement, comment="Foreign"), request_id=of.request_id
        )
    ],
    "TenantService.CreateTenant": lambda of: [
        tenants.CreateTenantRequest(
            tenant=Tenant(
                id=of.tenant, display_name="Mine", ticketing=TicketingConnection(tool="servicedesk_plus")
            )
        )
    ],
    "TenantService.GetTenant": lambda of: [tenants.GetTenantRequest(tenant_id=of.tenant)],
    "TenantService.ListTenants": lambda _: [tenants.ListTenantsRequest()],
    "TenantService.ListWebhookSecrets": lambda of: [
        tenants.ListWebhookSecretsRequest(tenant_id=of.tenant, tool="servicedesk_plus")
    ],
    "TenantService.GetTicketingAccess": lambda _: [tenants.GetTicketingAccessRequest()],
    "TenantService.ListQueueShares": lambda _: [tenants.ListQueueSharesRequest()],
    "TenantService.ListRetrievalSettings": lambda _: [tenants.ListRetrievalSettingsRequest()],
    "TenantService.RecordRetrievalEvaluation": lambda of: [
        tenants.RecordRetrievalEvaluationRequest(
            tenant_id=of.tenant, evaluation=measured(), request_id=of.request_id
        )
    ],
    "TenantService.ListRetrievalEvaluations": lambda of: [
        tenants.ListRetrievalEvaluationsRequest(tenant_id=of.tenant)
    ],
    "TenantService.UpdateTenant": lambda of: [
        tenants.UpdateTenantRequest(
            tenant_id=of.tenant,
            tenant=Tenant(display_name="Foreign"),
            update_mask=FieldMask(paths=["display_name"]),
            validate_only=only,
        )
        for only in (True, False)
    ],
    "TenantService.SuspendTenant": lambda of: [tenants.SuspendTenantRequest(tenant_id=of.tenant)],
    "TenantService.ResumeTenant": lambda of: [tenants.ResumeTenantRequest(tenant_id=of.tenant)],
    "TenantService.RotateWebhookSecret": lambda of: [
        tenants.RotateWebhookSecretRequest(tenant_id=of.tenant, request_id=of.request_id)
    ],
    "TenantService.SetTicketingCredentials": lambda of: [
        tenants.SetTicketingCredentialsRequest(tenant_id=of.tenant, credentials={"authtoken": AUTHTOKEN})
    ],
    "TenantService.CreateApiKey": lambda of: [
        tenants.CreateApiKeyRequest(tenant_id=of.tenant, role=ROLE_VIEWER, request_id=of.request_id)
    ],
    "TenantService.ListApiKeys": lambda of: [tenants.ListApiKeysRequest(tenant_id=of.tenant)],
    "TenantService.RevokeApiKey": lambda of: [
        tenants.RevokeApiKeyRequest(tenant_id=of.tenant, key_id=of.api_key_id)
    ],
    "TenantService.ListAuditEvents": lambda of: [tenants.ListAuditEventsRequest(tenant_id=of.tenant)],
    "TenantService.VerifyAuditLog": lambda of: [tenants.VerifyAuditLogRequest(tenant_id=of.tenant)],
    # Only what it would remove: this suite goes on to need it.
    "TenantService.DeleteTenant": lambda of: [
        tenants.DeleteTenantRequest(tenant_id=of.tenant, validate_only=True)
    ],
    "TenantService.GetTenantDeletion": lambda of: [tenants.GetTenantDeletionRequest(deletion_id=of.deletion)],
    "TenantService.ListTenantDeletions": lambda of: [
        tenants.ListTenantDeletionsRequest(),
        tenants.ListTenantDeletionsRequest(
            page_size=1, page_token=of.pages.get("TenantService.ListTenantDeletions", "")
        ),
    ],
    "TenantService.ExportTenant": lambda of: [tenants.ExportTenantRequest(tenant_id=of.tenant)],
    "TenantDataService.CountRows": lambda _: [tenantdata.CountRowsRequest()],
    "TenantDataService.EraseRows": lambda _: [tenantdata.EraseRowsRequest()],
    "TenantDataService.ExportRows": lambda _: [tenantdata.ExportRowsRequest()],
    "TenantDataService.ExpireRows": lambda _: [tenantdata.ExpireRowsRequest()],
    "TenantService.TestConnection": lambda of: [tenants.TestConnectionRequest(tenant_id=of.tenant)],
    "TenantService.ListWebhookSecretVersions": lambda of: [
        tenants.ListWebhookSecretVersionsRequest(tenant_id=of.tenant)
    ],
    "TenantService.RecordWebhookSecretUses": lambda of: [
        tenants.RecordWebhookSecretUsesRequest(
            uses=[
                tenants.WebhookSecretUse(
                    tenant_id=of.tenant, secret_id=of.webhook_secret_id, use_time=Timestamp(seconds=1)
                )
            ]
        )
    ],
    "TenantService.CreateOperatorKey": lambda of: [
        tenants.CreateOperatorKeyRequest(role=ROLE_OPERATOR, request_id=of.request_id)
    ],
    "TenantService.ListOperatorKeys": lambda _: [tenants.ListOperatorKeysRequest()],
    "TenantService.RevokeOperatorKey": lambda of: [
        tenants.RevokeOperatorKeyRequest(key_id=of.operator_key_id)
    ],
    "TenantService.ListOperatorAuditEvents": lambda _: [tenants.ListOperatorAuditEventsRequest()],
    "TenantService.VerifyOperatorAuditLog": lambda _: [tenants.VerifyOperatorAuditLogRequest()],
    "TenantService.RecordAuditEvents": lambda of: [
        tenants.RecordAuditEventsRequest(
            events=[
                ReportedEvent(
                    # Another's event of that id makes no difference to one's own.
                    event_id=of.api_key_id,
                    create_time=Timestamp(seconds=1),
                    principal=of.api_key_id,
                    subject="gateway",
                    role="admin",
                    action="DeleteTicket",
                    resource=f"tickets/{of.ticket_source}/{of.ticket}",
                )
            ]
        )
    ],
    "TenantService.SetKnowledgeBaseCredentials": lambda of: [
        tenants.SetKnowledgeBaseCredentialsRequest(
            tenant_id=of.tenant, knowledge_base=of.knowledge_base, credentials={"token": AUTHTOKEN}
        )
    ],
    "TenantService.GetKnowledgeBaseAccess": lambda _: [tenants.GetKnowledgeBaseAccessRequest()],
    "TenantService.ListKnowledgeBases": lambda _: [tenants.ListKnowledgeBasesRequest()],
    "TenantService.ReencryptSecrets": lambda _: [tenants.ReencryptSecretsRequest()],
    "TenantService.AuthenticateApiKey": lambda of: [tenants.AuthenticateApiKeyRequest(api_key=of.api_key)],
}

ACROSS_CLIENTS: Final[Mapping[tuple[str, str], str]] = {
    ("TenantService.CreateTenant", "operator"): "operators take clients on",
    ("TenantService.GetTenant", "operator"): "operators, the provider's own staff, know every client",
    ("TenantService.ListTenants", "operator"): "operators, the provider's own staff, know every client",
    ("TenantService.ListQueueShares", "service orchestrator"): "runs are taken up by all clients' shares",
    ("TenantService.ListRetrievalSettings", "service history"): "each client is searched by its own weights",
    (
        "TenantService.ListRetrievalSettings",
        "service knowledge",
    ): "each client is searched by its own weights",
    ("TenantService.ListKnowledgeBases", "service knowledge"): "all clients' knowledge bases are synced",
    ("TenantService.ReencryptSecrets", "operator"): "one key-encryption key is for all clients",
    ("TenantService.AuthenticateApiKey", "service gateway"): "who has a key is told whose it is",
}
"""Who sees more than one client on purpose, by RPC and caller, and why."""

NOT_SERVED: Final = frozenset({"ContextSourceService"})
"""Contracts that others serve: our services answer no call of them."""
