"""Fills the pages: the template escapes whatever a client's texts are."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from cli.evaluating.over_time import SHOWN_OVER_TIME
from cli.evaluating.report.titles import Worst
from cli.evaluating.series import BASES, series_of
from cli.evaluating.shown import WORDS, Evaluated, remark
from cli.words import iso, word
from dossier.tenants.v1.retrieval_pb2 import EvaluatedKind, RetrievalEvaluation
from retrieval.relevance import Ranking

_templates: Final = Environment(
    loader=PackageLoader("cli.evaluating.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def evaluation_page(done: Evaluated, worst: Sequence[Worst]) -> str:
    # Only who writes a report has matplotlib, and pays for its import.
    from cli.evaluating.report.plots import plots_of  # noqa: PLC0415

    other = done.compared.other if done.compared is not None else None
    return _templates.get_template("evaluation.html.j2").render(
        title=f"Retrieval of {done.client}",
        facts=_facts(done),
        remarks=remark(done).splitlines(),
        words=WORDS,
        measured=done.judged.everything,
        others=other.everything if other is not None else {},
        differences=done.compared.differences if done.compared is not None else {},
        drawings=plots_of(done),
        worst=worst,
    )


def history_page(client: str, kept: Sequence[RetrievalEvaluation]) -> str:
    """`kept` has the latest first."""
    from cli.evaluating.report.plots import over_time_of  # noqa: PLC0415 - as above

    return _templates.get_template("history.html.j2").render(
        title=f"Retrieval of {client}, over time",
        facts={"Client": client, "Evaluations": str(len(kept)), **_made()},
        drawings=[plot for each in series_of(kept) for plot in over_time_of(each)],
        names=SHOWN_OVER_TIME,
        words=WORDS,
        rows=[
            {
                "when": iso(each.create_time),
                "what": word(EvaluatedKind.DESCRIPTOR, each.kind),
                "by": BASES[each.basis],
                "queries": each.query_count,
                "meaning_share": each.meaning_share,
                "floor": each.floor,
                "measures": {measure.name: measure for measure in each.measures},
            }
            for each in kept
        ],
    )


def _facts(done: Evaluated) -> dict[str, str]:
    judged, asked = done.judged, done.judged.asked
    facts = {"Client": done.client, "Searched": done.kind.value, "Queries": str(len(done.queries))}
    if done.own is not None:
        labels, topics = done.own.labels, done.own.topics
        facts |= {
            "Judged by": f"its own {labels.tickets} past tickets",
            "Asking": f"the latest {done.own.latest_share:.0%}, drawn by the seed {done.own.seed}",
            "Topics held out": f"{topics.categories + topics.title_words}, by {len(asked.held_out)} queries",
        }
    else:
        facts["Judged by"] = "people's judgements"
    facts |= {
        "Foreign questions": str(len(asked.foreign)),
        "Nothing found": f"{sum(not each for each in asked.found.values())} queries",
        "Configuration": _configuration(judged.asked.ranking),
    }
    if done.compared is not None:
        facts["Compared with"] = _configuration(done.compared.other.asked.ranking)
    return facts | _made()


def _configuration(ranking: Ranking) -> str:
    return f"meaning {ranking.meaning_share:.3f}, floor {ranking.floor:.2f}"


def _made() -> dict[str, str]:
    return {"Made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, by Dossier {version('dossier')}"}
