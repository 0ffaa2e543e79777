"""The plots of an evaluation, and of evaluations over time."""

from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cli.evaluating.judging import Compared, Judged
from cli.evaluating.measures import Measured
from cli.evaluating.over_time import SHOWN_OVER_TIME
from cli.evaluating.report.curves import FLOORS, of_results, of_silence
from cli.evaluating.report.drawing import FAINT, FIRST, INK, SECOND, Drawing, drawn
from cli.evaluating.series import Series
from cli.evaluating.shown import WORDS, Evaluated
from cli.words import moment

_COMPARED_BY: Final = "ndcg_at_10"
_ROW: Final = 0.42
_BESIDE: Final = 0.16
_BINS: Final = 20


def plots_of(done: Evaluated) -> Sequence[Drawing]:
    first = [_measures(done.judged, done.compared)]
    if done.compared is not None:
        first.append(_differences(done.judged, done.compared))
    return [*first, _results(done), _silence(done)]


def _measures(judged: Judged, compared: Compared | None) -> Drawing:
    mine = judged.everything
    theirs = compared.other.everything if compared is not None else {}
    names = list(mine)

    def draw(axes: Axes) -> None:
        places = range(len(names))
        aside = _BESIDE if theirs else 0
        _with_intervals(axes, [place - aside for place in places], mine, names, colour=FIRST, mark="o")
        if theirs:
            shared = [name for name in names if name in theirs]
            rows = [names.index(name) + aside for name in shared]
            _with_intervals(axes, rows, theirs, shared, colour=SECOND, mark="s")
            axes.legend(["this", "compared with"], loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        axes.set_yticks(places, [WORDS[name] for name in names])
        axes.invert_yaxis()
        axes.set_xlim(-0.01, 1.01)

    alt = "; ".join(f"{WORDS[name]} {_told(mine[name], theirs.get(name))}" for name in names)
    return drawn(
        "Measures",
        f"Means with their 95 % intervals: {alt}.",
        "The mean over the queries, and where it would lie in 19 of 20 samples of as many.",
        draw,
        height=1 + _ROW * len(names),
    )


def _with_intervals(
    axes: Axes,
    rows: Sequence[float],
    measured: Mapping[str, Measured],
    names: Sequence[str],
    *,
    colour: str,
    mark: str,
) -> None:
    each = [measured[name] for name in names]
    around = [[it.mean - it.low for it in each], [it.high - it.mean for it in each]]
    axes.errorbar(
        [it.mean for it in each], rows, xerr=around, fmt=mark, color=colour, capsize=3, markersize=6
    )


def _told(mine: Measured, theirs: Measured | None) -> str:
    return f"{mine.mean:.2f}" + (f" against {theirs.mean:.2f}" if theirs is not None else "")


def _differences(judged: Judged, compared: Compared) -> Drawing:
    theirs = compared.other.values[_COMPARED_BY]
    by = [value - theirs[query] for query, value in judged.values[_COMPARED_BY].items()]
    unlike = [each for each in by if each]
    better, alike = sum(each > 0 for each in unlike), len(by) - len(unlike)

    def draw(axes: Axes) -> None:
        edges = [-1 + 2 * edge / _BINS for edge in range(_BINS + 1)]
        for colour, some in (
            (SECOND, [each for each in unlike if each < 0]),
            (FIRST, [each for each in unlike if each > 0]),
        ):
            axes.hist(some, bins=edges, color=colour)
        axes.axvline(compared.differences[_COMPARED_BY].mean, color=INK, linestyle="--", linewidth=1.2)
        axes.set_xlabel(f"{WORDS[_COMPARED_BY]} of this, less that of the other")
        axes.set_ylabel("queries")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))

    told = f"{better} queries went better, {len(unlike) - better} worse, {alike} as well as with the other."
    return drawn(
        "Differences, query by query",
        f"A histogram of differences in {WORDS[_COMPARED_BY]}. {told}",
        f"{told} Those are left out here. The dashed line is the mean of all.",
        draw,
        height=3,
    )


