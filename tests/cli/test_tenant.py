"""`dossier tenant …` on a running mesh, and what its changes mean at the gateway."""

import getpass
import re
import shlex
import zipfile
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import protovalidate
import pytest
from google.protobuf.json_format import Parse

from cli.demo.desk import AUTHTOKEN
from dossier.tenants.v1.tenant_service_pb2 import CreateTenantRequest
from tests.isolation.filling import signed
from tests.support.command import Command
from tests.support.leaks import CANARY
from tests.support.mesh import Mesh
from tests.support.polling import eventually
from ticketing.discovery import load_tools

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]

_numbers = count(1)


def _status(mesh: Mesh, client: Mapping[str, Any], api_key: str) -> int:
    with mesh.http() as http:
        answer = http.get(f"/v1/tenants/{client['tenant']}", headers={"authorization": f"Bearer {api_key}"})
    return answer.status_code


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_on_the_page_is_one(command: Command, words: list[str]) -> None:
    verb = [word for word in words[1:4] if word.replace("-", "").isalpha() and word[0] != "-"]
    verb = verb[: 3 if verb[1] in {"keys", "audit", "secrets"} else 2]

    asked = command(*verb, "--help", COLUMNS="200")

    assert asked.code == 0, asked.problems
    help_text = asked.out
    options = {word for word in words if word.startswith("--")}
    assert options <= set(re.findall(r"--[a-z][a-z-]*", help_text)), help_text


def test_an_update_changes_what_is_given(on_mesh: Command, client: Mapping[str, Any]) -> None:
    name = client["tenant"]
    on_mesh("tenant", "update", name, "--option", "portal=it", "--option", "edition=cloud")

    done = on_mesh(
        *("tenant", "update", name, "--language", "de", "--no-option", "portal"),
        *("--source", "monitoring=mon.example:443", "--json"),
    )

    shown = on_mesh("tenant", "show", name, "--json").object
    assert {change["field"] for change in done.object["changes"]} == {
        "brief.language",
        "sources",
        "ticketing.options.portal",
    }
    assert shown["language"] == "de"
    assert shown["options"] == {"edition": "cloud"}
    assert shown["sources"] == [{"name": "monitoring", "target": "mon.example:443", "deadline_ms": 0}]
    assert shown["name"] == name


def test_a_client_has_limits_of_its_own_as_long_as_it_is_wanted(
    on_mesh: Command, mesh: Mesh, client: Mapping[str, Any]
) -> None:
    name, key = client["tenant"], client["api_key"]
    limits = ("--limit-requests", "2", "--limit-webhooks", "0", "--json")

    done = on_mesh("tenant", "update", name, *limits)

    assert done.object["limits"] == {"requests_per_minute": 2, "webhooks_per_minute": 0}
    assert on_mesh("tenant", "show", name, "--json").object["limits"] == done.object["limits"]
    eventually(lambda: _status(mesh, client, key) == 429, what="the limit to be kept")

    back = on_mesh("tenant", "update", name, "--limit-requests", "default", "--json")
    assert back.object["changes"] == [{"field": "limits.requests_per_minute", "before": "2", "after": ""}]
    assert back.object["limits"] == {"webhooks_per_minute": 0}
    eventually(lambda: _status(mesh, client, key) == 200, what="the limit to be gone")


def test_a_client_has_weights_and_floors_of_its_own_as_long_as_it_is_wanted(
    on_mesh: Command, client: Mapping[str, Any]
) -> None:
    name = client["tenant"]

    done = on_mesh("tenant", "update", name, "--tickets-meaning", "0", "--articles-floor", "0.3", "--json")

    own = {"tickets": {"meaning_share": 0.0}, "articles": {"floor": 0.3}}
    assert done.object["retrieval"] == own
    assert on_mesh("tenant", "show", name, "--json").object["retrieval"] == own

    back = on_mesh("tenant", "update", name, "--tickets-meaning", "default", "--json")
    assert back.object["retrieval"] == {"articles": {"floor": 0.3}}

    wrong = on_mesh("tenant", "update", name, "--tickets-floor", "1.5", "--json")
    assert wrong.code != 0
    assert wrong.error["message"] == "--tickets-floor: '1.5' is no share."


