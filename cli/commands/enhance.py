"""`enhance`: a brief by hand."""

import asyncio
import uuid
from typing import Annotated, Final

import typer

from cli.enhancing import orchestrating, show_ended, watch
from cli.errors import UsageError
from cli.instance import Instance
from cli.options import DataDirOption, text_or_stdin
from cli.output import JsonOption, Output
from cli.show.as_json import enhancement_json
from cli.tenancy import TenantOption, also_for
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1.enhancement_pb2 import Enhancement
from dossier.orchestrator.v1.orchestrator_service_pb2 import CreateEnhancementRequest

_SUBJECT_CHARACTERS: Final = 120


def enhance(
    *,
    text: Annotated[str, typer.Argument(help="The ticket's text; - reads standard input.")],
    subject: Annotated[str, typer.Option(help="Its subject; else the text's first line.")] = "",
    ticket_id: Annotated[
        str, typer.Option("--ticket-id", help="Its id at the ticketing tool; else one is made up.")
    ] = "",
    deliver: Annotated[
        bool, typer.Option("--deliver", help="Post the brief at the ticketing tool; needs --ticket-id.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return at once; `enhancements watch` looks later.")
    ] = False,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write a brief for a text, watch it being made, and show it."""
    if deliver and not ticket_id:
        raise UsageError(
            "There is no ticket to post the brief at.", hint="Name the tool's ticket with --ticket-id."
        )
    words = text_or_stdin(text)
    if not words.strip():
        raise UsageError("There is no text.", hint='Give the ticket\'s text: dossier enhance "…".')
    request_id = str(uuid.uuid4())
    ticket = Ticket(
        id=ticket_id or f"by-hand-{request_id[:8]}",
        subject=subject or words.strip().splitlines()[0][:_SUBJECT_CHARACTERS],
        description=words,
    )
    request = CreateEnhancementRequest(ticket=ticket, deliver=deliver, request_id=request_id)
    output = Output(as_json=as_json)
    made = asyncio.run(
        _enhance(Instance.resolve(data_dir), request, tenant=tenant, wait=not no_wait, output=output)
    )
    if no_wait:
        again = f"`dossier enhancements watch {made.id}{also_for(tenant)}`"
        output.result(enhancement_json(made), shown=f"Accepted as {made.id}. {again} shows how it goes.")
        return 0
    return show_ended(made, tenant=tenant, output=output)


async def _enhance(
    instance: Instance, request: CreateEnhancementRequest, *, tenant: str | None, wait: bool, output: Output
) -> Enhancement:
    async with orchestrating(instance, tenant) as orchestrator:
        made = (await orchestrator.CreateEnhancement(request)).enhancement
        return await watch(orchestrator, made.id, tenant=tenant, output=output) if wait else made
