"""`search tickets|articles` and `lookup`: what the context sources know, asked directly."""

import asyncio
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.instance import Instance
from cli.options import DataDirOption, text_or_stdin
from cli.output import Json, JsonOption, Output
from cli.rpc import calling
from cli.tenancy import TenantOption, tenant_or_only, why_not_served
from cli.words import iso, seconds, word
from dossier.context.v1.evidence_pb2 import SourceReport, SourceState
from dossier.history.v1 import history_service_pb2 as history
from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from dossier.knowledge.v1 import knowledge_service_pb2 as knowledge
from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub
from dossier.network.v1 import network_service_pb2 as network
from dossier.network.v1.network_service_pb2_grpc import NetworkServiceStub

_LONGEST_SUBJECT: Final = 4096

search = typer.Typer(help="Search a client's past tickets or articles.", no_args_is_help=True)

WordsArgument = Annotated[
    str, typer.Argument(metavar="WORDS", help="In your own words; - reads standard input.")
]
LimitOption = Annotated[int, typer.Option(min=1, max=100, help="The most results.")]
FloorOption = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Leave out what scores less; else the service's own floor."),
]


@search.command("tickets")
def search_tickets(
    *,
    words: WordsArgument,
    limit: LimitOption = 5,
    min_score: FloorOption = None,
    site: Annotated[str, typer.Option(help="Prefer tickets about this site.")] = "",
    organisation: Annotated[str, typer.Option(help="Prefer tickets of this requester's organisation.")] = "",
    ungrouped: Annotated[
        bool, typer.Option("--ungrouped", help="Show every ticket, also those that report one incident.")
    ] = False,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the past tickets that are the same problem, and what solved them."""
    subject, description = _placed(text_or_stdin(words))
    request = history.SearchSimilarTicketsRequest(
        subject=subject,
        description=description,
        limit=limit,
        min_score=min_score,
        site=site,
        organisation=organisation,
        ungrouped=ungrouped,
    )
    output = Output(as_json=as_json)
    found = asyncio.run(_tickets(Instance.resolve(data_dir), request, tenant=tenant, output=output))
    data: dict[str, Json] = {"results": [_ticket_json(each) for each in found.results]}
    output.result(data, shown=_tickets_table(found))


@search.command("articles")
def search_articles(
    *,
    words: WordsArgument,
    limit: LimitOption = 5,
    min_score: FloorOption = None,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the articles that answer, and the passage that does; also in knowledge bases that are searched."""
    subject, description = _placed(text_or_stdin(words))
    request = knowledge.SearchArticlesRequest(
        subject=subject, description=description, limit=limit, min_score=min_score
    )
    output = Output(as_json=as_json)
    found = asyncio.run(_articles(Instance.resolve(data_dir), request, tenant=tenant, output=output))
    data: dict[str, Json] = {
        "results": [_passage_json(each) for each in found.results],
        "knowledge_bases": [_report_json(each) for each in found.knowledge_bases],
    }
    away = [
        Text(f"{each.source}: {each.detail}", style="yellow") for each in found.knowledge_bases if each.detail
    ]
    output.result(data, shown=Group(_articles_table(found), *away))


def lookup(
    *,
    text: Annotated[
        str, typer.Argument(help="Any text with addresses, host names or MACs; - reads standard input.")
    ],
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the addresses, hosts and MACs in a text are in the client's network."""
    request = network.LookupMentionsRequest(text=text_or_stdin(text))
    found = asyncio.run(_mentions(Instance.resolve(data_dir), request, tenant=tenant))
    data: dict[str, Json] = {
        "findings": [_finding_json(each) for each in found.findings],
        "truncated": found.truncated,
    }
    Output(as_json=as_json).result(data, shown=_findings_table(found))


async def _tickets(
    instance: Instance, request: history.SearchSimilarTicketsRequest, *, tenant: str | None, output: Output
) -> history.SearchSimilarTicketsResponse:
    client = await tenant_or_only(instance, tenant)
    await _tell_state(instance, client, output)
    services = [history.DESCRIPTOR.services_by_name["HistoryService"]]
    async with calling(instance, "history", descriptors=services, tenant=client) as channel:
        return await HistoryServiceStub(channel).SearchSimilarTickets(request)


async def _articles(
    instance: Instance, request: knowledge.SearchArticlesRequest, *, tenant: str | None, output: Output
) -> knowledge.SearchArticlesResponse:
    client = await tenant_or_only(instance, tenant)
    await _tell_state(instance, client, output)
    services = [knowledge.DESCRIPTOR.services_by_name["KnowledgeService"]]
    async with calling(instance, "knowledge", descriptors=services, tenant=client) as channel:
        return await KnowledgeServiceStub(channel).SearchArticles(request)


async def _tell_state(instance: Instance, client: str, output: Output) -> None:
    """That nothing was found means little while a client's things are being removed."""
    if told := await why_not_served(instance, client):
        output.progress.print(Text(told, style="yellow"), soft_wrap=True)


async def _mentions(
    instance: Instance, request: network.LookupMentionsRequest, *, tenant: str | None
) -> network.LookupMentionsResponse:
    client = await tenant_or_only(instance, tenant)
    services = [network.DESCRIPTOR.services_by_name["NetworkService"]]
    async with calling(instance, "network", descriptors=services, tenant=client) as channel:
        return await NetworkServiceStub(channel).LookupMentions(request)


def _ticket_json(found: history.SimilarTicket) -> dict[str, Json]:
    ticket, why = found.ticket, found.explanation
    return {
        "id": ticket.id,
        "source": ticket.source,
        "score": found.score,
        "title": ticket.title,
        "resolution": ticket.resolution,
        "status": ticket.status,
        "assets": list(ticket.assets),
        "url": ticket.url,
        "site": ticket.site,
        "organisation": ticket.organisation,
        "created": iso(ticket.create_time),
        "resolved": iso(ticket.resolve_time),
        "matched_terms": list(why.matched_terms),
        "lexical_score": why.lexical_score,
        "semantic_score": why.semantic_score if why.HasField("semantic_score") else None,
        "boosts": list(why.boosts),
        "duplicates": [{"id": each.id, "source": each.source} for each in found.duplicates],
        "duplicate_count": found.duplicate_count,
    }


def _passage_json(found: knowledge.FoundPassage) -> dict[str, Json]:
    article, passage = found.article, found.passage
    return {
        "id": article.id,
        "source": article.source,
        "score": found.score,
        "title": article.title,
        "heading": passage.heading,
        "anchor": passage.anchor,
        "text": passage.text,
        "url": article.url,
        "updated": iso(article.update_time),
        "matched_terms": list(found.matched_terms),
        "boosts": list(found.boosts),
    }


def _report_json(report: SourceReport) -> dict[str, Json]:
    return {
        "name": report.source,
        "state": word(SourceState.DESCRIPTOR, report.state),
        "detail": report.detail,
        "seconds": seconds(report.duration),
        "found": report.evidence_count,
    }


def _finding_json(found: network.MentionFinding) -> dict[str, Json]:
    asset, prefix = found.asset, found.prefix
    return {
        "mention": found.mention,
        "normalized": found.normalized,
        "kind": word(network.MentionKind.DESCRIPTOR, found.kind),
        "verdict": word(network.MentionVerdict.DESCRIPTOR, found.verdict),
        "asset": {
            "name": asset.name,
            "type": asset.type,
            "addresses": list(asset.addresses),
            "mac_addresses": list(asset.mac_addresses),
            "site": asset.site,
            "role": asset.role,
            "model": asset.model,
            "criticality": asset.criticality,
        }
        if found.HasField("asset")
        else None,
        "prefix": {
            "prefix": prefix.prefix,
            "site": prefix.site,
            "vlan_id": prefix.vlan_id,
            "vlan_name": prefix.vlan_name,
            "role": prefix.role,
            "gateway": prefix.gateway,
        }
        if found.HasField("prefix")
        else None,
    }


def _tickets_table(found: history.SearchSimilarTicketsResponse) -> RenderableType:
    if not found.results:
        return "Nothing alike is known."
    table = Table("score", "ticket", "what solved it", "why", show_lines=True)
    for each in found.results:
        why = [", ".join(each.explanation.matched_terms), *each.explanation.boosts]
        title = f"{each.ticket.id} {each.ticket.title}"
        also = f"and {each.duplicate_count} more of the same incident" if each.duplicate_count else ""
        table.add_row(
            f"{each.score:.2f}",
            Text(f"{title}\n{also}".strip()),
            Text(_short(each.ticket.resolution)),
            Text("\n".join(part.replace("_", " ") for part in why if part), style="dim"),
        )
    return table


def _articles_table(found: knowledge.SearchArticlesResponse) -> RenderableType:
    if not found.results:
        return "No article answers that."
    table = Table("score", "article", "passage", "why", show_lines=True)
    for each in found.results:
        heading = f"{each.passage.heading}: " if each.passage.heading else ""
        why = [", ".join(each.matched_terms), *each.boosts]
        table.add_row(
            f"{each.score:.2f}",
            Text(f"{each.article.id} {each.article.title}"),
            Text(heading + _short(each.passage.text)),
            Text("\n".join(part.replace("_", " ") for part in why if part), style="dim"),
        )
    return table


def _findings_table(found: network.LookupMentionsResponse) -> RenderableType:
    if not found.findings:
        return "No address, host or MAC of note is in there."
    table = Table("mention", "is", "what", "network", box=None, pad_edge=False, header_style="dim")
    for each in found.findings:
        asset, prefix = each.asset, each.prefix
        what = ", ".join(part for part in (asset.name, asset.role or asset.type, asset.model) if part)
        vlan = f"VLAN {prefix.vlan_id} {prefix.vlan_name}".strip() if prefix.vlan_id else ""
        where = ", ".join(part for part in (prefix.prefix, vlan, prefix.site) if part)
        verdict = word(network.MentionVerdict.DESCRIPTOR, each.verdict).replace("_", " ")
        table.add_row(*(Text(cell) for cell in (each.mention, verdict, what, where)))
    return table


def _placed(words: str) -> tuple[str, str]:
    """A search in free words is a subject, unless it is too long for one."""
    return (words, "") if len(words) <= _LONGEST_SUBJECT else ("", words)


def _short(text: str, length: int = 240) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"
