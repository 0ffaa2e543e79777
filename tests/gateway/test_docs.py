"""The document and its page as served: all that is described is there, and nobody else is needed."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway import docs
from tests.gateway.world import World, key

ADDRESS = re.compile(r"""(?:https?:)?//[^\s"'<>)]+""")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def world(module_world: World) -> World:
    module_world.forget()
    return module_world


def _operations(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


async def test_every_described_route_is_served(world: World) -> None:
    document = (await world.http.get("/openapi.json")).json()
    for path, method, operation in _operations(document):
        alias = "servicedesk" if "{alias}" in path else "x"
        answer = await world.http.request(method, re.sub(r"\{[^}]+\}", alias, path))
        public = operation.get("security") == []
        reason = answer.json().get("reason")
        assert reason not in {"ROUTE_NOT_FOUND", "METHOD_NOT_ALLOWED"}, path
        assert public or answer.status_code == 401, path


async def test_the_page_and_all_it_loads_come_from_here(world: World) -> None:
    page = await world.http.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert ADDRESS.findall(page.text) == []
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for address in loaded:
        answer = await world.http.get(str(httpx.URL(f"{world.gateway.url}/docs").join(address)))
        assert answer.status_code == 200, address
        assert answer.headers["x-content-type-options"] == "nosniff"
    style = (await world.http.get("/docs/swagger-ui.css")).text
    assert re.findall(r"""url\((?!["']?data:)[^)]+""", style) == []
    assert "validatorUrl: null" in (await world.http.get("/docs/page.js")).text


@pytest.mark.parametrize("path", ["/docs/swagger-editor.js", "/docs/..%2F__init__.py", "/docs/x/y"])
async def test_only_the_files_the_page_needs_are_served(world: World, path: str) -> None:
    assert (await world.http.get(path)).status_code == 404


async def test_the_document_is_for_everybody_and_the_answers_are_not(world: World) -> None:
    assert (await world.http.get(docs.PAGE_PATH)).status_code == 200
    assert (await world.http.get("/v1/tickets")).status_code == 401
    assert (await world.http.get("/v1/tickets", headers=key())).status_code == 200
