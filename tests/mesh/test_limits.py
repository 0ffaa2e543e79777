"""The gateway's limits, on the instance's own Redis."""

from uuid import uuid4

import redis

from tests.support.mesh import Mesh


def test_the_gateway_counts_in_the_instances_redis(mesh: Mesh) -> None:
    # A key of its own: of others the gateway may have what it was handed before Redis was killed by a test.
    with mesh.http() as http:
        made = http.post(
            f"/v1/tenants/{mesh.tenant}/apiKeys", json={"role": "ROLE_VIEWER", "request_id": str(uuid4())}
        ).json()
        answer = http.get("/v1/enhancements", headers={"x-api-key": made["api_key"]})
    assert answer.status_code == 200

    with redis.Redis.from_url(mesh.record.redis_url, decode_responses=True) as client:
        counted = set(client.scan_iter(f"dossier:gateway:{mesh.tenant}:limit:*"))
    assert any(made["key"]["id"] in name for name in counted), counted