def test_a_client_has_a_budget_and_usage_shows_what_is_left_of_it(
    on_mesh: Command, client: Mapping[str, Any]
) -> None:
    name = client["tenant"]

    budget = ("--budget-month", "25.500001", "--budget-day", "0", "--budget-brief", "1.5", "--json")
    done = on_mesh("tenant", "update", name, *budget)

    micro = {"month_micro_dollars": 25_500_001, "day_micro_dollars": 0, "brief_micro_dollars": 1_500_000}
    assert done.object["budget"] == micro
    assert on_mesh("tenant", "show", name, "--json").object["budget"] == micro
    assert "month=$25.500001, day=$0.00, brief=$1.50" in on_mesh("tenant", "show", name).out
    changed = on_mesh("tenant", "update", name, "--budget-day", "2", "--dry-run").out
    assert re.search(r"budget\.day +\$0\.00 +\$2\.00", changed)

    told = on_mesh("usage", "--tenant", name, "--json").object
    assert told["tenant"] == name
    month, day = told["budget"]["month"], told["budget"]["day"]
    assert (month["limit_micro_dollars"], month["left_micro_dollars"]) == (25_500_001, 25_500_001)
    assert (day["limit_micro_dollars"], day["left_micro_dollars"]) == (0, 0)
    assert told["budget"]["brief_micro_dollars"] == 1_500_000
    assert month["end"] > told["end"]

    shown = on_mesh("usage", "--tenant", name).out
    assert "$25.500001" in shown
    assert "A brief may cost $1.50 at most." in shown

    back = on_mesh("tenant", "update", name, "--budget-month", "none", "--json")
    assert "month_micro_dollars" not in back.object["budget"]
    assert (
        on_mesh("usage", "--tenant", name, "--json").object["budget"]["month"]["limit_micro_dollars"] is None
    )


def test_a_dry_run_only_shows(on_mesh: Command, client: Mapping[str, Any]) -> None:
    name = client["tenant"]
    before = on_mesh("tenant", "show", name, "--json").object

    done = on_mesh("tenant", "update", name, "--language", "fr", "--dry-run")

    assert "brief.language" in done.out
    assert "This would change" in done.out
    assert on_mesh("tenant", "show", name, "--json").object == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "There is nothing to change."),
        (("--limit-requests", "many"), "--limit-requests: 'many' is no limit."),
        (("--limit-requests=-1",), "--limit-requests: '-1' is no limit."),
        (
            ("--limit-webhook-bytes", "9" * 30),
            f"--limit-webhook-bytes: {'9' * 30} is more than a limit can be",
        ),
        (("--budget-month", "much"), "--budget-month: 'much' is no budget."),
        (("--budget-month=-1",), "--budget-month: '-1' is no budget."),
        (("--budget-month", "nan"), "--budget-month: 'nan' is no budget."),
        (("--budget-day", "1e999999"), "--budget-day: '1e999999' is no budget."),
        (("--budget-day", "0.0000001"), "--budget-day: '0.0000001' is no budget."),
        (("--budget-day", "9" * 13), "is no budget."),
        (("--tickets-floor", "2"), "--tickets-floor: '2' is no share."),
        (("--option", "bogus"), "A value of --option is not a pair."),
        (("--section", "bogus"), "Invalid value for '--section': 'bogus' is not one of"),
    ],
)
def test_an_update_that_is_not_understood_names_its_option(
    on_mesh: Command, client: Mapping[str, Any], arguments: tuple[str, ...], told: str
) -> None:
    done = on_mesh("tenant", "update", client["tenant"], *arguments, "--json")

    assert done.code == 2
    assert told in done.error["message"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--no-option", "nope"), "The client has no option nope."),
        (("--no-source", "nope"), "The client has no source nope."),
        (("--max-words", "9"), "tenant.brief.max_words"),
        (("--limit-requests", "10000001"), "tenant.limits.requests_per_minute"),
        (("--budget-brief", "1000000.01"), "tenant.budget.brief_micro_dollars"),
        (("--tool", "telepathy"), "telepathy"),
        (("--option", "bogus=1"), "servicedesk_plus has no option bogus; there are: edition,"),
    ],
)
def test_a_wrong_update_says_what_is_wrong(
    on_mesh: Command, client: Mapping[str, Any], arguments: tuple[str, ...], told: str
) -> None:
    done = on_mesh("tenant", "update", client["tenant"], *arguments, "--json")

    assert done.code == 1
    assert told in done.error["message"]


