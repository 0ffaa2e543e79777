"""Options that many verbs share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import DossierError, UsageError

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="The instance's folder; else DOSSIER_DATA_DIR, else one in your state directory.",
        file_okay=False,
    ),
]


YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    """Read `name=value` options. A value `@path` is what that file holds: secrets stay off command lines."""
    read = {}
    for each in given or ():
        name, separator, value = each.partition("=")
        if not separator or not name:
            # Not what was given: it may be a secret.
            raise UsageError(f"A value of {option} is not a pair.", hint=f"Write {option} name=value.")
        read[name] = _content(value[1:], option=option) if value.startswith("@") else value
    return read


def _content(path: str, *, option: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as trouble:
        raise DossierError(
            f"{option}: {path} cannot be read: {trouble.strerror}.",
            hint="Name a file of text that you may read.",
        ) from trouble
    except UnicodeDecodeError as trouble:
        raise DossierError(
            f"{option}: {path} is not text in UTF-8.", hint="Name a file of text in UTF-8."
        ) from trouble


def text_or_stdin(given: str) -> str:
    """Read standard input for `-`."""
    return typer.get_text_stream("stdin").read() if given == "-" else given


def text_of(path: str, *, option: str) -> str:
    """Read the file, or standard input for `-`; a text of nothing is a mistake."""
    text = text_or_stdin(path) if path == "-" else _content(path, option=option)
    if not text.strip():
        raise DossierError(
            f"{option}: {path} holds no text.", hint="Give a file with text, or - and pipe it."
        )
    return text
