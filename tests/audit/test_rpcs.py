"""Every RPC of every contract: what changes something leaves one event, and nothing else leaves any."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final
from uuid import uuid4

import httpx
import psycopg
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from cli.demo.desk import AUTHTOKEN, running_desk
from gateway.mesh import CONTRACTS
from gateway.roles import role_for
from gateway.transcode.bindings import bindings
from tests.audit.cases import CASES, EXCEPTED, PASSWORD, PROVIDER, REPEATED, THROUGH, Case
from tests.isolation.calls import Credential, Services, methods, name_of, only_reads
from tests.isolation.cases import CASES as QUESTIONS
from tests.isolation.cases import NOT_SERVED
from tests.isolation.filling import OUTBOXES, Client, Filling
from tests.isolation.sent import imported, transcoded
from tests.support.keys import Keys
from tests.support.leaks import Watch
from tests.support.mesh import Mesh
from tests.support.polling import eventually

OURS = [method for method in methods() if method.containing_service.name not in NOT_SERVED]
CHANGING = [method for method in OURS if not only_reads(method)]
AUDITED = [method for method in CHANGING if name_of(method) not in EXCEPTED]
ROUTES: Final = {name_of(each.method): each for each in bindings(CONTRACTS)}
_WAITING: Final = " union all ".join(
    f"select tenant_id from {schema}.audit_outbox where lease_end is distinct from 'infinity'"  # noqa: S608
    for schema in OUTBOXES
)

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class World:
    mesh: Mesh
    services: Services
    client: Client
    admin: "psycopg.Connection[dict[str, Any]]"
    admin_key_id: str

    @property
    def tenant(self) -> str:
        return self.client.has.tenant

    def case_of(self, method: MethodDescriptor) -> Case:
        return CASES[name_of(method)](self.client.has, self.do)

    def do(self, rpc: str, **fields: Any) -> Mapping[str, Any]:
        method = next(each for each in methods() if name_of(each) == rpc)
        request: Message = ParseDict(fields, GetMessageClass(method.input_type)())
        whose = None if rpc.startswith("TenantService.") else self.tenant
        (answer,) = self.services.ask(method, [request], Credential(whose, "operator"))
        assert answer.ok, (rpc, answer)
        return answer.said

    def send(
        self, method: MethodDescriptor, request: Message, request_id: str, role: str
    ) -> tuple[bool, str]:
        """Over REST with the client's API key of that role, else as the gateway would with it.

        Whether it was done, and what was said.
        """
        route = ROUTES.get(name_of(method))
        if route is None:
            caller = Credential(self.tenant, role, "gateway", self.admin_key_id)
            (answer,) = self.services.ask(method, [request], caller, request_id=request_id)
            return answer.ok, answer.text()
        sent = imported(route, [request]) if method.client_streaming else transcoded(route, request)
        headers = {**self._credentials(role), "x-request-id": request_id}
        if role == "operator" and route.service != "tenants":
            # Where clients are the subject, an operator who acts for one knows no other.
            headers["x-dossier-tenant"] = self.tenant
        with httpx.Client(base_url=self.mesh.gateway_url, timeout=30, trust_env=False) as http:
            told = http.request(sent.method, sent.path, content=sent.body, headers=headers)
        return told.is_success, told.text

    def _credentials(self, role: str) -> Mapping[str, str]:
        if role != "operator":
            return {"x-api-key": self.client.api_keys[role]}
        token = Keys(self.mesh.instance.signing_key.parent).mint(
            "gateway", tenant=None, role="operator", subject="jo"
        )
        return {"authorization": f"Bearer {token}"}

    def events(self, log: str) -> Sequence[Event]:
        """All of a log, once every event that was written is in it."""
        eventually(lambda: not self.admin.execute(_WAITING).fetchall(), what="the events handed over")
        return self.admin.execute(
            "select * from tenants.audit_events where tenant_id = %s order by sequence", (log,)
        ).fetchall()

    def events_of(self, request_id: str) -> Sequence[Event]:
        """Of one request, in whichever log."""
        eventually(lambda: not self.admin.execute(_WAITING).fetchall(), what="the events handed over")
        return self.admin.execute(
            "select * from tenants.audit_events where request_id = %s", (request_id,)
        ).fetchall()


@pytest.fixture(scope="module")
def world(mesh: Mesh, watch: Watch) -> Iterator[World]:
    record = mesh.record
    services = Services(record.ports, mesh.instance.signing_key)
    with (
        running_desk() as desk,
        psycopg.connect(record.database_url, autocommit=True, row_factory=psycopg.rows.dict_row) as admin,
    ):
        filling = Filling(services, gateway_url=mesh.gateway_url, admin_url=record.database_url)
        client = filling.client("audited", word="quokkaberry", number=73, desk=desk)
        watch.keep(client.has.webhook_secret, *client.api_keys.values())
        world = World(mesh, services, client, admin, admin_key_id="")
        keys = world.do("TenantService.ListApiKeys", tenant_id="audited")["keys"]
        (first,) = (key["id"] for key in keys if key["role"] == "ROLE_ADMIN")
        yield replace(world, admin_key_id=first)
        for schema in OUTBOXES:
            admin.execute(f"delete from {schema}.audit_outbox where tenant_id = 'audited'")  # noqa: S608
    services.close()


def edge_role(method: MethodDescriptor) -> str:
    """The least that may call it at the gateway; imports come with an admin's token."""
    route = ROUTES.get(name_of(method))
    return "admin" if route is None else role_for(method, http_method=route.http_method)


