"""One client is deleted while everything goes wrong that may; the other notices nothing. In this order."""

import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import httpx
import psutil
import psycopg
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from cli.follow import all_ready
from cli.instance import Instance
from cli.ports import SERVICES
from tests.deletion.traces import PROVIDERS, Traces
from tests.isolation.calls import Answer, Credential, methods, name_of
from tests.isolation.world import World, tenant_tables
from tests.support.leaks import Watch
from tests.support.polling import eventually

PROVIDER: Final = Credential(None, "operator")
SLOW_SECONDS: Final = 6.0
LEFT_OUT: Final = {
    "history.embedding_backlog",
    "history.lexeme_counts",
    "history.ticket_search",
    "history.ticket_vectors",
    "knowledge.article_search",
    "knowledge.embedding_backlog",
    "knowledge.lexeme_counts",
    "knowledge.passage_search",
    "knowledge.passage_vectors",
    "knowledge.passages",
}
"""Computed from what is exported."""

Told = Mapping[str, Any]


def call(
    world: World, rpc: str, caller: Credential = PROVIDER, at: str | None = None, **fields: Any
) -> Answer:
    method = next(each for each in methods() if name_of(each) == rpc)
    request = ParseDict(fields, GetMessageClass(method.input_type)())
    (answer,) = world.services.ask(method, [request], caller, at=at)
    return answer


def done(world: World, rpc: str, **fields: Any) -> Told:
    answer = call(world, rpc, **fields)
    assert answer.ok, (rpc, answer)
    return answer.said


def deletion(world: World, deletion_id: str) -> Told:
    told: Told = done(world, "TenantService.GetTenantDeletion", deletion_id=deletion_id)["deletion"]
    return told


def totals(told: Told, what: str) -> Mapping[str, int]:
    return {
        store["name"]: sum(int(table.get(what, 0)) for table in store.get("tables", ()))
        for store in told.get("stores", ())
    }


def rows(told: Told, what: str, table: str) -> int:
    tables = (each for store in told["stores"] for each in store.get("tables", ()))
    return sum(int(each.get(what, 0)) for each in tables if each["name"] == table)


def awaited(told: Told) -> Mapping[str, str]:
    return {store["name"]: store["awaited"] for store in told.get("stores", ()) if store.get("awaited")}


def process(instance: Instance, name: str) -> psutil.Process:
    found = next(entry for entry in instance.require_running().processes if entry.name == name)
    running = found.mark.process() if found.mark else None
    assert running is not None
    return running


def stop(instance: Instance, name: str, number: int) -> None:
    stopping = process(instance, name)
    stopping.send_signal(number)
    stopping.wait(30)


def start_all(instance: Instance) -> None:
    record = instance.require_running()
    eventually(
        lambda: any(entry.mark is None for entry in instance.require_running().processes),
        what="the supervisor noticing",
    )
    os.kill(record.supervisor.pid, signal.SIGHUP)
    eventually(
        lambda: all_ready(instance.require_running()), what="everything ready again", timeout_seconds=60
    )


def exported(world: World, tenant: str, key: str) -> httpx.Response:
    url = f"{world.gateway_url}/v1/tenants/{tenant}/export"
    return httpx.get(url, headers={"x-api-key": key}, timeout=60, trust_env=False)


