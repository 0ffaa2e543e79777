"""The orchestrator, as the verbs about enhancements and the demo talk to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.errors import DossierError
from cli.instance import Instance
from cli.output import Output
from cli.rpc import calling
from cli.show.as_json import enhancement_json
from cli.show.brief import enhancement_view
from cli.show.steps import ENDED, follow_steps
from cli.tenancy import also_for, instance_of, tenant_or_only
from dossier.orchestrator.v1 import orchestrator_service_pb2 as pb
from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_SUCCEEDED, Enhancement
from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub

if TYPE_CHECKING:
    from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceAsyncStub

_SERVICES: Final = [pb.DESCRIPTOR.services_by_name["OrchestratorService"]]
_COMPLETION_SECONDS: Final = 1.0
_COMPLETIONS: Final = 50


@asynccontextmanager
async def orchestrating(
    instance: Instance, tenant: str | None
) -> "AsyncIterator[OrchestratorServiceAsyncStub]":
    """Open the orchestrator for the named, or the only, client."""
    async with orchestrating_as(instance, await tenant_or_only(instance, tenant)) as orchestrator:
        yield orchestrator


@asynccontextmanager
async def orchestrating_as(
    instance: Instance, tenant: str | None
) -> "AsyncIterator[OrchestratorServiceAsyncStub]":
    """Open the orchestrator for one client, or with None for all of them."""
    async with calling(instance, "orchestrator", descriptors=_SERVICES, tenant=tenant) as channel:
        yield OrchestratorServiceStub(channel)


async def read(orchestrator: "OrchestratorServiceAsyncStub", enhancement_id: str) -> Enhancement:
    answer = await orchestrator.GetEnhancement(pb.GetEnhancementRequest(enhancement_id=enhancement_id))
    return answer.enhancement


async def watch(
    orchestrator: "OrchestratorServiceAsyncStub", enhancement_id: str, *, tenant: str | None, output: Output
) -> Enhancement:
    """Show the steps until the enhancement has ended; the result has its brief and evidence."""

    async def changes() -> AsyncIterator[Enhancement]:
        async for change in orchestrator.WatchEnhancement(
            pb.WatchEnhancementRequest(enhancement_id=enhancement_id)
        ):
            yield change.enhancement

    last = await follow_steps(changes(), output=output)
    if last is None or last.state not in ENDED:
        raise DossierError(
            "The orchestrator ended the watch before the enhancement ended.",
            hint="It goes on without us: "
            f"`dossier enhancements watch {enhancement_id}{also_for(tenant)}` looks again.",
        )
    return await read(orchestrator, enhancement_id)


def show_ended(enhancement: Enhancement, *, tenant: str | None, output: Output) -> int:
    """Show what came of it; the exit code tells whether that is a brief."""
    output.result(enhancement_json(enhancement), shown=enhancement_view(enhancement, tenant=tenant))
    return 0 if enhancement.state == ENHANCEMENT_STATE_SUCCEEDED else 1


def complete_enhancement(context: typer.Context, incomplete: str) -> list[str]:
    """Give the latest ids; whatever goes wrong, a shell wants no words about it."""

    async def latest() -> list[str]:
        async with orchestrating(instance_of(context), context.params.get("tenant")) as orchestrator:
            page = await orchestrator.ListEnhancements(pb.ListEnhancementsRequest(page_size=_COMPLETIONS))
        return [each.id for each in page.enhancements]

    with suppress(DossierError, OSError, TimeoutError):
        known = asyncio.run(asyncio.wait_for(latest(), _COMPLETION_SECONDS))
        return [each for each in known if each.startswith(incomplete)]
    return []


EnhancementArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The enhancement's id.", autocompletion=complete_enhancement)
]
