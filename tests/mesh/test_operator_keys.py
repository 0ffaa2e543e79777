"""Keys for all clients, on everything real: what the provider's own staff do with them, and who can tell."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx

from cli.demo.desk import AUTHTOKEN, running_desk
from tests.support.mesh import Mesh
from tests.support.polling import eventually

TOOL = "servicedesk_plus"
TENANT = "over-rest"
OTHERS = ("badge", "coffee", "door", "fax", "lift", "projector", "scanner", "telephone")
FOR_IT = {"x-dossier-tenant": TENANT}


def told(mesh: Mesh, *arguments: str) -> dict[str, Any]:
    done = mesh.dossier("operator", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


@contextmanager
def with_key(mesh: Mesh, api_key: str) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=mesh.gateway_url, headers=headers, timeout=30, trust_env=False) as http:
        yield http


def done(answer: httpx.Response) -> Mapping[str, Any]:
    assert answer.status_code == 200, answer.text
    said: Mapping[str, Any] = answer.json()
    return said


def test_an_operator_takes_a_client_on_over_rest_with_a_key_alone(mesh: Mesh) -> None:
    made = told(mesh, "keys", "create", "--role", "operator", "--name", "onboarding", "--expires-days", "1")
    with running_desk() as desk, with_key(mesh, made["api_key"]) as http:
        created = done(
            http.post(
                "/v1/tenants",
                json={
                    "tenant": {
                        "id": TENANT,
                        "display_name": "Over REST",
                        "ticketing": {"tool": TOOL, "base_url": desk.base_url},
                    },
                    "ticketing_credentials": {"authtoken": AUTHTOKEN},
                    "request_id": str(uuid4()),
                },
            )
        )
        desk.send_webhooks_to(
            f"{mesh.gateway_url}/webhooks/{TENANT}/{TOOL}", secret=created["webhook_secret"], tenant=TENANT
        )
        changed = {"tenant": {"brief": {"language": "en-GB"}}, "update_mask": "brief.language"}
        done(http.patch(f"/v1/tenants/{TENANT}", json=changed))
        past = {"id": "old-1", "title": "Label printer offline", "resolution": "Restarted the print server."}
        # With others beside it, so that its words are rare enough to find it by.
        others = [{"id": f"old-{each}", "title": f"The {each} is broken"} for each in OTHERS]
        for each in (past, *others):
            done(http.post("/v1/tickets", json=each, headers=FOR_IT))

        delivered = desk.create_request({"subject": "Label printer offline", "description": "It is silent."})
        enhancement = json.loads(delivered.body)["enhancement_id"]
        path = f"/v1/enhancements/{enhancement}"

        def state() -> str:
            found: str = done(http.get(path, headers=FOR_IT))["enhancement"]["state"]
            return found

        eventually(lambda: state().endswith("SUCCEEDED"), what="the brief", timeout_seconds=60)
        [note] = desk.notes(delivered.ticket_id)
        assert "old-1" in str(note)

        shared = done(
            http.post(
                f"/v1/tenants/{TENANT}/apiKeys", json={"role": "ROLE_VIEWER", "request_id": str(uuid4())}
            )
        )
        with with_key(mesh, shared["api_key"]) as theirs:
            assert theirs.get(path).status_code == 200
            assert theirs.get("/v1/operatorKeys").json()["reason"] == "ROLE_REQUIRED"
            other = theirs.get(path, headers={"x-dossier-tenant": mesh.tenant})
            assert (other.status_code, other.json()["reason"]) == (403, "TENANT_FOREIGN")

        log = done(http.get(f"/v1/tenants/{TENANT}/auditEvents"))["events"]
        events = [event for event in log if event["service"] == "tenants"]
        assert [event["action"] for event in events] == ["CreateTenant", "UpdateTenant", "CreateApiKey"]
        assert {event["principal"] for event in events} == {made["id"]}
        verdict = done(http.get(f"/v1/tenants/{TENANT}/auditEvents:verify"))
        assert not {"broken_at", "known_hash_found"} & set(verdict)

        mistyped = http.post("/v1/tickets", json=past, headers={"x-dossier-tenant": "over-rset"})
        assert (mistyped.status_code, mistyped.json()["reason"]) == (404, "TENANT_NOT_FOUND")
        unnamed = http.post("/v1/tickets", json=past)
        assert (unnamed.status_code, unnamed.json()["reason"]) == (403, "TENANT_REQUIRED")


def test_keys_are_made_listed_and_revoked_by_command_and_over_rest(mesh: Mesh) -> None:
    first = told(mesh, "keys", "create", "--role", "operator", "--name", "first")
    with with_key(mesh, first["api_key"]) as http:
        request = {"role": "ROLE_VIEWER", "display_name": "wall board", "request_id": str(uuid4())}
        second = done(http.post("/v1/operatorKeys", json=request))
        assert {key["id"] for key in done(http.get("/v1/operatorKeys"))["keys"]} >= {
            first["id"],
            second["key"]["id"],
        }
        with with_key(mesh, second["api_key"]) as viewer:
            assert (
                viewer.get("/v1/enhancements", headers={"x-dossier-tenant": mesh.tenant}).status_code == 200
            )
            assert viewer.get("/v1/operatorKeys").json()["reason"] == "ROLE_REQUIRED"
            done(http.post(f"/v1/operatorKeys/{second['key']['id']}:revoke", json={}))
            eventually(
                lambda: viewer.get("/v1/enhancements").status_code == 401,
                what="the revoked key refused",
                timeout_seconds=5,
            )
        confined = http.get("/v1/operatorKeys", headers={"x-dossier-tenant": mesh.tenant})
        assert (confined.status_code, confined.json()["reason"]) == (403, "TENANT_CONFINED")

        revoked = told(mesh, "keys", "revoke", first["id"])

        assert revoked["state"] == "revoked"
        eventually(
            lambda: http.get("/v1/operatorKeys").status_code == 401,
            what="the revoked key refused",
            timeout_seconds=5,
        )
    listed = {key["id"]: key for key in told(mesh, "keys", "list")["keys"]}
    assert listed[second["key"]["id"]] == {
        **listed[second["key"]["id"]],
        "role": "viewer",
        "state": "revoked",
    }
    assert listed[second["key"]["id"]]["last_used"]

    events = told(mesh, "audit", "list")["events"][-4:]
    assert [(event["action"], event["resource"]) for event in events] == [
        ("CreateOperatorKey", f"operator_keys/{first['id']}"),
        ("CreateOperatorKey", f"operator_keys/{second['key']['id']}"),
        ("RevokeOperatorKey", f"operator_keys/{second['key']['id']}"),
        ("RevokeOperatorKey", f"operator_keys/{first['id']}"),
    ]
    assert [event["principal"] for event in events[1:3]] == [first["id"]] * 2
    verdict = told(mesh, "audit", "verify", "--known-hash", events[0]["hash"])
    assert (verdict["whole"], verdict["head_hash"]) == (True, events[-1]["hash"])
    unknown = mesh.dossier("operator", "audit", "verify", "--known-hash", "0" * 64, "--json")
    assert (unknown.returncode, json.loads(unknown.stdout)["whole"]) == (1, False)


def test_commands_show_what_they_did_in_words(mesh: Mesh) -> None:
    made = mesh.dossier("operator", "keys", "create", "--role", "technician")
    assert "A technician key for all clients" in made.stdout
    assert "Shown this once." in made.stdout
    assert "technician" in mesh.dossier("operator", "keys", "list").stdout
    assert "CreateOperatorKey" in mesh.dossier("operator", "audit", "list", COLUMNS="200").stdout
    assert "The log is whole" in mesh.dossier("operator", "audit", "verify").stdout
    wrong = mesh.dossier("operator", "keys", "revoke", str(uuid4()), "--json")
    assert "there is no API key" in json.loads(wrong.stderr)["error"]["message"]
