"""`import tickets|articles|assets|prefixes`: a client's past, knowledge and inventory, from files."""

import asyncio
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.errors import UsageError
from cli.importing.files import opened
from cli.importing.kinds import KINDS, Kind
from cli.importing.rows import Rejection, Rows
from cli.importing.run import Import, Summary
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.progress import progress_of
from cli.rpc import calling
from cli.tenancy import TenantOption, tenant_or_only
from cli.words import number_of
from dossier.history.v1.history_service_pb2 import ImportTicketsRequest
from services.runtime.rules import violations_of

_MOST_SHOWN: Final = 20


def _source(given: str) -> str:
    """Refuse what the services would, by their own rule, before anything is read."""
    if violations_of(ImportTicketsRequest(source=given)):
        raise typer.BadParameter(
            f"{given!r} is no name of a source: write at most 64 lower-case letters, digits, hyphens, dots"
            " and underscores, such as jira."
        )
    return given


class What(StrEnum):
    TICKETS = "tickets"
    ARTICLES = "articles"
    ASSETS = "assets"
    PREFIXES = "prefixes"


def import_rows(
    *,
    what: Annotated[What, typer.Argument(help="What the rows are.", show_default=False)],
    path: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER|-",
            help="JSON Lines or CSV; for articles also a folder, or one file, of Markdown, HTML, PDF or Word"
            " (.docx); - is standard input.",
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            callback=_source,
            help="Where tickets and articles come from; the same id of another source is another.",
        ),
    ] = "import",
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help='Which column fills which field: "Their Column=field". Repeatable.'),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and count every row; send nothing.")
    ] = False,
    allow_rejects: Annotated[
        bool, typer.Option("--allow-rejects", help="Succeed even when rows were rejected.")
    ] = False,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Import a client's past tickets, articles, assets or prefixes. What is known already is updated.

    Headers as NetBox, IT Glue, Lansweeper, phpIPAM and help desks write them are understood.
    Example: dossier import articles ./handbook --source handbook --dry-run
    """
    kind = KINDS[what]
    output = Output(as_json=as_json)
    with opened(path, kind, renamed=_renamed(columns or (), kind)) as rows:
        with progress_of(f"{kind.name}", total=rows.total, output=output) as advance:
            work = Import(kind, rows, advance=advance)
            if dry_run:
                work.check()
            else:
                asyncio.run(_send(work, kind, Instance.resolve(data_dir), tenant=tenant, source=source))
        output.result(
            _json(work.summary, kind, rows, dry_run=dry_run),
            shown=_shown(work.summary, rows, dry_run=dry_run),
        )
    return 1 if work.summary.rejected and not allow_rejects else 0


async def _send(work: Import, kind: Kind, instance: Instance, *, tenant: str | None, source: str) -> None:
    client = await tenant_or_only(instance, tenant)
    async with calling(instance, kind.service, descriptors=[kind.descriptor], tenant=client) as channel:
        await work.send(channel, source=source)


def _renamed(given: Sequence[str], kind: Kind) -> Mapping[str, str]:
    renamed = {}
    for each in given:
        column, _, name = each.rpartition("=")
        if kind.field_named(name) is None or not column:
            known = ", ".join(field.name for field in kind.fields)
            raise UsageError(
                f"--map {each!r} names no field of {kind.name}.",
                hint=f'Write "Their Column=field"; the fields are: {known}.',
            )
        renamed[column] = name
    return renamed


def _json(summary: Summary, kind: Kind, rows: Rows, *, dry_run: bool) -> dict[str, Json]:
    return {
        "kind": kind.name,
        "format": rows.format,
        "dry_run": dry_run,
        "rows": summary.rows,
        "valid": summary.rows - summary.rejected,
        "created": summary.created,
        "updated": summary.updated,
        "unchanged": summary.unchanged,
        "rejected": summary.rejected,
        "rejections": [_rejection(each) for each in summary.rejections],
        "columns": dict(rows.mapping),
        "unknown_columns": list(rows.unknown.names),
        "passed_over": dict(rows.passed_over),
    }


def _rejection(rejection: Rejection) -> dict[str, Json]:
    place = rejection.place
    return {
        "row": place.row,
        "line": place.line,
        "file": place.file,
        "id": rejection.id,
        "field": rejection.field,
        "reason": rejection.reason,
    }


def _shown(summary: Summary, rows: Rows, *, dry_run: bool) -> RenderableType:
    parts: list[RenderableType] = []
    if rows.unknown.names:
        parts.append(
            Text(f"Not imported, no field takes them: {', '.join(rows.unknown.names)}", style="yellow")
        )
    if rows.passed_over:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(rows.passed_over.items()))
        parts.append(Text(f"Passed over, of no kind that is read: {counts}", style="yellow"))
    if summary.rejections:
        parts.append(_rejections(summary))
    if not summary.rows:
        parts.append(Text("There was no row in it.", style="yellow"))
    if dry_run:
        rows_read = number_of(summary.rows, "row")
        parts.append(Text(f"{rows_read}, {summary.rejected} would be rejected; nothing was sent."))
    else:
        parts.append(
            Text(
                f"{summary.created} created, {summary.updated} updated, {summary.unchanged} unchanged,"
                f" {summary.rejected} rejected."
            )
        )
    return Group(*parts)


def _rejections(summary: Summary) -> RenderableType:
    table = Table("row", "where", "id", "field", "reason", box=None, pad_edge=False, header_style="dim")
    for each in summary.rejections[:_MOST_SHOWN]:
        table.add_row(
            str(each.place.row), *(Text(part) for part in (str(each.place), each.id, each.field, each.reason))
        )
    more = summary.rejected - min(len(summary.rejections), _MOST_SHOWN)
    return Group(table, Text(f"… and {more} more", style="dim")) if more else table
