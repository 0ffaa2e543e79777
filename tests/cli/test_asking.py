"""What is lost is asked about first."""

import zipfile
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command


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
