"""`migrate`: brings a database up to date, or back."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.errors import DossierError, UsageError
from cli.instance import Instance
from cli.migrate.dbmate import ServiceStatus
from cli.migrate.roles import PASSWORD_VARIABLE
from cli.migrate.run import migrate as apply_migrations
from cli.migrate.run import roll_back, statuses
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output


def migrate(
    *,
    data_dir: DataDirOption = None,
    role_password_file: Annotated[
        Path | None,
        typer.Option(
            help=f"Holds the password of the services' roles; else {PASSWORD_VARIABLE}, else none is set.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    show_status: Annotated[
        bool, typer.Option("--status", help="List applied and pending migrations; change nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be applied; change nothing.")
    ] = False,
    down: Annotated[int | None, typer.Option(min=1, help="Undo the last N migrations of --service.")] = None,
    service: Annotated[str | None, typer.Option(help="Which service --down is about.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Create the database, roles and schemas and apply every migration that is missing.

    Works on DOSSIER_DATABASE_URL, which must name an administrator, or on a running instance's database.
    """
    output = Output(as_json=as_json)
    url = _database_url(data_dir)
    if down is not None:
        if service is None:
            raise UsageError("Whose migrations?", hint="Add --service history, for instance.")
        undone = asyncio.run(roll_back(url, service=service, steps=down))
        files: list[Json] = [f"{file.service}/{file.file}" for file in undone]
        output.result({"rolled_back": files}, shown=_lines("rolled back", files))
    elif show_status or dry_run:
        found = asyncio.run(statuses(url))
        output.result(_status_json(found), shown=_status_table(found, pending_only=dry_run))
    else:
        with output.progress.status("migrating") as spinner:
            applied = asyncio.run(
                apply_migrations(
                    url,
                    role_password=_password(role_password_file),
                    progress=spinner.update,
                )
            )
        files = [f"{file.service}/{file.file}" for file in applied]
        output.result({"applied": files}, shown=_lines("applied", files) if files else "Already up to date.")


def _database_url(data_dir: Path | None) -> str:
    if own := os.environ.get("DOSSIER_DATABASE_URL"):
        return own
    instance = Instance.resolve(data_dir)
    record = instance.running()
    if record is None or not record.database_url:
        raise DossierError(
            "There is no database to migrate.",
            hint="Set DOSSIER_DATABASE_URL, or start an instance (`dossier up` migrates its own).",
        )
    return record.database_url


def _password(file: Path | None) -> str | None:
    if file is not None:
        return file.read_text().rstrip("\r\n")
    return os.environ.get(PASSWORD_VARIABLE)


def _lines(deed: str, files: list[Json]) -> str:
    return "\n".join(f"{deed} {file}" for file in files)


def _status_json(found: tuple[ServiceStatus, ...]) -> dict[str, Json]:
    return {
        "services": [
            {"service": entry.service, "applied": entry.applied, "pending": entry.pending} for entry in found
        ],
        "pending": sum(len(entry.pending) for entry in found),
    }


def _status_table(found: tuple[ServiceStatus, ...], *, pending_only: bool) -> Table:
    table = Table("service", "migration", "state", box=None, pad_edge=False, header_style="dim")
    for entry in found:
        for file in () if pending_only else entry.applied:
            table.add_row(entry.service, file, "applied")
        for file in entry.pending:
            table.add_row(entry.service, file, "[yellow]pending[/yellow]")
    return table