def test_every_changing_rpc_has_a_case_or_a_reason() -> None:
    names = {name_of(method) for method in CHANGING}

    assert names - CASES.keys() - EXCEPTED.keys() == set(), "cases.py says how to add one"
    assert (CASES.keys() | EXCEPTED.keys()) - names == set()
    assert CASES.keys() & EXCEPTED.keys() == set()
    assert REPEATED.keys() <= CASES.keys()
    assert names


@pytest.mark.parametrize("method", AUDITED, ids=name_of)
def test_what_changes_something_leaves_one_event(world: World, method: MethodDescriptor) -> None:
    case = world.case_of(method)
    request_id, role = f"changing-{uuid4()}", edge_role(method)

    done, said = world.send(method, case.request, request_id, role)

    assert done, said
    (event,) = world.events_of(request_id)
    package = method.containing_service.full_name.split(".")[1]
    action, subject = THROUGH.get(name_of(method), (method.name, "gateway"))
    assert event["action"] == action
    assert event["tenant_id"] == (case.client or world.tenant)
    assert event["service"] == (package if action == method.name else "tenants")
    assert (event["subject"], event["role"]) == (subject, role)
    assert event["resource"]
    if role == "operator":
        assert event["principal"] == "jo"
    elif role == "admin":
        assert event["principal"] == world.admin_key_id
    else:
        assert event["principal"] not in {"", "gateway", world.admin_key_id}

    world.send(method, case.request, request_id, role)

    assert len(world.events_of(request_id)) == (2 if name_of(method) in REPEATED else 1)


@pytest.mark.parametrize("method", AUDITED, ids=name_of)
def test_what_is_refused_leaves_none(world: World, method: MethodDescriptor) -> None:
    case = world.case_of(method)
    request_id = f"refused-{uuid4()}"
    by_whom = "viewer" if name_of(method) in ROUTES else None

    if by_whom is not None:
        assert not world.send(method, case.request, request_id, by_whom)[0]
    else:
        nobodys = Credential(None, "admin", "gateway", world.admin_key_id)
        (answer,) = world.services.ask(method, [case.request], nobodys, request_id=request_id)
        # Where clients are the subject, one that is not the caller's does not exist.
        about_clients = method.containing_service.name == "TenantService"
        assert answer.code == ("NOT_FOUND" if about_clients else "PERMISSION_DENIED")
    if case.refused is not None:
        done, said = world.send(method, case.refused, request_id, edge_role(method))
        assert not done, said

    assert world.events_of(request_id) == []


