"""The command, alone and on the run's mesh."""

import pytest

from tests.support.command import Command, Done, command_in_process
from tests.support.mesh import Mesh


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
