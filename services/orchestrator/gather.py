"""Gathers what a brief is written from: the ticket as it now is, and what every source knows about it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from dossier.context.v1.ticket_pb2 import Ticket
from dossier.synthesis.v1.synthesis_service_pb2 import BriefOptions, WriteBriefRequest
from dossier.tenants.v1.tenant_pb2 import ContextSource, Tenant
from services.orchestrator.evidence import distinct
from services.orchestrator.failures import Permanent, Transient
from services.orchestrator.model import StepEnd, StepState
from services.orchestrator.peers import Peers
from services.orchestrator.sources import BUILT_IN, Answer, asking
from services.orchestrator.steps import Attempt, Work
from services.orchestrator.tool import ToolAccess, Tools

_MOST_EVIDENCE: Final = 100
# Sources that answer together are kept together, in one commit; a slow one does not hide the others.
_TOGETHER_SECONDS: Final = 0.25


async def gather(work: Work, *, peers: Peers, tools: Tools) -> None:
    run = work.enhancement.run
    if work.enhancement.inputs is not None:
        return
    tenant, ticket, refreshed = await refresh(work, tools)
    names = (*BUILT_IN, *(source.name for source in tenant.sources))
    await work.journal.refreshed(refreshed, ticket, next_steps=names)
    answers, unkept = await _ask_all(work, peers, ticket, tenant.sources)
    inputs = WriteBriefRequest(
        # The same for ever, so that an answer that was bought once is found again.
        request_id=f"{run.id}:synthesize",
        ticket=ticket,
        evidence=distinct(each for name in names for each in answers[name].evidence)[:_MOST_EVIDENCE],
        sources=[answers[name].report for name in names],
        options=BriefOptions(
            language=tenant.brief.language, model=tenant.brief.model, max_words=tenant.brief.max_words
        ),
    )
    await work.journal.gathered([answer.step for answer in unkept], inputs)


async def refresh(work: Work, tools: Tools) -> tuple[Tenant, Ticket, StepEnd]:
    """The tenant's settings, and the ticket: reread where a webhook brought it and there is an address."""

    async def attempt(this: Attempt) -> tuple[Tenant, Ticket, StepEnd]:
        access = await tools.access()
        given = work.enhancement.ticket
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
        return await _reread(work, access, this)

    return await work.try_step("refresh", attempt)


async def _reread(work: Work, access: ToolAccess, this: Attempt) -> tuple[Tenant, Ticket, StepEnd]:
    given = work.enhancement.ticket
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
    work: Work, peers: Peers, ticket: Ticket, sources: Sequence[ContextSource]
) -> tuple[Mapping[str, Answer], Sequence[Answer]]:
    """The answers by source, and those of them that are not kept yet."""
    tasks = asking(peers, ticket, sources)
    pending = set(tasks.values())
    try:
        while True:
            done, pending = await asyncio.wait(pending, timeout=_TOGETHER_SECONDS)
            if not pending:
                return {name: task.result() for name, task in tasks.items()}, [task.result() for task in done]
            if done:
                await work.journal.sources_ended([task.result().step for task in done])
    finally:
        for task in pending:
            task.cancel()
