"""Imports over REST: lines in, rows at the service, and an answer that tells every line that was no row."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import orjson
import pytest

from tests.gateway.peers import ending_with
from tests.gateway.world import ADMIN, OPERATOR, TECHNICIAN, World, eventually, key, running_world
from tests.support.keys import Keys

ROUTE = "/v1/tickets:import"


def line(number: int, **more: object) -> bytes:
    return orjson.dumps({"id": str(number), "title": f"Printer {number} jams", **more}) + b"\n"


def lines(count: int) -> bytes:
    return b"".join(line(number) for number in range(1, count + 1))


async def sent(world: World, body: Any, *, to: str = ROUTE, **headers: str) -> httpx.Response:
    return await world.http.post(to, content=body, headers={**key(), **headers}, timeout=60)


async def taken(world: World, count: int) -> None:
    await eventually(lambda: len(world.history.ids) == count)


async def test_every_line_is_a_row_and_the_answer_counts_them(world: World) -> None:
    body = line(1, tags=["a", "b"], createTime="2026-04-29T10:00:00Z") + line(2, source="hd")

    answer = await sent(world, body, to=f"{ROUTE}?source=jira")

    assert answer.status_code == 200
    assert answer.json() == {
        "created_count": "2",
        "updated_count": "0",
        "unchanged_count": "0",
        "rejected_count": "0",
        "rejected": [],
    }
    heard = world.history.heard("ImportTickets")
    assert {request.source for request in heard} == {"jira"}
    first, second = (row for request in heard for row in request.tickets)
    assert (first.id, list(first.tags), first.create_time.seconds) == ("1", ["a", "b"], 1777456800)
    assert second.source == "hd"
    assert {(caller.tenant, caller.role, caller.on_behalf_of) for caller in world.history.callers} == {
        ("acme", "admin", "id-of-admin")
    }


async def test_what_is_wrong_with_a_line_is_told_and_the_others_are_taken(world: World) -> None:
    body = b"".join(
        [
            b"\xef\xbb\xbf" + line(1),
            b"\n",
            b'{"id": "3", "title": \n',
            line(4, created="2026-04-29"),
            b"  \r\n",
            b"[1, 2]\n",
            line(7, tags="not a list"),
            b'{"id": "8"}\n',
            line(9),
            b'{"id": 10, "title": "a number"}\n',
            b'{"id": "11", "title": "without a line break"}',
        ]
    )

    answer = (await sent(world, body)).json()

    assert world.history.ids == ["1", "8", "9", "11"]
    assert (answer["created_count"], answer["rejected_count"]) == ("3", "6")
    told = [(int(each["row"]), each["id"], each["field"]) for each in answer["rejected"]]
    assert told == [
        (3, "", ""),
        (4, "4", "created"),
        (6, "", ""),
        (7, "7", "tags"),
        # Sent, and rejected by the service, to which it was the second.
        (8, "8", "title"),
        (10, "", "id"),
    ]
    reasons = [each["reason"] for each in answer["rejected"]]
    assert reasons[0].startswith("is not JSON: ")
    assert reasons[1].startswith("there is no such field; there are id, source, title, description, ")
    assert reasons[2:] == [
        "is not a JSON object",
        "must be a list",
        "must not be empty",
        "must be a string",
    ]


async def test_a_hundred_refusals_are_told_the_first_of_whoever_refused_them(world: World) -> None:
    body = b"".join(b'{"id": "no title"}\n' if number % 2 else b"nonsense\n" for number in range(300))

    answer = (await sent(world, body)).json()

    assert answer["rejected_count"] == "300"
    assert [int(each["row"]) for each in answer["rejected"]] == list(range(1, 101))


async def test_lines_may_come_in_any_pieces(world: World) -> None:
    whole = lines(40) + '{"id": "é", "title": "Umlaut ü"}\n'.encode()

    async def by_threes() -> AsyncIterator[bytes]:
        for at in range(0, len(whole), 3):
            yield whole[at : at + 3]

    answer = await sent(world, by_threes())

    assert answer.json()["created_count"] == "41"
    assert world.history.ids == [*map(str, range(1, 41)), "é"]


async def test_no_message_has_more_rows_than_any_import_takes(world: World) -> None:
    assert (await sent(world, lines(1234))).json()["created_count"] == "1234"
    assert max(world.history.batches) == 100
    assert sum(world.history.batches) == 1234


async def test_an_empty_body_imports_nothing(world: World) -> None:
    assert (await sent(world, b"")).json()["created_count"] == "0"
    assert world.history.batches == []


@pytest.mark.parametrize("members", [1, 3])
async def test_a_body_may_be_compressed_also_in_several_members(world: World, members: int) -> None:
    body = b"".join(gzip.compress(lines(200)) for _ in range(members))

    answer = await sent(world, body, **{"Content-Encoding": "gzip"})

    assert answer.json()["created_count"] == str(200 * members)


@pytest.mark.parametrize(
    ("body", "encoding", "status", "reason"),
    [
        (lines(3), "gzip", 400, "GZIP_BROKEN"),
        (gzip.compress(lines(300))[:-20], "gzip", 400, "GZIP_BROKEN"),
        (gzip.compress(lines(300)) + b"more", "gzip", 400, "GZIP_BROKEN"),
        (lines(3), "br", 415, "CONTENT_ENCODING_UNSUPPORTED"),
        (lines(3), "gzip, gzip", 415, "CONTENT_ENCODING_UNSUPPORTED"),
    ],
)
async def test_what_cannot_be_unpacked_is_told(
    world: World, body: bytes, encoding: str, status: int, reason: str
) -> None:
    answer = await sent(world, body, **{"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    if status == 415:
        assert answer.headers["accept-encoding"] == "gzip"


def bomb(mebibytes: int, of: bytes) -> bytes:
    packing = zlib.compressobj(9, wbits=31)
    block = of * (1024 * 1024 // len(of))
    return b"".join([*(packing.compress(block) for _ in range(mebibytes)), packing.flush()])


@pytest.mark.parametrize("of", [b" ", b"\n"])
async def test_a_body_that_unpacks_to_a_thousand_times_its_size_is_refused_early(
    world: World, of: bytes
) -> None:
    body = bomb(64, of)
    assert len(body) < 300_000

    async with asyncio.timeout(5):
        answer = await sent(world, body, **{"Content-Encoding": "gzip"})

    assert (answer.status_code, answer.json()["reason"]) == (413, "BODY_INFLATED")


async def test_limits_of_a_request_and_of_a_line_are_its_own(keys: Keys) -> None:
    settings = {"body_limit_bytes": 1024, "import_line_bytes": 2000, "import_body_bytes": 50_000}
    async with running_world(keys, **settings) as world:
        assert (await sent(world, lines(900))).json()["created_count"] == "900"
        long = line(1) + line(2, description="x" * 2000) + line(3)
        answer = (await sent(world, long)).json()
        assert (answer["created_count"], answer["rejected_count"]) == ("2", "1")
        assert answer["rejected"] == [
            {"row": "2", "id": "", "field": "", "reason": "is longer than 2000 bytes"}
        ]

        async def unannounced() -> AsyncIterator[bytes]:
            for _ in range(200):
                yield lines(10)

        packed = gzip.compress(b"".join(line(n, description=str(n) * 20) for n in range(900)))
        for body, encoding in ((lines(2000), "identity"), (unannounced(), "identity"), (packed, "gzip")):
            refused = await sent(world, body, **{"Content-Encoding": encoding})
            assert (refused.status_code, refused.json()["reason"]) == (413, "BODY_TOO_LARGE")
            assert refused.json()["details"]["metadata"] == {"limit_bytes": "50000"}


async def test_only_who_may_change_the_client_imports_and_only_into_its_own(world: World) -> None:
    refused = await world.http.post(ROUTE, content=lines(1), headers=key(TECHNICIAN))
    assert (refused.status_code, refused.json()["reason"]) == (403, "ROLE_REQUIRED")
    nobody = await world.http.post(ROUTE, content=lines(1))
    assert nobody.status_code == 401
    foreign = await sent(world, lines(1), **{"X-Dossier-Tenant": "globex"})
    assert (foreign.status_code, foreign.json()["reason"]) == (403, "TENANT_FOREIGN")
    token = world.keys.mint("gateway", tenant="globex", role="admin")
    theirs = await world.http.post(ROUTE, content=lines(1), headers=key(token))
    assert theirs.status_code == 200
    chosen = await world.http.post(
        ROUTE, content=lines(1), headers={**key(OPERATOR), "X-Dossier-Tenant": "acme"}
    )
    assert chosen.status_code == 200
    assert [caller.tenant for caller in world.history.callers] == ["globex", "acme"]


@pytest.mark.parametrize("query", ["tickets=1", "nonsense=1", "source=a&source=b"])
async def test_what_the_query_may_not_say_is_refused(world: World, query: str) -> None:
    answer = await sent(world, lines(1), to=f"{ROUTE}?{query}")
    assert answer.status_code == 400
    assert world.history.ids == []


async def test_other_methods_are_not_taken(world: World) -> None:
    answer = await world.http.get(ROUTE, headers=key())
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_failure_of_the_service_is_told_and_what_it_took_stays(world: World) -> None:
    async def rows() -> AsyncIterator[bytes]:
        yield lines(10)
        await taken(world, 10)
        world.history.failure = ending_with(grpc.StatusCode.FAILED_PRECONDITION)
        for _ in range(2000):
            yield lines(10)
            await asyncio.sleep(0)

    answer = await sent(world, rows())

    assert (answer.status_code, answer.json()["reason"]) == (400, "BECAUSE_FAILED_PRECONDITION")
    assert world.history.ids == [str(number) for number in range(1, 11)]


async def test_a_service_that_is_away_is_told(world: World) -> None:
    await world.stop("history")
    answer = await sent(world, lines(10))
    assert (answer.status_code, answer.json()["reason"]) == (503, "DEPENDENCY_UNAVAILABLE")
    assert "retry-after" in answer.headers


async def test_a_sender_may_take_its_time(keys: Keys) -> None:
    async with running_world(keys, request_seconds=0.3, import_stall_seconds=0.6) as world:

        async def slow() -> AsyncIterator[bytes]:
            for number in range(1, 9):
                await asyncio.sleep(0.2)
                yield line(number)
                await taken(world, number)

        assert (await sent(world, slow())).json()["created_count"] == "8"


async def begun(world: World, rows: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An import of which more is promised than these rows."""
    reader, writer = await asyncio.open_connection(world.gateway.host, world.gateway.port)
    head = ["Host: x", "Content-Length: 100000", f"Authorization: Bearer {ADMIN}"]
    writer.write("\r\n".join([f"POST {ROUTE} HTTP/1.1", *head, "", ""]).encode() + rows)
    return reader, writer