def test_an_unknown_client_is_told_as_such(on_mesh: Command) -> None:
    for verb in (("suspend",), ("resume",), ("rotate-secret",), ("keys", "list"), ("audit", "verify")):
        done = on_mesh("tenant", *verb, "nobody", "--json")
        assert "there is no tenant nobody" in done.error["message"], verb


def test_a_suspended_client_is_refused_within_moments_and_served_again(
    on_mesh: Command, mesh: Mesh, client: Mapping[str, Any]
) -> None:
    name, key = client["tenant"], client["api_key"]
    assert _status(mesh, client, key) == 200

    done = on_mesh("tenant", "suspend", name, "--json")
    assert done.object["state"] == "suspended"
    eventually(lambda: _status(mesh, client, key) == 401, what="the key's refusal")

    assert on_mesh("tenant", "suspend", name).out.startswith(f"{name} was suspended already.")

    assert on_mesh("tenant", "resume", name).out.startswith(f"{name} is served.")
    eventually(lambda: _status(mesh, client, key) == 200, what="the client served again")
    assert on_mesh("tenant", "resume", name).out.startswith(f"{name} was served already.")


@pytest.mark.parametrize("kind", ["tickets", "articles"])
def test_a_search_for_nothing_is_refused(on_mesh: Command, client: Mapping[str, Any], kind: str) -> None:
    done = on_mesh("search", kind, "", "--json", DOSSIER_TENANT=client["tenant"])

    assert done.code == 1
    service = "history" if kind == "tickets" else "knowledge"
    assert done.error["message"].startswith(f"{service}: subject or description must not be empty")


@pytest.mark.parametrize("kind", ["tickets", "articles"])
def test_a_search_for_a_client_that_is_not_served_says_so(
    on_mesh: Command, client: Mapping[str, Any], kind: str
) -> None:
    name = client["tenant"]

    def problems(*options: str) -> str:
        done = on_mesh("search", kind, "vpn", *options, DOSSIER_TENANT=name, COLUMNS="40")
        assert done.code == 0
        return done.problems

    assert problems() == ""
    on_mesh("tenant", "suspend", name)
    assert problems() == (
        f"{name} is suspended and not served; `dossier tenant resume {name}` serves it again.\n"
    )
    assert problems("--json") == ""
    on_mesh("tenant", "resume", name)
    assert problems() == ""
    on_mesh("tenant", "delete", name, "--yes", name, "--wait-seconds", "0")
    assert problems() == f"{name} is being deleted: what it had goes, or is gone.\n"


def test_a_key_is_good_until_it_is_revoked(on_mesh: Command, mesh: Mesh, client: Mapping[str, Any]) -> None:
    name = client["tenant"]
    made = on_mesh("tenant", "keys", "create", name, "--role", "viewer", "--name", "console", "--json").object
    assert _status(mesh, client, made["api_key"]) == 200

    revoked = on_mesh("tenant", "keys", "revoke", name, made["id"], "--json").object["revoked"]
    again = on_mesh("tenant", "keys", "revoke", name, made["id"], COLUMNS="200")
    assert f"The key {made['id']} is revoked, since {revoked}." in again.out

    # Promised in docs/keys-and-certificates.md.
    eventually(
        lambda: _status(mesh, client, made["api_key"]) == 401, what="the key's refusal", timeout_seconds=5
    )
    listed = on_mesh("tenant", "keys", "list", name, "--json").object["keys"]
    assert [(key["name"], key["state"]) for key in listed] == [
        ("console", "revoked"),
        ("made with the client", "good"),
    ]
    assert listed[0]["last_used"]


