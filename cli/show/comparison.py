"""A replay beside its original: as JSON, and as a difference to read."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import chain
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cli.comparison import Changes, Cited, Comparison, Entry, Facts, Said
from cli.output import Json
from cli.words import lasting, money, value_of
from dossier.orchestrator.v1.enhancement_pb2 import Enhancement
from dossier.synthesis.v1.brief_pb2 import SectionKind

_MARKS: Final = {"supported": "✓", "partial": "≈", "unsupported": "✗"}


def comparison_json(comparison: Comparison) -> dict[str, Json]:
    was, now = comparison.original, comparison.replay
    return {
        "claims": _changes_json(comparison.claims),
        "citations": _changes_json(comparison.citations),
        "verdicts": {"original": dict(was.verdicts), "replay": dict(now.verdicts)},
        "model": {"original": was.model, "replay": now.model},
        "prompt_version": {"original": was.prompt_version, "replay": now.prompt_version},
        "writer": {"original": was.writer, "replay": now.writer},
        "confidence": {"original": was.confidence, "replay": now.confidence},
        "words": _numbers(was.words, now.words),
        "tokens": {
            "prompt": _numbers(was.prompt_tokens, now.prompt_tokens),
            "completion": _numbers(was.completion_tokens, now.completion_tokens),
        },
        "cost": _numbers(was.cost, now.cost),
        "seconds": _numbers(was.seconds, now.seconds),
    }


def comparison_view(original: Enhancement, replay: Enhancement, comparison: Comparison) -> RenderableType:
    ticket = original.ticket
    title = Text.assemble("Ticket ", ticket.display_id or ticket.id, ": ", (ticket.subject, "bold"))
    legend = Text("- only in the original   + only in the replay", style="dim")
    parts = Group(
        legend,
        Text(),
        *_sections(comparison.claims),
        Text("Sources", style="bold"),
        Padding(_entries(comparison.citations, _citation), (0, 0, 1, 1)),
        Rule(style="dim"),
        _facts_table(comparison, original.id, replay.id),
    )
    return Panel(parts, title=title, title_align="left", border_style="blue", padding=(1, 2))


def _changes_json(changes: Changes[Entry]) -> dict[str, Json]:
    return {
        "added": [asdict(each) for each in changes.added],
        "removed": [asdict(each) for each in changes.removed],
        "kept": len(changes.kept),
        "changed": [
            {"original": asdict(each.original), "replay": asdict(each.replay)}
            for each in changes.kept
            if each.changed
        ],
    }


def _numbers(was: float | None, now: float | None) -> dict[str, Json]:
    change = None if was is None or now is None else round(now - was, 6)
    return {"original": was, "replay": now, "change": change}


def _sections(claims: Changes[Said]) -> Iterator[RenderableType]:
    entries = chain((kept.replay for kept in claims.kept), claims.removed, claims.added)
    order = SectionKind.DESCRIPTOR
    for section in sorted({entry.section for entry in entries}, key=lambda name: value_of(order, name)):
        here = Changes(
            added=tuple(each for each in claims.added if each.section == section),
            removed=tuple(each for each in claims.removed if each.section == section),
            kept=tuple(each for each in claims.kept if each.replay.section == section),
        )
        yield Text(section.replace("_", " ").capitalize(), style="bold")
        yield Padding(_entries(here, _claim), (0, 0, 1, 1))


def _entries(changes: Changes[Entry], text: Callable[[Entry], Text]) -> Table:
    table = Table.grid(padding=(0, 1))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for kept in changes.kept:
        was, now = _MARKS.get(kept.original.verdict, "·"), _MARKS.get(kept.replay.verdict, "·")
        table.add_row("", now if was == now else f"{was} → {now}", text(kept.replay))
    for sign, style, entries in (("-", "red", changes.removed), ("+", "green", changes.added)):
        for entry in entries:
            table.add_row(sign, _MARKS.get(entry.verdict, "·"), text(entry), style=style)
    return table


def _claim(said: Said) -> Text:
    return Text.assemble(said.text, "  ", (", ".join(said.evidence_ids), "dim"))


def _citation(cited: Cited) -> Text:
    return Text(f"{cited.source} {cited.id} {cited.title.removeprefix(cited.id).lstrip(' ·')}")


def _facts_table(comparison: Comparison, original: str, replay: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "original", "replay"):
        table.add_column(heading, style="dim" if not heading else "", overflow="fold")
    was, now = _told(comparison.original), _told(comparison.replay)
    for name, before in was.items():
        table.add_row(name, before, Text(now[name], style="" if before == now[name] else "bold"))
    table.add_row("enhancement", original, replay)
    return table


def _told(facts: Facts) -> dict[str, str]:
    judged = ", ".join(f"{count} {verdict}" for verdict, count in facts.verdicts.items())
    return {
        "model": facts.model or "built-in writer",
        "instructions": facts.prompt_version or "none",
        "confidence": facts.confidence,
        "verdicts": judged,
        "words": str(facts.words),
        "tokens": f"{facts.prompt_tokens} + {facts.completion_tokens}",
        "cost": money(facts.cost),
        "writing took": "" if facts.seconds is None else lasting(facts.seconds),
    }
