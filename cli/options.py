"""Options that many verbs share."""

from pathlib import Path
from typing import Annotated

import typer

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="The instance's folder; else DOSSIER_DATA_DIR, else one in your state directory.",
        file_okay=False,
    ),
]
