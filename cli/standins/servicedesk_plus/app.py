"""The tool as one application: the API where its edition has it, the pages and the controls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route

from cli.standins.loopback import listening
from cli.standins.servicedesk_plus.api import Api
from cli.standins.servicedesk_plus.controls import Controls
from cli.standins.servicedesk_plus.desk import ServiceDesk
from cli.standins.servicedesk_plus.pages import Pages


def application(desk: ServiceDesk) -> Starlette:
    pages = Pages(desk)
    portal = "" if desk.edition == "onprem" else f"/app/{desk.portal}"
    page = "/WorkOrder.do" if desk.edition == "onprem" else portal + "/ui/requests/{id}/details"
    return Starlette(
        routes=[
            Route(
                portal + "/api/v3/{rest:path}",
                Api(desk).answer,
                methods=["GET", "POST", "PUT", "DELETE", "PATCH"],
            ),
            Route(page, pages.request, methods=["GET"]),
            Route("/", pages.index, methods=["GET"]),
            *Controls(desk, pages).routes(),
        ]
    )


@asynccontextmanager
async def running(desk: ServiceDesk, *, port: int = 0) -> AsyncIterator[str]:
    """Serve in this process; yields the base URL."""
    async with listening(application(desk), port=port) as base_url:
        yield base_url