@pytest.mark.parametrize("goes_on_with", [b"", b" "])
async def test_a_sender_may_not_stop_nor_drip(keys: Keys, goes_on_with: bytes) -> None:
    async with running_world(keys, import_stall_seconds=0.5) as world, asyncio.timeout(5):
        reader, writer = await begun(world, lines(2))
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(goes_on_with)
            await asyncio.sleep(0.1)
        writer.close()

        head, _, body = (await answer).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert orjson.loads(body)["reason"] == "BODY_STALLED"
        assert world.history.ids == ["1", "2"]
        await eventually(lambda: world.history.streams == 0)


async def test_a_connection_that_breaks_leaves_what_was_taken(world: World) -> None:
    _, writer = await begun(world, lines(150) + b'{"id": "half a')
    await taken(world, 150)
    assert world.history.streams == 1

    writer.transport.abort()

    await eventually(lambda: world.history.streams == 0)
    assert world.history.ids == [str(number) for number in range(1, 151)]


async def test_while_the_service_does_not_read_neither_does_the_gateway(world: World) -> None:
    world.history.takes.clear()
    block = b"".join(line(number, description="x" * 1000) for number in range(100))
    given = 0

    async def rows() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(400):
            given += len(block)
            yield block

    sending = asyncio.create_task(sent(world, rows()))
    before = -1
    while given > before:
        before = given
        await asyncio.sleep(0.5)
    assert 0 < given < 20 * 1024 * 1024

    world.history.takes.set()
    answer = await sending
    assert answer.json()["created_count"] == "40000"


