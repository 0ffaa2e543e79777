"""The file that a report is written to: found out before the work, replaced only when that is wanted."""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Self

import typer

from cli.errors import DossierError
from cli.files import replace_file

HtmlOption = Annotated[
    Path | None, typer.Option(help="Also write a report with plots: one file, which needs nothing else.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace the file of --html without asking, if there is one.")
]


@dataclass(frozen=True, slots=True)
class Target:
    path: Path

    @classmethod
    def resolve(cls, path: Path | None, *, force: bool, as_json: bool) -> Self | None:
        if path is None:
            return None
        if find_spec("matplotlib") is None:
            raise DossierError("Reports need matplotlib.", hint="Install dossier[report].")
        if path.is_dir() or not path.parent.is_dir():
            what = "is a folder" if path.is_dir() else f"cannot be written: there is no {path.parent}"
            raise DossierError(f"{path} {what}.", hint="--html takes a file in a folder that is there.")
        if path.exists() and not force and not cls._may_replace(path, as_json=as_json):
            raise DossierError(f"{path} is there already.", hint="--force replaces it.")
        return cls(path)

    @staticmethod
    def _may_replace(path: Path, *, as_json: bool) -> bool:
        return not as_json and sys.stdin.isatty() and typer.confirm(f"Replace {path}?")

    def write(self, page: str) -> None:
        """Its owner alone reads it: it has titles of a client's tickets."""
        try:
            replace_file(self.path, page.encode())
        except OSError as trouble:
            raise DossierError(
                f"{self.path} cannot be written: {trouble.strerror}.", hint="Give another file."
            ) from trouble
