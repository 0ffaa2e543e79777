"""An archive that is passed on while it is made, over real HTTP and a real gRPC stream."""

import asyncio
import socket
from pathlib import Path

import grpc
import httpx
import pytest

from services.runtime.errors import DependencyUnavailable
from tests.gateway.peers import ending_with
from tests.gateway.world import ADMIN, OPERATOR, TECHNICIAN, VIEWER, World, eventually, key
from tests.support.keys import Keys

PATH = "/v1/tenants/acme/export"


@pytest.mark.parametrize(("whose", "tenant"), [(ADMIN, "acme"), (OPERATOR, None)])
async def test_the_archive_arrives_as_it_is(world: World, whose: str, tenant: str | None) -> None:
    world.tenants.archive = [b"PK", b"\x00" * 300_000, b"the end"]

    answer = await world.http.get(PATH, headers=key(whose))

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == b"".join(part for part in world.tenants.archive if isinstance(part, bytes))
    (asked,) = world.tenants.heard("ExportTenant")
    assert asked.tenant_id == "acme"
    assert (world.tenants.callers[-1].tenant, world.tenants.callers[-1].subject) == (tenant, "gateway")


@pytest.mark.parametrize("whose", [TECHNICIAN, VIEWER])
async def test_it_takes_an_admin(world: World, whose: str) -> None:
    answer = await world.http.get(PATH, headers=key(whose))

    assert (answer.status_code, answer.json()["reason"]) == (403, "ROLE_REQUIRED")
    assert not world.tenants.heard("ExportTenant")


async def test_what_fails_at_once_is_an_ordinary_answer(world: World) -> None:
    world.tenants.archive = [ending_with(grpc.StatusCode.NOT_FOUND)]

    answer = await world.http.get(PATH, headers=key())

    assert (answer.status_code, answer.json()["reason"]) == (404, "BECAUSE_NOT_FOUND")


async def test_what_fails_later_does_not_pass_for_a_whole_archive(world: World) -> None:
    world.tenants.archive = [b"PK", DependencyUnavailable("history")]

    with pytest.raises(httpx.RemoteProtocolError):
        await world.http.get(PATH, headers=key())


async def test_a_key_that_is_revoked_ends_what_it_downloads(world: World) -> None:
    world.tenants.archive = [b"PK", asyncio.Event(), b"the end"]

    async with world.http.stream("GET", PATH, headers=key(), timeout=20) as answer:
        assert answer.status_code == 200
        del world.tenants.keys[ADMIN]
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()


async def test_a_token_that_runs_out_does_not_end_what_it_was_good_for(world: World, keys: Keys) -> None:
    goes_on = asyncio.Event()
    world.tenants.archive = [b"PK", goes_on, b"the end"]
    token = keys.mint("gateway", tenant="acme", role="admin", ttl_seconds=2)

    async with world.http.stream("GET", PATH, headers=key(token), timeout=20) as answer:
        assert answer.status_code == 200
        await asyncio.sleep(3.5)
        goes_on.set()
        assert (await answer.aread()).endswith(b"the end")


async def test_what_is_not_read_on_is_cut_off_and_asks_for_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.exports._UNTAKEN_SECONDS", 0.5)
    monkeypatch.setattr("gateway.http_protocol._LINGER_SECONDS", 0.5)
    world.tenants.archive = [b"x" * 10_000] * 5_000

    before = open_files()
    with socket.create_connection((world.gateway.host, world.gateway.port)) as unread:
        unread.sendall(f"GET {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\n\r\n".encode())
        await eventually(lambda: world.tenants.exports_ended == 1)
        # Its own end of the connection alone.
        await eventually(lambda: open_files() <= before + 1)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
