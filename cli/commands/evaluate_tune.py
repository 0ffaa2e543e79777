"""`evaluate tune`: a weight of meaning and a floor that serve one client better."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli.errors import DossierError
from cli.evaluating.asking import Answers, Kind
from cli.evaluating.basis import Asker, absent_documents, given_judgements, own_judgements, require_asked
from cli.evaluating.foreign import foreign_questions
from cli.evaluating.judgements import Qrels, documents_judged
from cli.evaluating.judging import ANSWERED_RIGHTLY, answered_rightly, rankings_of
from cli.evaluating.measures import Measured, PerQuery, differences, per_query, summed_up
from cli.evaluating.recorded import ranking_of, set_ranking
from cli.evaluating.shown import remark_on_absent
from cli.evaluating.tune import SHARES, best_floor, best_share, halves
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.tenancy import TenantOption, tenant_or_only
from retrieval.relevance import Ranking

_LEAST_QUERIES: Final = 20
"""Below which two halves tell nothing apart."""
_ORDER: Final = ("ndcg_at_10", "p_at_1")


def tune(
    *,
    queries: Annotated[
        Path | None, typer.Option(help="JSON Lines, as for `evaluate retrieval`; with --qrels.")
    ] = None,
    qrels: Annotated[Path | None, typer.Option(help="What is relevant.")] = None,
    own: Annotated[bool, typer.Option("--own", help="Judge by the client's own tickets.")] = False,
    latest_share: Annotated[float, typer.Option("--latest", min=0.01, max=1)] = 0.2,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="The most queries, with --own.")] = 500,
    seed: Annotated[int, typer.Option(help="Draws the queries, with --own.")] = 0,
    kind: Annotated[Kind, typer.Option(help="What is searched.")] = Kind.TICKETS,
    apply: Annotated[bool, typer.Option("--apply", help="Make it the client's setting.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what is not surely better.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before applying it.")] = False,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find a weight of meaning and a floor on one half of the queries; report on the other. Changes nothing.

    With --apply it becomes the client's setting, if it is better on the half that had no part in it.
    Example: dossier evaluate tune -t acme --own --apply
    """
    output = Output(as_json=as_json)
    if apply and not yes and (as_json or not sys.stdin.isatty()):
        raise DossierError(
            "Nobody is there to be asked before it is applied.", hint="Say --yes, or leave --apply out."
        )
    given = given_judgements(queries, qrels, own=own, kind=kind)
    instance = Instance.resolve(data_dir)
    client = asyncio.run(tenant_or_only(instance, tenant))
    if given is None:
        labels, _ = own_judgements(instance, client, output, latest_share=latest_share, most=most, seed=seed)
        given = labels.queries, labels.qrels
    else:
        require_asked(instance, client, kind, given[0], output)
    asked, relevant = given
    if len(asked) < _LEAST_QUERIES:
        raise DossierError(
            f"{len(asked)} queries are too few to tune by; it takes {_LEAST_QUERIES}.",
            hint="A larger --latest asks more of the client's tickets.",
        )
    present = asyncio.run(ranking_of(instance, client, kind))
    asker = Asker(instance, client, kind, output)
    mine, others = halves(asked)
    my_foreign, other_foreign = halves(foreign_questions())
    tried = {
        share: asker.ask(f"meaning {share:.2f}", mine, meaning_share=share)
        for share in (present.meaning_share, *SHARES)
    }
    if not own:
        right = documents_judged(mine, relevant)
        found_so_far = tried[present.meaning_share]
        if absent := absent_documents(instance, client, kind, right, output, found=found_so_far):
            output.console.print(Text(remark_on_absent(absent, mine, relevant, kind), style="yellow"))
    share = best_share(tried, relevant, present=present.meaning_share)
    foreign = asker.ask("asking what nobody knows", my_foreign, meaning_share=share)
    found = Ranking(share, best_floor(tried[share], foreign, relevant, present=present.floor))

    def held_out(ranking: Ranking) -> PerQuery:
        answered = asker.ask("the other half", others, meaning_share=ranking.meaning_share)
        unknown = asker.ask("and what nobody knows", other_foreign, meaning_share=ranking.meaning_share)
        return _goodness(answered, unknown, relevant, floor=ranking.floor)

    before, after = held_out(present), held_out(found)
    better = differences(after, before)
    is_better = _is_better(better)
    applied = apply and found != present and (is_better or force) and (yes or _confirmed(found))
    if applied:
        asyncio.run(set_ranking(instance, client, kind, found))
    data: dict[str, Json] = {
        "tenant": client,
        "kind": kind.value,
        "queries": {"tuned_on": len(mine), "reported_on": len(others)},
        "present": _ranking_json(present),
        "found": _ranking_json(found),
        "metrics": _means(summed_up(after)),
        "present_metrics": _means(summed_up(before)),
        "differences": _means(better),
        "intervals": {name: [round(each.low, 4), round(each.high, 4)] for name, each in better.items()},
        "better": is_better,
        "applied": applied,
    }
    told = "It is the client's setting now." if applied else _why_not(found, present, is_better=is_better)
    output.result(data, shown=Group(_table(before, after, better, present, found), told))
    if apply and not applied and found != present:
        raise typer.Exit(1)


def _goodness(answered: Answers, foreign: Answers, relevant: Qrels, *, floor: float) -> PerQuery:
    """The order's measures, and whether the floor let through what is right and nothing else."""
    values = per_query(rankings_of(answered), relevant)
    chosen = {name: values[name] for name in _ORDER}
    return {**chosen, ANSWERED_RIGHTLY: answered_rightly(answered, foreign, relevant, floor=floor)}


def _is_better(better: Mapping[str, Measured]) -> bool:
    """Better by more than chance in one respect, and in none of them worse by more than that."""
    return any(each.low > 0 for each in better.values()) and all(each.high >= 0 for each in better.values())


def _confirmed(found: Ranking) -> bool:
    return typer.confirm(f"Set meaning to {found.meaning_share:.2f} and the floor to {found.floor:.2f}?")


def _why_not(found: Ranking, present: Ranking, *, is_better: bool) -> str:
    if found == present:
        return "Nothing better was found."
    if not is_better:
        return "Not surely better on the half that had no part in it; --apply takes it only with --force."
    return "Nothing is changed; --apply makes it the client's setting."


def _ranking_json(ranking: Ranking) -> dict[str, Json]:
    return {"meaning_share": round(ranking.meaning_share, 4), "floor": round(ranking.floor, 4)}


def _means(measured: Mapping[str, Measured]) -> dict[str, Json]:
    return {name: round(each.mean, 4) for name, each in measured.items()}


def _table(
    before: PerQuery, after: PerQuery, better: Mapping[str, Measured], present: Ranking, found: Ranking
) -> Table:
    columns = ("on the other half", "present", "found", "better by", "95 % interval")
    table = Table(*columns, box=None, pad_edge=False, header_style="dim")
    table.add_row("meaning", f"{present.meaning_share:.2f}", f"{found.meaning_share:.2f}")
    table.add_row("floor", f"{present.floor:.2f}", f"{found.floor:.2f}")
    was, is_now = summed_up(before), summed_up(after)
    for name, each in better.items():
        interval = f"{each.low:+.3f} to {each.high:+.3f}"
        table.add_row(
            name, f"{was[name].mean:.3f}", f"{is_now[name].mean:.3f}", f"{each.mean:+.3f}", interval
        )
    return table
