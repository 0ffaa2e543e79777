"""`dossier knowledge-base …` on a running mesh, with a Confluence on loopback."""

import re
import shlex
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from tests.support.command import Command, Done
from tests.support.confluence import TOKEN, Confluence, Page, rate_limited, running_confluence
from tests.support.polling import eventually

PAGE = (Path(__file__).parents[2] / "docs" / "knowledge-bases.md").read_text()
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]
VPN = Page("101", "VPN after a long absence", "<h2>Cure</h2><p>Renew the certificate with gpupdate.</p>")

_numbers = count(1)


@pytest.fixture
def confluence() -> Confluence:
    there = Confluence()
    there.put(VPN, Page("102", "Label printers", "<p>Rolls of another brand need the darkness at 20.</p>"))
    return there


@pytest.fixture
def base_url(confluence: Confluence) -> Iterator[str]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running_confluence(confluence)) as address,
    ):
        yield address


@pytest.fixture
def acting(on_mesh: Command) -> Command:
    """The command for a client of the test's own."""
    name = f"wiki-owner-{next(_numbers)}"
    assert on_mesh("tenant", "create", name, "--json").code == 0

    def run(*arguments: str, **environment: str) -> Done:
        return on_mesh(*arguments, DOSSIER_TENANT=name, **environment)

    return run


def _add(acting: Command, base_url: str, *more: str, token: str = TOKEN) -> Done:
    return acting(
        *("knowledge-base", "add", "wiki", "--connector", "confluence", "--base-url", base_url),
        *("--option", "spaces=IT", "--credential", "email=sync@acme.example", "--credential"),
        *(f"token={token}", *more, "--json"),
    )


def _listed(acting: Command) -> Mapping[str, Any]:
    (base,) = acting("knowledge-base", "list", "--json").object["knowledge_bases"]
    assert isinstance(base, dict)
    return base


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_on_the_page_is_one(command: Command, words: list[str]) -> None:
    asked = command(words[1], words[2], "--help", COLUMNS="200")

    assert asked.code == 0, asked.problems
    options = {word for word in words if word.startswith("--")}
    assert options <= set(re.findall(r"--[a-z][a-z-]*", asked.out)), asked.out


def test_one_that_is_added_is_tested_and_synced_and_found(acting: Command, base_url: str) -> None:
    added = _add(acting, base_url)

    assert (added.code, added.problems) == (0, "")
    assert added.object["mode"] == "sync"
    assert added.object["connection_test"]["verdict"] == "ok"
    assert [each["verdict"] for each in added.object["connection_test"]["checks"]] == ["ok"] * 4

    synced = acting("knowledge-base", "sync", "wiki", "--json")

    assert synced.code == 0
    assert (synced.object["ended"], synced.object["error"], synced.object["articles"]) == (True, "", 2)
    found = acting("search", "articles", "certificate gpupdate", "--json").object["results"]
    assert [(each["source"], each["heading"]) for each in found] == [("wiki", "Cure")]
    assert "synced" in acting("knowledge-base", "list", COLUMNS="200").out


def test_a_wrong_token_is_told_with_the_next_step_and_can_be_mended(acting: Command, base_url: str) -> None:
    added = _add(acting, base_url, token="another-token")

    assert added.code == 1
    checks = {each["check"]: each for each in added.object["connection_test"]["checks"]}
    assert checks["reachable"]["verdict"] == "ok"
    assert checks["authenticated"]["verdict"] == "failed"
    assert "revoked" in checks["authenticated"]["next_step"]
    assert checks["read_pages"]["verdict"] == "skipped"
    assert "another-token" not in added.out

    mended = acting(
        *("knowledge-base", "set-credentials", "wiki", "--credential", f"token={TOKEN}"),
        *("--credential", "email=sync@acme.example", "--json"),
    )

    assert mended.code == 0
    assert acting("knowledge-base", "test", "wiki", "--json").object["verdict"] == "ok"


