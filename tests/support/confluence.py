"""A Confluence for tests, Cloud or Data Center, on loopback: what its REST API answers.

Written from Atlassian's documentation and recorded replies alone, so that it and the connector can only be
wrong separately. A query that it does not know it refuses, as Confluence refuses what is no CQL.
"""

import asyncio
import re
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from cli.standins.loopback import listening
from tests.support.leaks import CANARY

Edition = Literal["cloud", "datacenter"]

EMAIL: Final = "sync@acme.example"
TOKEN: Final = f"{CANARY}-confluence-token"
_STRING: Final = r'"((?:[^"\\]|\\.)*)"'
_CLAUSES: Final = re.compile(
    rf"type = page and space in \(({_STRING}(?:, {_STRING})*)\)"
    r'(?: and lastmodified >= now\("-(?P<ago>\d+)m"\))?'
    r"(?: and id in \((?P<ids>[0-9]+(?:, [0-9]+)*)\))?"
    rf"(?: and \((?P<words>text ~ {_STRING}(?: or text ~ {_STRING})*)\))?"
    r"(?P<ordered> order by lastmodified asc)?"
)
_MOST: Final = {True: 50, False: 200}
"""By whether bodies are expanded."""


@dataclass(frozen=True, slots=True)
class Page:
    id: str
    title: str
    body: str
    space: str = "IT"
    labels: tuple[str, ...] = ()
    status: str = "current"
    when: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(days=3))


