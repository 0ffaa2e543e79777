"""`enhancements`: the group, and its verbs that look: `list|show|watch`."""

import asyncio
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli.commands.control import cancel, retry, retry_failed
from cli.commands.replay import replay
from cli.enhancing import EnhancementArgument, orchestrating, read, show_ended, watch
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.show.as_json import enhancement_json, summary_json
from cli.show.brief import enhancement_view
from cli.show.steps import steps_table, waiting
from cli.tenancy import TenantOption
from cli.words import iso, money, value_of, word
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.orchestrator.v1.orchestrator_service_pb2 import ListEnhancementsRequest, ListEnhancementsResponse

enhancements = typer.Typer(help="The briefs that were asked for.", no_args_is_help=True)

_ID_CHARACTERS = 36
# Where the terminal is narrow, the ticket's text gives way.
_LEAST_WIDTHS = {"state": 9, "accepted": 19}
_STATE = pb.EnhancementState.DESCRIPTOR


class StateName(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@enhancements.command("list")
def list_enhancements(
    *,
    state: Annotated[StateName | None, typer.Option(help="Only those in this state.")] = None,
    ticket_id: Annotated[str, typer.Option("--ticket-id", help="Only those of this ticket.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most to list.")] = 20,
    page_token: Annotated[
        str, typer.Option("--page-token", help="`next_page_token` of the page before.")
    ] = "",
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List enhancements, the latest first."""
    request = ListEnhancementsRequest(
        page_size=limit,
        page_token=page_token,
        ticket_id=ticket_id,
        state=pb.EnhancementState.ValueType(value_of(_STATE, state) if state else 0),
    )
    page = asyncio.run(_list(Instance.resolve(data_dir), request, tenant=tenant))
    data: dict[str, Json] = {
        "enhancements": [summary_json(each) for each in page.enhancements],
        "next_page_token": page.next_page_token,
    }
    shown = _table(page, with_reason=state is StateName.FAILED)
    Output(as_json=as_json).result(data, shown=shown)


@enhancements.command("show")
def show(
    *,
    enhancement_id: EnhancementArgument,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one with its steps, its brief and what that cites."""
    found = asyncio.run(_read(Instance.resolve(data_dir), enhancement_id, tenant=tenant))
    state = Text(f"{word(_STATE, found.state)}, accepted {iso(found.create_time)}", style="dim")
    waits = [Text(told, style="yellow")] if (told := waiting(found)) else []
    shown = Group(state, *waits, steps_table(found), Text(), enhancement_view(found, tenant=tenant))
    Output(as_json=as_json).result(enhancement_json(found), shown=shown)


@enhancements.command("watch")
def watch_one(
    *,
    enhancement_id: EnhancementArgument,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Follow one until it has ended, then show its brief."""
    output = Output(as_json=as_json)
    ended = asyncio.run(_watch(Instance.resolve(data_dir), enhancement_id, tenant=tenant, output=output))
    return show_ended(ended, tenant=tenant, output=output)


# In the order of the help, after the verbs above.
enhancements.command("cancel")(cancel)
enhancements.command("retry")(retry)
enhancements.command("retry-failed")(retry_failed)
enhancements.command("replay")(replay)


async def _list(
    instance: Instance, request: ListEnhancementsRequest, *, tenant: str | None
) -> ListEnhancementsResponse:
    async with orchestrating(instance, tenant) as orchestrator:
        return await orchestrator.ListEnhancements(request)


async def _read(instance: Instance, enhancement_id: str, *, tenant: str | None) -> pb.Enhancement:
    async with orchestrating(instance, tenant) as orchestrator:
        return await read(orchestrator, enhancement_id)


async def _watch(
    instance: Instance, enhancement_id: str, *, tenant: str | None, output: Output
) -> pb.Enhancement:
    async with orchestrating(instance, tenant) as orchestrator:
        return await watch(orchestrator, enhancement_id, tenant=tenant, output=output)


def _table(page: ListEnhancementsResponse, *, with_reason: bool) -> Table | str:
    if not page.enhancements:
        return 'None yet: a webhook makes one, or `dossier enhance "…"`.'
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("id", no_wrap=True, min_width=_ID_CHARACTERS)
    for heading in ("state", *(["reason"] if with_reason else []), "ticket", "accepted", "cost"):
        table.add_column(heading, no_wrap=heading != "ticket", min_width=_LEAST_WIDTHS.get(heading))
    for each in page.enhancements:
        failure = each.failure
        reason = [Text(f"{failure.reason} at {failure.step}", style="red")] if with_reason else []
        table.add_row(
            each.id,
            word(_STATE, each.state),
            *reason,
            Text(f"{each.ticket.display_id or each.ticket.id} {each.ticket.subject}", overflow="ellipsis"),
            (iso(each.create_time) or "")[:19],
            money(each.cost),
        )
    return table
