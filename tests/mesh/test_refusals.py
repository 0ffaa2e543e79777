"""What the front door turns away: told clearly, unless it would help a stranger, and nothing is written."""

import asyncio
import hmac
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256

import httpx
import pytest

from tests.support.mesh import Mesh

TICKET = json.dumps({"event": "ticket_created", "ticket_id": "77001", "subject": "VPN drops"}).encode()


def signed(mesh: Mesh, body: bytes, *, secret: str | None = None) -> Mapping[str, str]:
    key = (secret or mesh.client.webhook_secret).encode()
    return {"X-ServiceDesk-Signature": f"sha256={hmac.new(key, body, sha256).hexdigest()}"}


def send(mesh: Mesh, body: bytes, headers: Mapping[str, str], *, tenant: str | None = None) -> httpx.Response:
    url = f"{mesh.gateway_url}/webhooks/{tenant or mesh.tenant}/servicedesk_plus"
    return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=30)


def without_request_id(answer: httpx.Response) -> dict[str, object]:
    told: dict[str, object] = answer.json()
    return told | {"request_id": ""}


@pytest.fixture(autouse=True)
def nothing_is_written(mesh: Mesh) -> Iterator[None]:
    """Hold each test here to it: no table has a row more or less afterwards."""
    before = asyncio.run(mesh.row_counts())
    yield
    assert asyncio.run(mesh.row_counts()) == before


def test_a_wrong_signature_and_an_unknown_tenant_get_the_same_401(mesh: Mesh) -> None:
    wrong = send(mesh, TICKET, signed(mesh, TICKET, secret="a guess"))
    unknown = send(mesh, TICKET, signed(mesh, TICKET), tenant="nobody")
    unsigned = send(mesh, TICKET, {})

    assert [each.status_code for each in (wrong, unknown, unsigned)] == [401, 401, 401]
    assert without_request_id(wrong) == without_request_id(unknown) == without_request_id(unsigned)
    assert wrong.headers.keys() == unknown.headers.keys()


def test_a_body_over_the_limit_is_413(mesh: Mesh) -> None:
    body = b'{"ticket_id": "1", "description": "' + b"x" * (2 << 20) + b'"}'

    answer = send(mesh, body, signed(mesh, body))

    assert answer.status_code == 413
    assert answer.json()["message"]


def test_malformed_json_is_400_with_its_position(mesh: Mesh) -> None:
    body = b'{"ticket_id": "1",\n "subject": oops}'

    answer = send(mesh, body, signed(mesh, body))

    assert answer.status_code == 400
    said = json.dumps(answer.json())
    assert "line 2" in said or '"position": 31' in said or "31" in said, said


def test_an_unknown_field_in_a_rest_body_is_400_with_its_name(mesh: Mesh) -> None:
    with mesh.http() as http:
        answer = http.post("/v1/enhancements", json={"ticket": {"id": "1"}, "urgency": "very"})

    assert answer.status_code == 400
    assert "urgency" in json.dumps(answer.json())


def test_malformed_json_in_a_rest_body_is_400_with_its_position(mesh: Mesh) -> None:
    with mesh.http() as http:
        answer = http.post(
            "/v1/enhancements", content=b'{"ticket": {', headers={"content-type": "application/json"}
        )

    assert answer.status_code == 400
    assert any(word in answer.text for word in ("line 1", "position", "column")), answer.text