async def test_a_service_that_takes_nothing_for_too_long_is_told(keys: Keys) -> None:
    async with running_world(keys, import_stall_seconds=0.5) as world:
        world.history.takes.clear()
        for body in (lines(10), b"".join(line(n, description="x" * 1000) for n in range(20_000))):
            answer = await sent(world, body)
            assert (answer.status_code, answer.json()["reason"]) == (504, "IMPORT_STALLED")
        world.history.takes.set()


async def test_a_key_that_is_revoked_imports_no_further(keys: Keys) -> None:
    async with running_world(keys, secret_cache_seconds=0.2) as world:

        async def rows() -> AsyncIterator[bytes]:
            yield line(1)
            await eventually(lambda: world.history.ids == ["1"])
            del world.tenants.keys[ADMIN]
            for number in range(2, 20):
                await asyncio.sleep(0.1)
                yield line(number)

        answer = await sent(world, rows())

        assert (answer.status_code, answer.json()["reason"]) == (401, "API_KEY_INVALID")
        assert len(world.history.ids) < 10


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_a_hundred_thousand_rows_take_no_more_memory_than_a_thousand(keys: Keys) -> None:
    """Of sender, gateway and service together, for all are in this process."""
    async with running_world(keys, tenant_import_rows_per_minute=0, key_import_rows_per_minute=0) as world:
        world.history.remembers = False
        block = b"".join(line(number, description="word " * 200) for number in range(1000))
        most = 0

        async def rows(blocks: int) -> AsyncIterator[bytes]:
            nonlocal most
            for _ in range(blocks):
                yield block
                most = max(most, resident_bytes())

        await sent(world, rows(5))
        before, most = resident_bytes(), 0

        answer = await sent(world, rows(100))

        assert answer.json()["created_count"] == "100000"
        # Kept, the rows alone would be a hundred MiB.
        assert most - before < 40 * 1024 * 1024
