import hmac
import json
from hashlib import sha256

import pytest

from ticketing.model import WebhookRequest, WebhookSecret
from ticketing.servicedesk_plus import ServiceDeskPlus

CURRENT = WebhookSecret("s2", b"current-secret")
PREVIOUS = WebhookSecret("s1", b"previous-secret")
BODY = json.dumps({"event": "ticket_created", "ticket_id": "1"}).encode()
TOOL = ServiceDeskPlus()


def signed(body: bytes, key: bytes, *, prefix: str = "sha256=") -> tuple[str, str]:
    return ("X-ServiceDesk-Signature", prefix + hmac.new(key, body, sha256).hexdigest())


def verify(*headers: tuple[str, str], body: bytes = BODY) -> str | None:
    return TOOL.verify(WebhookRequest.received(headers, body), [CURRENT, PREVIOUS])


def test_the_published_hmac_vector_is_accepted() -> None:
    # RFC 4231, test case 2.
    digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    request = WebhookRequest.received(
        [("X-ServiceDesk-Signature", f"sha256={digest}")], b"what do ya want for nothing?"
    )
    assert TOOL.verify(request, [WebhookSecret("rfc", b"Jefe")]) == "rfc"


@pytest.mark.parametrize("secret", [CURRENT, PREVIOUS])
def test_a_signature_by_either_live_secret_names_it(secret: WebhookSecret) -> None:
    assert verify(signed(BODY, secret.value)) == secret.id


@pytest.mark.parametrize("secret", [CURRENT, PREVIOUS])
def test_the_secret_itself_in_its_header_names_it(secret: WebhookSecret) -> None:
    assert verify(("X-Dossier-Secret", secret.value.decode())) == secret.id


def test_an_upper_case_signature_is_accepted() -> None:
    name, value = signed(BODY, CURRENT.value)
    assert verify((name, "sha256=" + value.removeprefix("sha256=").upper())) == "s2"


@pytest.mark.parametrize("position", range(0, len(BODY), 5))
def test_any_changed_byte_is_refused(position: int) -> None:
    changed = bytearray(BODY)
    changed[position] ^= 1
    assert verify(signed(BODY, CURRENT.value), body=bytes(changed)) is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-ServiceDesk-Signature", "")],
        [("X-ServiceDesk-Signature", "sha256=")],
        [("X-ServiceDesk-Signature", "sha256=\u00e9")],
        [signed(BODY, CURRENT.value, prefix="")],
        [signed(BODY, CURRENT.value, prefix="sha1=")],
        [signed(BODY, b"another")],
        [signed(BODY, CURRENT.value), signed(BODY, CURRENT.value)],
        [signed(BODY, b"another"), ("X-Dossier-Secret", "current-secret")],
        [("X-Dossier-Secret", "")],
        [("X-Dossier-Secret", "current-secret ")],
        [("X-Dossier-Secret", "\u00e9\u4e2d")],
        [("X-Dossier-Secret", "current-secret"), ("X-Dossier-Secret", "current-secret")],
    ],
)
def test_anything_else_is_refused(headers: list[tuple[str, str]]) -> None:
    assert verify(*headers) is None


def test_an_empty_secret_opens_nothing_and_does_not_stop_the_next() -> None:
    empty = WebhookSecret("s0", b"")
    for header in (signed(BODY, b""), ("X-Dossier-Secret", "")):
        assert TOOL.verify(WebhookRequest.received([header], BODY), [empty, CURRENT]) is None
    request = WebhookRequest.received([signed(BODY, CURRENT.value)], BODY)
    assert TOOL.verify(request, [empty, CURRENT]) == "s2"


def test_without_live_secrets_nothing_is_accepted() -> None:
    assert TOOL.verify(WebhookRequest.received([signed(BODY, b"")], BODY), []) is None


def test_every_secret_is_compared_even_after_a_match(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def counting(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    assert verify(signed(BODY, CURRENT.value)) == "s2"
    assert len(compared) == 2


def test_no_secret_is_ever_printed() -> None:
    assert "current-secret" not in repr(CURRENT)
