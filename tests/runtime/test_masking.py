"""What of a log's line is masked, and what has to be read at three in the morning."""

import json
import random
import time
from collections.abc import Callable

import pytest

from services.runtime.json_text import json_text
from services.runtime.masking import masked, masked_line

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
        ("AUTHORIZATION: BEARER hunter2hunter2", "hunter2"),
        ("{'Authorization': 'Basic ZG9zc2llcjpodW50ZXIy'}", "ZG9z"),
        ("?token=Bearer hunter2hunter2", "hunter2"),
        ("https://ghp_0123456789abcdefghijklmn@github.example/a.git", "ghp_"),
        ("client_secret: hunter2-hunter2", "hunter2"),
        ('{"refresh_token": "hunter2-hunter2"}', "hunter2"),
        ("see -eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "c2ln"),
        ("auth.eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "c2ln"),
        ("CLIENT_SECRET='hunter2, and \"more'", "more"),
        ("client_secret=a", "=a"),
        ("('Authorization', 'token ghp_0123456789')", "ghp_"),
        ("Authorization: Basic ZG9zc2llcjpodW50ZXIy", "ZG9z"),
        (PEM, "MHcCAQEE"),
        (PEM[:40], "MHc"),
        (f"?key={PEM}", "MHcCAQEE"),
        (f"client_secret={PEM}", "MHcCAQEE"),
    ],
)
def test_secrets_are_masked_and_a_line_of_json_stays_one(said: str, secret: str) -> None:
    line = json.dumps({"event": "failed", "problem": said, "level": "error"})

    assert secret not in masked_line(said)
    kept = json.loads(masked_line(line))
    assert (kept["event"], kept["level"]) == ("failed", "error")
    assert secret not in masked_line(line)


@pytest.mark.parametrize(
    "said",
    [
        '{"event":"call_finished","code":"OK","secret_id":"0198","token":7}',
        "https://desk.example/api/v3/requests?portal=it&start=100",
        "the bearer of bad news",
        "postgresql://dossier@db/dossier",
        "Basic authentication is refused by acme@desk.example",
        "Authorization: Basic authentication is off",
        "postgresql://dossier_orchestrator@db/dossier",
        "https://a-host-with-a-long-name-7.example.internal?mail=me@desk.example",
        "invalid access_token: signature mismatch",
        "refresh_token: invalid_grant (revoked)",
        "www.eyjafjalla.example",
    ],
)
def test_the_rest_is_as_it_was(said: str) -> None:
    assert masked_line(said) == said


@pytest.mark.parametrize("field", ["client_secret", "accessToken", "Authorization", "Proxy-Authorization"])
@pytest.mark.parametrize("secret", ["of, more words", ["Basic abc"], {"value": "abc"}])
def test_a_field_that_is_named_like_a_secret_is_masked_whole(field: str, secret: object) -> None:
    line = json.dumps({"event": "refused", "answer": {field: secret}, "count": 2**70})
    assert json.loads(masked_line(line)) == {"event": "refused", "answer": {field: "***"}, "count": 2**70}


def test_names_of_fields_are_masked_as_texts_are() -> None:
    line = json.dumps({"targets": {"redis://:hunter2@cache": "down"}})
    assert json.loads(masked_line(line)) == {"targets": {"redis://:***@cache": "down"}}


def test_a_line_that_is_too_deep_to_be_read_is_masked_as_text() -> None:
    line = f'{{"deep": {"[" * 100_000}"postgresql://dossier:hunter2@db"'
    assert "hunter2" not in masked_line(line)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("client_secret=hunter2", "client_secret=***"),
        ("password: hunter2 bearer geheim", "password: ***"),
        ("Password: basic\nPrinter is broken", "Password: ***\nPrinter is broken"),
    ],
)
def test_what_a_person_wrote_is_masked_too(said: str, kept: str) -> None:
    assert masked(said) == kept


def test_whatever_is_in_a_line_of_json_it_stays_one() -> None:
    rng = random.Random(7)  # noqa: S311 - the same each time
    parts = [*'"\\{}[]:,=&?@ \n', "://", "-----BEGIN PRIVATE KEY-----", "bearer ", "eyJ", "_token", "a" * 30]
    for _ in range(2_000):
        name, text = ("".join(rng.choices([*parts, "\ud800"], k=count)) for count in (3, 12))
        told = {"event": text, name: 1, "kept": [1.5, None]}
        line = json_text(told)
        assert json.loads(masked_line(line))["kept"] == [1.5, None], line


PARTS = (
    *("eyJ-", "eyJ.", "eyJaaaaaaaa.", "-eyJ", "a.", "://", "://a:", "?key=", "bearer ", "-----BEGIN "),
    *("a_token=", "client_secret", "client_secret='\\", "authorization ", "password "),
)


@pytest.mark.parametrize("mask", [masked_line, masked])
@pytest.mark.parametrize("part", PARTS)
def test_time_grows_with_the_length_of_a_line_only(mask: Callable[[str], str], part: str) -> None:
    def seconds(times: int) -> float:
        start = time.process_time()
        mask(f"= {part * times}")
        return time.process_time() - start

    # Eight times as much takes eight times as long; if each part were read from each, 64 times.
    assert seconds(40_000) < 32 * max(seconds(5_000), 0.001)
