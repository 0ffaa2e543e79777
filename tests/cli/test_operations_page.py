"""The pages for whoever is woken and of the command keep up with the contract and the command."""

import re
import shlex
from pathlib import Path

import pytest

from dossier.orchestrator.v1.error_reason_pb2 import ErrorReason
from gateway.openapi.comments import packaged_comments
from tests.support.command import Command

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "operations.md").read_text()
OF_THE_COMMAND = (DOCS / "command.md").read_text()
SHELL = "".join(re.findall(r"```sh\n(.*?)```", PAGE + OF_THE_COMMAND, re.DOTALL))
# What is set before a command is the environment's.
COMMANDS = [
    shlex.split(re.sub(r"^(?:[A-Z_]+=\S+ )+", "", line), comments=True) for line in SHELL.splitlines()
]


def test_every_reason_of_a_failure_is_explained() -> None:
    comments = packaged_comments()
    failures = {
        value.name.removeprefix("ERROR_REASON_")
        for value in ErrorReason.DESCRIPTOR.values
        if comments[f"{ErrorReason.DESCRIPTOR.full_name}.{value.name}"].startswith("Failure:")
    }

    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE))

    assert failures
    assert failures <= explained


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_on_the_page_is_one(command: Command, words: list[str]) -> None:
    verb = [word for word in words[1:3] if word.isalpha() or "-" in word.strip("-")]

    help_text = command(*verb, "--help", COLUMNS="200").out

    options = {word for word in words if word.startswith("-")}
    assert options <= set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", help_text)), help_text
