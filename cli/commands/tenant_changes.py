"""`tenant update|suspend|resume|set-credentials`: changes of a client."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from cli.budgets import METAVAR as BUDGET_METAVAR
from cli.budgets import budget_of
from cli.commands.tenant_connection import TestOption, tried_afterwards
from cli.errors import DossierError, UsageError
from cli.instance import Instance
from cli.limits import METAVAR, limits_of
from cli.options import DataDirOption, pairs, text_of
from cli.output import Json, JsonOption, Output
from cli.ranking import METAVAR as RANKING_METAVAR
from cli.ranking import retrieval_of
from cli.settings import Section, Visibility, Weight, sections_of, set_words
from cli.show.tenants import change_json, changes_table, tenant_json
from cli.tenancy import TenantArgument, asking_tenants
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_pb2 import ContextSource, Tenant


def update(
    *,
    tenant_id: TenantArgument,
    name: Annotated[str | None, typer.Option(help="The client's name, for people.")] = None,
    tool: Annotated[str | None, typer.Option(help="Its ticketing tool's adapter.")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="The tool's address; '' and no notes are posted.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="name=value that the adapter needs; others stay.")
    ] = None,
    no_option: Annotated[list[str] | None, typer.Option(help="The name of an option to take away.")] = None,
    language: Annotated[
        str | None,
        typer.Option(
            help="The briefs' language, as a BCP 47 tag; without a language model they are in English."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model to ask; '' is the service's default.")] = None,
    max_words: Annotated[
        int | None, typer.Option(help="The most words of a brief, 50 to 500; 0 is the default.")
    ] = None,
    keep_tickets: Annotated[
        int | None,
        typer.Option(metavar="DAYS", help="How long past tickets are kept, 30 to 3650; 0 is the default."),
    ] = None,
    keep_runs: Annotated[
        int | None,
        typer.Option(metavar="DAYS", help="How long ended runs are kept, 4 to 3650; 0 is the default."),
    ] = None,
    keep_ledger: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS", help="How long calls to language models are kept, 62 to 3650; 0 is the default."
        ),
    ] = None,
    keep_audit: Annotated[
        int | None,
        typer.Option(metavar="DAYS", help="How long audit events are kept, 90 to 3650; 0 is the default."),
    ] = None,
    section: Annotated[
        list[Section] | None, typer.Option(help="A section of its briefs; once for each, in their order.")
    ] = None,
    all_sections: Annotated[
        bool, typer.Option("--all-sections", help="All sections, as by default.")
    ] = False,
    instructions: Annotated[
        str | None,
        typer.Option(help="What it wants of its briefs besides; @path reads a file, '' takes it away."),
    ] = None,
    notes: Annotated[
        Visibility | None,
        typer.Option(
            help="Who sees its briefs: technicians at the tool, or only who looks here, for a trial."
        ),
    ] = None,
    weight: Annotated[
        Weight | None, typer.Option(help="Runs a round while other clients wait: 1, 2 or 4.")
    ] = None,
    max_in_progress: Annotated[
        int | None,
        typer.Option(min=0, max=1000, help="The most runs at a time; 0 is the installation's default."),
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="name=target of a context source to ask; others stay.")
    ] = None,
    no_source: Annotated[list[str] | None, typer.Option(help="The name of a source to ask no more.")] = None,
    limit_requests: Annotated[
        str | None, typer.Option(metavar=METAVAR, help="Requests to the REST API a minute; 0 is no limit.")
    ] = None,
    limit_body_bytes: Annotated[
        str | None, typer.Option(metavar=METAVAR, help="Bytes in their bodies a minute; 0 is no limit.")
    ] = None,
    limit_import_rows: Annotated[
        str | None, typer.Option(metavar=METAVAR, help="Rows imported over REST a minute; 0 is no limit.")
    ] = None,
    limit_webhooks: Annotated[
        str | None, typer.Option(metavar=METAVAR, help="Webhooks a minute; 0 is no limit.")
    ] = None,
    limit_webhook_bytes: Annotated[
        str | None, typer.Option(metavar=METAVAR, help="Bytes in their bodies a minute; 0 is no limit.")
    ] = None,
    budget_month: Annotated[
        str | None,
        typer.Option(
            metavar=BUDGET_METAVAR,
            help="The most for language models in a calendar month, UTC; 0: none is asked.",
        ),
    ] = None,
    budget_day: Annotated[
        str | None, typer.Option(metavar=BUDGET_METAVAR, help="The most for language models on a day, UTC.")
    ] = None,
    budget_brief: Annotated[
        str | None, typer.Option(metavar=BUDGET_METAVAR, help="The most for the language model of one brief.")
    ] = None,
    tickets_meaning: Annotated[
        str | None,
        typer.Option(metavar=RANKING_METAVAR, help="How much meaning counts beside words among tickets."),
    ] = None,
    tickets_floor: Annotated[
        str | None, typer.Option(metavar=RANKING_METAVAR, help="The least score of a similar ticket.")
    ] = None,
    articles_meaning: Annotated[
        str | None,
        typer.Option(metavar=RANKING_METAVAR, help="How much meaning counts beside words among articles."),
    ] = None,
    articles_floor: Annotated[
        str | None, typer.Option(metavar=RANKING_METAVAR, help="The least score of a passage.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    test: TestOption = True,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Change a client's settings; what is not given stays. Effective everywhere within two seconds.

    Where the ticketing tool, its address or its options change, the connection is tested afterwards; exit
    code 1 where that fails, though the change is made.
    Example: dossier tenant update acme --language de --limit-import-rows 20000 --dry-run
    """
    instance, output = Instance.resolve(data_dir), Output(as_json=as_json)
    given = {
        "display_name": name,
        "ticketing.tool": tool,
        "ticketing.base_url": base_url,
        "brief.language": language,
        "brief.model": model,
        "brief.max_words": max_words,
        "brief.instructions": _text(instructions),
        "queue.max_in_progress": max_in_progress,
        "retention.ticket_days": keep_tickets,
        "retention.run_days": keep_runs,
        "retention.ledger_days": keep_ledger,
        "retention.audit_days": keep_audit,
    }
    limits = {
        "requests_per_minute": limit_requests,
        "body_bytes_per_minute": limit_body_bytes,
        "import_rows_per_minute": limit_import_rows,
        "webhooks_per_minute": limit_webhooks,
        "webhook_bytes_per_minute": limit_webhook_bytes,
    }
    own_limits = limits_of(limits)
    words = Tenant()
    budgets = {
        "month_micro_dollars": budget_month,
        "day_micro_dollars": budget_day,
        "brief_micro_dollars": budget_brief,
    }
    own_budget = budget_of(budgets)
    rankings = {
        "tickets.meaning_share": tickets_meaning,
        "tickets.floor": tickets_floor,
        "articles.meaning_share": articles_meaning,
        "articles.floor": articles_floor,
    }
    own_retrieval = retrieval_of(rankings)
    options, sources = pairs("--option", option), pairs("--source", source)
    paths = [path for path, value in given.items() if value is not None]
    paths += set_words(
        words, sections=sections_of(section, everything=all_sections), notes=notes, weight=weight
    )
    paths += [f"limits.{name}" for name, value in limits.items() if value is not None]
    paths += [f"budget.{name}" for name, value in budgets.items() if value is not None]
    paths += [f"retrieval.{path}" for path, value in rankings.items() if value is not None]
    if option or no_option:
        paths.append("ticketing.options")
    if source or no_source:
        paths.append("sources")
    if not paths:
        raise UsageError("There is nothing to change.", hint="--help lists what can be.")

    def wanted(now: Tenant) -> Tenant:
        new = Tenant()
        new.CopyFrom(words)
        for path, value in given.items():
            if value is not None:
                head, _, tail = path.partition(".")
                setattr(getattr(new, head) if tail else new, tail or head, value)
        new.limits.CopyFrom(own_limits)
        new.budget.CopyFrom(own_budget)
        new.retrieval.CopyFrom(own_retrieval)
        new.ticketing.options.update({**now.ticketing.options, **options})
        for gone in no_option or ():
            _require(gone in new.ticketing.options, "option", gone)
            del new.ticketing.options[gone]
        new.sources.extend(_sources(now, sources, no_source))
        return new

    async def ask() -> pb.UpdateTenantResponse:
        async with asking_tenants(instance) as tenants:
            now = (await tenants.GetTenant(pb.GetTenantRequest(tenant_id=tenant_id))).tenant
            request = pb.UpdateTenantRequest(
                tenant_id=tenant_id, tenant=wanted(now), etag=now.etag, validate_only=dry_run
            )
            request.update_mask.paths.extend(paths)
            return await tenants.UpdateTenant(request)

    updated = asyncio.run(ask())
    data: dict[str, Json] = {
        **tenant_json(updated.tenant, instance),
        "changes": [change_json(change) for change in updated.changes],
        "dry_run": dry_run,
    }
    told = "This would change; without --dry-run it does." if dry_run else "Changed."
    if not updated.changes:
        told = "Nothing is changed: that is how it is already."
    shown = (changes_table(updated.changes), Text(told)) if updated.changes else (Text(told),)
    leads_elsewhere = any(change.field.startswith("ticketing.") for change in updated.changes)
    tests = test and leads_elsewhere and not dry_run
    tried = tried_afterwards(instance, updated.tenant, wanted=tests, output=output)
    output.result({**data, **tried.data}, shown=Group(*shown, *tried.shown))
    return tried.exit_code


