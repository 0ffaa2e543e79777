"""The checks of a connection test, whatever was tested, as JSON and as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from rich.table import Table
from rich.text import Text

from cli.output import Json

_STYLES: Final[Mapping[str, str]] = {
    "ok": "green",
    "failed": "bold red",
    "unknown": "yellow",
    "skipped": "dim",
}


@dataclass(frozen=True, slots=True)
class Checked:
    check: str
    verdict: str
    seen: str
    next_step: str


def checks_json(checks: Sequence[Checked]) -> list[dict[str, Json]]:
    return [asdict(each) for each in checks]


def checks_table(checks: Sequence[Checked]) -> Table:
    table = Table("check", "verdict", "seen", "next step", box=None, pad_edge=False, header_style="dim")
    for each in checks:
        table.add_row(
            Text(each.check.replace("_", " ")),
            Text(each.verdict, style=_STYLES[each.verdict]),
            *(Text(cell, overflow="fold") for cell in (each.seen, each.next_step)),
        )
    return table
