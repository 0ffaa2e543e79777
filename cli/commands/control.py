"""`enhancements cancel|retry|retry-failed`: ends a run, or has it tried again."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.asking import NOT_AGREED, agreed
from cli.enhancing import EnhancementArgument, orchestrating, read, show_ended, watch
from cli.errors import DossierError
from cli.instance import Instance
from cli.options import DataDirOption, YesOption
from cli.output import Json, JsonOption, Output
from cli.progress import progress_of
from cli.show.as_json import enhancement_json
from cli.tenancy import TenantOption, also_for
from dossier.orchestrator.v1 import error_reason_pb2 as reasons
from dossier.orchestrator.v1 import orchestrator_service_pb2 as pb
from dossier.orchestrator.v1.enhancement_pb2 import (
    ENHANCEMENT_STATE_QUEUED,
    ENHANCEMENT_STATE_RUNNING,
    Enhancement,
    EnhancementState,
)

if TYPE_CHECKING:
    from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceAsyncStub

_STANDING: Final = {
    ENHANCEMENT_STATE_QUEUED: "It is queued already; nothing was changed.",
    ENHANCEMENT_STATE_RUNNING: "It is under way; nothing was changed.",
}
FAILURE_REASONS: Final = tuple(
    reasons.ErrorReason.Name(each).removeprefix("ERROR_REASON_")
    for each in (
        reasons.ERROR_REASON_TOOL_REJECTED,
        reasons.ERROR_REASON_TICKET_MISSING,
        reasons.ERROR_REASON_TOOL_UNAVAILABLE,
        reasons.ERROR_REASON_TENANT_NOT_SERVED,
        reasons.ERROR_REASON_TOOL_UNKNOWN,
        reasons.ERROR_REASON_RUN_TIMED_OUT,
        reasons.ERROR_REASON_STEP_FAILED,
        reasons.ERROR_REASON_WORKER_LOST,
    )
)
"""Those of the contract's reasons that a failed enhancement can have."""
_BATCH: Final = 200
"""Small enough that the bar moves, large enough that thousands are soon done."""


def cancel(
    *,
    enhancement_id: EnhancementArgument,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """End one wherever it stands. A note that was just being posted may still appear."""
    cancelled = asyncio.run(_cancel(Instance.resolve(data_dir), enhancement_id, tenant=tenant))
    shown = f"Cancelled. `dossier enhancements retry {cancelled.id}{also_for(tenant)}` takes it up again."
    Output(as_json=as_json).result(enhancement_json(cancelled), shown=shown)


def retry(
    *,
    enhancement_id: EnhancementArgument,
    watch_it: Annotated[bool, typer.Option("--watch", help="Follow it until it has ended.")] = False,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Try a failed or cancelled one again, from the step after the last that succeeded."""
    output = Output(as_json=as_json)
    before, retried = asyncio.run(
        _retry(Instance.resolve(data_dir), enhancement_id, tenant=tenant, wait=watch_it, output=output)
    )
    if watch_it:
        return show_ended(retried, tenant=tenant, output=output)
    told = _STANDING.get(before, "Queued again.")
    shown = f"{told} `dossier enhancements watch {retried.id}{also_for(tenant)}` shows how it goes."
    output.result(enhancement_json(retried), shown=shown)
    return 0


def retry_failed(
    *,
    reason: Annotated[
        str, typer.Option(help="Only those that failed for this reason, such as TOOL_REJECTED.")
    ] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="The most to try again; else all.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    yes: YesOption = False,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Try a client's failed ones again, the oldest first, after saying how many there are."""
    if reason and reason.upper() not in FAILURE_REASONS:
        raise DossierError(
            f"Nothing fails for {reason}.", hint=f"--reason is one of: {', '.join(FAILURE_REASONS)}."
        )
    bulk = _Bulk(
        reason=reason.upper(), limit=limit, dry_run=dry_run, ask=not yes, output=Output(as_json=as_json)
    )
    return asyncio.run(bulk.retry(Instance.resolve(data_dir), tenant=tenant))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bulk:
    """All that failed, or those for one reason, at most so many."""

    reason: str
    limit: int | None
    dry_run: bool
    ask: bool
    output: Output

    async def retry(self, instance: Instance, *, tenant: str | None) -> int:
        async with orchestrating(instance, tenant) as orchestrator:
            counted = await self._call(orchestrator, limit=0, dry_run=True)
            failed = counted.retried + counted.remaining
            wanted = min(failed, self.limit or failed)
            if self.dry_run or not wanted:
                self._tell(wanted, failed - wanted, shown=self._counted(wanted))
                return 0
            if self.ask and not self._confirmed(wanted):
                return NOT_AGREED
            retried, remaining = await self._retry(orchestrator, wanted)
        left = f" {remaining} failed ones are left." if remaining else ""
        self._tell(retried, remaining, shown=f"{retried} are queued again.{left}")
        return 0

    async def _retry(self, orchestrator: "OrchestratorServiceAsyncStub", wanted: int) -> tuple[int, int]:
        """Go on until none is left, but to no more than were counted: what fails again meanwhile is news."""
        retried, remaining = 0, wanted
        with progress_of("queued again", total=wanted, output=self.output) as advance:
            while retried < wanted and remaining:
                limit = min(_BATCH, wanted - retried)
                done = await self._call(orchestrator, limit=limit, dry_run=False)
                advance(done.retried)
                retried, remaining = retried + done.retried, done.remaining
                if not done.retried:
                    break  # somebody else was faster
        return retried, remaining

    async def _call(
        self, orchestrator: "OrchestratorServiceAsyncStub", *, limit: int, dry_run: bool
    ) -> pb.RetryFailedEnhancementsResponse:
        request = pb.RetryFailedEnhancementsRequest(reason=self.reason, limit=limit, dry_run=dry_run)
        return await orchestrator.RetryFailedEnhancements(request)

    def _confirmed(self, wanted: int) -> bool:
        hint = "Say --yes to have them tried again, or --dry-run to only count them."
        if agreed(self._counted(wanted), "Try them again?", hint=hint, output=self.output):
            return True
        self.output.console.print("Nothing was queued.")
        return False

    def _counted(self, number: int) -> str:
        why = f" for {self.reason}" if self.reason else ""
        return f"{number} failed{why}." if number else f"None has failed{why}."

    def _tell(self, retried: int, remaining: int, *, shown: str) -> None:
        data: dict[str, Json] = {
            "reason": self.reason,
            "dry_run": self.dry_run,
            "retried": 0 if self.dry_run else retried,
            **({"would_retry": retried} if self.dry_run else {}),
            "remaining": remaining,
        }
        self.output.result(data, shown=shown)


async def _cancel(instance: Instance, enhancement_id: str, *, tenant: str | None) -> Enhancement:
    async with orchestrating(instance, tenant) as orchestrator:
        request = pb.CancelEnhancementRequest(enhancement_id=enhancement_id)
        return (await orchestrator.CancelEnhancement(request)).enhancement


async def _retry(
    instance: Instance, enhancement_id: str, *, tenant: str | None, wait: bool, output: Output
) -> "tuple[EnhancementState.ValueType, Enhancement]":
    """Give the state before, and what it is now."""
    async with orchestrating(instance, tenant) as orchestrator:
        before = (await read(orchestrator, enhancement_id)).state
        request = pb.RetryEnhancementRequest(enhancement_id=enhancement_id)
        retried = (await orchestrator.RetryEnhancement(request)).enhancement
        return before, await watch(
            orchestrator, retried.id, tenant=tenant, output=output
        ) if wait else retried