@pytest.mark.parametrize("method", [method for method in OURS if only_reads(method)], ids=name_of)
def test_what_only_reads_leaves_none(world: World, method: MethodDescriptor) -> None:
    request_id = f"reading-{uuid4()}"
    ask = partial(world.services.ask, method, QUESTIONS[name_of(method)](world.client.has))
    callers = [
        *(Credential(whose, "operator", "gateway") for whose in (world.tenant, None)),
        *(Credential(whose, "service", "gateway") for whose in (world.tenant, None)),
        *(
            Credential(world.tenant, "service", subject)
            for subject in ("orchestrator", "tenants", "history", "knowledge")
        ),
    ]
    answers = [answer for caller in callers for answer in ask(caller, request_id=request_id)]

    assert any(answer.ok for answer in answers), answers
    assert world.events_of(request_id) == []


@pytest.mark.parametrize("rpc", ["OrchestratorService.SubmitEnhancements", "SynthesisService.WriteBrief"])
def test_what_is_excepted_leaves_none(world: World, rpc: str) -> None:
    method = next(each for each in methods() if name_of(each) == rpc)
    request_id = f"excepted-{uuid4()}"
    caller = Credential(world.tenant, "service", "gateway")

    (answer,) = world.services.ask(method, QUESTIONS[rpc](world.client.has), caller, request_id=request_id)

    assert answer.ok, answer
    assert world.events_of(request_id) == []


def test_what_is_for_all_clients_is_in_the_operators_log(world: World) -> None:
    pause, resume = (
        next(each for each in methods() if name_of(each) == f"OrchestratorService.{name}Queue")
        for name in ("Pause", "Resume")
    )
    request_id, everybody = f"all-{uuid4()}", Credential(None, "operator", "cli", "jo")
    clients = len(world.events(world.tenant))

    for method in (pause, pause, resume, resume):
        (answer,) = world.services.ask(
            method, [GetMessageClass(method.input_type)()], everybody, request_id=request_id
        )
        assert answer.ok, answer

    mine = [event for event in world.events(PROVIDER) if event["request_id"] == request_id]
    assert [(event["action"], event["service"], event["principal"]) for event in mine] == [
        ("PauseQueue", "orchestrator", "jo"),
        ("ResumeQueue", "orchestrator", "jo"),
    ]
    assert mine[0]["changes"] == [["paused", "", "true"]]
    assert len(world.events(world.tenant)) == clients


def test_no_event_tells_a_secret_and_the_log_is_whole(world: World) -> None:
    """After all of the above, whose texts had a password in them."""
    events = world.events(world.tenant)
    dump = str(world.admin.execute("select t::text from tenants.audit_events t").fetchall())
    has = world.client.has

    assert "***" in dump
    for secret in (PASSWORD, AUTHTOKEN, has.webhook_secret, *world.client.api_keys.values(), "dsk_"):
        assert secret not in dump
    verdict = world.do("TenantService.VerifyAuditLog", tenant_id=world.tenant)
    assert int(verdict["events"]) == len(events) > len(AUDITED) // 2
    assert "broken_at" not in verdict


def test_the_command_tells_who_did_what_where(world: World) -> None:
    world.do("HistoryService.RecordTicket", ticket={"id": "shown", "title": "Shown by the command"})
    world.events(world.tenant)

    told = world.mesh.dossier("tenant", "audit", "list", world.tenant, "--json")

    event = json.loads(told.stdout)["events"][-1]
    assert (event["service"], event["action"], event["resource"]) == (
        "history",
        "RecordTicket",
        "tickets/import/shown",
    )
    assert event["changes"] == [{"field": "title", "before": "", "after": '"Shown by the command"'}]
    shown = world.mesh.dossier("tenant", "audit", "list", world.tenant).stdout
    assert "history" in shown
