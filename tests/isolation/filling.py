"""Makes a client that has something of everything: by using the product, by hand where that is too long."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final
from uuid import uuid4

import httpx
import psycopg
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from cli.demo.desk import AUTHTOKEN, Desk
from tests.isolation.belongings import Belongings
from tests.isolation.calls import Credential, Services, methods, name_of
from tests.support.polling import eventually

TOOL: Final = "servicedesk_plus"
ROLES: Final = ("admin", "technician", "viewer")
"""Those of API keys that are for one client."""
_LISTS: Final = (
    "HistoryService.ListTickets",
    "KnowledgeService.ListArticles",
    "NetworkService.ListAssets",
    "NetworkService.ListPrefixes",
    "OrchestratorService.ListEnhancements",
)
_OTHERS: Final = (
    "badge reader",
    "coffee machine",
    "door",
    "fax",
    "lift",
    "projector",
    "scanner",
    "telephone",
)
_BY_HAND: Final = """
insert into history.embedding_backlog (tenant_id, source, ticket_id, taken_until)
values (%(tenant)s, %(word)s, %(word)s, 'infinity');
insert into knowledge.embedding_backlog (tenant_id, source, article_id, position, taken_until)
values (%(tenant)s, %(word)s, %(word)s, 0, 'infinity');
insert into orchestrator.ratings (
    id, tenant_id, enhancement_id, evidence_id, voice, kind, document_source, document_id, helpful,
    handed_over
) select %(word)s, %(tenant)s, min(id), %(word)s, %(word)s, 'ticket', %(word)s, %(word)s, true, 1
from orchestrator.enhancements where tenant_id = %(tenant)s;
insert into synthesis.purchases (tenant_id, request_id, purchase_id, content_hash, lease_end)
values (%(tenant)s, %(word)s, gen_random_uuid(), '\\x00', now() + interval '1 day');
insert into synthesis.surplus_calls (
    tenant_id, purchase_id, request_id, model, prompt_tokens, completion_tokens, cost, estimated
) values (%(tenant)s, gen_random_uuid(), %(word)s, 'instant', 10, 10, 1, false);
insert into synthesis.reservations (tenant_id, purchase_id, request_id, amount, reserve_time)
values (%(tenant)s, gen_random_uuid(), %(word)s, 1, now());
insert into tenants.retrieval_evaluations (
    tenant_id, evaluation_id, kind, basis, query_count, unanswerable_count, meaning_share, floor, measures
) values (%(tenant)s, gen_random_uuid(), 'tickets', 'own_tickets', 9, 9, 0.5, 0.2,
    '{"map": {"mean": 0.5, "low": 0.4, "high": 0.6}}');
insert into tenants.audit_anchors (tenant_id, sequence, hash)
values (%(tenant)s, 0, decode(repeat('00', 32), 'hex'));
"""
"""What only replicas that get into each other's way, or months, leave behind, or that is gone in a moment."""
_EVENT_IN_PASSING: Final = """
insert into {schema}.audit_outbox (
    event_id, tenant_id, principal, subject, role, request_id, action, resource, changes, lease_end
) values (
    gen_random_uuid(), %(tenant)s, %(word)s, %(word)s, 'admin', %(word)s, 'Test', %(word)s, '[]', 'infinity'
);
"""
"""Which is there for a moment only; this one stays."""
OUTBOXES: Final = ("history", "knowledge", "network", "orchestrator")


@dataclass(frozen=True, slots=True)
class Client:
    has: Belongings
    api_keys: Mapping[str, str]
    """By role."""

    def signed(self, body: bytes) -> Mapping[str, str]:
        return signed(body, self.has.webhook_secret)


def signed(body: bytes, secret: str) -> Mapping[str, str]:
    return {"X-ServiceDesk-Signature": f"sha256={hmac.new(secret.encode(), body, sha256).hexdigest()}"}


