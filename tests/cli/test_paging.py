"""Lists read to their end."""

from cli.paging import pages
from dossier.tenants.v1.tenant_pb2 import Tenant
from dossier.tenants.v1.tenant_service_pb2 import ListTenantsRequest, ListTenantsResponse

LISTED = {"": (["a", "b"], "after b"), "after b": (["c"], "after c"), "after c": ([], "")}


async def test_every_page_is_asked_for_once_and_in_turn() -> None:
    asked = []

    async def ask(request: ListTenantsRequest) -> ListTenantsResponse:
        asked.append((request.page_token, request.page_size))
        names, following = LISTED[request.page_token]
        return ListTenantsResponse(tenants=[Tenant(id=name) for name in names], next_page_token=following)

    found = [each.id async for page in pages(ask, ListTenantsRequest(page_size=2)) for each in page.tenants]

    assert found == ["a", "b", "c"]
    assert asked == [("", 2), ("after b", 2), ("after c", 2)]
