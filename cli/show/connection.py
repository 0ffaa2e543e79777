"""A connection test as JSON and as a table."""

from collections.abc import Mapping
from typing import Final

from rich.table import Table
from rich.text import Text

from cli.output import Json
from cli.words import word
from dossier.tenants.v1.connection_test_pb2 import ConnectionCheckKind, ConnectionTest, ConnectionVerdict

STYLES: Final[Mapping[str, str]] = {
    "ok": "green",
    "failed": "bold red",
    "unknown": "yellow",
    "skipped": "dim",
}


def connection_json(test: ConnectionTest) -> dict[str, Json]:
    return {
        "verdict": word(ConnectionVerdict.DESCRIPTOR, test.verdict),
        "checks": [
            {
                "check": word(ConnectionCheckKind.DESCRIPTOR, each.kind),
                "verdict": word(ConnectionVerdict.DESCRIPTOR, each.verdict),
                "seen": each.seen,
                "next_step": each.next_step,
            }
            for each in test.checks
        ],
    }


def connection_table(test: ConnectionTest) -> Table:
    table = Table("check", "verdict", "seen", "next step", box=None, pad_edge=False, header_style="dim")
    for each in test.checks:
        verdict = word(ConnectionVerdict.DESCRIPTOR, each.verdict)
        table.add_row(
            Text(word(ConnectionCheckKind.DESCRIPTOR, each.kind).replace("_", " ")),
            Text(verdict, style=STYLES[verdict]),
            *(Text(cell, overflow="fold") for cell in (each.seen, each.next_step)),
        )
    return table