def test_an_export_has_every_table_and_says_what_it_left_out_and_why(world: World, watch: Watch) -> None:
    aster = world.aster
    answer = exported(world, aster.has.tenant, aster.api_keys["admin"])
    assert answer.status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    manifest = json.loads(archive.read("manifest.json"))
    with psycopg.connect(world.admin_url) as admin:
        tables = set(tenant_tables(admin))
        rows = {
            table: admin.execute(
                f"select count(*) from {table} where tenant_id = %s",  # noqa: S608
                (aster.has.tenant,),
            ).fetchall()[0][0]
            for table in tables
        }

    files = {each["name"].removesuffix(".jsonl").replace("/", "."): each for each in manifest["files"]}
    left_out = {each["what"].replace("/", "."): each["reason"] for each in manifest["left_out"]}
    assert tables == files.keys() | LEFT_OUT
    assert left_out.keys() >= LEFT_OUT
    assert all(left_out.values())
    for table, file in files.items():
        content = archive.read(file["name"])
        lines = [json.loads(line) for line in content.splitlines()]
        assert file["rows"] == len(lines) == rows[table], table
        assert file["sha256"] == sha256(content).hexdigest()
        watch.look(content, f"the export, {table}")
        assert world.borealis.has.word.encode() not in content
    assert set(archive.namelist()) == {"manifest.json", *(each["name"] for each in manifest["files"])}
    briefs = [json.loads(line) for line in archive.read("orchestrator/enhancements.jsonl").splitlines()]
    assert {brief["ticket"]["tool"] for brief in briefs} == {"servicedesk_plus"}
    (key, *_) = [json.loads(line) for line in archive.read("tenants/api_keys.jsonl").splitlines()]
    assert "hash" not in key
    (secret, *_) = [json.loads(line) for line in archive.read("tenants/secrets.jsonl").splitlines()]
    assert not {"wrapped_key", "ciphertext"} & secret.keys()


@pytest.mark.parametrize(("whose", "status"), [("admin", 404), ("technician", 403), ("viewer", 403)])
def test_an_export_is_not_for_others(world: World, whose: str, status: int) -> None:
    answer = exported(world, world.aster.has.tenant, world.borealis.api_keys[whose])

    assert answer.status_code == status
    assert world.aster.has.word not in answer.text


def test_only_the_coordinator_reaches_a_clients_rows_and_only_those_of_its_token(world: World) -> None:
    coordinator = Credential(world.aster.has.tenant, "service", "tenants")
    impostors = [
        Credential(world.aster.has.tenant, role, subject)
        for role, subject in (
            ("operator", "tenants"),
            ("admin", "tenants"),
            ("service", "gateway"),
            ("service", "orchestrator"),
        )
    ]
    for service in SERVICES:
        if service == "tenants":
            continue
        counted = call(world, "TenantDataService.CountRows", coordinator, at=service)
        assert counted.ok
        nobody = Credential(None, "service", "tenants")
        assert call(world, "TenantDataService.CountRows", nobody, at=service).reason == "TENANT_REQUIRED"
        for impostor in impostors:
            for name in ("CountRows", "EraseRows", "ExportRows", "ExpireRows"):
                refused = call(world, f"TenantDataService.{name}", impostor, at=service)
                assert refused.reason == "ROLE_REQUIRED", (service, name, refused)
        assert call(world, "TenantDataService.CountRows", coordinator, at=service) == counted


def test_what_is_older_than_its_client_keeps_it_goes_and_nothing_else(world: World) -> None:
    """By itself: borealis keeps its runs for longer than aster, who has the default of 90 days."""
    tenant = world.borealis.has.tenant
    done(
        world,
        "TenantService.UpdateTenant",
        tenant_id=tenant,
        tenant={"retention": {"run_days": 120}},
        update_mask="retention.runDays",
    )
    old = (world.aster.has.failed, world.borealis.has.failed)
    with psycopg.connect(world.admin_url, autocommit=True) as admin:
        admin.execute(
            "update orchestrator.enhancements set end_time = now() - interval '100 days' where id = any (%s)",
            (list(old),),
        )
        eventually(lambda: old[0] not in runs(admin), what="the sweep")
        assert {world.borealis.has.failed, world.aster.has.enhancement} <= runs(admin)


def runs(admin: "psycopg.Connection[Any]") -> set[str]:
    return {run for (run,) in admin.execute("select id from orchestrator.enhancements")}


