"""`queue show|set|pause|resume`: how much waits and runs, and by which rules."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer
from rich.console import Group
from rich.text import Text

from cli.enhancing import orchestrating_as
from cli.errors import DossierError, UsageError
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import JsonOption, Output
from cli.settings import Weight
from cli.show.queue import queue_json, queue_table
from cli.tenancy import TenantOption, all_tenant_ids, tenant_or_only
from cli.words import value_of
from dossier.orchestrator.v1 import orchestrator_service_pb2 as pb
from dossier.orchestrator.v1.queue_pb2 import Queue, QueueWeight
from services.runtime.caller import acting_for

if TYPE_CHECKING:
    from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceAsyncStub

Ask: TypeAlias = "Callable[[OrchestratorServiceAsyncStub], Awaitable[Queue]]"

queue = typer.Typer(help="What waits and runs, and by which rules.", no_args_is_help=True)

_AT_A_TIME: Final = 16

AllOption = Annotated[bool, typer.Option("--all", help="All clients together instead of one.")]


@queue.command("show")
def show(
    *,
    tenant: TenantOption = None,
    everything: AllOption = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how much waits, runs and has failed, and the client's share and cap."""
    _answer(
        _look, tenant=tenant, everything=everything, data_dir=data_dir, as_json=as_json, names_paused=True
    )


@queue.command("set")
def set_rules(
    *,
    weight: Annotated[
        Weight | None,
        typer.Option(help="Runs a round while other clients wait too: standard 1, preferred 2, premium 4."),
    ] = None,
    max_in_progress: Annotated[
        int | None,
        typer.Option(
            min=0, max=1000, help="The most runs at a time, on all replicas; 0 is the installation's default."
        ),
    ] = None,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a client's share and cap, at once and on all replicas; what is not given stays.

    They are settings of the client's: `dossier tenant update` changes them as well.
    """
    if weight is None and max_in_progress is None:
        raise UsageError("There is nothing to set.", hint="Give --weight, --max-in-progress or both.")
    request = pb.UpdateQueueRequest(max_in_progress=max_in_progress)
    if weight is not None:
        request.weight = QueueWeight.ValueType(value_of(QueueWeight.DESCRIPTOR, weight))

    async def ask(orchestrator: "OrchestratorServiceAsyncStub") -> Queue:
        return (await orchestrator.UpdateQueue(request)).queue

    _answer(ask, tenant=tenant, everything=False, data_dir=data_dir, as_json=as_json)


@queue.command("pause")
def pause(
    *,
    tenant: TenantOption = None,
    everything: AllOption = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take no more work up: what runs ends, what comes is accepted and waits."""

    async def ask(orchestrator: "OrchestratorServiceAsyncStub") -> Queue:
        return (await orchestrator.PauseQueue(pb.PauseQueueRequest())).queue

    _answer(ask, tenant=tenant, everything=everything, data_dir=data_dir, as_json=as_json)


@queue.command("resume")
def resume(
    *,
    tenant: TenantOption = None,
    everything: AllOption = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take work up again. Clients that are paused themselves stay so when everything is resumed."""

    async def ask(orchestrator: "OrchestratorServiceAsyncStub") -> Queue:
        return (await orchestrator.ResumeQueue(pb.ResumeQueueRequest())).queue

    still = "Still paused, since everything is: `dossier queue resume --all`."
    _answer(ask, tenant=tenant, everything=everything, data_dir=data_dir, as_json=as_json, if_paused=still)


def _answer(
    ask: Ask,
    *,
    tenant: str | None,
    everything: bool,
    data_dir: Path | None,
    as_json: bool,
    if_paused: str = "",
    names_paused: bool = False,
) -> None:
    if everything and tenant:
        raise UsageError("--tenant and --all exclude each other.", hint="Give one of them.")
    instance = Instance.resolve(data_dir)
    whose, found = asyncio.run(_asked(instance, ask, tenant=tenant, everything=everything))
    remark = [Text(if_paused, style="yellow")] if if_paused and found.paused else []
    data = queue_json(found, tenant=whose)
    # Where everything is paused, no client's own pause can be told from that.
    if names_paused and everything and not found.paused:
        paused = asyncio.run(_paused(instance))
        data["paused_tenants"] = paused
        if paused is None:
            remark.append(
                Text("Which clients are paused is not known: tenants does not answer.", style="yellow")
            )
        elif paused:
            remark.append(Text(f"Paused by themselves: {', '.join(paused)}.", style="yellow"))
    shown = Group(queue_table(found, tenant=whose), *remark)
    Output(as_json=as_json).result(data, shown=shown)


async def _look(orchestrator: "OrchestratorServiceAsyncStub") -> Queue:
    return (await orchestrator.GetQueue(pb.GetQueueRequest())).queue


async def _paused(instance: Instance) -> list[str] | None:
    """The clients that are paused themselves; None where nobody can say which clients there are."""
    try:
        known = await all_tenant_ids(instance)
    except DossierError:
        return None
    turn = asyncio.Semaphore(_AT_A_TIME)
    async with orchestrating_as(instance, None) as orchestrator:

        async def is_paused(tenant: str) -> bool:
            async with turn:
                with acting_for(tenant, subject=getpass.getuser(), role="operator"):
                    return (await _look(orchestrator)).paused

        answers = await asyncio.gather(*map(is_paused, known))
    return [tenant for tenant, paused in zip(known, answers, strict=True) if paused]


async def _asked(
    instance: Instance, ask: Ask, *, tenant: str | None, everything: bool
) -> tuple[str | None, Queue]:
    whose = None if everything else await tenant_or_only(instance, tenant)
    async with orchestrating_as(instance, whose) as orchestrator:
        return whose, await ask(orchestrator)
