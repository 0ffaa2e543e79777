"""A web site for tests, on loopback: static pages as nginx serves them, and sitemaps."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cli.standins.loopback import listening


@dataclass(frozen=True, slots=True)
class File:
    body: bytes
    kind: str = "text/html; charset=utf-8"
    modified: datetime | None = None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Website:
    files: dict[str, File] = field(default_factory=dict)
    """By path and query, below the root."""
    authorization: str | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Methods and paths, in order."""
    shown: list[str | None] = field(default_factory=list)
    """The Authorization of each request."""
    faults: deque[Callable[[], Response]] = field(default_factory=deque)

    async def answer(self, http: Request) -> Response:
        path = http.path_params["path"] + (f"?{http.url.query}" if http.url.query else "")
        self.asked.append((http.method, path))
        self.shown.append(http.headers.get("authorization"))
        if self.faults:
            return self.faults.popleft()()
        if self.authorization is not None and http.headers.get("authorization") != self.authorization:
            return Response("sign in", status_code=401)
        file = self.files.get(path)
        if file is None:
            return Response("not found", status_code=404)
        headers = dict(file.headers)
        if file.modified is not None:
            headers["Last-Modified"] = format_datetime(file.modified, usegmt=True)
        return Response(
            file.body, status_code=file.status, media_type=None, headers=headers | {"Content-Type": file.kind}
        )

    def read(self) -> list[str]:
        """The paths of pages whose bodies were asked for, since this was last called."""
        paths = [path for method, path in self.asked if method == "GET" and not path.endswith(".xml")]
        self.asked.clear()
        return paths


def sitemap(*entries: tuple[str, str]) -> File:
    """Of locations and when each last changed; '' where that is not told."""
    told = "".join(
        f"<url><loc>{loc}</loc>{f'<lastmod>{when}</lastmod>' if when else ''}</url>" for loc, when in entries
    )
    body = f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{told}</urlset>'
    return File(body.encode(), kind="application/xml")


def sitemap_index(*locations: str) -> File:
    told = "".join(f"<sitemap><loc>{each}</loc></sitemap>" for each in locations)
    body = f'<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{told}</sitemapindex>'
    return File(body.encode(), kind="application/xml")


@asynccontextmanager
async def running_website(site: Website) -> AsyncIterator[str]:
    """Yield the base URL."""
    routes = [Route("/handbook/{path:path}", site.answer, methods=["GET"])]
    async with listening(Starlette(routes=routes)) as address:
        yield f"{address}/handbook"
