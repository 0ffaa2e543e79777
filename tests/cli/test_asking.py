"""What is lost is asked about first."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command
from tests.support.mesh import Mesh, clean_environment

# A terminal of its own, which turns the character of Ctrl-C into the signal.
ON_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
CTRL_C = b"\x03"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_rotation_under_way_is_not_ended_unasked(
    on_mesh: Command, client: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = client["tenant"]
    first = on_mesh("tenant", "rotate-secret", name, "--json").object
    listed = on_mesh("tenant", "secrets", "list", name, "--json").object["secrets"]

    unasked = on_mesh("tenant", "rotate-secret", name, "--json")
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    refused = on_mesh("tenant", "rotate-secret", name)

    assert first["ended"] == []
    assert unasked.code == 1
    assert listed[1]["id"] in unasked.error["message"]
    assert "--yes" in unasked.error["hint"]
    assert (refused.code, "Nothing was rotated." in refused.out) == (1, True)
    assert on_mesh("tenant", "secrets", "list", name, "--json").object["secrets"] == listed

    agreed = on_mesh("tenant", "rotate-secret", name, "--yes", "--json").object
    assert agreed["ended"] == [listed[1]["id"]]
    shown = on_mesh("tenant", "rotate-secret", name, "--yes", COLUMNS="400").out
    assert f"1 secret counts no more: {first['secret_id']}." in shown


def test_a_file_is_not_replaced_unasked(on_mesh: Command, client: Mapping[str, Any], tmp_path: Path) -> None:
    archive = tmp_path / "client.zip"
    archive.write_text("precious")
    export = ("tenant", "export", client["tenant"], "--to", str(archive))

    refused = on_mesh(*export, "--json")

    assert (refused.code, archive.read_text()) == (1, "precious")
    assert "--force" in refused.error["hint"]
    assert on_mesh(*export, "--force").code == 0
    assert zipfile.is_zipfile(archive)


@pytest.mark.parametrize("verb", ["rotate-secret", "delete"])
def test_the_first_ctrl_c_ends_a_question(
    mesh: Mesh, on_mesh: Command, client: Mapping[str, Any], verb: str
) -> None:
    name = client["tenant"]
    assert on_mesh("tenant", "rotate-secret", name, "--json").code == 0
    listed = on_mesh("tenant", "secrets", "list", name, "--json").object["secrets"]
    question = {"rotate-secret": b"Rotate again?", "delete": b"Type the client's id to delete it"}[verb]

    with subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, sys.executable, "-m", "cli", "tenant", verb, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment() | {"DOSSIER_DATA_DIR": str(mesh.instance.home), "COLUMNS": "400"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            shown = b""
            while question not in shown and (more := os.read(process.stdout.fileno(), 4096)):
                shown += more
            assert question in shown
            process.stdin.write(CTRL_C)
            process.stdin.flush()
            assert process.wait(timeout=20) == 130
        finally:
            process.kill()

    assert on_mesh("tenant", "secrets", "list", name, "--json").object["secrets"] == listed