def test_what_would_be_removed_is_shown_and_nothing_changes(world: World, traces: Traces) -> None:
    before = traces.bytes_of(world.aster.has)

    told = done(world, "TenantService.DeleteTenant", tenant_id=world.aster.has.tenant, validate_only=True)[
        "deletion"
    ]

    counted = {
        f"{store['name']}.{table['name']}": int(table.get("left", 0))
        for store in told.get("stores", ())
        for table in store.get("tables", ())
    }
    with psycopg.connect(world.admin_url) as admin:
        tables = [table for table in tenant_tables(admin) if table != "tenants.tenants"]
        for table in tables:
            (row,) = admin.execute(
                f"select count(*) from {table} where tenant_id = %s",  # noqa: S608
                (world.aster.has.tenant,),
            ).fetchall()
            assert counted[table] == row[0], table
    assert counted["orchestrator.dbos.workflow_status"] > 0
    assert {store["name"] for store in told.get("stores", ())} == {*SERVICES, "redis"}
    assert "state" not in told or told["state"] == "DELETION_STATE_UNSPECIFIED"
    assert traces.bytes_of(world.aster.has) == before


def test_a_deleted_client_leaves_nothing_whatever_happens_meanwhile(
    world: World, instance: Instance, traces: Traces
) -> None:
    """A run is at its last step, a service is down, and the process that deletes is killed."""
    aster, tenant = world.aster.has, world.aster.has.tenant
    begin_run_that_takes_long(world)
    begun_at = time.monotonic()
    others = traces.bytes_of(world.borealis.has)
    assert traces.of(aster).keys() > {"history.tickets", "dbos.workflow_status", "redis"}
    stop(instance, "knowledge", signal.SIGTERM)

    begun = done(world, "TenantService.DeleteTenant", tenant_id=tenant)["deletion"]
    again = done(world, "TenantService.DeleteTenant", tenant_id=tenant)["deletion"]
    assert again["id"] == begun["id"]
    assert_not_served(world)

    waiting = eventually(
        lambda: told if awaited(told := deletion(world, begun["id"])) else None, what="waiting for knowledge"
    )
    assert awaited(waiting).keys() == {"knowledge"}
    assert "cannot be reached" in awaited(waiting)["knowledge"]
    assert waiting["state"] == "DELETION_STATE_ERASING"
    refused = call(
        world,
        "TenantService.CreateTenant",
        tenant={"id": tenant, "display_name": "Mine", "ticketing": {"tool": "servicedesk_plus"}},
    )
    assert refused.reason == "TENANT_DELETING"

    stop(instance, "tenants", signal.SIGKILL)
    start_all(instance)
    ended = eventually(until_done(world, begun["id"]), what="the end of it", timeout_seconds=60)

    assert awaited(ended) == {}
    assert set(totals(ended, "left").values()) == {0}
    removed = totals(ended, "removed")
    assert all(removed[service] > 0 for service in (*SERVICES, "redis")), removed
    # Until the run has got its answer from the tool, and has tried to keep it.
    time.sleep(max(0.0, begun_at + SLOW_SECONDS + 1 - time.monotonic()))
    assert traces.of(aster) == {}
    assert traces.bytes_of(world.borealis.has) == others
    with psycopg.connect(world.admin_url) as admin:
        kept = admin.execute(f"select count(*) from {PROVIDERS} where client = %s", (tenant,))  # noqa: S608
        assert kept.fetchall() == [(3,)]


def begin_run_that_takes_long(world: World) -> None:
    tenant = world.aster.has.tenant
    operator = Credential(tenant, "operator")
    assert call(world, "OrchestratorService.ResumeQueue", operator).ok
    slow = {"kind": "slow", "method": "POST", "path": "/notes", "seconds": SLOW_SECONDS, "count": 2}
    world.aster_desk.post("/_standin/faults", slow)
    delivered = world.aster_desk.create_request({"subject": f"{world.aster.has.word} again"})
    enhancement = json.loads(delivered.body)["enhancement_id"]

    def delivering() -> bool:
        told = call(world, "OrchestratorService.GetEnhancement", operator, enhancement_id=enhancement)
        steps = {step["name"]: step["state"] for step in told.said["enhancement"].get("steps", ())}
        return steps.get("deliver") == "STEP_STATE_RUNNING"

    eventually(delivering, what="a run at its last step")


