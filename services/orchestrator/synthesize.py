"""Has the brief written, once: the same request again is answered from the synthesis service's ledger."""

from dataclasses import replace

from dossier.synthesis.v1 import budget_pb2
from dossier.synthesis.v1.brief_pb2 import WRITER_LLM
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest, WriteBriefResponse
from dossier.tenants.v1 import tenant_pb2
from services.orchestrator.engine import Checkpoint
from services.orchestrator.model import Enhancement, Standing
from services.orchestrator.peers import PeerFailure, Peers
from services.orchestrator.steps import Work
from services.orchestrator.tool import Tools, required


async def synthesize(work: Work, *, peers: Peers, tools: Tools) -> tuple[Enhancement, Standing]:
    answer = await _written(work, peers, tools)
    end = work.attempt.end(_detail(answer))
    standing = await work.journal.written(work.attempt.begun, end, answer)
    return replace(work.enhancement, answer=answer), standing


async def rewrite(work: Work, *, peers: Peers, tools: Tools) -> None:
    """For a replay: the brief is all that is wanted of it."""
    answer = await _written(work, peers, tools)
    end = work.attempt.end(_detail(answer))
    await work.journal.succeeded(Checkpoint(1, "synthesize"), work.attempt.begun, [end], answer=answer)


async def _written(work: Work, peers: Peers, tools: Tools) -> WriteBriefResponse:
    inputs: WriteBriefRequest | None = work.enhancement.inputs
    if inputs is None:
        raise AssertionError("a brief is written after its inputs are gathered")
    request = WriteBriefRequest()
    request.CopyFrom(inputs)
    # As it is now, not as it was when the inputs were gathered.
    tenant = (await tools.access()).tenant
    if tenant.HasField("budget"):
        request.options.budget.CopyFrom(_budget(tenant.budget))
    try:
        return await peers.write_brief(request)
    except PeerFailure as failure:
        raise required(failure) from failure


def _budget(budget: tenant_pb2.Budget) -> budget_pb2.Budget:
    return budget_pb2.Budget(**{field.name: value for field, value in budget.ListFields()})


def _detail(answer: WriteBriefResponse) -> str:
    brief = answer.brief
    what = "nothing similar is known" if brief.nothing_similar else f"{brief.word_count} words"
    by = answer.usage.model if brief.writer == WRITER_LLM else "the built-in writer"
    return f"{what}, by {by}"