def test_a_sync_that_fails_says_why(acting: Command, base_url: str, confluence: Confluence) -> None:
    _add(acting, base_url, "--no-test")
    assert acting("knowledge-base", "sync", "wiki", "--json").code == 0
    confluence.faults.append(rate_limited)

    failed = acting("knowledge-base", "sync", "wiki", "--json")

    assert failed.code == 1
    assert failed.object["error"] == "cannot list pages: rate limited"
    assert failed.object["articles"] == 2


def test_one_that_is_searched_answers_and_its_trouble_is_told(
    acting: Command, base_url: str, confluence: Confluence
) -> None:
    _add(acting, base_url, "--mode", "search", "--deadline", "2")

    def known() -> bool:
        found = acting("search", "articles", "certificate gpupdate", "--json").object
        return [each["name"] for each in found["knowledge_bases"]] == ["wiki"] and bool(found["results"])

    eventually(known, what="the knowledge base to be asked")
    confluence.faults.append(rate_limited)

    told = acting("search", "articles", "darkness of label printers")

    assert "wiki: cannot search: rate limited" in told.out


def test_what_is_not_given_stays_and_what_is_paused_is_left_alone(acting: Command, base_url: str) -> None:
    _add(acting, base_url, "--every", "30", "--no-test")

    changed = acting("knowledge-base", "update", "wiki", "--option", "spaces=IT,OPS", "--pause", "--json")

    assert changed.code == 0, changed.problems
    assert {name: changed.object[name] for name in ("options", "sync_minutes", "paused", "base_url")} == {
        "options": {"spaces": "IT,OPS"},
        "sync_minutes": 30,
        "paused": True,
        "base_url": base_url,
    }
    assert "connection_test" not in changed.object
    refused = acting("knowledge-base", "sync", "wiki", "--json")
    assert "KNOWLEDGE_BASE_NOT_FOUND" in refused.error["message"]


def test_removing_asks_and_takes_the_articles_along(acting: Command, base_url: str) -> None:
    _add(acting, base_url)
    acting("knowledge-base", "sync", "wiki", "--json")

    unasked = acting("knowledge-base", "remove", "wiki", "--json")
    assert unasked.error["message"] == "2 articles of wiki would be removed. Nobody is there to be asked."
    assert _listed(acting)["sync"]["articles"] == 2

    removed = acting("knowledge-base", "remove", "wiki", "--yes", "--json")

    assert removed.object["articles"] == 2
    assert acting("knowledge-base", "list", "--json").object["knowledge_bases"] == []
    eventually(
        lambda: not acting("search", "articles", "certificate gpupdate", "--json").object["results"],
        what="its articles to be gone",
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "wiki", "--connector", "notion", "--base-url", "https://n.example"), "CONNECTOR_UNKNOWN"),
        (("add", "history", "--connector", "confluence", "--base-url", "https://n.example"), "name"),
        (("add", "wiki", "--connector", "confluence", "--base-url", "http://10.1.2.3"), "10.1.2.3"),
        (
            ("add", "wiki", "--connector", "confluence", "--base-url", "https://n.example", "--every", "1"),
            "5",
        ),
        (("update", "wiki", "--deadline", "3"), "no knowledge base wiki"),
        (("update", "wiki"), "nothing to change"),
        (("test", "wiki"), "KNOWLEDGE_BASE_NOT_FOUND"),
        (("remove", "wiki", "--yes"), "no knowledge base wiki"),
        (("set-credentials", "wiki"), "Which credentials?"),
        (("set-credentials", "wiki", "--credential", "token=t"), "KNOWLEDGE_BASE_NOT_FOUND"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_named_with_the_next_step(
    acting: Command, arguments: tuple[str, ...], told: str
) -> None:
    refused = acting("knowledge-base", *arguments, "--json")

    assert refused.code != 0
    assert told in refused.error["message"]
    assert refused.error["hint"]


def test_adding_one_twice_is_refused(acting: Command, base_url: str) -> None:
    _add(acting, base_url)

    assert _add(acting, base_url).error["message"] == "The client has a knowledge base wiki."
    assert _listed(acting)["name"] == "wiki"
