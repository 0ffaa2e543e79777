"""The webhooks that are sent, what is counted of their answers, and the answers held against the database."""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import asyncpg
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from cli.bench.webhook import Level, best_of, committed_tickets
from cli.bench.webhook_load import Summary, Told, send
from cli.errors import DossierError
from cli.standins.loopback import listening
from tests.support.databases import TestDatabase

SECRETS = {"acme": "secret of acme", "globex": "secret of globex"}


@dataclass(slots=True)
class Door:
    """Keeps what is rightly signed, unless it is to refuse everything."""

    status: int = 202
    tickets: list[str] = field(default_factory=list)
    tenants: set[str] = field(default_factory=set)
    wrong: int = 0

    async def webhook(self, request: Request) -> JSONResponse:
        body = await request.body()
        tenant = request.path_params["tenant"]
        expected = f"sha256={hmac.new(SECRETS[tenant].encode(), body, sha256).hexdigest()}"
        content = orjson.loads(body)
        if request.headers["x-servicedesk-signature"] != expected or content["event"] != "ticket_created":
            self.wrong += 1
        self.tickets.append(content["ticket_id"])
        self.tenants.add(tenant)
        return JSONResponse({"enhancement_id": f"of {content['ticket_id']}"}, self.status)

    def application(self) -> Starlette:
        return Starlette(routes=[Route("/webhooks/{tenant}/tool", self.webhook, methods=["POST"])])


async def sent_to(door: Door, *, warmup_seconds: float = 0) -> Summary:
    async with listening(door.application()) as url:
        told: Told = {
            "run": "run7",
            "callers": 4,
            "warmup_seconds": warmup_seconds,
            "seconds": 0.2,
            "targets": [
                {"url": f"{url}/webhooks/{tenant}/tool", "secret": secret}
                for tenant, secret in SECRETS.items()
            ],
            "tickets": [{"subject": "VPN drops", "description": "Since 9:00."}, {"subject": "Mail"}],
        }
        return await send(told)


async def test_each_webhook_is_a_new_ticket_signed_by_its_client_and_each_answer_is_kept() -> None:
    door = Door()
    summary = await sent_to(door)
    assert door.wrong == 0
    assert door.tenants == set(SECRETS)
    assert len(set(door.tickets)) == len(door.tickets)
    assert all(ticket.startswith("run7-") for ticket in door.tickets)
    assert sorted(summary["ids"]) == sorted(f"of {ticket}" for ticket in door.tickets)
    assert summary["lost"] == 0


async def test_what_is_answered_before_and_after_the_measured_time_does_not_count() -> None:
    summary = await sent_to(Door(), warmup_seconds=0.2)
    assert 0 < summary["answers"]["202"] < len(summary["ids"])
    assert len(summary["latencies_ms"]) == sum(summary["answers"].values())


async def test_a_refusal_is_counted_and_is_no_acceptance() -> None:
    summary = await sent_to(Door(status=503))
    assert summary["answers"].keys() == {"503"}
    assert summary["ids"] == []


async def _keep(database: TestDatabase, **tickets: str) -> None:
    connection = await asyncpg.connect(database.admin_url)
    try:
        for enhancement_id, ticket in tickets.items():
            await connection.execute(
                "insert into orchestrator.enhancements"
                " (id, tenant_id, purpose, tool, ticket_id, is_hint, deliver, trace_context, ticket)"
                " values ($1, 'acme', 'enhance', 'tool', $2, false, true, '', '')",
                enhancement_id,
                ticket,
            )
    finally:
        await connection.close()


async def test_the_tickets_of_a_load_are_counted_in_the_database(database: TestDatabase) -> None:
    await _keep(database, e1="run7-0-1", e2="run7-0-2", e3="run8-0-1")
    assert await committed_tickets(database.admin_url, "run7", ["e1"]) == 2


@pytest.mark.parametrize("ids", [["e1", "e2"], ["e1", "e1"], ["e1", "e3"]])
async def test_an_answer_whose_ticket_is_not_kept_ends_the_bench(
    database: TestDatabase, ids: list[str]
) -> None:
    await _keep(database, e1="run7-0-1", e3="run8-0-1")
    with pytest.raises(DossierError, match="2 webhooks were answered with 202, but only 1 "):
        await committed_tickets(database.admin_url, "run7", ids)


def level(**given: Any) -> Level:
    whole: dict[str, Any] = {"callers": 1, "p50_ms": 1.0, "p95_ms": 1.0, "refused": 0, "answered": 1}
    return Level(**whole, committed=1, load_cores=0.1, process_cores={}, **given)


def test_the_level_shown_first_accepts_the_most_without_letting_senders_wait() -> None:
    slow, prompt = level(accepted_per_second=5.0, p99_ms=250.0), level(accepted_per_second=4.0, p99_ms=99.0)
    slower = level(accepted_per_second=3.0, p99_ms=120.0)
    assert best_of([slow, prompt]) is prompt
    assert best_of([slower, slow]) is slow