@dataclass(slots=True)
class Confluence:
    pages: dict[str, Page] = field(default_factory=dict)
    edition: Edition = "cloud"
    faults: deque[Callable[[], Response] | float] = field(default_factory=deque)
    """Each meets one request: an answer in place of the right one, or the seconds before it."""
    queries: list[str] = field(default_factory=list)
    bodies_read: list[str] = field(default_factory=list)
    """The ids of pages whose bodies were handed out, in order."""
    invisible: set[str] = field(default_factory=set)
    """Pages that the index misses, while they are there by their id."""
    gone_status: int = 404
    """What tells, by its id, that a page is not there or not for this account."""
    endless: bool = False
    """Whether each answer of a search says that there is more, always elsewhere."""
    most_at_once: int = 200
    delay_bodies: float = 0.0
    """Seconds before bodies are handed out."""

    def put(self, *pages: Page) -> None:
        self.pages.update({page.id: page for page in pages})

    def change(self, page_id: str, **told: object) -> None:
        self.pages[page_id] = replace(
            self.pages[page_id],
            when=datetime.now(UTC),
            **told,  # type: ignore[arg-type]
        )

    @property
    def prefix(self) -> str:
        return "/wiki" if self.edition == "cloud" else ""

    @property
    def credentials(self) -> dict[str, str]:
        return {"email": EMAIL, "token": TOKEN} if self.edition == "cloud" else {"token": TOKEN}

    @property
    def _authorization(self) -> str:
        basic = b64encode(f"{EMAIL}:{TOKEN}".encode()).decode()
        return f"Basic {basic}" if self.edition == "cloud" else f"Bearer {TOKEN}"

    async def answer(self, http: Request) -> Response:
        if self.faults:
            fault = self.faults.popleft()
            if callable(fault):
                return fault()
            await asyncio.sleep(fault)
        if http.headers.get("authorization") != self._authorization:
            return JSONResponse({"statusCode": 401, "message": "Unauthorized"}, status_code=401)
        match http.path_params["rest"]:
            case "user/current":
                return JSONResponse({"type": "known", "displayName": "Sync account", "accountId": "5b10"})
            case "content/search":
                if "body.view" in http.query_params.get("expand", ""):
                    await asyncio.sleep(self.delay_bodies)
                return self._search(http)
            case content if re.fullmatch(r"content/[0-9]+", content):
                return self._content(http, content.removeprefix("content/"))
            case _:
                return JSONResponse({"statusCode": 404, "message": "No such resource"}, status_code=404)

    def _content(self, http: Request, page_id: str) -> Response:
        """A current one, as when no other status is asked for; of the index nothing is needed."""
        page = self.pages.get(page_id)
        if page is None or page.status != "current":
            message = f"No content found with id : ContentId{{id={page_id}}}"
            return JSONResponse(
                {"statusCode": self.gone_status, "message": message}, status_code=self.gone_status
            )
        expanded = set(http.query_params.get("expand", "").split(","))
        if "body.view" in expanded:
            self.bodies_read.append(page.id)
        told = self._json(page, expanded)
        told["_links"] = {"webui": _webui(page), "base": self._base(http), "context": self.prefix}
        return JSONResponse(told)

    def _base(self, http: Request) -> str:
        return str(http.base_url).rstrip("/") + self.prefix

    def _search(self, http: Request) -> Response:
        query = http.query_params["cql"]
        self.queries.append(query)
        found = self._found(query)
        if found is None:
            message = f"Could not parse cql : {query}"
            return JSONResponse({"statusCode": 400, "message": message}, status_code=400)
        expanded = set(http.query_params.get("expand", "").split(","))
        with_body = "body.view" in expanded
        limit = min(int(http.query_params.get("limit", "25")), _MOST[with_body], self.most_at_once)
        start = self._start(http)
        shown = found[start : start + limit]
        if with_body:
            self.bodies_read += [page.id for page in shown]
        base = self._base(http)
        links = {"base": base, "context": self.prefix, "self": f"{base}/rest/api/content/search"}
        if self.endless or start + limit < len(found):
            place = (
                {"next": "true", "cursor": f"_sa_{start + limit}"}
                if self.edition == "cloud"
                else {"start": str(start + limit)}
            )
            same = {
                name: value for name, value in http.query_params.items() if name in {"cql", "expand", "limit"}
            }
            links["next"] = f"/rest/api/content/search?{urlencode(same | place)}"
        results = [self._json(page, expanded) for page in shown]
        return JSONResponse({"results": results, "limit": limit, "size": len(results), "_links": links})

    def _start(self, http: Request) -> int:
        if self.edition == "cloud":
            return int(http.query_params.get("cursor", "_sa_0").removeprefix("_sa_"))
        return int(http.query_params.get("start", "0"))

    def _found(self, query: str) -> Sequence[Page] | None:
        clauses = _CLAUSES.fullmatch(query)
        if clauses is None:
            return None
        spaces = set(re.findall(_STRING, clauses[1]))
        found = [page for page in self.pages.values() if page.space in spaces and page.status == "current"]
        if clauses["ids"]:
            ids = set(clauses["ids"].split(", "))
            found = [page for page in found if page.id in ids]
        found = [page for page in found if page.id not in self.invisible]
        if clauses["ago"]:
            since = datetime.now(UTC) - timedelta(minutes=int(clauses["ago"]))
            found = [page for page in found if page.when >= since]
        if clauses["words"]:
            words = [word.lower() for word in re.findall(_STRING, clauses["words"])]
            hits = {
                page.id: sum(word in f"{page.title} {page.body}".lower() for word in words) for page in found
            }
            found = sorted((page for page in found if hits[page.id]), key=lambda page: -hits[page.id])
        if clauses["ordered"]:
            found = sorted(found, key=lambda page: page.when)
        return found

    def _json(self, page: Page, expanded: Collection[str]) -> dict[str, object]:
        told: dict[str, object] = {
            "id": page.id,
            "type": "page",
            "status": page.status,
            "title": page.title,
            "_links": {"webui": _webui(page)},
        }
        if "body.view" in expanded:
            told["body"] = {"view": {"value": page.body, "representation": "view"}}
        if "space" in expanded:
            told["space"] = {"key": page.space, "type": "global"}
        if "metadata.labels" in expanded:
            told["metadata"] = {
                "labels": {"results": [{"prefix": "global", "name": each} for each in page.labels]}
            }
        if "version" in expanded:
            told["version"] = {"number": 1, "when": page.when.isoformat(timespec="milliseconds")}
        return told


def _webui(page: Page) -> str:
    return f"/spaces/{page.space}/pages/{page.id}"


def rate_limited(after: str = "7") -> Response:
    return JSONResponse({"message": "Rate limit exceeded"}, status_code=429, headers={"Retry-After": after})


def failing() -> Response:
    return HTMLResponse("<h1>Oops</h1>", status_code=503)


def login_page() -> Response:
    return HTMLResponse("<html><body>Log in</body></html>")


def moved() -> Response:
    return RedirectResponse("http://169.254.169.254/latest/meta-data/", status_code=302)


@asynccontextmanager
async def running_confluence(confluence: Confluence) -> AsyncIterator[str]:
    """Yield the base URL."""
    app = Starlette(routes=[Route(confluence.prefix + "/rest/api/{rest:path}", confluence.answer)])
    async with listening(app) as address:
        yield address + confluence.prefix
