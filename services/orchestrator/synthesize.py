"""Has the brief written, once: the same request again is answered from the synthesis service's ledger."""

from dataclasses import replace

from dossier.synthesis.v1.brief_pb2 import WRITER_LLM
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest, WriteBriefResponse
from services.orchestrator.engine import Checkpoint
from services.orchestrator.model import Enhancement, Standing
from services.orchestrator.peers import PeerFailure, Peers
from services.orchestrator.steps import Work
from services.orchestrator.tool import required


async def synthesize(work: Work, *, peers: Peers) -> tuple[Enhancement, Standing]:
    answer = await _written(work, peers)
    end = work.attempt.end(_detail(answer))
    standing = await work.journal.written(work.attempt.begun, end, answer)
    return replace(work.enhancement, answer=answer), standing


async def rewrite(work: Work, *, peers: Peers) -> None:
    """For a replay: the brief is all that is wanted of it."""
    answer = await _written(work, peers)
    end = work.attempt.end(_detail(answer))
    await work.journal.succeeded(Checkpoint(1, "synthesize"), work.attempt.begun, [end], answer=answer)


async def _written(work: Work, peers: Peers) -> WriteBriefResponse:
    inputs: WriteBriefRequest | None = work.enhancement.inputs
    if inputs is None:
        raise AssertionError("a brief is written after its inputs are gathered")
    try:
        return await peers.write_brief(inputs)
    except PeerFailure as failure:
        raise required(failure) from failure


def _detail(answer: WriteBriefResponse) -> str:
    brief = answer.brief
    what = "nothing similar is known" if brief.nothing_similar else f"{brief.word_count} words"
    by = answer.usage.model if brief.writer == WRITER_LLM else "the built-in writer"
    return f"{what}, by {by}"