def _results(done: Evaluated) -> Drawing:
    curves = of_results(done.judged.asked.found, done.relevant)
    floor = done.judged.asked.ranking.floor
    at = FLOORS.index(round(floor, 2))

    def draw(axes: Axes) -> None:
        _over_floors(axes, curves.precision, "precision", colour=FIRST)
        _over_floors(axes, curves.recall, "recall", colour=SECOND)
        _floors(axes, done)
        axes.set_xlabel("score from which on it counts")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)

    told = _read_off(curves.precision[at], curves.recall[at])
    return drawn(
        "Results by their score",
        f"Precision and recall of all results over the score. At the floor of {floor:.2f}, {told}.",
        "Of all results from a score on, the share that is judged right, and how much of all that is right."
        f" At the floor, {told}. What nobody judged counts as wrong.",
        draw,
        height=3.4,
    )


def _silence(done: Evaluated) -> Drawing:
    asked = done.judged.asked
    floor = asked.ranking.floor
    at = FLOORS.index(round(floor, 2))
    groups = {"foreign": asked.foreign} | ({"held out": asked.held_out} if asked.held_out else {})
    curves = {name: of_silence(asked.found, group) for name, group in groups.items()}

    def draw(axes: Axes) -> None:
        for style, (name, each) in zip(("-", "--"), curves.items(), strict=False):
            _over_floors(axes, each.precision, f"precision, {name}", colour=FIRST, style=style)
            _over_floors(axes, each.recall, f"recall, {name}", colour=SECOND, style=style)
        _floors(axes, done)
        axes.set_xlabel("floor")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)

    told = "; ".join(
        f"{name}: {_read_off(each.precision[at], each.recall[at])}" for name, each in curves.items()
    )
    return drawn(
        "Saying nothing",
        f"Precision and recall of saying nothing over the floor. At the floor of {floor:.2f}: {told}.",
        "Where nothing reaches the floor, nothing is said. Precision: how often there was nothing to say."
        " Recall: of the questions with no answer, how many nothing was said to. Foreign: what no IT desk"
        " knows; held out: tickets whose topic was not searched.",
        draw,
        height=3.6,
    )


def _over_floors(
    axes: Axes, values: Sequence[float | None], label: str, *, colour: str, style: str = "-"
) -> None:
    axes.plot(
        FLOORS,
        [float("nan") if value is None else value for value in values],
        color=colour,
        linestyle=style,
        label=label,
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.02, 1.02)


def _floors(axes: Axes, done: Evaluated) -> None:
    floor = done.judged.asked.ranking.floor
    axes.axvline(floor, color=INK, linewidth=1.2, label=f"floor {floor:.2f}")
    if done.compared is not None and (other := done.compared.other.asked.ranking.floor) != floor:
        axes.axvline(other, color=FAINT, linewidth=1.2, label=f"floor {other:.2f}")


def _read_off(precision: float | None, recall: float) -> str:
    told = f"precision is {precision:.2f}" if precision is not None else "there is no precision"
    return f"{told}, recall {recall:.2f}"


def over_time_of(series: Series) -> Sequence[Drawing]:
    """A plot for each measure."""
    return [plot for name in SHOWN_OVER_TIME if (plot := _measure_over_time(series, name)) is not None]


def _measure_over_time(series: Series, name: str) -> Drawing | None:
    known = [
        (when, measure)
        for each in series.evaluations
        if (when := moment(each.create_time)) is not None
        for measure in each.measures
        if measure.name == name
    ]
    if not known:
        return None
    means = [measure.mean for _, measure in known]

    def draw(axes: Axes) -> None:
        axes.errorbar(
            [when for when, _ in known],  # type: ignore[arg-type]  # matplotlib converts times
            means,
            yerr=[[it.mean - it.low for _, it in known], [it.high - it.mean for _, it in known]],
            fmt="o-",
            color=FIRST,
            ecolor=FAINT,
            capsize=3,
        )
        axes.set_ylim(-0.02, 1.02)

    change = means[-1] - means[0]
    trend = f"from {means[0]:.2f} to {means[-1]:.2f} ({change:+.2f})" if len(means) > 1 else f"{means[0]:.2f}"
    number = f"{len(known)} evaluation{'s' if len(known) > 1 else ''}"
    return drawn(
        f"{series.name.capitalize()}: {WORDS[name]}",
        f"{series.name}, {WORDS[name]}: {number}, {trend}.",
        f"{number}, {trend}; with 95 % intervals.",
        draw,
        height=2.4,
    )
