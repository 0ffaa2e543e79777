"""One client never sees another: every RPC, and the function that stands outside row-level security."""

import gc
from typing import TYPE_CHECKING

import asyncpg
import grpc
import pytest

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1.past_ticket_pb2 import PastTicket
from retrieval.documents import VERSION
from services.runtime.errors import error_info
from tests.history.client import Client
from tests.support.databases import TestDatabase
from tests.support.keys import Keys

if TYPE_CHECKING:
    from dossier.history.v1.history_service_pb2_grpc import HistoryServiceAsyncStub

SECRET = "Label printer prints empty labels"
FIND = "select * from history.find_candidates($1, '{1:1}/1048576', $2, 100, false)"


async def test_no_rpc_shows_or_touches_another_clients_ticket(acme: Client, globex: Client) -> None:
    await acme.record(PastTicket(id="1", title=SECRET))
    await globex.import_(PastTicket(id="2", title="Own ticket"), PastTicket(id="3", title="Another printer"))

    assert await globex.found(SECRET) == []
    assert [ticket.id for ticket in (await globex.list_(pb.ListTicketsRequest())).tickets] == ["3", "2"]
    for call in (globex.get("1"), globex.delete("1")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND

    assert (await globex.record(PastTicket(id="1", title="Same id, other client"))).created
    assert (await globex.import_(PastTicket(id="1", title="Same id, changed"))).updated_count == 1
    await globex.delete("1")

    assert (await acme.get("1")).title == SECRET
    assert await acme.found(SECRET) == ["1"]


async def test_rarity_is_counted_per_client(acme: Client, globex: Client) -> None:
    """Scores must not tell what words another client's tickets have."""
    await acme.record(PastTicket(id="1", title=SECRET))
    before = (await acme.search(pb.SearchSimilarTicketsRequest(subject=SECRET, min_score=0)))[0].score

    await globex.import_(*(PastTicket(id=str(number), title=SECRET) for number in range(50)))

    after = (await acme.search(pb.SearchSimilarTicketsRequest(subject=SECRET, min_score=0)))[0].score
    assert after == before


async def test_the_search_function_shows_the_set_tenant_only(acme: Client, database: TestDatabase) -> None:
    await acme.record(PastTicket(id="1", title=SECRET))
    connection = await asyncpg.connect(database.url("history"))
    try:
        for tenant, expected in (("acme", 1), ("globex", 0)):
            async with connection.transaction():
                await connection.execute("select set_config('dossier.tenant', $1, true)", tenant)
                assert len(await connection.fetch(FIND, ["label"], VERSION)) == expected
        for unset in ("", None):
            async with connection.transaction():
                if unset is not None:
                    await connection.execute("select set_config('dossier.tenant', $1, true)", unset)
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="not set"):
                    await connection.fetch(FIND, ["label"], VERSION)
    finally:
        await connection.close()


async def test_nobody_else_may_call_the_search_function(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.admin_url)
    try:
        allowed = await connection.fetch(
            "select grantee::regrole::text as role, privilege_type"
            " from pg_proc, aclexplode(proacl) where oid = 'history.find_candidates'::regproc"
        )
    finally:
        await connection.close()
    assert {(row["role"], row["privilege_type"]) for row in allowed} == {
        ("dossier_history_search", "EXECUTE"),
        ("dossier_history", "EXECUTE"),
    }


async def test_seeds_are_words_and_never_a_query(acme: Client, database: TestDatabase) -> None:
    """The function quotes them: what looks like an operator finds nothing more."""
    await acme.record(PastTicket(id="1", title=SECRET))
    connection = await asyncpg.connect(database.url("history"))
    try:
        async with connection.transaction():
            await connection.execute("select set_config('dossier.tenant', 'acme', true)")
            for seeds in (["x' | 'label"], ["!x"], ["lab:*"], ["\\"], ["'"], []):
                assert await connection.fetch(FIND, seeds, VERSION) == []
    finally:
        await connection.close()


async def test_tables_show_nothing_without_a_tenant(acme: Client, database: TestDatabase) -> None:
    await acme.record(PastTicket(id="1", title=SECRET))
    connection = await asyncpg.connect(database.url("history"))
    try:
        for table in ("tickets", "ticket_search", "lexeme_counts"):
            assert await connection.fetchval(f"select count(*) from history.{table}") == 0  # noqa: S608
    finally:
        await connection.close()


async def test_a_token_without_a_tenant_or_none_at_all_is_refused_everywhere(
    stub: "HistoryServiceAsyncStub", keys: Keys
) -> None:
    nobody = Client(stub, keys.metadata("history", tenant=None))
    stranger = Client(stub, ())
    for client, code, reason in (
        (nobody, grpc.StatusCode.PERMISSION_DENIED, "TENANT_REQUIRED"),
        (stranger, grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"),
    ):
        for call in (
            client.record(PastTicket(id="1", title=SECRET)),
            client.import_(PastTicket(id="1", title=SECRET)),
            client.get("1"),
            client.list_(pb.ListTicketsRequest()),
            client.delete("1"),
            client.search(pb.SearchSimilarTicketsRequest(subject=SECRET)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert refused.value.code() is code
            info = error_info(refused.value)
            assert info is not None
            assert info.reason == reason
    gc.collect()
