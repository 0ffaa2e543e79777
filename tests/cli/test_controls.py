"""The verbs that end, repeat and pause work, on a real channel to an orchestrator without an engine."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Protocol

import pytest

from cli.commands.control import FAILURE_REASONS
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.synthesis.v1 import brief_pb2
from tests.cli.orchestrator import FakeOrchestrator, instance_of
from tests.support.command import Command, Done


class Verb(Protocol):
    async def __call__(self, *arguments: str, **environment: str) -> Done: ...


@pytest.fixture
def orchestrator() -> FakeOrchestrator:
    brief = brief_with("Renew the certificate.")
    ticket = Ticket(id="7", subject="VPN drops")
    succeeded = pb.Enhancement(id="done", state=pb.ENHANCEMENT_STATE_SUCCEEDED, ticket=ticket, brief=brief)
    running = pb.Enhancement(id="busy", state=pb.ENHANCEMENT_STATE_RUNNING, ticket=ticket)
    failure = pb.Failure(step="deliver", reason="TOOL_REJECTED", message="Allow the key to add notes.")
    failed = pb.Enhancement(id="broken", state=pb.ENHANCEMENT_STATE_FAILED, ticket=ticket, failure=failure)
    return FakeOrchestrator(  # type: ignore[abstract]  # what no verb here calls is unimplemented
        {each.id: each for each in (succeeded, running, failed)},
        outcome=pb.Enhancement(state=pb.ENHANCEMENT_STATE_SUCCEEDED, brief=brief, cost=0.5),
    )


@pytest.fixture
async def verb(command: Command, orchestrator: FakeOrchestrator, tmp_path: Path) -> AsyncIterator[Verb]:
    """The command for acme; it has a loop of its own, so it runs in a thread beside the orchestrator."""
    async with instance_of(orchestrator, tmp_path) as instance:

        async def run(*arguments: str, **environment: str) -> Done:
            mine = {"DOSSIER_DATA_DIR": str(instance.home), "DOSSIER_TENANT": "acme", "COLUMNS": "120"}
            return await asyncio.to_thread(command, *arguments, **(mine | environment))

        yield run


def brief_with(text: str) -> brief_pb2.Brief:
    claim = brief_pb2.Claim(text=text, evidence_ids=["history:1"], verdict=brief_pb2.VERDICT_SUPPORTED)
    return brief_pb2.Brief(
        sections=[brief_pb2.Section(kind=brief_pb2.SECTION_KIND_FIRST_STEPS, claims=[claim])],
        citations=[brief_pb2.Citation(evidence_id="history:1", source="history", id="1", title="VPN")],
    )


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("enhancements", "cancel", "busy"), "id state steps"),
        (("enhancements", "retry", "broken"), "id state steps"),
        (("enhancements", "retry", "broken", "--watch"), "id state steps"),
        (("enhancements", "retry-failed", "--yes"), "reason dry_run retried remaining"),
        (("enhancements", "retry-failed", "--dry-run"), "reason dry_run retried remaining"),
        (("enhancements", "replay", "done"), "original replay diff"),
        (("enhancements", "replay", "done", "--no-wait"), "id state replay_of"),
        (("queue", "show"), "tenant paused waiting delayed in_progress failed"),
        (("queue", "show", "--all"), "tenant oldest_seconds weight max_in_progress"),
        (("queue", "set", "--weight", "premium"), "tenant weight"),
        (("queue", "pause"), "tenant paused"),
        (("queue", "resume", "--all"), "tenant paused"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_json_is_one_object_and_nothing_else(
    verb: Verb, orchestrator: FakeOrchestrator, arguments: tuple[str, ...], names: str
) -> None:
    orchestrator.failed = {"TOOL_REJECTED": 3}

    done = await verb(*arguments, "--json")

    assert (done.code, done.problems) == (0, "")
    assert set(names.split()) <= done.object.keys()


@pytest.mark.parametrize(
    ("arguments", "told", "next_step"),
    [
        (("enhancements", "cancel", "done"), "ENHANCEMENT_ENDED", "replay"),
        (("enhancements", "retry", "done"), "ENHANCEMENT_ENDED", "replay"),
        (("enhancements", "cancel", "unknown"), "ENHANCEMENT_NOT_FOUND", "list"),
        (("enhancements", "replay", "busy"), "ENHANCEMENT_NOT_REPLAYABLE", "retry"),
        (("enhancements", "replay", "done", "--prompt", "no/such/file"), "cannot be read", "file"),
        (("enhancements", "replay", "done", "--instructions", "/dev/null"), "no text", "file"),
        (("enhancements", "retry-failed"), "Nobody is there", "--yes"),
        (("enhancements", "retry-failed", "--reason", "NOPE"), "fails for NOPE", "TOOL_REJECTED, TICKET"),
        # A reason of the contract, but of a refused call.
        (("enhancements", "retry-failed", "--reason", "ROLE_REQUIRED"), "fails for ROLE", "WORKER_LOST"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_what_is_wrong_is_told_with_the_next_step(
    verb: Verb,
    orchestrator: FakeOrchestrator,
    *,
    arguments: tuple[str, ...],
    told: str,
    next_step: str,
) -> None:
    orchestrator.failed = {"TOOL_REJECTED": 3}

    done = await verb(*arguments, "--json")

    assert done.code == 1
    assert told in done.error["message"]
    assert next_step in done.error["hint"]


@pytest.mark.parametrize(
    ("arguments", "told", "next_step"),
    [
        (("queue", "set"), "There is nothing to set.", "--weight"),
        (("queue", "show", "--all", "--tenant", "acme"), "--tenant and --all exclude each", "one of them"),
        (("enhance", " "), "There is no text.", "dossier enhance"),
        (("enhance", "VPN drops", "--deliver"), "There is no ticket to post the brief at.", "--ticket-id"),
        (("import", "tickets", "x.csv", "--map", "Title"), "--map 'Title' names no field of", "fields are"),
        (("evaluate", "retrieval"), "Judged by what?", "--own"),
        (
            ("tenant", "audit", "list", "acme", "--since", "Value error, "),
            "'--since': 'Value error, ' does",
            "--help",
        ),
        (
            ("tenant", "create", "fine", "--credential", "no-pair"),
            "A value of --credential is not a pair.",
            "--credential name=value",
        ),
        (
            ("knowledge-base", "update", "wiki", "--option", "spaces"),
            "A value of --option is not a pair.",
            "--option name=value",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_a_line_that_is_not_understood_ends_with_two(
    verb: Verb, *, arguments: tuple[str, ...], told: str, next_step: str
) -> None:
    done = await verb(*arguments, "--json")

    assert done.code == 2, done.problems
    assert told in done.error["message"]
    assert next_step in done.error["hint"]


async def test_a_cancelled_run_is_shown_as_cancelled_and_can_be_taken_up_again(verb: Verb) -> None:
    assert (await verb("enhancements", "cancel", "busy", "--json")).object["state"] == "cancelled"
    assert "retry busy" in (await verb("enhancements", "cancel", "busy")).out
    assert "Cancelled." in (await verb("enhancements", "show", "busy")).out
    assert (await verb("enhancements", "watch", "busy")).code == 1

    retried = await verb("enhancements", "retry", "busy", "--watch")

    assert retried.code == 0
    assert "Renew the certificate." in retried.out


async def test_a_failed_run_is_listed_with_its_reason_and_shown_with_the_way_on(verb: Verb) -> None:
    listed = await verb("enhancements", "list", "--state", "failed")
    shown = await verb("enhancements", "show", "broken")

    assert "TOOL_REJECTED at deliver" in listed.out
    assert "reason" not in (await verb("enhancements", "list", "--state", "succeeded")).out
    assert "Allow the key to add notes." in shown.out
    assert "dossier enhancements retry broken" in shown.out


async def test_all_that_failed_are_tried_again_in_batches(verb: Verb, orchestrator: FakeOrchestrator) -> None:
    orchestrator.failed = {"TOOL_REJECTED": 2500, "TICKET_MISSING": 1}

    done = await verb("enhancements", "retry-failed", "--yes", "--json")

    assert done.object == {"reason": "", "dry_run": False, "retried": 2501, "remaining": 0}
    assert len(orchestrator.asked) > 10
    assert sum(orchestrator.failed.values()) == 0


async def test_a_reason_and_a_limit_narrow_what_is_tried_again(
    verb: Verb, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.failed = {"TOOL_REJECTED": 300, "TICKET_MISSING": 5}

    done = await verb(
        *("enhancements", "retry-failed", "--reason", "tool_rejected", "--limit", "250", "--yes", "--json")
    )

    assert done.object == {"reason": "TOOL_REJECTED", "dry_run": False, "retried": 250, "remaining": 50}
    assert orchestrator.failed == {"TOOL_REJECTED": 50, "TICKET_MISSING": 5}


async def test_what_fails_again_meanwhile_is_not_tried_without_end(
    verb: Verb, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.failed, orchestrator.fails_meanwhile = {"TOOL_REJECTED": 450}, 100

    done = await verb("enhancements", "retry-failed", "--yes", "--json")

    assert done.object["retried"] == 450
    assert done.object["remaining"] == orchestrator.failed["TOOL_REJECTED"] > 0


async def test_counting_changes_nothing(verb: Verb, orchestrator: FakeOrchestrator) -> None:
    orchestrator.failed = {"TOOL_REJECTED": 3}

    counted = await verb("enhancements", "retry-failed", "--dry-run")
    limited = await verb("enhancements", "retry-failed", "--dry-run", "--limit", "2", "--json")
    none = await verb("enhancements", "retry-failed", "--reason", "STEP_FAILED")

    assert "3 failed." in counted.out
    assert limited.object == {
        "reason": "",
        "dry_run": True,
        "retried": 0,
        "would_retry": 2,
        "remaining": 1,
    }
    assert "None has failed for STEP_FAILED." in none.out
    assert orchestrator.failed == {"TOOL_REJECTED": 3}


def test_the_reasons_of_failures_are_the_contracts() -> None:
    contract = Path("protos/dossier/orchestrator/v1/error_reason.proto").read_text()

    told = re.findall(r"// Failure:.*?\bERROR_REASON_(\w+) = ", contract, re.DOTALL)

    assert set(FAILURE_REASONS) == set(told)
    assert len(told) > 5


@pytest.mark.parametrize(("answer", "left", "code"), [("y\n", 0, 0), ("n\n", 3, 1), ("\n", 3, 1)])
async def test_a_person_is_asked_first(
    verb: Verb,
    orchestrator: FakeOrchestrator,
    monkeypatch: pytest.MonkeyPatch,
    *,
    answer: str,
    left: int,
    code: int,
) -> None:
    orchestrator.failed = {"TOOL_REJECTED": 3}
    monkeypatch.setattr(sys, "stdin", Terminal(answer))

    done = await verb("enhancements", "retry-failed")

    assert "3 failed. Try them again?" in done.out
    assert (done.code, orchestrator.failed["TOOL_REJECTED"]) == (code, left)


async def test_a_replay_is_compared_with_its_original(
    verb: Verb, orchestrator: FakeOrchestrator, tmp_path: Path
) -> None:
    orchestrator.outcome.brief.CopyFrom(brief_with("Ask the vendor."))
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Be brief.\n")

    done = await verb(
        *("enhancements", "replay", "done", "--model", "m-2", "--prompt", str(prompt), "--json")
    )

    [asked] = orchestrator.asked
    assert (asked.model, asked.instructions) == ("m-2", "Be brief.")
    assert asked.request_id
    told = done.object
    assert (told["original"]["id"], told["replay"]["replay_of"]) == ("done", "done")
    claims = told["diff"]["claims"]
    assert ([each["text"] for each in claims["added"]], claims["kept"]) == (["Ask the vendor."], 0)
    assert [each["text"] for each in claims["removed"]] == ["Renew the certificate."]
    assert told["diff"]["cost"] == {"original": 0.0, "replay": 0.5, "change": 0.5}


async def test_instructions_come_from_standard_input_and_the_difference_is_read(
    verb: Verb, orchestrator: FakeOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO("Be kind."))

    done = await verb("enhancements", "replay", "done", "--instructions", "-")

    [asked] = orchestrator.asked
    assert asked.instructions == "Be kind."
    assert done.code == 0
    for told in ("First steps", "only in the replay", "done-again", "$0.5"):
        assert told in done.out, told


async def test_a_replay_that_fails_has_no_difference(verb: Verb, orchestrator: FakeOrchestrator) -> None:
    failure = pb.Failure(step="synthesize", reason="STEP_FAILED", message="The model is unknown.")
    orchestrator.outcome = pb.Enhancement(state=pb.ENHANCEMENT_STATE_FAILED, failure=failure)

    done = await verb("enhancements", "replay", "done", "--model", "nonsense", "--json")

    assert done.code == 1
    assert done.object["diff"] is None
    assert done.object["replay"]["failure"]["message"] == "The model is unknown."
    assert "The model is unknown." in (await verb("enhancements", "replay", "done")).out


async def test_a_share_is_changed_by_what_is_given_only(verb: Verb, orchestrator: FakeOrchestrator) -> None:
    first = (await verb("queue", "set", "--weight", "preferred", "--json")).object
    second = (await verb("queue", "set", "--max-in-progress", "9", "--json")).object
    third = (await verb("queue", "set", "--max-in-progress", "0", "--json")).object

    assert [(each["weight"], each["max_in_progress"]) for each in (first, second, third)] == [
        ("preferred", 4),
        ("preferred", 9),
        ("preferred", 4),
    ]
    assert {(caller.tenant, caller.role) for caller in orchestrator.callers} == {("acme", "operator")}


async def test_one_client_or_everything_is_paused_and_resumed(
    verb: Verb, orchestrator: FakeOrchestrator
) -> None:
    assert (await verb("queue", "pause", "--json")).object["paused"] is True
    assert (await verb("queue", "pause", "--all", "--json")).object == {
        "tenant": None,
        "paused": True,
        "waiting": 0,
        "delayed": 0,
        "in_progress": 0,
        "failed": None,
        "oldest_seconds": None,
        "weight": None,
        "max_in_progress": None,
    }
    assert orchestrator.paused == {"acme", None}

    still = await verb("queue", "resume")
    assert "dossier queue resume --all" in still.out
    assert (await verb("queue", "resume", "--all", "--json")).object["paused"] is False
    assert (await verb("queue", "show", "--json")).object["paused"] is False


async def test_a_queue_is_told_with_its_oldest_and_its_failures(
    verb: Verb, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.queue.waiting, orchestrator.queue.failed = 12, 2
    orchestrator.queue.oldest_age.FromSeconds(5400)

    mine = await verb("queue", "show")
    everything = await verb("queue", "show", "--all")

    for told in ("acme", "12, the oldest for 90 min", "retry-failed", "standard", "at most 4"):
        assert told in mine.out, told
    assert "all clients together" in everything.out
    assert "at most" not in everything.out
    assert "failed" not in everything.out


async def test_a_run_that_waits_says_until_when_and_why(verb: Verb, orchestrator: FakeOrchestrator) -> None:
    step = pb.Step(name="deliver", state=pb.STEP_STATE_FAILED, attempt=3, detail="the tool limits our rate")
    step.start_time.GetCurrentTime()
    waits = pb.Enhancement(id="busy", state=pb.ENHANCEMENT_STATE_RUNNING, steps=[step])
    waits.next_attempt_time.FromSeconds(step.start_time.seconds + 400)
    settles = pb.Enhancement(id="busy", state=pb.ENHANCEMENT_STATE_QUEUED)
    settles.next_attempt_time.FromSeconds(step.start_time.seconds + 300)
    orchestrator.waits = [settles, waits, waits]
    orchestrator.enhancements["waiting"] = pb.Enhancement()
    orchestrator.enhancements["waiting"].CopyFrom(waits)

    watched = await verb("enhancements", "watch", "busy")
    shown = await verb("enhancements", "show", "waiting")

    why = "for another try: deliver: the tool limits our rate"
    assert watched.problems.count("waits until") == 2
    assert "for further changes of the ticket" in watched.problems
    assert watched.problems.count(why) == 1
    assert why in shown.out
    assert "deliver (attempt 3)" in shown.out
    told = (await verb("enhancements", "show", "waiting", "--json")).object
    assert told["next_attempt"].endswith("Z")


async def test_with_what_a_brief_was_made_is_shown(verb: Verb, orchestrator: FakeOrchestrator) -> None:
    done = orchestrator.enhancements["done"]
    done.replay_of, done.priority, done.changes_taken_in = "first", 1, 4
    done.provenance.CopyFrom(
        brief_pb2.Provenance(model="m", instructions="Be brief.", prompt_version="3", release="0.2.0")
    )

    shown = (await verb("enhancements", "show", "done")).out
    told = (await verb("enhancements", "show", "done", "--json")).object

    for words in ("instructions 3, release 0.2.0", "4 further changes", "replay of", "first"):
        assert words in shown, words
    assert (told["replay_of"], told["priority"], told["changes_taken_in"]) == ("first", 1, 4)
    assert told["provenance"] == {
        "model": "m",
        "instructions": "Be brief.",
        "prompt_version": "3",
        "release": "0.2.0",
    }
    busy = (await verb("enhancements", "show", "busy", "--json")).object
    assert (busy["provenance"], busy["next_attempt"], busy["replay_of"]) == (None, None, "")


async def test_a_retry_says_what_it_found(verb: Verb) -> None:
    broken = await verb("enhancements", "retry", "broken")
    again = await verb("enhancements", "retry", "broken")
    busy = await verb("enhancements", "retry", "busy")

    assert "Queued again." in broken.out
    assert "It is queued already; nothing was changed." in again.out
    assert "It is under way; nothing was changed." in busy.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("enhancements", "cancel", "busy"),
        ("enhancements", "retry", "broken"),
        ("enhancements", "show", "broken"),
        ("enhancements", "replay", "done", "--no-wait"),
    ],
    ids=" ".join,
)
async def test_a_command_that_is_printed_names_the_client_as_it_was_named(
    verb: Verb, arguments: tuple[str, ...]
) -> None:
    named = await verb(*arguments, "--tenant", "acme", COLUMNS="300")
    unnamed = await verb(*arguments, COLUMNS="300")

    assert re.search(r"`dossier enhancements \w+ \S+ --tenant acme`", named.out), named.out
    assert "--tenant" not in unnamed.out


async def test_which_clients_are_paused_is_not_made_up(verb: Verb) -> None:
    """There is no tenants service here to say which there are."""
    told = await verb("queue", "show", "--all", "--json")
    assert told.object["paused_tenants"] is None
    assert "is not known" in (await verb("queue", "show", "--all")).out
