"""The connector of sites against one on loopback, over real HTTP."""

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final

import pytest
from aiohttp import ClientSession
from starlette.responses import Response

from egress.connection import Connection
from egress.permits import Permits
from knowledgebases.checks import Check, Verdict, check_connection
from knowledgebases.contract import Connector as Contract
from knowledgebases.errors import AddressRefused, RateLimited, Rejected, TooMuch, Unavailable
from knowledgebases.model import Listed
from knowledgebases.session import knowledge_base_session
from knowledgebases.web import Web
from knowledgebases.web.fetching import LARGEST_PAGE_BYTES
from tests.support.leaks import CANARY
from tests.support.website import File, Website, running_website, sitemap, sitemap_index

CHANGED: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET: Final = f"{CANARY}-site-password"
VPN: Final = File(b"<title>VPN &amp; remote access</title><h1>Cure</h1><p>Renew it.</p>", modified=CHANGED)

connector: Contract = Web()


@pytest.fixture
def site() -> Website:
    return Website({"vpn.html": VPN, "printers/jam.html": File(b"<h1>Jam</h1><p>Rollers.</p>")})


@pytest.fixture
async def base_url(site: Website) -> AsyncIterator[str]:
    async with running_website(site) as address:
        yield address


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with knowledge_base_session(Permits.parse("127.0.0.1/32").guard("acme"), 5) as session:
        yield session


def at(base_url: str, *, credentials: dict[str, str] | None = None, **options: str) -> Connection:
    return Connection(base_url, credentials or {}, options)


def by_id(page_ids: Sequence[str]) -> Sequence[Listed]:
    return [Listed(page_id, None) for page_id in page_ids]


async def listed(http: ClientSession, there: Connection) -> list[Listed]:
    return [each async for some in connector.list_pages(http, there, since=None) for each in some]


async def ids(http: ClientSession, there: Connection) -> Sequence[str]:
    return [each.id for each in await listed(http, there)]


async def test_named_pages_are_listed_with_their_last_change_and_read(
    http: ClientSession, site: Website, base_url: str
) -> None:
    there = at(base_url, pages="vpn.html, printers/jam.html")

    assert await listed(http, there) == [
        Listed("vpn.html", CHANGED, url=f"{base_url}/vpn.html"),
        Listed("printers%2Fjam.html", None, url=f"{base_url}/printers/jam.html"),
    ]
    assert site.read() == []

    vpn, jam = await connector.read(http, there, by_id(["vpn.html", "printers%2Fjam.html"]))

    assert (vpn.title, vpn.url, vpn.updated) == ("VPN & remote access", f"{base_url}/vpn.html", CHANGED)
    assert "Renew it." in vpn.html
    assert (jam.title, jam.updated) == ("/handbook/printers/jam.html", None)


async def test_sitemaps_name_pages_and_further_sitemaps(
    http: ClientSession, site: Website, base_url: str
) -> None:
    site.files |= {
        "sitemap.xml": sitemap_index(f"{base_url}/it.xml", f"{base_url}/sitemap.xml"),
        "it.xml": sitemap(
            (f"{base_url}/vpn.html", "2026-04-02T08:00:00+02:00"),
            (f"{base_url}/printers/jam.html", "2026-04-02"),
            (f"{base_url}/gone.html", ""),
        ),
    }
    there = at(base_url, sitemaps="sitemap.xml")

    # A day alone is too coarse to go by; what is gone is not there.
    assert await listed(http, there) == [
        Listed("vpn.html", datetime(2026, 4, 2, 6, tzinfo=UTC), url=f"{base_url}/vpn.html"),
        Listed("printers%2Fjam.html", None, url=f"{base_url}/printers/jam.html"),
    ]
    (vpn,) = await connector.read(http, there, by_id(["vpn.html"]))
    assert vpn.updated == datetime(2026, 4, 2, 6, tzinfo=UTC)


async def test_sitemaps_are_read_once_and_not_for_each_of_the_pages_that_they_list(
    http: ClientSession, site: Website, base_url: str
) -> None:
    names = [f"page-{number}.html" for number in range(45)]
    site.files |= {name: File(b"<title>Page</title><p>x") for name in names}
    site.files["sitemap.xml"] = sitemap(*((f"{base_url}/{name}", "2026-04-02T08:00:00Z") for name in names))
    there = at(base_url, sitemaps="sitemap.xml")

    pages = await listed(http, there)
    read = [
        page
        for start in range(0, len(pages), connector.most_at_once)
        for page in await connector.read(http, there, pages[start : start + connector.most_at_once])
    ]

    assert [page.id for page in read] == names
    assert {page.updated for page in read} == {datetime(2026, 4, 2, 8, tzinfo=UTC)}
    assert [path for _, path in site.asked].count("sitemap.xml") == 1


