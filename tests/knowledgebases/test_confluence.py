"""The connector against a Confluence on loopback, over real HTTP, in both editions."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientSession
from starlette.responses import JSONResponse, Response

from egress.connection import Connection
from egress.permits import Permits
from knowledgebases.confluence import Confluence as Connector
from knowledgebases.confluence import connector as confluence_connector
from knowledgebases.confluence.cql import with_any
from knowledgebases.contract import Connector as Contract
from knowledgebases.discovery import connector_named, load_connectors
from knowledgebases.errors import (
    AddressRefused,
    KnowledgeBaseError,
    RateLimited,
    Rejected,
    TooMuch,
    Unavailable,
    UnknownConnector,
)
from knowledgebases.model import Listed
from knowledgebases.session import knowledge_base_session
from tests.support.confluence import (
    TOKEN,
    Confluence,
    Page,
    failing,
    login_page,
    moved,
    rate_limited,
    running_confluence,
)

VPN = Page("101", "VPN drops", "<h1>Cure</h1><p>Renew the certificate.</p>", labels=("vpn", "remote"))
PRINTER = Page("102", "Printer jams", "<p>Clean the rollers.</p>")
HR = Page("103", "Holidays", "<p>Ask HR about the VPN.</p>", space="HR")


@pytest.fixture(params=["cloud", "datacenter"])
def confluence(request: pytest.FixtureRequest) -> Confluence:
    made = Confluence(edition=request.param)
    made.put(VPN, PRINTER, HR)
    return made


@pytest.fixture
async def connection(confluence: Confluence) -> AsyncIterator[Connection]:
    async with running_confluence(confluence) as base_url:
        yield Connection(base_url, confluence.credentials, {"spaces": "IT, OPS"})


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with knowledge_base_session(Permits.parse("127.0.0.1/32").guard("acme"), 5) as session:
        yield session


connector: Contract = Connector()


def by_id(page_ids: Sequence[str]) -> Sequence[Listed]:
    return [Listed(page_id, None) for page_id in page_ids]


async def listed(http: ClientSession, at: Connection, since: datetime | None = None) -> list[str]:
    return [each.id async for some in connector.list_pages(http, at, since=since) for each in some]


async def test_pages_of_the_chosen_spaces_are_listed_and_read(
    http: ClientSession, connection: Connection
) -> None:
    assert sorted(await listed(http, connection)) == ["101", "102"]

    (page,) = await connector.read(http, connection, by_id(["101", "103"]))

    assert (page.title, page.html, page.labels) == (VPN.title, VPN.body, VPN.labels)
    assert page.url == f"{connection.base_url}/spaces/IT/pages/101"
    assert page.updated is not None
    assert abs(page.updated - VPN.when) < timedelta(milliseconds=1)


async def test_a_listing_is_followed_to_its_end(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    confluence.most_at_once = 3
    confluence.put(*(Page(str(number), f"Page {number}", "<p>x</p>") for number in range(200, 211)))

    assert sorted(await listed(http, connection)) == ["101", "102", *map(str, range(200, 211))]
    assert len(confluence.queries) == 5


async def test_reading_is_followed_to_its_end(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    confluence.most_at_once = 1
    assert [page.id for page in await connector.read(http, connection, by_id(["101", "102"]))] == [
        "101",
        "102",
    ]
    assert len(confluence.queries) == 2
    assert confluence.bodies_read == ["101", "102"]


@pytest.mark.parametrize("gone_status", [403, 404, 410])
async def test_what_the_index_misses_is_read_by_its_id_where_it_is_there(
    gone_status: int, confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    confluence.gone_status = gone_status
    whole = await connector.read(http, connection, by_id(["101"]))
    confluence.put(Page("104", "In the bin", "<p>x</p>", status="trashed"))
    confluence.invisible = {"101", "103", "104"}

    assert await connector.read(http, connection, by_id(["101", "103", "104", "105"])) == whole


async def test_a_listing_tells_what_may_change_without_the_page(
    http: ClientSession, connection: Connection
) -> None:
    told = {
        each.id: each async for some in connector.list_pages(http, connection, since=None) for each in some
    }
    (page,) = await connector.read(http, connection, by_id(["101"]))
    assert (told["101"].url, told["101"].labels) == (page.url, page.labels)


async def test_only_what_has_changed_since_is_listed(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    assert await listed(http, connection, datetime.now(UTC) - timedelta(hours=1)) == []
    confluence.change("102", title="Printer jams again")
    assert await listed(http, connection, datetime.now(UTC) - timedelta(hours=1)) == ["102"]


async def test_what_is_archived_or_in_the_bin_is_not_there(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    confluence.change("101", status="archived")
    confluence.change("102", status="trashed")

    assert await listed(http, connection) == []
    assert await connector.read(http, connection, by_id(["101", "102"])) == []


async def test_any_of_the_words_finds_a_page_of_the_chosen_spaces(
    http: ClientSession, connection: Connection
) -> None:
    found = await connector.search(http, connection, ["VPN", "certificate", "rollers"], limit=5)
    assert [page.id for page in found] == ["101", "102"]
    assert [page.id for page in await connector.search(http, connection, ["vpn", "rollers"], limit=1)] == [
        "101"
    ]


@pytest.mark.parametrize(
    "word",
    [
        '" or space = "HR',
        'x") or (space = HR) or (text ~ "x',
        "\\",
        "AND",
        "OR NOT",
        "*",
        "vpn~0.1",
        "a:b/c",
        '""',
    ],
)
async def test_a_word_is_never_more_than_a_word(
    word: str, confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    found = await connector.search(http, connection, [word, "holidays"], limit=5)

    assert "103" not in [page.id for page in found]
    (query,) = confluence.queries
    assert re.fullmatch(
        r"type = page and space in \(STRING, STRING\) and \(text ~ STRING(?: or text ~ STRING)*\)",
        re.sub(r'"(?:[^"\\]|\\.)*"', "STRING", query),
    )
    told = re.findall(r'text ~ "((?:[^"\\]|\\.)*)"', query)
    assert all(re.fullmatch(r"[\w ]+", each) and each == each.lower() for each in told)


def test_words_without_a_letter_are_no_query() -> None:
    assert with_any(["!", "***", "_", "a"]) is None
    assert with_any(["VPN", "vpn", "10.20.0.1"]) == '(text ~ "vpn" or text ~ "10 20 0 1")'


async def test_an_id_that_is_no_pages_is_not_asked_for(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    assert await connector.read(http, connection, by_id(["KB-1", "1) or space = HR or id in (2"])) == ()
    assert confluence.queries == []


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        (rate_limited, RateLimited, "rate limited"),
        (failing, Unavailable, "HTTP 503"),
        (login_page, Rejected, "web page"),
        (moved, Rejected, "redirected"),
        (lambda: JSONResponse({"message": "no"}, status_code=403), Rejected, "forbidden: no"),
        (lambda: JSONResponse({"message": f"{TOKEN}?"}, status_code=400), Rejected, r"400: \*\*\*\?"),
        (lambda: JSONResponse({}, status_code=404), Rejected, "no API"),
        (lambda: JSONResponse({"results": 7}), Rejected, "results"),
        (lambda: Response('{"results": ['), Unavailable, "cut short"),
        (
            lambda: JSONResponse({"results": [], "_links": {"next": "@evil.example/x?y"}}),
            Rejected,
            "next page",
        ),
        (
            lambda: JSONResponse({"results": [], "_links": {"next": "/rest/api/content/search?a=\r\nb"}}),
            Rejected,
            "next page",
        ),
        (
            lambda: JSONResponse(
                {"results": [], "_links": {"next": f"/rest/api/content/search?{'a' * 9000}"}}
            ),
            Rejected,
            "next page",
        ),
    ],
)
async def test_what_goes_wrong_is_told_by_what_to_do(  # noqa: PLR0917 - fixtures and cases
    fault: Callable[[], Response],
    kind: type[KnowledgeBaseError],
    told: str,
    confluence: Confluence,
    http: ClientSession,
    connection: Connection,
) -> None:
    confluence.faults.append(fault)
    with pytest.raises(kind, match=told) as raised:
        await listed(http, connection)
    assert TOKEN not in str(raised.value)


async def test_a_limit_says_for_how_long(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    confluence.faults += [lambda: rate_limited("17"), lambda: rate_limited("soon")]
    for seconds in (17, 60):
        with pytest.raises(RateLimited) as raised:
            await connector.sign_in(http, connection)
        assert raised.value.retry_after_seconds == seconds


async def test_an_answer_without_end_is_not_read(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    confluence.put(Page("104", "Long tunnel", "x" * (17 << 20)))
    with pytest.raises(TooMuch, match="16 MiB"):
        await connector.read(http, connection, by_id(["104"]))


async def test_pages_that_are_too_long_together_are_not_read(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    confluence.most_at_once = 1
    confluence.put(*(Page(each, "Long", "x" * (6 << 20)) for each in ("104", "105", "106")))
    assert len(await connector.read(http, connection, by_id(["104", "105"]))) == 2
    with pytest.raises(TooMuch, match="16 MiB"):
        await connector.read(http, connection, by_id(["104", "105", "106"]))
    # Nor by their ids alone.
    confluence.invisible = {"104", "105", "106"}
    with pytest.raises(TooMuch, match="16 MiB"):
        await connector.read(http, connection, by_id(["104", "105", "106"]))


async def test_of_pages_that_are_read_no_more_is_asked_and_nothing_else_is_taken(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    confluence.endless = True
    assert [page.id for page in await connector.read(http, connection, by_id(["101", "101"]))] == ["101"]
    assert len(confluence.queries) == 1

    confluence.faults.append(
        lambda: JSONResponse({"results": [{"id": page_id} for page_id in ("102", "103", "101", "102")]})
    )
    assert [page.id for page in await connector.read(http, connection, by_id(["102"]))] == ["102"]


async def test_answers_without_end_are_not_followed(
    confluence: Confluence, http: ClientSession, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    confluence.endless = True
    with pytest.raises(Rejected, match="without end"):
        await connector.read(http, connection, by_id(["101", "999"]))
    assert len(confluence.queries) == connector.most_at_once

    confluence.queries.clear()
    monkeypatch.setattr(confluence_connector, "_MOST_LISTINGS", 30)
    with pytest.raises(Rejected, match="without end"):
        await listed(http, connection)
    assert len(confluence.queries) == 30


async def test_more_pages_than_a_wiki_has_are_not_listed(
    confluence: Confluence, http: ClientSession, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confluence_connector, "_MOST_LISTED", 2)
    assert len(await listed(http, connection)) == 2
    confluence.put(Page("104", "One more", "<p>x</p>"))
    with pytest.raises(Rejected, match="more than 2 pages"):
        await listed(http, connection)


async def test_of_a_search_less_is_read(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    confluence.put(Page("104", "Long rope", "x" * (5 << 20)))
    with pytest.raises(TooMuch, match="4 MiB"):
        await connector.search(http, connection, ["rope"], limit=5)
    assert len(await connector.read(http, connection, by_id(["104"]))) == 1


async def test_a_listing_that_leads_in_a_circle_ends(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    again = {"results": [], "_links": {"next": "/rest/api/content/search?cursor=1"}}
    confluence.faults += [lambda: JSONResponse(again)] * 10
    with pytest.raises(Rejected, match="circle"):
        await listed(http, connection)


async def test_signing_in_says_as_whom_and_wrong_credentials_are_refused(
    http: ClientSession, connection: Connection
) -> None:
    assert await connector.sign_in(http, connection) == "signed in as Sync account"
    for wrong in ({"token": "guessed"}, {"email": "x@y.example", "token": "guessed"}):
        with pytest.raises(Rejected, match="credentials are refused"):
            await connector.sign_in(http, Connection(connection.base_url, wrong, connection.options))


async def test_an_anonymous_visitor_is_not_signed_in(
    confluence: Confluence, http: ClientSession, connection: Connection
) -> None:
    confluence.faults.append(lambda: JSONResponse({"type": "anonymous", "displayName": "Anonymous"}))
    with pytest.raises(Rejected, match="anonymous"):
        await connector.sign_in(http, connection)


@pytest.mark.parametrize(
    ("base_url", "credentials", "options", "told"),
    [
        ("ftp://wiki.example", {"token": "t"}, {"spaces": "IT"}, "base_url"),
        ("https://u:p@wiki.example", {"token": "t"}, {"spaces": "IT"}, "base_url"),
        ("https://wiki.example/?x", {"token": "t"}, {"spaces": "IT"}, "base_url"),
        ("https://wiki.example", {}, {"spaces": "IT"}, "token"),
        ("https://wiki.example", {"token": "a\r\nb"}, {"spaces": "IT"}, "token"),
        ("https://wiki.example", {"email": "a:b", "token": "t"}, {"spaces": "IT"}, "email"),
        ("https://wiki.example", {"token": "t"}, {}, "spaces"),
        ("https://wiki.example", {"token": "t"}, {"spaces": 'IT"'}, "spaces"),
    ],
)
async def test_wrong_settings_are_named_before_anything_is_sent(
    base_url: str, credentials: dict[str, str], options: dict[str, str], told: str, http: ClientSession
) -> None:
    with pytest.raises(Rejected, match=told):
        await connector.sign_in(http, Connection(base_url, credentials, options))


async def test_an_address_that_is_not_permitted_is_not_reached() -> None:
    async with knowledge_base_session(Permits.parse("").guard("acme"), 5) as http:
        at = Connection("http://127.0.0.1:1/wiki", {"token": "t"}, {"spaces": "IT"})
        with pytest.raises(AddressRefused, match="not public"):
            await connector.sign_in(http, at)


def test_installed_connectors_are_found_by_name() -> None:
    assert connector_named(load_connectors(), "confluence").name == "confluence"
    with pytest.raises(UnknownConnector, match="confluence"):
        connector_named(load_connectors(), "abacus")
