"""How an enhancement is shown to a person."""

from collections.abc import AsyncIterator
from io import StringIO

from rich.console import Console, RenderableType

from cli.output import Output
from cli.show.brief import enhancement_view
from cli.show.steps import follow_steps
from dossier.context.v1 import evidence_pb2
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.synthesis.v1 import brief_pb2


def rendered(view: RenderableType, *, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(view)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def enhancement(**told: object) -> pb.Enhancement:
    return pb.Enhancement(id="e-1", state=pb.ENHANCEMENT_STATE_SUCCEEDED, **told)  # type: ignore[arg-type]


def claim(text: str, verdict: int, *evidence: str) -> brief_pb2.Claim:
    return brief_pb2.Claim(text=text, evidence_ids=evidence, verdict=brief_pb2.Verdict.ValueType(verdict))


def test_claims_are_marked_with_their_verdict_and_the_numbers_of_their_sources() -> None:
    section = brief_pb2.Section(
        kind=brief_pb2.SECTION_KIND_FIRST_STEPS,
        claims=[
            claim("Renew the certificate.", brief_pb2.VERDICT_SUPPORTED, "history:2", "knowledge:K"),
            claim("Then reboot [bold]twice[/bold].", brief_pb2.VERDICT_PARTIAL, "knowledge:K"),
        ],
    )
    citations = [
        brief_pb2.Citation(
            evidence_id="history:2", source="history", id="2", title="VPN", url="https://x.example/2"
        ),
        brief_pb2.Citation(evidence_id="knowledge:K", source="knowledge", id="K", title="Renewing"),
    ]
    brief = brief_pb2.Brief(
        sections=[section],
        citations=citations,
        confidence=brief_pb2.CONFIDENCE_HIGH,
        writer=brief_pb2.WRITER_LLM,
        dropped_claims=[claim("Nonsense.", brief_pb2.VERDICT_UNSUPPORTED)],
    )

    text = rendered(
        enhancement_view(
            enhancement(brief=brief, usage=brief_pb2.Usage(model="m-1", prompt_tokens=9), cost=0.00042)
        )
    )

    assert "✓ Renew the certificate. [1][2]" in text
    assert "≈ Then reboot [bold]twice[/bold]. [2]" in text
    assert "https://x.example/2" in text
    assert "1 unsupported claims dropped" in text
    assert "language model m-1" in text
    assert "$0.00042" in text
    assert "Nonsense" not in text


def test_a_missing_source_and_the_reason_for_the_built_in_writer_are_told() -> None:
    missing = evidence_pb2.SourceReport(
        source="knowledge", state=evidence_pb2.SOURCE_STATE_TIMED_OUT, detail="timed out after 10 s"
    )
    brief = brief_pb2.Brief(
        nothing_similar=True,
        unavailable_sources=[missing],
        writer=brief_pb2.WRITER_EXTRACTIVE,
        fallback_reason="the budget is used up",
    )

    text = rendered(enhancement_view(enhancement(brief=brief)))

    assert "Nothing similar is known" in text
    assert "knowledge: timed out after 10 s" in text
    assert "built-in writer (the budget is used up)" in text
    assert "$0" in text


def test_a_failure_is_told_with_what_to_do() -> None:
    failure = pb.Failure(step="deliver", reason="TOOL_REJECTED", message="Allow the key to add notes.")

    assert "Failed at deliver (TOOL_REJECTED): Allow the key to add notes." in rendered(
        enhancement_view(enhancement(failure=failure))
    )


async def test_steps_tick_on_a_terminal_and_are_lines_elsewhere() -> None:
    def at(state: int, attempt: int = 1) -> pb.Enhancement:
        step = pb.Step(name="history", state=pb.StepState.ValueType(state), attempt=attempt, detail="2 found")
        return enhancement(steps=[step])

    async def changes() -> AsyncIterator[pb.Enhancement]:
        yield at(pb.STEP_STATE_RUNNING)
        yield at(pb.STEP_STATE_FAILED)
        yield at(pb.STEP_STATE_RUNNING, 2)
        yield at(pb.STEP_STATE_SUCCEEDED, 2)

    shown = {}
    for terminal in (True, False):
        output = Output(as_json=False)
        output.progress = Console(file=StringIO(), width=100, force_terminal=terminal)
        await follow_steps(changes(), output=output)
        assert isinstance(output.progress.file, StringIO)
        shown[terminal] = output.progress.file.getvalue()

    assert "history (attempt 2)" in shown[True]
    assert "\x1b" in shown[True]
    assert shown[False].splitlines() == [
        "history: failed in 0 ms  2 found",
        "history: succeeded in 0 ms  2 found",
    ]