async def test_what_lies_elsewhere_is_not_asked_and_gets_no_credentials(
    http: ClientSession, site: Website, base_url: str
) -> None:
    elsewhere = Website({"handbook.html": VPN})
    async with running_website(elsewhere) as other:
        site.files["sitemap.xml"] = sitemap(
            (f"{other}/handbook.html", ""),
            (f"{base_url}/../secret.html", ""),
            (f"{base_url.replace('http://', 'http://u:p@')}/vpn.html", ""),
            ("http://169.254.169.254/latest/meta-data/", ""),
            (f"{base_url}/vpn.html", ""),
            (f"{base_url}/away.html", ""),
        )
        site.files["away.html"] = File(b"", status=302, headers=(("Location", f"{other}/handbook.html"),))
        site.authorization = f"Basic {b64encode(f'reader:{SECRET}'.encode()).decode()}"
        there = at(base_url, credentials={"user": "reader", "password": SECRET}, sitemaps="sitemap.xml")

        assert await ids(http, there) == ["vpn.html", "away.html"]
        read = await connector.read(http, there, by_id(["vpn.html", "away.html", "..%2Fsecret.html"]))

    assert [page.id for page in read] == ["vpn.html"]
    assert elsewhere.asked == []
    assert {path for _, path in site.asked} == {"sitemap.xml", "vpn.html", "away.html"}


async def test_a_page_that_is_no_longer_named_is_not_there(http: ClientSession, base_url: str) -> None:
    assert await connector.read(http, at(base_url, pages="vpn.html"), by_id(["printers%2Fjam.html"])) == []


async def test_the_root_a_query_and_another_charset_are_read(
    http: ClientSession, site: Website, base_url: str
) -> None:
    site.files |= {
        "": File("<title>Büro</title>".encode("latin-1"), kind="text/html; charset=ISO-8859-1"),
        "faq.php?id=7&lang=de": File(
            '<meta charset="windows-1252"><title>Größe</title>'.encode("cp1252"), kind="text/html"
        ),
        "odd.html": File("<title>größer</title>".encode(), kind="text/html; charset=klingon"),
        "manual.pdf": File(b"%PDF-1.7", kind="application/pdf"),
    }
    there = at(base_url, pages="./,faq.php?id=7&lang=de,odd.html,manual.pdf")
    named = await ids(http, there)

    read = await connector.read(http, there, by_id(named))

    assert [page.title for page in read] == ["Büro", "Größe", "größer"]
    assert [page.id for page in read] == [".", "faq.php%3Fid%3D7%26lang%3Dde", "odd.html"]


async def test_an_address_that_is_too_long_for_an_id_is_left_out(http: ClientSession, base_url: str) -> None:
    assert await ids(http, at(base_url, pages=f"{'x' * 200}.html,vpn.html")) == ["vpn.html"]


@pytest.mark.parametrize(
    ("fault", "raised", "told"),
    [
        (Response(status_code=401), Rejected, "does not let us"),
        (Response(status_code=403), Rejected, "does not let us"),
        (Response(status_code=429, headers={"Retry-After": "9"}), RateLimited, "rate limited"),
        (Response(status_code=503), Unavailable, "HTTP 503"),
        (Response(b"x" * (LARGEST_PAGE_BYTES + 1)), TooMuch, "larger than 2 MiB"),
    ],
    ids=["401", "403", "429", "503", "huge"],
)
async def test_what_is_wrong_with_a_site_ends_the_reading(  # noqa: PLR0917 - fixtures and cases
    fault: Response, raised: type[Exception], told: str, http: ClientSession, site: Website, base_url: str
) -> None:
    site.faults.append(lambda: fault)
    with pytest.raises(raised, match=told):
        await connector.read(http, at(base_url, pages="vpn.html"), by_id(["vpn.html"]))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"<html><p>Welcome", "it is no sitemap"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><urlset>&b;</urlset>', "it is no sitemap"),
        (b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><urlset>&f;</urlset>', "it is no sitemap"),
    ],
    ids=["page", "entities", "file"],
)
async def test_what_is_no_sitemap_is_refused(
    body: bytes, told: str, http: ClientSession, site: Website, base_url: str
) -> None:
    site.files["sitemap.xml"] = File(body, kind="application/xml")
    with pytest.raises(Rejected, match=told):
        await connector.sign_in(http, at(base_url, sitemaps="sitemap.xml"))