def test_a_new_client_is_created_with_a_test_of_its_tool(on_mesh: Command, mesh: Mesh) -> None:
    name = f"client-{next(_numbers)}"
    key = ("--credential", f"authtoken={AUTHTOKEN}")

    created = on_mesh("tenant", "create", name, "--base-url", mesh.desk.base_url, *key, "--json").object

    assert created["webhook_url"] == on_mesh("tenant", "show", name, "--json").object["webhook_url"]
    assert created["webhook_url"].startswith("http://localhost:")
    verdicts = {check["check"]: check["verdict"] for check in created["connection_test"]["checks"]}
    assert verdicts["authenticated"] == "ok"
    assert verdicts["add_private_notes"] == "unknown"
    assert AUTHTOKEN not in str(created)


def test_a_client_whose_tool_fails_is_created_all_the_same(on_mesh: Command, mesh: Mesh) -> None:
    name = f"client-{next(_numbers)}"
    wrong = ("--credential", "authtoken=wrong")

    made = on_mesh("tenant", "create", name, "--base-url", mesh.desk.base_url, *wrong, COLUMNS="200")
    tested = on_mesh("tenant", "test", name, "--json")
    unwanted = on_mesh("tenant", "set-credentials", name, *wrong, "--no-test", "--json")
    mended = on_mesh("tenant", "set-credentials", name, "--credential", f"authtoken={AUTHTOKEN}", "--json")

    assert made.code == 0
    assert "the API key is refused" in made.out
    assert f"`dossier tenant test {name}`" in made.out
    assert (tested.code, tested.object["verdict"]) == (1, "failed")
    assert "connection_test" not in unwanted.object
    assert mended.object["connection_test"]["verdict"] == "unknown"
    assert (unwanted.code, mended.code) == (0, 0)
    assert on_mesh("tenant", "set-credentials", name, *wrong, "--json").code == 1
    on_mesh("tenant", "set-credentials", name, "--credential", f"authtoken={AUTHTOKEN}")
    assert on_mesh("tenant", "test", name).code == 0


def test_a_new_address_is_tested(on_mesh: Command, mesh: Mesh, client: Mapping[str, Any]) -> None:
    name = client["tenant"]
    address = ("--base-url", "http://127.0.0.1:1")

    dry = on_mesh("tenant", "update", name, *address, "--dry-run", "--json").object
    updated = on_mesh("tenant", "update", name, *address, "--json")
    elsewhere = on_mesh("tenant", "update", name, "--language", "de", "--json").object

    assert updated.code == 1
    assert updated.object["connection_test"]["checks"][0]["verdict"] == "failed"
    assert "connection_test" not in {**dry, **elsewhere}


def test_an_address_that_nobody_permits_is_refused_with_the_setting(on_mesh: Command) -> None:
    done = on_mesh("tenant", "create", "never", "--base-url", "http://10.9.8.7", "--json")

    assert done.code == 1
    assert "tenant.ticketing.base_url" in done.error["message"]
    assert "DOSSIER_PERMITTED_NETWORKS" in done.error["message"]


