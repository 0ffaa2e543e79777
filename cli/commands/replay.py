"""`enhancements replay`: the same inputs, another model or other instructions, and what differs."""

import asyncio
import uuid
from typing import Annotated

import typer

from cli.comparison import compare
from cli.enhancing import EnhancementArgument, orchestrating, read, show_ended, watch
from cli.instance import Instance
from cli.options import DataDirOption, text_of
from cli.output import JsonOption, Output
from cli.show.as_json import enhancement_json
from cli.show.comparison import comparison_json, comparison_view
from cli.tenancy import TenantOption, also_for
from dossier.orchestrator.v1.enhancement_pb2 import Enhancement
from dossier.orchestrator.v1.orchestrator_service_pb2 import ReplayEnhancementRequest


def replay(
    *,
    enhancement_id: EnhancementArgument,
    model: Annotated[str, typer.Option(help="The model to ask; else the one that was asked then.")] = "",
    instructions: Annotated[
        str,
        typer.Option(
            "--instructions",
            "--prompt",
            metavar="FILE|-",
            help="The instructions to give; else those that were given then. - reads standard input.",
        ),
    ] = "",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return at once; `enhancements watch` looks later.")
    ] = False,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write a brief again from its frozen inputs, post nothing, and show what differs."""
    output = Output(as_json=as_json)
    request = ReplayEnhancementRequest(
        enhancement_id=enhancement_id,
        model=model,
        instructions=text_of(instructions, option="--instructions") if instructions else "",
        request_id=str(uuid.uuid4()),
    )
    instance = Instance.resolve(data_dir)
    if no_wait:
        started = asyncio.run(_start(instance, request, tenant=tenant))
        again = f"`dossier enhancements watch {started.id}{also_for(tenant)}`"
        output.result(enhancement_json(started), shown=f"Queued as {started.id}. {again} shows how it goes.")
        return 0
    original, replayed = asyncio.run(_replay(instance, request, tenant=tenant, output=output))
    if not replayed.HasField("brief"):
        return _without_brief(original, replayed, tenant=tenant, output=output)
    comparison = compare(original, replayed)
    output.result(
        {
            "original": enhancement_json(original),
            "replay": enhancement_json(replayed),
            "diff": comparison_json(comparison),
        },
        shown=comparison_view(original, replayed, comparison),
    )
    return 0


def _without_brief(
    original: Enhancement, replayed: Enhancement, *, tenant: str | None, output: Output
) -> int:
    if not output.as_json:
        return show_ended(replayed, tenant=tenant, output=output)
    output.result(
        {"original": enhancement_json(original), "replay": enhancement_json(replayed), "diff": None}
    )
    return 1


async def _start(instance: Instance, request: ReplayEnhancementRequest, *, tenant: str | None) -> Enhancement:
    async with orchestrating(instance, tenant) as orchestrator:
        return (await orchestrator.ReplayEnhancement(request)).enhancement


async def _replay(
    instance: Instance, request: ReplayEnhancementRequest, *, tenant: str | None, output: Output
) -> tuple[Enhancement, Enhancement]:
    async with orchestrating(instance, tenant) as orchestrator:
        started = (await orchestrator.ReplayEnhancement(request)).enhancement
        replayed = await watch(orchestrator, started.id, tenant=tenant, output=output)
        return await read(orchestrator, request.enhancement_id), replayed