def _text(given: str | None) -> str | None:
    if given is None or not given.startswith("@"):
        return given
    return text_of(given[1:], option="--instructions")


def suspend(
    *, tenant_id: TenantArgument, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Stop serving a client: webhooks and keys are refused, runs end at their next step. Its data stays."""
    instance = Instance.resolve(data_dir)

    async def ask() -> tuple[Tenant, Tenant]:
        async with asking_tenants(instance) as tenants:
            before = await tenants.GetTenant(pb.GetTenantRequest(tenant_id=tenant_id))
            after = await tenants.SuspendTenant(pb.SuspendTenantRequest(tenant_id=tenant_id))
            return before.tenant, after.tenant

    before, tenant = asyncio.run(ask())
    is_suspended = "was suspended already" if before.state == tenant.state else "is suspended"
    shown = f"{tenant.id} {is_suspended}. `dossier tenant resume {tenant.id}` serves it again."
    Output(as_json=as_json).result(tenant_json(tenant, instance), shown=shown)


def resume(*, tenant_id: TenantArgument, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Serve a suspended client again. Runs that failed meanwhile: `enhancements retry-failed`."""
    instance = Instance.resolve(data_dir)

    async def ask() -> tuple[Tenant, Tenant]:
        async with asking_tenants(instance) as tenants:
            before = await tenants.GetTenant(pb.GetTenantRequest(tenant_id=tenant_id))
            after = await tenants.ResumeTenant(pb.ResumeTenantRequest(tenant_id=tenant_id))
            return before.tenant, after.tenant

    before, tenant = asyncio.run(ask())
    is_served = "was served already" if before.state == tenant.state else "is served"
    shown = (
        f"{tenant.id} {is_served}. Runs that failed meanwhile are tried again with `dossier enhancements"
        f" retry-failed --reason TENANT_NOT_SERVED --tenant {tenant.id}`."
    )
    Output(as_json=as_json).result(tenant_json(tenant, instance), shown=shown)


def set_credentials(
    *,
    tenant_id: TenantArgument,
    credential: Annotated[
        list[str] | None,
        typer.Option(help="name=value for the tool's API, such as authtoken=…; value @path reads a file."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Take the credentials away.")] = False,
    test: TestOption = True,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Replace the credentials with which the client's ticketing tool is reached, all of them.

    The connection is tested afterwards; exit code 1 where that fails, though the credentials are kept.
    Example: dossier tenant set-credentials acme --credential authtoken=@token.txt
    """
    instance, output = Instance.resolve(data_dir), Output(as_json=as_json)
    if bool(credential) == none:
        raise UsageError(
            "Which credentials?", hint="Give --credential name=value for each, or --none for none."
        )
    request = pb.SetTicketingCredentialsRequest(
        tenant_id=tenant_id, credentials=pairs("--credential", credential)
    )

    async def ask() -> tuple[str, Tenant]:
        async with asking_tenants(instance) as tenants:
            secret_id = (await tenants.SetTicketingCredentials(request)).secret_id
            return secret_id, (await tenants.GetTenant(pb.GetTenantRequest(tenant_id=tenant_id))).tenant

    secret_id, tenant = asyncio.run(ask())
    data: dict[str, Json] = {
        "tenant": tenant_id,
        "secret_id": secret_id,
        "names": sorted(request.credentials),
    }
    names = ", ".join(sorted(request.credentials)) or "none"
    tried = tried_afterwards(instance, tenant, wanted=test and not none, output=output)
    shown = Group(f"Credentials of {tenant_id}: {names}.", *tried.shown)
    output.result({**data, **tried.data}, shown=shown)
    return tried.exit_code


def _sources(now: Tenant, given: Mapping[str, str], gone: list[str] | None) -> list[ContextSource]:
    kept = {each.name: each for each in now.sources}
    for name, target in given.items():
        before = kept.get(name, ContextSource())
        kept[name] = ContextSource(name=name, target=target, deadline_ms=before.deadline_ms)
    for name in gone or ():
        _require(name in kept, "source", name)
        del kept[name]
    return list(kept.values())


def _require(known: bool, what: str, name: str) -> None:
    if not known:
        raise DossierError(
            f"The client has no {what} {name}.", hint="`dossier tenant show ID` shows those it has."
        )
