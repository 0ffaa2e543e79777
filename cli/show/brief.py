"""A brief as a person reads it on a terminal: sections, numbered sources, verdicts, what it cost."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cli.tenancy import also_for
from cli.words import money, word
from dossier.context.v1.evidence_pb2 import SourceReport, SourceState
from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_CANCELLED, Enhancement
from dossier.synthesis.v1 import brief_pb2 as pb

_HEADINGS = {
    pb.SECTION_KIND_SIMILAR_TICKETS: "Similar tickets",
    pb.SECTION_KIND_KNOWLEDGE: "Knowledge",
    pb.SECTION_KIND_NETWORK: "Network",
    pb.SECTION_KIND_PROBABLE_CAUSES: "Probable causes",
    pb.SECTION_KIND_FIRST_STEPS: "First steps",
}
_MARKS: Mapping[int, tuple[str, str]] = {
    pb.VERDICT_SUPPORTED: ("✓", "green"),
    pb.VERDICT_PARTIAL: ("≈", "yellow"),
    pb.VERDICT_UNSUPPORTED: ("✗", "red"),
}
_WRITERS = {pb.WRITER_LLM: "language model", pb.WRITER_EXTRACTIVE: "built-in writer"}
_CONFIDENCE_STYLES = {pb.CONFIDENCE_HIGH: "green", pb.CONFIDENCE_MEDIUM: "yellow", pb.CONFIDENCE_LOW: "red"}


def enhancement_view(enhancement: Enhancement, *, tenant: str | None = None) -> RenderableType:
    """Compose the brief with what became of it, or why there is none; `tenant` as the verb was told it."""
    ticket = enhancement.ticket
    title = Text.assemble("Ticket ", ticket.display_id or ticket.id, ": ", (ticket.subject, "bold"))
    parts: list[RenderableType] = []
    if enhancement.HasField("brief"):
        parts += _brief(enhancement.brief)
    if enhancement.HasField("failure"):
        parts.append(
            Text(
                f"Failed at {enhancement.failure.step} ({enhancement.failure.reason}):"
                f" {enhancement.failure.message}",
                style="red",
            )
        )
        again = f"`dossier enhancements retry {enhancement.id}{also_for(tenant)}` tries it again."
        parts.append(Text(again, style="dim"))
    if enhancement.state == ENHANCEMENT_STATE_CANCELLED:
        parts.append(Text("Cancelled.", style="red"))
    parts += [Rule(style="dim"), _facts(enhancement)]
    return Panel(Group(*parts), title=title, title_align="left", border_style="blue", padding=(1, 2))


def _brief(brief: pb.Brief) -> Iterator[RenderableType]:
    numbers = {citation.evidence_id: number for number, citation in enumerate(brief.citations, 1)}
    if brief.nothing_similar:
        yield Text("Nothing similar is known: no past ticket, article or inventory entry bears on this.")
    for section in brief.sections:
        yield Text(_HEADINGS.get(section.kind, word(pb.SectionKind.DESCRIPTOR, section.kind)), style="bold")
        yield Padding(_claims(section.claims, numbers), (0, 0, 1, 1))
    if brief.citations:
        yield Text("Sources", style="bold")
        yield Padding(_sources(brief.citations), (0, 0, 1, 1))
    for report in brief.unavailable_sources:
        yield Text(f"Not asked successfully: {_unavailable(report)}", style="yellow")


def _claims(claims: Sequence[pb.Claim], numbers: Mapping[str, int]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column()
    for claim in claims:
        cited = "".join(f"[{numbers[each]}]" for each in claim.evidence_ids if each in numbers)
        table.add_row(_mark(claim.verdict), Text.assemble(claim.text, " ", (cited, "cyan")))
    return table


def _sources(citations: Sequence[pb.Citation]) -> Table:
    table = Table.grid(padding=(0, 1))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for number, citation in enumerate(citations, 1):
        link = f"link {citation.url}" if citation.url else ""
        what = Text.assemble(
            (f"{citation.source} {citation.id}", link),
            f" {citation.title.removeprefix(citation.id).lstrip(' ·')}",
            (f"\n{citation.url}" if citation.url else "", "dim"),
        )
        table.add_row(Text(f"[{number}]", style="cyan"), _mark(citation.verdict), what)
    return table


def _facts(enhancement: Enhancement) -> Table:
    brief, usage = enhancement.brief, enhancement.usage
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    if enhancement.HasField("brief"):
        confidence = word(pb.Confidence.DESCRIPTOR, brief.confidence)
        table.add_row("confidence", Text(confidence, style=_CONFIDENCE_STYLES.get(brief.confidence, "")))
        writer = _WRITERS.get(brief.writer, word(pb.Writer.DESCRIPTOR, brief.writer))
        because = f" ({brief.fallback_reason})" if brief.fallback_reason else ""
        table.add_row("written by", f"{writer}{f' {usage.model}' if usage.model else ''}{because}")
        dropped = len(brief.dropped_claims)
        checked = f"{brief.word_count} words" + (f", {dropped} unsupported claims dropped" if dropped else "")
        table.add_row("length", checked)
    if enhancement.HasField("provenance"):
        table.add_row("made with", _provenance(enhancement.provenance))
    tokens = f", {usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage.model else ""
    table.add_row("cost", f"{money(enhancement.cost)}{tokens}")
    if enhancement.HasField("note"):
        note = enhancement.note
        table.add_row("posted", f"private note {note.id}{f' at {note.url}' if note.url else ''}")
    if enhancement.settings_revision:
        table.add_row("settings", f"revision {enhancement.settings_revision}")
    if enhancement.changes_taken_in:
        table.add_row("took in", f"{enhancement.changes_taken_in} further changes of the ticket")
    if enhancement.replay_of:
        table.add_row("replay of", enhancement.replay_of)
    table.add_row("enhancement", enhancement.id)
    return table


def _provenance(provenance: pb.Provenance) -> str:
    asked = f"instructions {provenance.prompt_version}, " if provenance.prompt_version else ""
    return f"{asked}release {provenance.release}"


def _mark(verdict: int) -> Text:
    mark, style = _MARKS.get(verdict, ("·", "dim"))
    return Text(mark, style=style)


def _unavailable(report: SourceReport) -> str:
    return f"{report.source}: {report.detail or word(SourceState.DESCRIPTOR, report.state)}"
