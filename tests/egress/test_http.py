"""What aiohttp connects to, and what it never connects to."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from aiohttp import ClientConnectorError, ClientSession, TCPConnector, ThreadedResolver

from egress.connection import Connection
from egress.guard import Guard
from egress.permits import Permits
from tests.egress.listener import Listener, listening
from tests.support.names import Names
from ticketing.errors import AddressRefused, ToolError, ToolRejected
from ticketing.servicedesk_plus import ServiceDeskPlus
from ticketing.session import tool_session

NOBODY = Permits.parse("").guard("acme")
# On a machine without the internet, one address of loopback plays the public one: it is permitted.
GOOD, BAD = "127.0.0.2", "127.0.0.3"
ONLY_GOOD = Permits.parse(f"{GOOD}/32").guard("acme")

Answers = Mapping[str, Sequence[Sequence[str]]]


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def session(guard: Guard, answers: Answers | None = None) -> AsyncIterator[tuple[ClientSession, Names]]:
    names = Names(answers or {})
    async with tool_session(guard, 5, resolver=names) as http:
        yield http, names


@pytest.fixture
async def inside() -> AsyncIterator[Listener]:
    """Somebody's server on this machine, which no tenant may reach."""
    async with listening("127.0.0.1") as listener:
        yield listener


async def get(http: ClientSession, url: str) -> str:
    async with http.get(url, allow_redirects=False) as response:
        return await response.text()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:127.0.0.1]:{port}",
        "http://0x7f000001:{port}",
        "http://localhost:{port}",
        "http://[64:ff9b::7f00:1]:{port}",
        "http://trusted.example@127.0.0.1:{port}",
        "file:///etc/passwd",
        "http://2130706433:{port}",
        "http://0177.0.0.1:{port}",
        "http://127.1:{port}",
        "http://0x7f.1:{port}",
        "http://0:{port}",
        "http://0.0.0.0:{port}",
        "http://[::]:{port}",
        "http://[::1]:{port}",
        "http://[::127.0.0.1]:{port}",
        "http://[2002:7f00:1::]:{port}",
        "http://[fe80::1%25lo]:{port}",
        "http://①②⑦.⓪.⓪.①:{port}",
        "http://127。0。0。1:{port}",
        "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}",
        "http://127.0.0.1\\@desk.example:{port}",
        "http://127.0.0.1:{port}#@desk.example",
        "gopher://127.0.0.1:{port}",
    ],
)
async def test_no_disguise_leads_inside(inside: Listener, url: str) -> None:
    connection = Connection(url.format(port=inside.port), {"authtoken": "key"})
    async with tool_session(NOBODY, 5, resolver=ThreadedResolver()) as http:
        with pytest.raises(ToolRejected):
            await ServiceDeskPlus().read_ticket(http, connection, "1")
    assert inside.connections == 0


async def test_an_adapter_that_checks_nothing_itself_is_guarded_all_the_same(inside: Listener) -> None:
    async with session(NOBODY) as (http, _):
        for url in (f"http://user@127.0.0.1:{inside.port}", f"http://127.0.0.1:{inside.port}/a?b=c"):
            with pytest.raises(AddressRefused, match=r"base_url leads to 127\.0\.0\.1, which is not public"):
                await get(http, url)
    assert inside.connections == 0


async def test_an_open_and_a_closed_port_inside_are_told_alike(inside: Listener) -> None:
    said = set()
    async with session(NOBODY, {"inside.example": [["127.0.0.1"]]}) as (http, _):
        for port in (inside.port, 1):
            with pytest.raises(AddressRefused) as refused:
                await get(http, f"http://inside.example:{port}")
            said.add(str(refused.value))
    assert len(said) == 1
    assert inside.connections == 0


async def test_a_name_that_changes_its_mind_between_check_and_connection_gains_nothing() -> None:
    async with (
        listening(GOOD) as good,
        listening(BAD, good.port) as bad,
        session(ONLY_GOOD, {"rebind.example": [[GOOD], [BAD]]}) as (http, names),
    ):
        assert await get(http, f"http://rebind.example:{good.port}") == "ok"
        assert names.asked == ["rebind.example"]
        assert (good.connections, bad.connections) == (1, 0)