async def test_sitemaps_without_end_are_not_followed(
    http: ClientSession, site: Website, base_url: str
) -> None:
    for number in range(60):
        site.files[f"{number}.xml"] = sitemap_index(f"{base_url}/{number + 1}.xml")
    with pytest.raises(TooMuch, match="more than 50 sitemaps"):
        await connector.sign_in(http, at(base_url, sitemaps="0.xml"))


@pytest.mark.parametrize(
    ("base_url", "credentials", "options", "told"),
    [
        ("ftp://site.example", {}, {"pages": "a.html"}, "base_url"),
        ("https://u:p@site.example", {}, {"pages": "a.html"}, "base_url"),
        ("https://[", {}, {"pages": "a.html"}, "base_url"),
        ("https://site.example", {}, {}, "nothing is chosen"),
        ("https://site.example/it", {}, {"pages": "../hr/pay.html"}, "not below base_url"),
        ("https://site.example/it", {}, {"pages": "https://other.example/it/a.html"}, "not below base_url"),
        ("https://site.example/it", {}, {"sitemaps": "//other.example/it/s.xml"}, "not below base_url"),
        ("https://site.example/it", {}, {"pages": "/italy/a.html"}, "not below base_url"),
        ("https://site.example", {"token": "a\r\nb"}, {"pages": "a.html"}, "token"),
        ("https://site.example", {"user": "a:b", "password": "p"}, {"pages": "a.html"}, "user"),
    ],
)
async def test_wrong_settings_are_named_before_anything_is_sent(
    base_url: str, credentials: dict[str, str], options: dict[str, str], told: str, http: ClientSession
) -> None:
    with pytest.raises(Rejected, match=told):
        await connector.sign_in(http, Connection(base_url, credentials, options))


async def test_an_address_that_is_not_permitted_is_not_reached(base_url: str) -> None:
    async with knowledge_base_session(Permits.parse("").guard("acme"), 5) as http:
        with pytest.raises(AddressRefused, match="not public"):
            await connector.read(http, at(base_url, pages="vpn.html"), by_id(["vpn.html"]))


async def test_a_test_of_the_connection_does_without_a_search(http: ClientSession, base_url: str) -> None:
    found = await check_connection(
        http, connector, at(base_url, pages="vpn.html"), seconds=20, seconds_each=8
    )

    assert [(each.check, each.verdict) for each in found] == [
        (Check.REACHABLE, Verdict.OK),
        (Check.AUTHENTICATED, Verdict.OK),
        (Check.READ_PAGES, Verdict.OK),
        (Check.SEARCH, Verdict.SKIPPED),
    ]
    assert found[2].seen == "read 'VPN & remote access'"


async def test_it_is_not_searched(http: ClientSession, base_url: str) -> None:
    assert not connector.can_search
    with pytest.raises(Rejected, match="cannot be searched"):
        await connector.search(http, at(base_url, pages="vpn.html"), ["vpn"], limit=1)


async def test_one_page_that_cannot_be_read_stops_no_other(
    http: ClientSession, site: Website, base_url: str
) -> None:
    for status in (403, 500):
        site.files["broken.html"] = File(b"<h1>Broken</h1>", status=status)
        there = at(base_url, pages="broken.html,vpn.html")
        assert [
            page.id for page in await connector.read(http, there, by_id(["broken.html", "vpn.html"]))
        ] == ["vpn.html"]
        with pytest.raises((Rejected, Unavailable)):
            await connector.read(http, there, by_id(["broken.html"]))


@pytest.mark.parametrize("charset", ["punycode", "idna", "undefined", "no-such"])
async def test_what_is_no_alphabet_of_pages_is_read_as_utf_8(
    http: ClientSession, site: Website, base_url: str, charset: str
) -> None:
    site.files["odd.html"] = File("<h1>Größe</h1>".encode(), kind=f"text/html; charset={charset}")
    (page,) = await connector.read(http, at(base_url, pages="odd.html"), by_id(["odd.html"]))
    assert page.html == "<h1>Größe</h1>"


@pytest.mark.parametrize("page", ["..%2Fhr/pay.html", "%2e%2e/pay.html", "..%5Cpay.html"])
async def test_what_some_servers_take_for_a_way_out_is_refused(
    http: ClientSession, site: Website, base_url: str, page: str
) -> None:
    with pytest.raises(Rejected, match="not below base_url"):
        await connector.sign_in(http, at(base_url, pages=page))
    assert site.read() == []


async def test_a_title_is_found_behind_what_looks_like_many(
    http: ClientSession, site: Website, base_url: str
) -> None:
    """With a pattern that looks on from each of them, this took minutes."""
    site.files["odd.html"] = File(b"<title" * 300_000 + b"><title>VPN</title>")
    (page,) = await connector.read(http, at(base_url, pages="odd.html"), by_id(["odd.html"]))
    assert page.title == "VPN"
