"""Gathers what a brief is written from: the ticket as it now is, and what every source knows about it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

from dossier.context.v1.ticket_pb2 import Ticket
from dossier.synthesis.v1.synthesis_service_pb2 import BriefOptions, WriteBriefRequest
from dossier.tenants.v1.tenant_pb2 import ContextSource, Tenant
from services.orchestrator.evidence import distinct
from services.orchestrator.failures import Permanent, Transient
from services.orchestrator.model import Enhancement, Standing, StepEnd, StepState
from services.orchestrator.peers import Peers
from services.orchestrator.sources import BUILT_IN, Answer, asking
from services.orchestrator.steps import Work
from services.orchestrator.tickets import content_hash
from services.orchestrator.tool import ToolAccess, Tools

_MOST_EVIDENCE: Final = 100
# Sources that answer together are kept together, in one commit; a slow one does not hide the others.
_TOGETHER_SECONDS: Final = 0.25
_LOOK_AGAIN_SECONDS: Final = 1.0


async def gather(work: Work, *, peers: Peers, tools: Tools) -> tuple[Enhancement, Standing] | None:
    """None where there turns out to be nothing to do, and the run has ended with that."""
    run, this = work.enhancement.run, work.attempt
    earlier = work.enhancement.earlier
    if earlier is not None and earlier.is_about_to_read:
        raise _NotYet(earlier.id)
    tenant, ticket, refreshed = await refresh(work, tools)
    read_hash = content_hash(ticket)
    if earlier is not None and earlier.read_hash == read_hash:
        # Several webhooks may tell of one state of the ticket; only now is it known which.
        end = replace(refreshed, detail=f"nothing has changed since enhancement {earlier.id}")
        if await work.journal.nothing_new(this.begun, end, ticket, read_hash=read_hash):
            return None
        raise Transient("the ticket has changed meanwhile")
    before, answer = work.enhancement.inputs, work.enhancement.answer
    if before is not None and answer is not None and content_hash(before.ticket) == read_hash:
        # What has changed since is not what the brief is about.
        standing = await work.journal.unchanged(this.begun, refreshed, ticket, read_hash=read_hash)
        return replace(work.enhancement, ticket=ticket), standing
    names = (*BUILT_IN, *(source.name for source in tenant.sources))
    answers, unkept = await _ask_all(work, peers, ticket, tenant.sources, refreshed=refreshed)
    inputs = WriteBriefRequest(
        ticket=ticket,
        evidence=distinct(each for name in names for each in answers[name].evidence)[:_MOST_EVIDENCE],
        options=BriefOptions(
            language=tenant.brief.language,
            model=tenant.brief.model,
            max_words=tenant.brief.max_words,
            sections=tenant.brief.sections,
            additions=tenant.brief.instructions,
        ),
    )
    # Another content is another request; the same is the same, so that it is not bought again. How the
    # sources fared is not part of it: that differs each time.
    inputs.request_id = f"{run.id}:synthesize:{_digest(inputs)}"
    inputs.sources.extend(report for name in names for report in answers[name].reports)
    standing = await work.journal.gathered(
        this.begun, unkept, ticket, inputs, read_hash=read_hash, settings_revision=tenant.revision
    )
    return replace(work.enhancement, ticket=ticket, inputs=inputs), standing


class _NotYet(Transient):
    """Two webhooks came at once, and the run of the earlier one has yet to read the ticket."""

    def __init__(self, earlier: str) -> None:
        super().__init__(
            f"waits until enhancement {earlier} of the same ticket has read it",
            retry_after_seconds=_LOOK_AGAIN_SECONDS,
        )
        self.in_turn = True


def _digest(inputs: WriteBriefRequest) -> str:
    return sha256(inputs.SerializeToString(deterministic=True)).hexdigest()[:16]


async def refresh(work: Work, tools: Tools) -> tuple[Tenant, Ticket, StepEnd]:
    """The tenant's settings, and the ticket: reread where a webhook brought it and there is an address."""
    access = await tools.access()
    this, given = work.attempt, work.enhancement.ticket
    if not access.has_address:
        if work.enhancement.is_hint:
            raise Permanent(
                "the webhook only names the ticket, and there is no address to read it from; set"
                " ticketing.base_url",
                reason="TOOL_REJECTED",
            )
        skipped = this.end("the ticketing tool has no address", state=StepState.SKIPPED)
        return access.tenant, given, skipped
    if given.tool == "" and not work.enhancement.is_hint:
        return access.tenant, given, this.end("the ticket was given by hand", state=StepState.SKIPPED)
    return await _reread(work, access)


async def _reread(work: Work, access: ToolAccess) -> tuple[Tenant, Ticket, StepEnd]:
    this, given = work.attempt, work.enhancement.ticket
    try:
        return access.tenant, await access.read(given.id), this.end("read from the ticketing tool")
    except Transient as failure:
        if work.enhancement.is_hint:
            raise
        # The webhook brought the whole ticket: a brief of that beats one that waits.
        return (
            access.tenant,
            given,
            this.end(f"as the webhook said: {failure.message}", state=StepState.FAILED),
        )


async def _ask_all(
    work: Work, peers: Peers, ticket: Ticket, sources: Sequence[ContextSource], *, refreshed: StepEnd
) -> tuple[Mapping[str, Answer], Sequence[StepEnd]]:
    """The answers by source, and the ends of steps that are not kept yet."""
    tasks = asking(peers, ticket, sources)
    pending = set(tasks.values())
    unkept = [refreshed]
    try:
        while True:
            done, pending = await asyncio.wait(pending, timeout=_TOGETHER_SECONDS)
            unkept += [step for task in tasks.values() if task in done for step in task.result().steps]
            if not pending:
                return {name: task.result() for name, task in tasks.items()}, unkept
            if unkept:
                waited_for = [name for name, task in tasks.items() if task in pending]
                # What is waited for is announced once, with what came together.
                begun = waited_for if refreshed in unkept else ()
                await work.journal.progressed(unkept, begun=begun)
                unkept = []
    finally:
        for task in pending:
            task.cancel()
