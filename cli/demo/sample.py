"""The sample client: created, connected to its tool, and loaded with its history, knowledge and inventory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from cli.commands.tenant import create_tenant
from cli.demo.desk import AUTHTOKEN, Desk
from cli.importing.files import opened
from cli.importing.kinds import ARTICLES, ASSETS, PREFIXES, TICKETS, Kind
from cli.importing.run import Import, Summary
from cli.instance import Instance
from cli.output import Output
from cli.progress import progress_of
from cli.rpc import calling
from cli.show.tenants import webhook_url
from dossier.tenants.v1.tenant_pb2 import BriefSettings, Tenant, TicketingConnection

FOLDER: Final = Path(__file__).parents[1] / "sample"


@dataclass(frozen=True, slots=True)
class Client:
    tenant: str
    name: str
    webhook_url: str
    webhook_secret: str = field(repr=False)
    api_key: str = field(repr=False)


def description() -> Mapping[str, str]:
    """Who the client is, and which tool it has."""
    told: Mapping[str, str] = orjson.loads((FOLDER / "tenant.json").read_bytes())
    return told


def incidents() -> Iterator[Mapping[str, Any]]:
    """Yield the new tickets whose answers are in the sample, and last the one whose answer is not."""
    for line in (FOLDER / "incidents.jsonl").read_bytes().splitlines():
        yield orjson.loads(line)


def as_request(incident: Mapping[str, Any]) -> dict[str, object]:
    """Say it as somebody at the help desk enters it; what a good brief must find is not theirs to know."""
    told = ("id", "subject", "description", "requester", "priority", "category", "site", "created")
    return {name: incident[name] for name in told}


async def create_client(instance: Instance, desk: Desk, *, tenant: str | None = None) -> Client:
    """Create the client, and tell its tool where webhooks go and how they are signed."""
    told = description()
    wanted = Tenant(
        id=tenant or told["tenant"],
        display_name=told["name"],
        ticketing=TicketingConnection(tool=told["tool"], base_url=desk.base_url),
        brief=BriefSettings(language=told["brief_language"]),
    )
    made = await create_tenant(instance, wanted, credentials={"authtoken": AUTHTOKEN})
    url = webhook_url(instance, made.tenant)
    desk.send_webhooks_to(url, secret=made.webhook_secret, tenant=made.tenant.id)
    return Client(made.tenant.id, made.tenant.display_name, url, made.webhook_secret, made.api_key)


async def load(instance: Instance, tenant: str, *, output: Output) -> dict[str, Summary]:
    """Import the sample as anybody's files are imported."""
    return {
        kind.name: await _load(instance, tenant, kind, path, output=output)
        for kind, path in (
            (TICKETS, FOLDER / "tickets.jsonl"),
            (ARTICLES, FOLDER / "articles"),
            (PREFIXES, FOLDER / "prefixes.csv"),
            (ASSETS, FOLDER / "assets.csv"),
        )
    }


async def _load(instance: Instance, tenant: str, kind: Kind, path: Path, *, output: Output) -> Summary:
    with (
        opened(str(path), kind, renamed={}) as rows,
        progress_of(f"{kind.name:<9}", total=rows.total, output=output) as advance,
    ):
        work = Import(kind, rows, advance=advance)
        async with calling(instance, kind.service, descriptors=[kind.descriptor], tenant=tenant) as channel:
            await work.send(channel, source="servicedesk_plus" if kind is TICKETS else "import")
    return work.summary
