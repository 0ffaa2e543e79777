"""The command, alone and on the run's mesh."""

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from tests.support.command import Command, Done, command_in_process
from tests.support.leaks import CANARY
from tests.support.mesh import Mesh

_numbers = count(1)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return command_in_process(capsys, monkeypatch)


@pytest.fixture
def on_mesh(command: Command, mesh: Mesh) -> Command:
    """The command on the run's mesh, for the sample client unless told otherwise."""

    def run(*arguments: str, **environment: str) -> Done:
        mine = {"DOSSIER_DATA_DIR": str(mesh.instance.home), "DOSSIER_TENANT": mesh.tenant}
        return command(*arguments, **(mine | environment))

    return run


@pytest.fixture
def client(on_mesh: Command) -> Mapping[str, Any]:
    """A client of the test's own, as `create` prints it."""
    name = f"own-{next(_numbers)}"
    created = on_mesh("tenant", "create", name, "--credential", f"authtoken={CANARY}", "--json")
    assert created.code == 0, created.problems
    return created.object