class Filling:
    def __init__(self, services: Services, *, gateway_url: str, admin_url: str) -> None:
        self._services = services
        self._gateway_url = gateway_url
        self._admin_url = admin_url

    def client(self, tenant: str, *, word: str, number: int, desk: Desk) -> Client:
        """`word` is in every text of this client's; `number` tells its addresses from others'."""
        name = f"{word.capitalize()} and Sons"
        self._create(tenant, name, desk)
        deletions = [self._deleted(tenant)]
        self._create(tenant, name, desk)
        deletions.append(self._deleted(tenant))
        made = self._create(tenant, name, desk)
        desk.send_webhooks_to(
            f"{self._gateway_url}/webhooks/{tenant}/{TOOL}", secret=made["webhook_secret"], tenant=tenant
        )
        has = Belongings(
            tenant=tenant,
            display_name=name,
            word=word,
            ticket=f"{word}-ticket-1",
            ticket_source=f"{word}.desk",
            article=f"{word}-article-1",
            article_source=f"{word}.wiki",
            knowledge_base=f"{word}.pages",
            asset=f"{word}-srv-1",
            address=f"10.{number}.0.1",
            mac_address=f"02:00:00:00:{number:02x}:01",
            prefix=f"10.{number}.0.0/24",
            enhancement="",
            waiting="",
            failed="",
            reported="",
            request_id=f"{word}-request",
            api_key=made["api_key"],
            api_key_id="",
            operator_key_id="",
            webhook_secret=made["webhook_secret"],
            deletion=deletions[-1],
            webhook_secret_id=self._webhook_secret_id(tenant),
        )
        self._load(has)
        self._sync(has, desk)
        self._embed(has)
        has = self._enhance(has, desk)
        with psycopg.connect(self._admin_url) as connection:
            by_hand = [_BY_HAND, *(_EVENT_IN_PASSING.replace("{schema}", schema) for schema in OUTBOXES)]
            for statement in by_hand:
                connection.execute(
                    statement.replace("%(tenant)s", f"'{tenant}'").replace("%(word)s", f"'{word}'")
                )
        self._all_handed_over(tenant)
        keys = {role: self._key(tenant, role)["api_key"] for role in ROLES if role != "admin"}
        unused = self._key(tenant, "viewer")["key"]["id"]
        has = replace(has, api_key_id=unused, operator_key_id=self._operator_key(), pages=self._pages(has))
        return Client(has, {"admin": has.api_key, **keys})

    def _all_handed_over(self, tenant: str) -> None:
        """Until then, rows of this client's go on to change by themselves."""
        left = " union all ".join(
            f"select 1 from {schema}.audit_outbox where tenant_id = '{tenant}'"  # noqa: S608 - names of ours
            " and lease_end is distinct from 'infinity'"
            for schema in OUTBOXES
        )
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            eventually(lambda: not connection.execute(left).fetchall(), what=f"the audit events of {tenant}")

    def _create(self, tenant: str, name: str, desk: Desk) -> Mapping[str, Any]:
        ticketing = {"tool": TOOL, "base_url": desk.base_url, "options": {"requests_per_minute": "1000"}}
        return self._done(
            "TenantService.CreateTenant",
            Credential(None, "operator"),
            tenant={"id": tenant, "display_name": name, "ticketing": ticketing},
            ticketing_credentials={"authtoken": AUTHTOKEN},
            skip_connection_test=True,
        )

    def _deleted(self, tenant: str) -> str:
        """Delete it to the end; the deletion's id."""
        provider = Credential(None, "operator")
        begun = self._done("TenantService.DeleteTenant", provider, tenant_id=tenant)["deletion"]

        def look() -> bool:
            told = self._done("TenantService.GetTenantDeletion", provider, deletion_id=begun["id"])
            return bool(told["deletion"]["state"] == "DELETION_STATE_DONE")

        eventually(look, what=f"the end of {tenant}", timeout_seconds=60)
        return str(begun["id"])

    def _webhook_secret_id(self, tenant: str) -> str:
        listed = self._done(
            "TenantService.ListWebhookSecretVersions", Credential(tenant, "admin"), tenant_id=tenant
        )
        (version,) = listed["versions"]
        return str(version["id"])

    def _load(self, has: Belongings) -> None:
        """Two of each and more, so that every list has a second page and words are rare enough to find by."""
        admin = Credential(has.tenant, "admin")
        text = f"The {has.word} printer prints {has.word} labels."
        tickets = [has.ticket, f"{has.word}-ticket-2"]
        articles = [has.article, f"{has.word}-article-2"]
        assets = {has.asset: 1, f"{has.word}-srv-2": 2}
        site = {"site": has.word}
        self._done(
            "HistoryService.ImportTickets",
            admin,
            source=has.ticket_source,
            tickets=[
                *({"id": each, "title": text, "resolution": text} for each in tickets),
                *({"id": each.replace(" ", "-"), "title": f"The {each} is broken"} for each in _OTHERS),
            ],
        )
        self._done(
            "KnowledgeService.ImportArticles",
            admin,
            source=has.article_source,
            articles=[{"id": each, "title": text, "body": f"# {text}\n\n{text}"} for each in articles],
        )
        rated = {"rating_id": f"{has.word}-rating", "revision": 1, "helpful": True, "subject": text}
        ticket = {"ticket_id": has.ticket, "source": has.ticket_source}
        self._done("HistoryService.RateTicket", admin, **rated, **ticket)
        article = {"article_id": has.article, "source": has.article_source}
        self._done("KnowledgeService.RateArticle", admin, **rated, **article)
        self._done(
            "NetworkService.ImportAssets",
            admin,
            assets=[
                {
                    "name": name,
                    "addresses": [f"{has.address[:-1]}{number}"],
                    "mac_addresses": [f"{has.mac_address[:-1]}{number}"],
                    **site,
                }
                for name, number in assets.items()
            ],
        )
        other = has.prefix.replace(".0.0/", ".1.0/")
        self._done(
            "NetworkService.ImportPrefixes",
            admin,
            prefixes=[{"prefix": each, **site} for each in (has.prefix, other)],
        )

    def _sync(self, has: Belongings, desk: Desk) -> None:
        """A knowledge base that is synced, in vain: the desk is none."""
        base = {"name": has.knowledge_base, "connector": "confluence", "base_url": desk.base_url}
        self._done(
            "TenantService.UpdateTenant",
            Credential(None, "operator"),
            tenant_id=has.tenant,
            tenant={"knowledge_bases": [{**base, "options": {"spaces": has.word}}]},
            update_mask="knowledgeBases",
        )
        self._done(
            "TenantService.SetKnowledgeBaseCredentials",
            Credential(None, "operator"),
            tenant_id=has.tenant,
            knowledge_base=has.knowledge_base,
            credentials={"token": AUTHTOKEN},
        )
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            of = {"tenant": has.tenant}
            tried = "select from knowledge.base_syncs where tenant_id = %(tenant)s and error <> ''"
            eventually(lambda: bool(connection.execute(tried, of).fetchall()), what="the sync")
            # From here on it changes no more by itself.
            later = "update knowledge.base_syncs set due_time = now() + '1 year' where tenant_id = %(tenant)s"
            connection.execute(later, of)

    def _embed(self, has: Belongings) -> None:
        """Searches answer the same from here on."""
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            waiting = """
                select from history.embedding_backlog where tenant_id = %(tenant)s
                union all select from knowledge.embedding_backlog where tenant_id = %(tenant)s
            """
            of = {"tenant": has.tenant}
            eventually(lambda: not connection.execute(waiting, of).fetchall(), what="the vectors")

    def _enhance(self, has: Belongings, desk: Desk) -> Belongings:
        """A brief that was written, with feedback and a change; one that failed; and one that waits."""
        incident = {"subject": f"{has.word} printer down", "description": f"{has.asset} says {has.word}."}
        operator = Credential(has.tenant, "operator")
        delivered = desk.create_request({**incident, "id": f"{has.word}9001"})
        reported, enhancement = delivered.ticket_id, json.loads(delivered.body)["enhancement_id"]
        self._ended(enhancement, operator, "ENHANCEMENT_STATE_SUCCEEDED")
        self._send_change(has, reported, incident)

        desk.post("/_standin/faults", {"kind": "forbidden", "method": "POST", "path": "/notes"})
        failing = desk.create_request({**incident, "id": f"{has.word}9002"})
        failed = json.loads(failing.body)["enhancement_id"]
        self._ended(failed, operator, "ENHANCEMENT_STATE_FAILED")

        self._done("OrchestratorService.UpdateQueue", operator, max_in_progress=2)
        self._done("OrchestratorService.PauseQueue", operator)
        waiting = self._done(
            "OrchestratorService.CreateEnhancement",
            operator,
            ticket={"id": f"{has.word}9003", "tool": TOOL, **incident},
            request_id=has.request_id,
        )["enhancement"]["id"]
        self._done(
            "OrchestratorService.SubmitFeedback",
            operator,
            feedback={"enhancement_id": enhancement, "comment": f"{has.word} helped", "rating": 5},
            request_id=has.request_id,
        )
        return replace(has, enhancement=enhancement, failed=failed, waiting=waiting, reported=reported)

    def _send_change(self, has: Belongings, reported: str, incident: Mapping[str, str]) -> None:
        body = json.dumps({"event": "ticket_updated", "ticket_id": reported, **incident}).encode()
        url = f"{self._gateway_url}/webhooks/{has.tenant}/{TOOL}"
        answer = httpx.post(url, content=body, headers=signed(body, has.webhook_secret), trust_env=False)
        assert answer.json()["state"] == "known", answer.text

    def _ended(self, enhancement: str, caller: Credential, state: str) -> None:
        def look() -> bool:
            told = self._done("OrchestratorService.GetEnhancement", caller, enhancement_id=enhancement)
            assert told["enhancement"]["state"] in {
                state,
                "ENHANCEMENT_STATE_QUEUED",
                "ENHANCEMENT_STATE_RUNNING",
            }, told
            return bool(told["enhancement"]["state"] == state)

        eventually(look, what=f"{enhancement} in {state}", timeout_seconds=60)

    def _pages(self, has: Belongings) -> Mapping[str, str]:
        admin, operator = Credential(has.tenant, "admin"), Credential(has.tenant, "operator")
        pages = {rpc: self._done(rpc, admin, page_size=1)["next_page_token"] for rpc in _LISTS}
        deletions = "TenantService.ListTenantDeletions"
        return {**pages, deletions: self._done(deletions, operator, page_size=1)["next_page_token"]}

    def _key(self, tenant: str, role: str) -> Mapping[str, Any]:
        return self._done(
            "TenantService.CreateApiKey",
            Credential(tenant, "admin"),
            tenant_id=tenant,
            role=f"ROLE_{role.upper()}",
            request_id=str(uuid4()),
        )

    def _operator_key(self) -> str:
        made = self._done(
            "TenantService.CreateOperatorKey",
            Credential(None, "operator"),
            role="ROLE_VIEWER",
            # The provider's own, which stays when a client goes: of no client in name either.
            display_name="for staff",
            request_id=str(uuid4()),
        )
        key_id: str = made["key"]["id"]
        return key_id

    def _done(self, rpc: str, caller: Credential, **fields: Any) -> Mapping[str, Any]:
        method = next(each for each in methods() if name_of(each) == rpc)
        request: Message = ParseDict(fields, GetMessageClass(method.input_type)())
        (answer,) = self._services.ask(method, [request], caller)
        assert answer.ok, (rpc, answer)
        return answer.said
