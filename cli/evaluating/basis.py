"""What is asked and what is right: judgements that are given, or the client's own tickets."""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from cli.errors import DossierError, UsageError
from cli.evaluating.asking import Answers, Kind, answers, own_tickets
from cli.evaluating.documents import absent_of
from cli.evaluating.judgements import Qrels, Query, judged, read_qrels, read_queries
from cli.evaluating.own import Labels, labelled
from cli.evaluating.topics import HeldOut, held_out
from cli.instance import Instance
from cli.output import Output
from cli.progress import progress_of

_LEAST_HELD_OUT: Final = 30
_NAMED: Final = 3


def given_judgements(
    queries: Path | None, qrels: Path | None, *, own: bool, kind: Kind
) -> tuple[Sequence[Query], Qrels] | None:
    """Read them before anything is asked; None where the client's own tickets judge."""
    if queries is not None and qrels is not None and not own:
        relevant = read_qrels(qrels)
        return judged(read_queries(queries), relevant), relevant
    if own and queries is None and qrels is None and kind is Kind.TICKETS:
        return None
    if own:
        given = " and ".join(
            option for option, path in (("--queries", queries), ("--qrels", qrels)) if path is not None
        )
        raise UsageError(
            f"--own and {given} exclude each other." if given else "--own judges tickets only.",
            hint="--own needs no judgements; leave it out to judge tickets or articles by your own.",
        )
    raise UsageError(
        "Judged by what?",
        hint="Give --own, which judges tickets by themselves, or both --queries and --qrels.",
    )


def require_asked(
    instance: Instance, client: str, kind: Kind, queries: Sequence[Query], output: Output
) -> None:
    """Fail where a query is a document that the client does not have."""
    asked = [query.id for query in queries if query.is_document]
    if gone := sorted(_absent(instance, client, kind, asked, output)):
        raise DossierError(
            f"Queries without a text, and not among the {kind.value} of {client}: {', '.join(gone[:_NAMED])}"
            + (f", and {len(gone) - _NAMED} more." if len(gone) > _NAMED else "."),
            hint="A query without a text is the document of its id: give it a text, or import the document.",
        )


def absent_documents(
    instance: Instance, client: str, kind: Kind, right: Collection[str], output: Output, *, found: Answers
) -> Collection[str]:
    """Those judged right that the client does not have; fail where it has none of them.

    What was found is there: pages of knowledge bases that are searched are kept nowhere.
    """
    there = {each.document for results in found.values() for each in results}
    absent = _absent(instance, client, kind, [each for each in right if each not in there], output)
    if len(absent) == len(right):
        raise DossierError(
            f"None of the {len(right)} judged documents is among the {kind.value} of {client}, such as"
            f" {min(right)}.",
            hint=f"`dossier import {kind.value} FILE -t {client}` brings them in; the second column"
            " of --qrels has their ids.",
        )
    return absent


def _absent(
    instance: Instance, client: str, kind: Kind, names: Collection[str], output: Output
) -> Collection[str]:
    with progress_of("looking up documents", total=len(names), output=output) as advance:
        return asyncio.run(absent_of(instance, kind, names, tenant=client, advance=advance))


def own_judgements(
    instance: Instance, client: str, output: Output, *, latest_share: float, most: int, seed: int
) -> tuple[Labels, HeldOut]:
    """Queries with an answer among the client's own tickets, and about as many without."""
    with progress_of("reading tickets", total=None, output=output) as advance:
        tickets = asyncio.run(own_tickets(instance, tenant=client, advance=advance))
    if not tickets:
        raise DossierError(
            f"{client} has no past tickets to judge by.",
            hint=f"`dossier import tickets FILE -t {client}` brings them in.",
        )
    labels = labelled(tickets, latest=latest_share, most=most, seed=seed)
    if not labels.queries:
        raise DossierError(
            f"The {len(tickets)} past tickets of {client} say nothing of each other: among the latest"
            f" {latest_share:.0%}, none names an older one or was solved by the same words.",
            hint="A larger --latest asks more of them; else give judgements with --queries and --qrels.",
        )
    as_many = max(len(labels.queries), _LEAST_HELD_OUT)
    return labels, held_out(tickets, latest=latest_share, most=as_many, seed=seed)


class Asker:
    """Asks queries of one client, with a bar."""

    def __init__(self, instance: Instance, client: str, kind: Kind, output: Output) -> None:
        self._instance = instance
        self._client = client
        self._kind = kind
        self._output = output

    def ask(self, what: str, queries: Sequence[Query], *, meaning_share: float) -> Answers:
        with progress_of(what, total=len(queries), output=self._output) as advance:
            return asyncio.run(
                answers(
                    self._instance,
                    self._kind,
                    queries,
                    tenant=self._client,
                    meaning_share=meaning_share,
                    advance=advance,
                )
            )
