"""The watch over the whole run finds what it is there for."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import psycopg
import pytest
import redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cli.standins.loopback import listening
from services.tenants.model import Secret
from tests.support.databases import TestDatabase
from tests.support.keys import Mint
from tests.support.leaks import CANARY, Watch, overhearing


@pytest.fixture
def second() -> Iterator[Watch]:
    """A watch whose findings are this test's, and not the run's."""
    watch = Watch()
    with overhearing(watch):
        yield watch


@pytest.fixture(autouse=True)
def run_is_not_blamed(watch: Watch, tmp_path: Path) -> Iterator[None]:
    before = list(watch.found)
    yield
    watch.found[:] = before
    shutil.rmtree(tmp_path)


def test_a_log_that_tells_a_secret_is_found(second: Watch, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "gateway.log").write_text(f'{{"event":"x","authtoken":"{CANARY}-1"}}\n')
    (tmp_path / "clean.log").write_text('{"event":"tenant_registered"}\n')
    second.look_into_folder(tmp_path)
    assert [each.partition(":")[0] for each in second.found] == ["deep/gateway.log"]
    assert CANARY not in second.found[0]


def test_keys_and_tokens_tell_themselves(second: Watch, mint: Mint) -> None:
    second.look(f"the key is {Secret.api_key().reveal().decode()}", "a key")
    second.look(f"Bearer {mint('history', tenant='acme')}", "a token")
    second.look("dsk_unknown and eyJhbGciOi are nobody's", "neither")
    assert {each.partition(":")[0] for each in second.found} == {"a key", "a token"}


def test_a_secret_made_in_this_process_is_known(second: Watch) -> None:
    secret = Secret.random()
    second.look(b"signed with " + secret.reveal(), "a row")
    assert len(second.found) == 1


def test_redis_that_holds_a_secret_is_found(second: Watch, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("dossier:gateway:acme:ok", "1")
        client.hset("dossier:gateway:acme:cache", "credentials", CANARY)
        client.rpush("dossier:gateway:acme:list", f"x{CANARY}")
        second.look_into_redis(redis_url)
        client.flushall()
    assert {each.partition(":")[0] for each in second.found} == {
        "Redis, dossier",
    }
    assert len(second.found) == 2


def test_a_row_that_holds_a_secret_is_found(second: Watch, database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("create table tenants.plain as select %s::text as authtoken", [CANARY])
    second.look_into_database(database.admin_url)
    assert [each.partition(":")[0] for each in second.found] == ["table tenants.plain"]


async def test_an_error_over_http_that_tells_a_secret_is_found(second: Watch) -> None:
    def answer(request: Request) -> Response:
        return PlainTextResponse(CANARY, int(request.path_params["status"]))

    async with listening(Starlette(routes=[Route("/{status}", answer)])) as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            await http.get("/200")
            await http.get("/401")
        with httpx.Client(base_url=url, trust_env=False) as blocking:
            await asyncio.to_thread(blocking.get, "/500")
    assert [each.partition(":")[0] for each in second.found] == ["401 from /401", "500 from /500"]


async def test_an_error_over_grpc_that_tells_a_secret_is_found(second: Watch) -> None:
    async def fail(_request: Any, context: Any) -> None:
        context.set_trailing_metadata((("why-bin", CANARY.encode()),))
        await context.abort(grpc.StatusCode.INTERNAL, "our fault")

    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(fail)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("leaky.Service", {"Fail": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_unary("/leaky.Service/Fail")
        with pytest.raises(grpc.aio.AioRpcError):
            await call(b"")
    await server.stop(0)
    assert [each.partition(":")[0] for each in second.found] == ["gRPC INTERNAL"]


def test_a_command_that_fails_with_a_secret_is_found(second: Watch) -> None:
    program = f"import sys; print('{CANARY}', file=sys.stderr); sys.exit({{}})"
    for code in (0, 1):
        subprocess.run([sys.executable, "-c", program.format(code)], capture_output=True, check=False)
    assert len(second.found) == 1
