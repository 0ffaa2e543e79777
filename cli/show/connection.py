"""A connection test as JSON and as a table."""

from collections.abc import Sequence

from rich.table import Table

from cli.output import Json
from cli.show.checks import Checked, checks_json, checks_table
from cli.words import word
from dossier.tenants.v1.connection_test_pb2 import ConnectionCheckKind, ConnectionTest, ConnectionVerdict


def connection_json(test: ConnectionTest) -> dict[str, Json]:
    return {
        "verdict": word(ConnectionVerdict.DESCRIPTOR, test.verdict),
        "checks": checks_json(_checked(test)),
    }


def connection_table(test: ConnectionTest) -> Table:
    return checks_table(_checked(test))


def _checked(test: ConnectionTest) -> Sequence[Checked]:
    return [
        Checked(
            check=word(ConnectionCheckKind.DESCRIPTOR, each.kind),
            verdict=word(ConnectionVerdict.DESCRIPTOR, each.verdict),
            seen=each.seen,
            next_step=each.next_step,
        )
        for each in test.checks
    ]
