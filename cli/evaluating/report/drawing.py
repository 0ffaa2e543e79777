"""Draws with matplotlib what an HTML page takes in: text that stays text, and the page's own colours."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Final

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

# Stand-ins, each replaced in the drawing by what the page's style calls so, by day and by night.
INK: Final = "#010101"
FAINT: Final = "#020202"
FIRST: Final = "#030303"
SECOND: Final = "#040404"
_NAMES: Final = {INK: "ink", FAINT: "faint", FIRST: "first", SECOND: "second"}
_STAND_IN: Final = re.compile("|".join(_NAMES))
# Nothing refers to a group, and several drawings in one page would have the same.
_GROUP_ID: Final = re.compile(r'(<g) id="[^"]*"')
_WIDTH: Final = 7.6
_STYLE: Final[Mapping[RcKeyType, object]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.alpha": 0.35,
    "xtick.color": INK,
    "ytick.color": INK,
    "date.converter": "concise",
    "legend.frameon": False,
    "lines.linewidth": 2,
}


@dataclass(frozen=True, slots=True)
class Drawing:
    heading: str
    svg: Markup
    caption: str


def drawn(heading: str, alt: str, caption: str, draw: Callable[[Axes], None], *, height: float) -> Drawing:
    """`alt` says in words what the drawing shows, for those who do not see it."""
    style: dict[RcKeyType, object] = {**_STYLE, "svg.hashsalt": heading}
    with rc_context(style):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        axes = figure.subplots()
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        draw(axes)
        written = StringIO()
        figure.savefig(written, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = written.getvalue()
    svg = _GROUP_ID.sub(r"\1", svg[svg.index("<svg") :])
    svg = _STAND_IN.sub(lambda found: f"var(--{_NAMES[found[0]]})", svg)
    # matplotlib escapes what it writes; what is put in here is escaped by Markup's own format.
    opening = Markup('<svg role="img" aria-label="{}"').format(alt)
    return Drawing(heading, Markup(svg.replace("<svg", opening, 1)), caption)  # noqa: S704 - escaped, as said
