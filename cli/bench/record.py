"""Keeps a measurement among the earlier ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cli.bench.run import What
from cli.bench.table import markdown
from cli.errors import DossierError

BEGIN: Final = "<!-- latest: written by `dossier bench all --record` -->"
END: Final = "<!-- /latest -->"


def keep(record: Mapping[str, Any], what: What, folder: Path) -> Path:
    """Write the record; a whole bench also becomes the table in the folder's README, if that has a place."""
    about = record["about"]
    part = "" if what is What.ALL else f"-{what.value}"
    file = folder / f"{about['time'][:10]}-{about['commit'] or 'unknown'}{part}.json"
    readme = folder / "README.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if what is What.ALL and readme.exists():
            text = readme.read_text(encoding="utf-8")
            readme.write_text(with_latest(text, markdown(record)), encoding="utf-8")
    except OSError as trouble:
        raise DossierError(
            f"The record cannot be written to {folder}: {trouble.strerror}.", hint="Choose another --record."
        ) from trouble
    return file


def with_latest(text: str, table: str) -> str:
    """Replace what stands between the two marks; a text without them stays as it is."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return text
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"
