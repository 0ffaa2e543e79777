"""Webhooks over real HTTP: what is kept, what is refused, and what a sender learns."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from dossier.tenants.v1 import tenant_service_pb2 as tenants
from tests.gateway.world import SECRET, TOOL, World, eventually, running_world, sign, ticket_body
from tests.support.keys import Keys


async def test_a_signed_webhook_is_kept_and_answered_with_where_to_look(world: World) -> None:
    answer = await world.webhook(ticket_body("4711"))
    assert answer.status_code == 202
    assert answer.json() == {
        "enhancement_id": "enh-4711",
        "state": "queued",
        "status_url": "https://dossier.example/v1/enhancements/enh-4711",
        "secret_id": "s1",
    }
    [submission] = world.orchestrator.submissions
    assert (submission.tenant_id, submission.ticket.tool) == ("acme", TOOL)
    assert (submission.ticket.id, submission.ticket.subject) == ("4711", "VPN drops")
    assert not submission.resolved
    [caller] = world.orchestrator.callers
    assert (caller.subject, caller.tenant, caller.role) == ("gateway", None, "service")


async def test_a_redelivery_is_answered_with_the_same_id_and_200(world: World) -> None:
    first = await world.webhook(ticket_body())
    again = await world.webhook(ticket_body())
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["enhancement_id"] == first.json()["enhancement_id"]
    assert again.json()["state"] == "known"


async def test_a_resolved_ticket_is_marked_for_the_history(world: World) -> None:
    await world.webhook(ticket_body(event="resolved", resolution="Renewed the certificate."))
    [submission] = world.orchestrator.submissions
    assert submission.resolved
    assert submission.ticket.resolution == "Renewed the certificate."


async def test_wrong_signature_unknown_client_and_unknown_tool_are_not_told_apart(world: World) -> None:
    body = ticket_body()
    answers = [
        await world.webhook(body, headers=sign(body, b"a guess")),
        await world.webhook(body, headers={}),
        await world.webhook(body, headers=sign(b"another body")),
        await world.webhook(body, tenant="nobody"),
        await world.webhook(body, tenant="globex"),
        await world.webhook(body, tool="no_such_tool"),
        await world.webhook(body, tenant="%00%FF"),
        await world.webhook(body, tenant="x" * 5000),
        await world.webhook(b"{not json", headers=sign(body)),
        await world.http.post("/webhook/servicedesk", content=body, headers=sign(body)),
        await world.http.post("/webhook/servicedesk", content=b"{not json", headers=sign(b"{not json")),
    ]
    bodies = [answer.json() | {"request_id": ""} for answer in answers]
    assert {answer.status_code for answer in answers} == {401}
    assert all(each == bodies[0] for each in bodies)
    assert bodies[0]["reason"] == "WEBHOOK_REFUSED"
    assert len({frozenset(answer.headers.keys()) for answer in answers}) == 1
    assert world.orchestrator.submissions == []


async def test_refusing_takes_the_same_questions_whoever_is_unknown(keys: Keys) -> None:
    async with running_world(keys, secret_cache_seconds=0) as world:
        body = ticket_body()
        for tenant, tool in (("acme", TOOL), ("nobody", TOOL), ("acme", "no_such_tool"), ("%00", TOOL)):
            before = len(world.tenants.heard("ListWebhookSecrets"))
            await world.webhook(body, tenant=tenant, tool=tool, headers=sign(body, b"a guess"))
            assert len(world.tenants.heard("ListWebhookSecrets")) == before + 1


async def test_a_signature_sent_twice_is_refused(world: World) -> None:
    body = ticket_body()
    [(name, value)] = sign(body).items()
    answer = await world.http.post(
        f"/webhooks/acme/{TOOL}", content=body, headers=[(name, value), (name, "sha256=00")]
    )
    assert answer.status_code == 401


async def test_both_secrets_hold_while_one_replaces_the_other(world: World) -> None:
    def until(moment: datetime) -> Timestamp:
        timestamp = Timestamp()
        timestamp.FromDatetime(moment)
        return timestamp

    world.tenants.secrets["acme", TOOL] = [
        tenants.WebhookSecret(id="new", value=b"new"),
        tenants.WebhookSecret(
            id="old", value=SECRET, expire_time=until(datetime.now(UTC) + timedelta(hours=1))
        ),
        tenants.WebhookSecret(
            id="gone", value=b"gone", expire_time=until(datetime.now(UTC) - timedelta(hours=1))
        ),
    ]
    body = ticket_body()
    statuses = [
        (await world.webhook(body, headers=sign(body, secret))).status_code
        for secret in (b"new", SECRET, b"gone")
    ]
    assert statuses == [202, 200, 401]


async def test_the_client_of_the_alias_is_named_by_the_body(world: World) -> None:
    body = ticket_body(tenant_id="acme")
    answer = await world.http.post("/webhook/servicedesk", content=body, headers=sign(body))
    assert answer.status_code == 202
    foreign = ticket_body(tenant_id="globex")
    refused = await world.http.post("/webhook/servicedesk", content=foreign, headers=sign(foreign))
    assert refused.status_code == 401
    assert [each.tenant_id for each in world.orchestrator.submissions] == ["acme"]


@pytest.mark.parametrize("path", [f"/webhooks/acme/{TOOL}", "/webhook/servicedesk"])
async def test_broken_json_is_told_its_position_once_the_sender_is_known(world: World, path: str) -> None:
    body = b'{"tenant_id": "acme",\r\n "event": "created",\r\n "ticket_id": 12,,}'
    answer = await world.http.post(path, content=body, headers=sign(body))
    assert answer.status_code == 400
    assert answer.json()["reason"] == "JSON_MALFORMED"
    assert answer.json()["details"]["metadata"] == {"line": "3", "column": "18"}
    assert world.orchestrator.submissions == []


async def test_a_missing_field_is_named(world: World) -> None:
    answer = await world.webhook(b'{"event": "created"}')
    assert answer.status_code == 400
    assert answer.json()["reason"] == "FIELD_INVALID"
    assert "ticket_id" in answer.json()["details"]["fields"][0]["field"]


async def test_what_the_contract_forbids_is_the_senders_to_mend_and_no_batch_is_lost(world: World) -> None:
    tags = [f"tag{number}" for number in range(65)]
    answer = await world.webhook(ticket_body(tags=tags))
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == "ticket.tags"
    assert world.orchestrator.batches == []


async def test_an_event_that_is_not_about_the_ticket_is_ignored_with_the_reason(world: World) -> None:
    answer = await world.webhook(ticket_body(event="note_added"))
    assert answer.status_code == 200
    assert answer.json()["state"] == "ignored"
    assert "note_added" in answer.json()["reason"]
    assert world.orchestrator.submissions == []


async def test_a_body_that_says_it_is_too_large_is_not_read(world: World) -> None:
    answer = await world.webhook(b"x" * 20_001, headers={})
    assert answer.status_code == 413
    assert answer.json()["reason"] == "BODY_TOO_LARGE"
    assert answer.headers["connection"] == "close"
    assert world.tenants.asked == []


async def test_a_body_that_does_not_say_how_large_it_is_is_read_no_further_than_the_limit(
    world: World,
) -> None:
    reader, writer = await asyncio.open_connection(world.gateway.host, world.gateway.port)
    writer.write(
        f"POST /webhooks/acme/{TOOL} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    for _ in range(25):
        writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
    # The end of the body never comes; the answer does.
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_a_body_of_exactly_the_limit_is_read(world: World) -> None:
    body = ticket_body()
    body += b" " * (20_000 - len(body))

    async def chunks() -> AsyncIterator[bytes]:
        yield body[:5]
        yield body[5:]

    answer = await world.http.post(f"/webhooks/acme/{TOOL}", content=chunks(), headers=sign(body))
    assert answer.status_code == 202


async def test_the_raw_bytes_are_what_is_signed(world: World) -> None:
    text = "über\u202e \U0001f5a8 \u0130"
    body = (
        b'{\r\n "event" : "created",\r\n "ticket_id": "1", "subject": '
        + orjson.dumps(text)
        + b', "description": ""}\r\n'
    )
    assert (await world.webhook(body)).status_code == 202
    assert (await world.webhook(body.replace(b"\r\n", b"\n"), headers=sign(body))).status_code == 401


async def test_half_a_character_costs_the_character_and_not_the_ticket(world: World) -> None:
    body = (
        rb'{"event": "created", "ticket_id": "1", "subject": "printer \ud83d jams\u0000", "description": "x"}'
    )
    assert (await world.webhook(body)).status_code == 202
    [submission] = world.orchestrator.submissions
    assert submission.ticket.subject == "printer \ufffd jams"


@pytest.mark.parametrize("service", ["tenants", "orchestrator"])
async def test_without_a_service_it_needs_a_webhook_gets_503_and_later_is_taken(
    world: World, service: str
) -> None:
    await world.stop(service)
    answer = await world.webhook(ticket_body())
    assert answer.status_code == 503
    assert answer.json()["reason"] == "DEPENDENCY_UNAVAILABLE"
    assert service in answer.json()["message"]
    assert int(answer.headers["retry-after"]) >= 1
    await world.start(service)
    status = 503
    while status == 503:
        status = (await world.webhook(ticket_body())).status_code
    assert status == 202


@pytest.mark.parametrize("service", ["tenants", "orchestrator"])
async def test_without_postgresql_a_webhook_gets_503_that_says_so(world: World, service: str) -> None:
    world.peers()[service].lose_database()
    answer = await world.webhook(ticket_body())
    assert answer.status_code == 503
    assert answer.json()["message"] == "postgresql refuses connections"
    assert answer.json()["details"]["metadata"] == {"dependency": "postgresql"}
    assert "retry-after" in answer.headers


async def test_a_hundred_webhooks_ask_once_for_the_secret(world: World) -> None:
    answers = await asyncio.gather(*(world.webhook(ticket_body(str(number))) for number in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len(world.tenants.heard("ListWebhookSecrets")) == 1


async def test_an_unknown_client_is_asked_for_once_too(world: World) -> None:
    for _ in range(5):
        await world.webhook(ticket_body(), tenant="nobody")
    assert len(world.tenants.heard("ListWebhookSecrets")) == 1


async def test_a_revoked_secret_is_forgotten_soon(keys: Keys) -> None:
    async with running_world(keys, secret_cache_seconds=0.05) as world:
        assert (await world.webhook(ticket_body())).status_code == 202
        del world.tenants.secrets["acme", TOOL]
        status = 200
        for _ in range(1000):
            status = (await world.webhook(ticket_body())).status_code
            if status == 401:
                break
        assert status == 401


async def test_only_posting_is_possible(world: World) -> None:
    answer = await world.http.get(f"/webhooks/acme/{TOOL}")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "path", ["/webhook", "/webhook/other", "/webhooks/acme", "/webhooks/acme/x/y", "/webhooky"]
)
async def test_other_addresses_are_not_there(world: World, path: str) -> None:
    answer = await world.http.post(path, content=b"{}")
    assert answer.status_code == 404
    assert answer.json()["reason"] == "ROUTE_NOT_FOUND"


async def test_each_batch_goes_out_under_the_request_id_of_its_first_webhook(keys: Keys) -> None:
    async with running_world(keys, intake_batches_in_flight=1) as world:
        world.orchestrator.open.clear()

        async def post(number: str) -> str:
            body = ticket_body(number)
            answer = await world.webhook(body, headers={**sign(body), "X-Request-Id": f"sender-{number}"})
            return answer.headers["x-request-id"]

        first = asyncio.create_task(post("1"))
        await eventually(lambda: world.orchestrator.batches == [1])
        second = asyncio.create_task(post("2"))
        world.orchestrator.open.set()
        assert [await first, await second] == ["sender-1", "sender-2"]
        assert world.orchestrator.request_ids == ["sender-1", "sender-2"]
