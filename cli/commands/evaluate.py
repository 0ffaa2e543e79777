"""`evaluate`: how good retrieval is."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from cli.commands.evaluate_tune import tune
from cli.errors import DossierError
from cli.evaluating.asking import Kind
from cli.evaluating.basis import Asker, absent_documents, given_judgements, own_judgements, require_asked
from cli.evaluating.foreign import foreign_questions
from cli.evaluating.judgements import documents_judged
from cli.evaluating.judging import Asked, compared, judged
from cli.evaluating.over_time import kept_json, over_time
from cli.evaluating.recorded import latest, ranking_of, record
from cli.evaluating.report.page import evaluation_page, history_page
from cli.evaluating.report.target import ForceOption, HtmlOption, Target
from cli.evaluating.report.titles import worst_of
from cli.evaluating.shown import Evaluated, OwnBasis, evaluated_json, evaluated_shown
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.tenancy import TenantOption, tenant_or_only
from retrieval.relevance import Ranking

evaluate = typer.Typer(help="Measure how good retrieval is.", no_args_is_help=True)
evaluate.command("tune")(tune)


@evaluate.command("retrieval")
def retrieval(
    *,
    queries: Annotated[
        Path | None,
        typer.Option(help="JSON Lines: {id, text}, {id, title, description}, or {id} of a document."),
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="What is relevant: query<TAB>document<TAB>relevance.")
    ] = None,
    own: Annotated[
        bool,
        typer.Option(
            "--own", help="Judge by the client's own tickets: references, and resolutions that are the same."
        ),
    ] = False,
    latest_share: Annotated[
        float, typer.Option("--latest", min=0.01, max=1, help="With --own: which part of the tickets asks.")
    ] = 0.2,
    most: Annotated[
        int, typer.Option(min=1, max=100_000, help="With --own: the most queries, drawn by the seed.")
    ] = 500,
    seed: Annotated[int, typer.Option(help="With --own: draws the queries.")] = 0,
    kind: Annotated[Kind, typer.Option(help="What is searched.")] = Kind.TICKETS,
    meaning_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="How much meaning counts; else as the client's settings say."),
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="From which score on it counts; else as the client's settings say."),
    ] = None,
    compare: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Another share of meaning to compare with; 0 is words alone."),
    ] = None,
    compare_floor: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Another floor to compare with, alone or beside --compare."),
    ] = None,
    html: HtmlOption = None,
    force: ForceOption = False,
    no_record: Annotated[bool, typer.Option("--no-record", help="Keep no record of it.")] = False,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the running service every query, and measure the order of what it finds.

    The documents are the client's own: import them first. Examples:

    dossier evaluate retrieval -t acme --own --compare 0 --html report.html
    dossier evaluate retrieval -t trial --queries queries.jsonl --qrels qrels.tsv
    """
    output = Output(as_json=as_json)
    given = given_judgements(queries, qrels, own=own, kind=kind)
    target = Target.resolve(html, force=force, as_json=as_json)
    instance = Instance.resolve(data_dir)
    client = asyncio.run(tenant_or_only(instance, tenant))
    basis = None
    if given is None:
        labels, topics = own_judgements(
            instance, client, output, latest_share=latest_share, most=most, seed=seed
        )
        basis = OwnBasis(labels, topics, latest_share, seed)
        given = labels.queries, labels.qrels
    else:
        require_asked(instance, client, kind, given[0], output)
    asked, relevant = given
    present = asyncio.run(ranking_of(instance, client, kind))
    ranking = _other_than(present, meaning_share, floor)
    other = None
    if compare is not None or compare_floor is not None:
        other = _other_than(ranking, compare, compare_floor)
        if other == ranking:
            raise DossierError(
                f"Meaning {ranking.meaning_share:g} and floor {ranking.floor:g} compare with themselves.",
                hint="Say another --compare or --compare-floor.",
            )

    asker = Asker(instance, client, kind, output)

    def found_by(ranking: Ranking) -> Asked:
        share = ranking.meaning_share
        return Asked(
            ranking=ranking,
            found=asker.ask(f"{kind.value}, meaning {share:.2g}", asked, meaning_share=share),
            foreign=asker.ask("what nobody knows", foreign_questions(), meaning_share=share),
            held_out=(
                asker.ask("topics held out", basis.topics.queries, meaning_share=share) if basis else {}
            ),
        )

    mine = found_by(ranking)
    absent: Collection[str] = ()
    if basis is None:
        right = documents_judged(asked, relevant)
        absent = absent_documents(instance, client, kind, right, output, found=mine.found)
    done = judged(mine, relevant)
    beside = None
    if other is not None:
        is_same_search = other.meaning_share == ranking.meaning_share
        theirs = replace(mine, ranking=other) if is_same_search else found_by(other)
        beside = compared(done, judged(theirs, relevant))
    if not no_record:
        asyncio.run(
            record(
                *(instance, client, kind),
                own=own,
                queries=len(asked),
                unanswerable=len(mine.foreign) + len(mine.held_out),
                ranking=ranking,
                measures=done.everything,
            )
        )
    evaluated = Evaluated(
        client=client,
        kind=kind,
        queries=asked,
        relevant=relevant,
        own=basis,
        absent=absent,
        judged=done,
        compared=beside,
        recorded=not no_record,
    )
    if target is not None:
        target.write(evaluation_page(evaluated, asyncio.run(worst_of(evaluated, instance))))
    output.result(
        {**evaluated_json(evaluated), **_written(target)},
        shown=_with_target(evaluated_shown(evaluated), target),
    )


@evaluate.command("history")
def history(
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="The most evaluations.")] = 20,
    html: HtmlOption = None,
    force: ForceOption = False,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how good a client's search was found to be, over time.

    Example: dossier evaluate history -t acme --html history.html
    """
    target = Target.resolve(html, force=force, as_json=as_json)
    instance = Instance.resolve(data_dir)
    client = asyncio.run(tenant_or_only(instance, tenant))
    kept = asyncio.run(latest(instance, client, limit=limit))
    if target is not None:
        target.write(history_page(client, kept))
    data: dict[str, Json] = {"tenant": client, "evaluations": [kept_json(each) for each in kept]}
    shown = over_time(kept) if kept else "None is kept yet: `dossier evaluate retrieval --own` makes one."
    Output(as_json=as_json).result({**data, **_written(target)}, shown=_with_target(shown, target))


def _other_than(ranking: Ranking, meaning_share: float | None, floor: float | None) -> Ranking:
    return Ranking(
        ranking.meaning_share if meaning_share is None else meaning_share,
        ranking.floor if floor is None else floor,
    )


def _written(target: Target | None) -> dict[str, Json]:
    return {"html": str(target.path)} if target is not None else {}


def _with_target(shown: RenderableType, target: Target | None) -> RenderableType:
    return Group(shown, Text(f"The report is in {target.path}.")) if target is not None else shown
