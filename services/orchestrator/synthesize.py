"""Has the brief written, once: the same request again is answered from the synthesis service's ledger."""

from dossier.synthesis.v1.brief_pb2 import WRITER_LLM
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest, WriteBriefResponse
from services.orchestrator.peers import PeerFailure, Peers
from services.orchestrator.steps import Attempt, Work
from services.orchestrator.tool import required


async def synthesize(work: Work, *, peers: Peers) -> None:
    inputs = work.enhancement.inputs
    if work.enhancement.answer is not None:
        return
    if inputs is None:
        raise AssertionError("a brief is written after its inputs are gathered")

    async def attempt(this: Attempt) -> None:
        answer = await _written(peers, inputs)
        await work.journal.written(this.end(_detail(answer)), answer)

    await work.try_step("synthesize", attempt)


async def _written(peers: Peers, inputs: WriteBriefRequest) -> WriteBriefResponse:
    try:
        return await peers.write_brief(inputs)
    except PeerFailure as failure:
        raise required(failure) from failure


def _detail(answer: WriteBriefResponse) -> str:
    brief = answer.brief
    what = "nothing similar is known" if brief.nothing_similar else f"{brief.word_count} words"
    by = answer.usage.model if brief.writer == WRITER_LLM else "the built-in writer"
    return f"{what}, by {by}"