def assert_not_served(world: World) -> None:
    """Two seconds later at the latest, which is how long the gateways believe a key and a secret."""
    url = f"{world.gateway_url}/v1/tickets"
    key = {"x-api-key": world.aster.api_keys["admin"]}
    eventually(
        lambda: httpx.get(url, headers=key, trust_env=False).status_code == 401,
        what="a key that is no good",
        timeout_seconds=5,
    )
    eventually(
        lambda: world.aster_desk.create_request({"subject": "Too late"}).status == 401,
        what="a webhook that is refused",
        timeout_seconds=5,
    )


def until_done(world: World, deletion_id: str) -> Callable[[], Told | None]:
    def look() -> Told | None:
        told = deletion(world, deletion_id)
        return told if told["state"] == "DELETION_STATE_DONE" else None

    return look


def test_a_new_client_of_the_same_id_sees_nothing_of_the_old_one(world: World) -> None:
    tenant = world.aster.has.tenant
    new = {"id": tenant, "display_name": "Fresh", "ticketing": {"tool": "servicedesk_plus"}}
    made = done(world, "TenantService.CreateTenant", tenant=new)
    admin = Credential(tenant, "admin")

    events = call(world, "TenantService.ListAuditEvents", admin, tenant_id=tenant).said["events"]
    assert [(each["sequence"], each["action"]) for each in events] == [("1", "CreateTenant")]
    for rpc in ("HistoryService.ListTickets", "OrchestratorService.ListEnhancements"):
        assert call(world, rpc, admin).said == {}
    old = exported(world, tenant, world.aster.api_keys["admin"])
    assert old.status_code == 401
    new_archive = exported(world, tenant, made["api_key"])
    assert world.aster.has.word.encode() not in b"".join(
        zipfile.ZipFile(io.BytesIO(new_archive.content)).read(name)
        for name in zipfile.ZipFile(io.BytesIO(new_archive.content)).namelist()
    )


def test_what_remains_is_listed_for_the_provider_only(world: World) -> None:
    listed = done(world, "TenantService.ListTenantDeletions")["deletions"]

    assert [each["tenant_id"] for each in listed][:3] == [world.aster.has.tenant] * 3
    assert {each["state"] for each in listed} == {"DELETION_STATE_DONE"}
    assert {each["principal"] for each in listed} == {"somebody"}
    assert all(len(each["audit_head_hash"]) == 64 for each in listed)
    borealis = Credential(world.borealis.has.tenant, "operator")
    own = call(world, "TenantService.ListTenantDeletions", borealis).said["deletions"]
    assert {each["tenant_id"] for each in own} == {world.borealis.has.tenant}
    foreign = call(world, "TenantService.GetTenantDeletion", borealis, deletion_id=listed[0]["id"])
    assert foreign.reason == "DELETION_NOT_FOUND"


def test_what_somebody_wrote_for_nobody_is_no_new_clients_and_goes_when_that_is_deleted(world: World) -> None:
    """As from a backup of one service alone."""
    gone = "gone-and-forgotten"
    service = Credential(gone, "service", "orchestrator")
    ticket = {"source": "servicedesk_plus", "id": "9", "title": "Left behind"}
    assert call(world, "HistoryService.RecordTicket", service, ticket=ticket).ok
    new = {"id": gone, "display_name": "Fresh", "ticketing": {"tool": "servicedesk_plus"}}

    refused = call(world, "TenantService.CreateTenant", tenant=new)
    assert refused.reason == "TENANT_REMNANTS"
    assert call(world, "TenantService.GetTenant", tenant_id=gone).reason == "TENANT_NOT_FOUND"
    preview = done(world, "TenantService.DeleteTenant", tenant_id=gone, validate_only=True)["deletion"]
    assert totals(preview, "left")["history"] >= 1
    begun = done(world, "TenantService.DeleteTenant", tenant_id=gone)["deletion"]
    ended = eventually(until_done(world, begun["id"]), what="the deletion of what nobody has")

    # What is yet to be embedded may have become less between the two.
    assert rows(ended, "removed", "tickets") == rows(preview, "left", "tickets") == 1
    assert call(world, "TenantService.DeleteTenant", tenant_id=gone).reason == "TENANT_NOT_FOUND"
    assert call(world, "HistoryService.ListTickets", Credential(gone, "admin")).said == {}
    done(world, "TenantService.CreateTenant", tenant=new)
