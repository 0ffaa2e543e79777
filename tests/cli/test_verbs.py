"""The verbs on a running mesh: one JSON object each, and the next step when something is wrong."""

import json

import pytest

from tests.support.command import Command
from tests.support.leaks import CANARY
from tests.support.mesh import Mesh

TEXT = "The printer at 10.30.60.23, a ZT411, prints empty labels since the rolls are of another brand."


@pytest.fixture
def enhancement_id(on_mesh: Command) -> str:
    found: str = on_mesh("enhance", TEXT, "--json").object["id"]
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("tenant", "list"),
        ("tenant", "show", "acme"),
        ("search", "tickets", "empty labels ZT411"),
        ("search", "articles", "empty labels ZT411"),
        ("lookup", "10.30.60.23"),
        ("enhancements", "list", "--state", "succeeded", "--limit", "1"),
        ("token",),
        ("up",),
    ],
    ids=" ".join,
)
def test_json_is_one_object_and_nothing_else(on_mesh: Command, arguments: tuple[str, ...]) -> None:
    done = on_mesh(*arguments, "--json")

    assert (done.code, done.problems) == (0, "")
    assert done.object


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("search", "tickets", "empty labels ZT411"), "10144"),
        (("search", "articles", "empty labels ZT411"), "KB-013"),
        (("search", "tickets", "zygomorphic xylophones"), "Nothing alike"),
        (("lookup", "ping 10.30.60.23"), "VNL-PRN-ZEB03"),
        (("tenant", "list"), "acme"),
        (("status",), "MB in all"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_people_are_told_what_they_look_for(on_mesh: Command, arguments: tuple[str, ...], told: str) -> None:
    done = on_mesh(*arguments, COLUMNS="200")

    assert done.code == 0
    assert told in done.out
    assert "\x1b" not in done.out


def test_a_brief_by_hand_is_told_in_plain_words_and_numbers(on_mesh: Command, enhancement_id: str) -> None:
    shown = on_mesh("enhancements", "show", enhancement_id, "--json").object

    assert (shown["id"], shown["state"], shown["cost"]) == (enhancement_id, "succeeded", 0)
    assert [step["name"] for step in shown["steps"]][-2:] == ["synthesize", "deliver"]
    assert {step["state"] for step in shown["steps"]} == {"succeeded", "skipped"}
    sections = [section["section"] for section in shown["brief"]["sections"]]
    assert sections[0] == "similar_tickets"
    citations = {(each["source"], each["id"]): each["verdict"] for each in shown["brief"]["citations"]}
    assert citations["history", "10144"] == "supported"
    assert shown["brief"]["writer"] == "extractive"


def test_a_brief_is_rendered_with_its_sources(on_mesh: Command, enhancement_id: str) -> None:
    for verb in ("show", "watch"):
        done = on_mesh("enhancements", verb, enhancement_id)

        assert done.code == 0
        for told in ("Similar tickets", "[1]", "10144", "KB-013", "confidence", "built-in writer", "$0"):
            assert told in done.out, told


def test_a_brief_can_be_delivered_to_the_tools_ticket(on_mesh: Command, mesh: Mesh) -> None:
    delivered = mesh.report("Printer prints empty labels")
    first = json.loads(delivered.body)["enhancement_id"]
    on_mesh("enhancements", "watch", first, "--json")

    done = on_mesh("enhance", TEXT, "--deliver", "--ticket-id", delivered.ticket_id, "--json")

    assert done.code == 0
    assert done.object["note"]["id"] in {note["id"] for note in mesh.desk.notes(delivered.ticket_id)}


def test_without_waiting_the_id_is_given_at_once(on_mesh: Command) -> None:
    done = on_mesh("enhance", TEXT, "--no-wait", "--json")

    assert done.code == 0
    assert done.object["state"] in {"queued", "running"}
    assert on_mesh("enhancements", "watch", done.object["id"], "--json").object["state"] == "succeeded"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("enhancements", "show", "nothing-of-ours"), "ENHANCEMENT_NOT_FOUND"),
        (("tenant", "show", "nobody"), "TENANT_NOT_FOUND"),
        (("tenant", "create", "acme", "--name", "Acme again"), "TENANT_EXISTS"),
        (("tenant", "create", "Not A Label", "--name", "x"), "INVALID_ARGUMENT"),
        (("tenant", "create", "fine", "--tool", "no_such_tool"), "TOOL_UNKNOWN"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told_with_the_next_step(
    on_mesh: Command, arguments: tuple[str, ...], told: str
) -> None:
    done = on_mesh(*arguments, "--json")

    assert done.code == 1
    assert told in done.error["message"]
    assert done.error["hint"]


def test_a_new_client_is_given_its_secrets_once(on_mesh: Command) -> None:
    made = on_mesh(
        *("tenant", "create", "globex", "--name", "Globex", "--base-url", "http://127.0.0.1:9"),
        *("--credential", f"authtoken={CANARY}", "--option", "edition=cloud", "--json"),
    ).object
    shown = on_mesh("tenant", "show", "globex", "--json").object

    assert made["tenant"] == "globex"
    assert made["webhook_url"].endswith("/webhooks/globex/servicedesk_plus")
    assert made["webhook_secret"]
    assert made["api_key"]
    assert shown["options"] == {"edition": "cloud"}
    assert not {"webhook_secret", "api_key", "credentials"} & shown.keys()
    assert CANARY not in json.dumps([made, shown])


def test_between_several_clients_one_has_to_be_named(on_mesh: Command) -> None:
    on_mesh("tenant", "create", "aperture", "--name", "Aperture")

    done = on_mesh("search", "tickets", "VPN", "--json", DOSSIER_TENANT="")

    assert done.code == 1
    assert "acme" in done.error["hint"]
    assert "aperture" in done.error["hint"]
    assert on_mesh("search", "tickets", "VPN", "-t", "aperture", "--json", DOSSIER_TENANT="").object == {
        "results": []
    }


def test_completion_knows_the_clients_and_the_enhancements(on_mesh: Command, mesh: Mesh) -> None:
    enhancement_id = on_mesh("enhance", "VPN hangs at 40 percent", "--json").object["id"]

    def completed(*words: str) -> str:
        line = " ".join(("dossier", *words))
        completing = {"_DOSSIER_COMPLETE": "complete_bash", "COMP_CWORD": str(len(words))}
        return mesh.dossier(COMP_WORDS=line, DOSSIER_TENANT=mesh.tenant, **completing).stdout

    assert mesh.tenant in completed("tenant", "show", "a")
    assert enhancement_id in completed("enhancements", "show", enhancement_id[:8])


def test_the_steps_of_a_run_are_no_part_of_its_result(on_mesh: Command) -> None:
    done = on_mesh("enhance", TEXT)

    assert done.code == 0
    assert "synthesize: succeeded in" in done.problems
    assert "succeeded in" not in done.out
