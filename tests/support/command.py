"""The command, run in this process: as its users run it, without an interpreter's start each time."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from cli.__main__ import main


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    problems: str

    @property
    def object(self) -> Mapping[str, Any]:
        """The one JSON object on standard output."""
        parsed = json.loads(self.out)
        assert isinstance(parsed, dict)
        return parsed

    @property
    def error(self) -> Mapping[str, str]:
        """The error under --json: on standard error, nothing on standard output."""
        assert self.out == ""
        error: Mapping[str, str] = json.loads(self.problems)["error"]
        return error


class Command(Protocol):
    def __call__(self, *arguments: str, **environment: str) -> Done: ...


def command_in_process(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    def run(*arguments: str, **environment: str) -> Done:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("DOSSIER_")]:
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["dossier", *arguments])
            try:
                code = main()
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 1
        out, problems = capsys.readouterr()
        return Done(code, out, problems)

    return run
