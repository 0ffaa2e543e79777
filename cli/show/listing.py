"""Tables of what there is: plain, and with ids in one piece, for they are copied."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

# So that one long name does not leave the others a letter a line.
_WIDEST: Final = 30


def listing(columns: Sequence[str], rows: Iterable[Sequence[str]], *, whole: Collection[str] = ()) -> Table:
    """Compose the table; the columns `whole` keep their width however narrow the terminal is."""
    shown = list(rows)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(columns):
        widest = max((len(row[number]) for row in shown), default=0)
        if name in whole:
            table.add_column(name, no_wrap=True, min_width=widest, overflow="fold")
        else:
            table.add_column(name, overflow="fold", max_width=_WIDEST)
    for row in shown:
        table.add_row(*map(Text, row))
    return table