def test_the_list_of_secrets_shows_which_one_the_tool_uses(
    on_mesh: Command, mesh: Mesh, client: Mapping[str, Any]
) -> None:
    name, old = client["tenant"], client["webhook_secret"]
    rotated = on_mesh("tenant", "rotate-secret", name, COLUMNS="200")
    assert f"`dossier tenant secrets list {name}`" in rotated.out
    body = b'{"event": "created", "ticket_id": "1", "subject": "Printer"}'
    with mesh.http() as http:
        sent = http.post(f"/webhooks/{name}/servicedesk_plus", content=body, headers=signed(body, old))
    assert sent.status_code == 202

    def used() -> list[bool]:
        listed = on_mesh("tenant", "secrets", "list", name, "--json").object["secrets"]
        assert [each["state"] for each in listed] == ["current", "being replaced"]
        return [bool(each["last_used"]) for each in listed]

    eventually(lambda: used() == [False, True], what="the use of the older secret")
    assert old not in on_mesh("tenant", "secrets", "list", name, COLUMNS="200").out


def test_a_rotated_secret_is_shown_this_once(on_mesh: Command, client: Mapping[str, Any]) -> None:
    rotated = on_mesh("tenant", "rotate-secret", client["tenant"], "--overlap-hours", "1", "--json").object

    assert rotated["webhook_secret"] != client["webhook_secret"]
    assert rotated["previous_expires"]


def test_a_secret_that_leaked_is_ended_unasked_unless_a_rotation_is_under_way(
    on_mesh: Command, client: Mapping[str, Any]
) -> None:
    name = client["tenant"]
    at_once = ("tenant", "rotate-secret", name, "--overlap-hours", "0")

    def ids() -> list[str]:
        return [each["id"] for each in on_mesh("tenant", "secrets", "list", name, "--json").object["secrets"]]

    [first] = ids()
    shown = on_mesh(*at_once, COLUMNS="300")
    assert (shown.code, f"1 secret counts no more: {first}." in shown.out) == (0, True)

    on_mesh("tenant", "rotate-secret", name)
    two = ids()
    unasked = on_mesh(*at_once, "--json")
    assert unasked.code == 1
    assert "ends both it and the current one at once" in unasked.error["message"]
    assert two[1] in unasked.error["message"]
    assert "--yes" in unasked.error["hint"]
    assert ids() == two

    agreed = on_mesh(*at_once, "--yes", COLUMNS="300")
    assert agreed.code == 0
    assert "2 secrets count no more: " in agreed.out
    assert all(each in agreed.out for each in two)
    assert len(ids()) == 1


def test_secrets_that_need_no_other_key_are_left_alone(on_mesh: Command, client: Mapping[str, Any]) -> None:
    known = [each["tenant"] for each in on_mesh("tenant", "list", "--json").object["tenants"]]

    done = on_mesh("tenant", "reencrypt-secrets", "--json").object

    assert client["tenant"] in known
    assert (done["tenants"], done["secrets"]) == (len(known), 0)
    assert re.fullmatch("[0-9a-f]{16}", str(done["key_id"]))
    assert str(done["key_id"]) in on_mesh("tenant", "reencrypt-secrets", COLUMNS="200").out


def test_the_log_names_the_user_and_verifies(on_mesh: Command, client: Mapping[str, Any]) -> None:
    name = client["tenant"]
    on_mesh("tenant", "set-credentials", name, "--credential", f"authtoken={CANARY}")

    listed = on_mesh("tenant", "audit", "list", name, "--json")
    verified = on_mesh("tenant", "audit", "verify", name, "--json")

    events = listed.object["events"]
    assert [event["action"] for event in events] == ["CreateTenant", "SetTicketingCredentials"]
    assert CANARY not in listed.out
    assert (verified.code, verified.object["whole"]) == (0, True)
    assert verified.object["head_hash"] == events[-1]["hash"]
    assert {event["principal"] for event in events} == {getpass.getuser()}
    wrong = on_mesh("tenant", "audit", "verify", name, "--known-hash", "0" * 64)
    assert wrong.code == 1
    assert "not in it" in wrong.out
    assert "SetTicketingCredentials" in on_mesh("tenant", "audit", "list", name, COLUMNS="200").out


