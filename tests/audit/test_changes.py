"""What an event tells of a change: enough to see what it was, short, and no secret."""

from dataclasses import dataclass
from ipaddress import ip_address

import orjson
import pytest

from audit.changes import MOST_CHARACTERS, FieldChange, changed, differences


@dataclass(frozen=True)
class Thing:
    name: str
    texts: tuple[str, ...] = ()
    count: int = 0
    address: object = None


def told(text: str) -> str:
    ((change),) = changed({}, {"text": text})
    said: str = orjson.loads(change.after)
    return said


def test_only_what_differs_is_told() -> None:
    before = Thing("one", texts=("a",), count=3)
    after = Thing("two", texts=("a",), address=ip_address("10.0.0.1"))

    assert differences(before, after) == (
        FieldChange("name", '"one"', '"two"'),
        FieldChange("count", "3", ""),
        FieldChange("address", "", '"10.0.0.1"'),
    )


def test_what_is_deleted_was_and_what_is_new_is() -> None:
    thing = Thing("one", texts=("a", "b"))

    assert differences(thing, None, without={"name"}) == (FieldChange("texts", '["a","b"]', ""),)
    assert differences(None, thing, without={"name"}) == (FieldChange("texts", "", '["a","b"]'),)
    assert differences(thing, thing) == ()


def test_long_texts_are_cut() -> None:
    assert told("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS
    assert told("x" * (MOST_CHARACTERS + 1)) == "x" * MOST_CHARACTERS + "…"


def test_long_lists_are_cut_to_what_the_contract_takes() -> None:
    (change,) = changed({}, {"list": tuple("\x01" * 150 for _ in range(100))})

    assert len(orjson.loads(change.after)) == 2
    assert orjson.loads(change.after)[-1] == "…"
    (many,) = changed({}, {"list": ("",) * 5000})
    assert max(len(change.after), len(many.after)) <= 4096


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("Password: hunter2-x", "hunter2-x"),
        ("the password is hunter2-x, thanks", "hunter2-x"),
        ("Kennwort=hunter2-x", "hunter2-x"),
        ('{"api_key": "hunter2-x"}', "hunter2-x"),
        ("authorization: Bearer hunter2-x.long", "hunter2-x"),
        ("see https://jo:hunter2-x@example.com/", "hunter2-x"),
        ("use dsk_hunter2-xxxxxxxxxxxxxxxxxxxxxxxx", "hunter2-x"),
        ("eyJhbGciOiJFZERTQSJ9.eyJodW50ZXIi.hunter2-x", "hunter2-x"),
        ("-----BEGIN PRIVATE KEY-----\nhunter2-x\n-----END PRIVATE KEY-----", "hunter2-x"),
        ("x" * (MOST_CHARACTERS - 15) + " password: hunter2-x", "hunter"),
    ],
)
def test_secrets_are_masked(text: str, without: str) -> None:
    said = told(text)

    assert without not in said
    assert "***" in said


@pytest.mark.parametrize("text", ["The password was wrong", "secretary", "a token ring", "pass it on"])
def test_what_only_speaks_of_secrets_stays(text: str) -> None:
    assert told(text) == text


def test_what_postgresql_cannot_keep_is_replaced() -> None:
    assert told("a\0b") == "a\ufffdb"
    assert told("a\ud800b") == "a?b"
