from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from cli.standins.servicedesk_plus import NewRequest, ServiceDesk, running
from egress.connection import Connection
from egress.permits import Permits
from ticketing.session import tool_session

REQUEST = NewRequest(
    id="10501",
    subject="Empty stickers",
    description="<p>The printer<br>feeds twice</p>",
    requester="Rob Claessen",
    requester_email="rob@acme.example",
    priority="High",
    category="Printing",
    site="Venlo",
)


@pytest.fixture(params=["onprem", "cloud"])
def desk(request: pytest.FixtureRequest) -> ServiceDesk:
    return ServiceDesk([REQUEST], edition=request.param)


@pytest.fixture
async def connection(desk: ServiceDesk) -> AsyncIterator[Connection]:
    async with running(desk) as base_url:
        options = {"edition": desk.edition, "portal": desk.portal, "timeout_seconds": "5"}
        yield Connection(base_url, {"authtoken": desk.authtoken}, options)


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    loopback = Permits.parse("127.0.0.1/32").guard("acme")
    async with tool_session(loopback, 20) as session:
        yield session