def test_a_change_over_rest_is_the_keys(on_mesh: Command, mesh: Mesh, client: Mapping[str, Any]) -> None:
    name = client["tenant"]
    headers = {"authorization": f"Bearer {client['api_key']}"}
    with mesh.http() as http:
        changed = http.patch(
            f"/v1/tenants/{name}",
            headers=headers,
            json={"tenant": {"brief": {"language": "it"}}, "update_mask": "brief.language"},
        )
        stale = http.patch(
            f"/v1/tenants/{name}",
            headers=headers,
            json={"tenant": {}, "update_mask": "brief.language", "etag": "1"},
        )
        suspended = http.post(f"/v1/tenants/{name}:suspend", headers=headers)
        keys = http.get(f"/v1/tenants/{name}/apiKeys", headers=headers).json()["keys"]
    assert changed.status_code == 200
    assert (stale.status_code, stale.json()["reason"]) == (409, "TENANT_CHANGED")
    assert (suspended.status_code, suspended.json()["reason"]) == (403, "ROLE_REQUIRED")

    last = on_mesh("tenant", "audit", "list", name, "--json").object["events"][-1]
    assert (last["principal"], last["subject"], last["role"]) == (keys[0]["id"], "gateway", "admin")


def test_a_deletion_shows_what_there_is_and_deletes_nothing_unasked(
    on_mesh: Command, client: Mapping[str, Any]
) -> None:
    name = client["tenant"]

    preview = on_mesh("tenant", "delete", name, "--dry-run", "--json")
    shown = on_mesh("tenant", "delete", name, "--dry-run", COLUMNS="200").out
    unasked = on_mesh("tenant", "delete", name)
    mistyped = on_mesh("tenant", "delete", name, "--yes", "another")

    assert (preview.code, preview.object["state"], preview.object["awaited"]) == (0, "preview", {})
    assert preview.object["stores"]["tenants"]["secrets"] == {"removed": 0, "left": 2}
    assert preview.object["left"] > 0
    # It has no last audit event yet.
    assert not {each for each in preview.object if each.startswith("audit_")}
    assert re.search(r"^where +table +to remove *$", shown, re.MULTILINE)
    assert re.search(r"^tenants +secrets +2 *$", shown, re.MULTILINE)
    assert (unasked.code, mistyped.code) == (1, 1)
    assert f"--yes {name}" in unasked.problems
    assert on_mesh("tenant", "show", name, "--json").object["state"] == "active"


def test_a_deletion_ends_with_the_proof(on_mesh: Command, client: Mapping[str, Any]) -> None:
    name = client["tenant"]

    deleted = on_mesh("tenant", "delete", name, "--yes", name, "--json")

    assert deleted.code == 0, deleted.problems
    told = deleted.object
    assert (told["state"], told["left"], told["awaited"]) == ("done", 0, {})
    assert told["removed"] >= 5
    assert len(told["audit_head_hash"]) == 64
    assert set(told["stores"]) == {
        *("orchestrator", "history", "knowledge", "network", "synthesis", "tenants", "redis")
    }
    assert on_mesh("tenant", "show", name).code == 1
    listed = on_mesh("tenant", "deletions", "--json").object["deletions"]
    assert listed[0]["deletion"] == told["deletion"]
    assert name in on_mesh("tenant", "deletions").out
    again = on_mesh("tenant", "delete", name, "--yes", name)
    assert again.code == 1
    assert "TENANT_NOT_FOUND" in again.problems
    assert f"dossier tenant deletions {name}" in again.problems
    proof = on_mesh("tenant", "deletions", name, COLUMNS="300").out
    assert re.search(r"^where +table +removed +left *$", proof, re.MULTILINE)
    assert re.search(r"^tenants +secrets +2 +0 *$", proof, re.MULTILINE)
    assert told["audit_head_hash"] in proof
    # Of all clients, only the totals.
    assert told["audit_head_hash"] not in on_mesh("tenant", "deletions", COLUMNS="300").out