async def test_a_name_that_changes_its_mind_between_requests_is_refused() -> None:
    async with (
        listening(GOOD) as good,
        listening(BAD, good.port) as bad,
        session(ONLY_GOOD, {"rebind.example": [[GOOD], [BAD]]}) as (http, names),
    ):
        url = f"http://rebind.example:{good.port}"
        await get(http, url)
        # The connection kept alive leads to where it was checked that it leads.
        await get(http, url)
        assert (good.connections, len(names.asked)) == (1, 1)

        good.hang_up()
        assert isinstance(http.connector, TCPConnector)
        http.connector.clear_dns_cache()
        await asyncio.sleep(0.05)
        with pytest.raises(AddressRefused, match=BAD):
            await get(http, url)
        assert (good.connections, bad.connections) == (1, 0)


@pytest.mark.parametrize("answer", [[GOOD, BAD], [BAD, GOOD], [GOOD, "::1"]])
async def test_a_name_with_a_good_and_a_bad_address_is_refused_whole(answer: list[str]) -> None:
    async with (
        listening(GOOD) as good,
        listening(BAD, good.port) as bad,
        session(ONLY_GOOD, {"both.example": [answer]}) as (http, _),
    ):
        with pytest.raises(AddressRefused):
            await get(http, f"http://both.example:{good.port}")
        assert (good.connections, bad.connections) == (0, 0)


async def test_an_address_that_no_check_has_seen_is_not_connected_to(inside: Listener) -> None:
    async with session(NOBODY) as (http, _):
        assert isinstance(http.connector, TCPConnector)
        # As if the check of names were forgotten.
        http.connector._resolver = Names(
            {"inside.example": [["127.0.0.1"]], "two.example": [["127.0.0.1", "::1"]]}
        )
        with pytest.raises(AddressRefused):
            await get(http, f"http://inside.example:{inside.port}")
        with pytest.raises((AddressRefused, ClientConnectorError)):
            await get(http, f"http://two.example:{inside.port}")
    assert inside.connections == 0


async def test_a_redirect_inside_is_refused_even_where_redirects_are_followed(inside: Listener) -> None:
    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(f"HTTP/1.1 302 Found\r\nlocation: {inside.url}\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(redirect, GOOD, 0) as server, session(ONLY_GOOD) as (http, _):
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(AddressRefused):
            await http.get(f"http://{GOOD}:{port}", allow_redirects=True)
    assert inside.connections == 0


async def test_a_name_nobody_knows_is_no_refusal() -> None:
    async with session(NOBODY) as (http, _):
        with pytest.raises(ToolError) as unknown:
            await ServiceDeskPlus().read_ticket(
                http, Connection("http://nowhere.example", {"authtoken": "k"}), "1"
            )
    assert "the name in base_url is not known" in str(unknown.value)


class TestBehindAProxy:
    """It stands inside, as the operator wants; where it leads is guarded as far as can be known."""

    @pytest.fixture(autouse=True)
    def _proxied(self, inside: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", f"http://proxy.inside:{inside.port}")

    answers: ClassVar[Answers] = {"proxy.inside": [["127.0.0.1"]], "private.example": [["10.1.2.3"]]}

    async def test_what_only_the_proxy_can_look_up_is_left_to_it(self, inside: Listener) -> None:
        async with session(NOBODY, self.answers) as (http, _):
            assert await get(http, "http://desk.example/a") == "ok"
            with pytest.raises(ClientConnectorError):
                await get(http, "https://desk.example/a")
        assert inside.requests[:2] == [
            "GET http://desk.example/a HTTP/1.1",
            "CONNECT desk.example:443 HTTP/1.1",
        ]

    @pytest.mark.parametrize("host", ["private.example", "10.1.2.3", "169.254.169.254", "[::1]"])
    async def test_what_is_known_to_lead_inside_does_not_reach_the_proxy(
        self, inside: Listener, host: str
    ) -> None:
        async with session(NOBODY, self.answers) as (http, _):
            for scheme in ("http", "https"):
                with pytest.raises(AddressRefused):
                    await get(http, f"{scheme}://{host}/")
        assert inside.connections == 0

    async def test_the_proxy_itself_is_nothing_that_a_tenant_may_name(
        self, inside: Listener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("no_proxy", "proxy.inside")
        async with session(NOBODY, self.answers) as (http, names):
            await get(http, "http://desk.example/a")
            # Its address is remembered now, unchecked.
            with pytest.raises(AddressRefused):
                await get(http, f"http://proxy.inside:{inside.port}/")
            assert names.asked.count("proxy.inside") == 1
        assert inside.requests == ["GET http://desk.example/a HTTP/1.1"]