def test_a_deletion_that_is_waited_for_too_briefly_goes_on_by_itself(
    on_mesh: Command, client: Mapping[str, Any]
) -> None:
    name = client["tenant"]

    deleted = on_mesh("tenant", "delete", name, "--yes", name, "--wait-seconds", "0", "--json")

    assert deleted.code == 1
    assert deleted.object["state"] in {"erasing", "verifying"}

    def ended() -> bool:
        listed = on_mesh("tenant", "deletions", "--json").object["deletions"]
        return bool(listed[0]["state"] == "done")

    eventually(ended, what="its end")


def test_an_export_is_a_whole_archive_or_no_file(
    on_mesh: Command, client: Mapping[str, Any], tmp_path: Path
) -> None:
    archive, none = tmp_path / "client.zip", tmp_path / "none.zip"

    done = on_mesh("tenant", "export", client["tenant"], "--to", str(archive), "--json")
    unknown = on_mesh("tenant", "export", "nobody", "--to", str(none))
    nowhere = on_mesh("tenant", "export", client["tenant"], "--to", str(tmp_path / "no" / "where.zip"))

    assert done.code == 0, done.problems
    assert archive.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(archive) as opened:
        names = set(opened.namelist())
        assert opened.testzip() is None
    assert names == {"manifest.json", *(each["name"] for each in done.object["files"])}
    assert done.object["rows"] >= 4
    assert (unknown.code, nowhere.code) == (1, 1)
    assert [file.name for file in tmp_path.iterdir()] == ["client.zip"]


def test_how_long_things_are_kept_is_set_like_other_settings(
    on_mesh: Command, client: Mapping[str, Any]
) -> None:
    done = on_mesh("tenant", "update", client["tenant"], "--keep-runs", "30", "--keep-audit", "365", "--json")
    refused = on_mesh("tenant", "update", client["tenant"], "--keep-audit", "89")

    assert done.object["retention"] == {
        "ticket_days": 0,
        "run_days": 30,
        "ledger_days": 0,
        "audit_days": 365,
    }
    assert refused.code == 1
    assert "tenant.retention.audit_days" in refused.problems


def test_usage_over_rest_is_held_against_the_budget_of_now(
    on_mesh: Command, mesh: Mesh, client: Mapping[str, Any]
) -> None:
    name = client["tenant"]

    def period(which: str) -> Mapping[str, Any]:
        with mesh.http() as http:
            headers = {"authorization": f"Bearer {client['api_key']}"}
            usage = http.get("/v1/usage", headers=headers).json()
        found: Mapping[str, Any] = usage["budget"][which]
        return found

    assert "limit_micro_dollars" not in period("month")
    on_mesh("tenant", "update", name, "--budget-month", "25")

    assert (period("month")["limit_micro_dollars"], period("month")["left_micro_dollars"]) == (
        "25000000",
    ) * 2
    assert "limit_micro_dollars" not in period("day")


def test_a_refusal_has_the_services_reason(on_mesh: Command) -> None:
    refused = on_mesh("tenant", "suspend", "nobody", "--json")

    assert refused.error["reason"] == "TENANT_NOT_FOUND"
    assert on_mesh("tenant", "update", "nobody", "--json").error["reason"] is None


def test_a_name_that_cannot_be_an_id_is_told_how_one_is_written(on_mesh: Command) -> None:
    refused = on_mesh("tenant", "create", "Acme GmbH", "--language", "deutsch!", "--json").error["message"]

    assert "tenant.id: must be written like acme or acme-2" in refused
    assert "tenant.brief.language: must be written like en or pt-BR" in refused
    assert "pattern" not in refused


def test_the_documented_body_makes_a_client() -> None:
    [body] = re.findall(r"curl \S+/v1/tenants .*? -d '(.*?)'", PAGE, re.DOTALL)

    request = Parse(body, CreateTenantRequest())

    assert protovalidate.collect_violations(request) == []
    assert request.tenant.ticketing.tool in load_tools()
    assert "authtoken" in request.ticketing_credentials
