"""The pieces of transcoding by themselves: templates, values, annotations."""

from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from gateway.errors import FieldInvalid, FieldUnknown
from gateway.transcode.bindings import AnnotationUnsupported, bindings
from gateway.transcode.body import fill
from gateway.transcode.query import fill_from_query
from gateway.transcode.template import PathTemplate

_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "text": _FIELD.TYPE_STRING,
    "data": _FIELD.TYPE_BYTES,
    "yes": _FIELD.TYPE_BOOL,
    "small": _FIELD.TYPE_INT32,
    "large": _FIELD.TYPE_INT64,
    "count": _FIELD.TYPE_UINT32,
    "many": _FIELD.TYPE_UINT64,
    "single": _FIELD.TYPE_FLOAT,
    "real": _FIELD.TYPE_DOUBLE,
}
_WELL_KNOWN: dict[str, Any] = {
    "moment": timestamp_pb2.Timestamp,
    "span": duration_pb2.Duration,
    "mask": field_mask_pb2.FieldMask,
    "maybe": wrappers_pb2.Int64Value,
    "perhaps": wrappers_pb2.BoolValue,
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="gateway/test/toy.proto",
        package="gateway.test",
        syntax="proto3",
        dependency=[
            "google/protobuf/timestamp.proto",
            "google/protobuf/duration.proto",
            "google/protobuf/field_mask.proto",
            "google/protobuf/wrappers.proto",
            "google/api/annotations.proto",
        ],
    )
    kind = file.enum_type.add(name="Kind")
    kind.value.add(name="KIND_UNSPECIFIED", number=0)
    kind.value.add(name="KIND_BIG", number=1)
    toy = file.message_type.add(name="Toy")
    number = 0

    def field(name: str, **more: Any) -> None:
        nonlocal number
        number += 1
        toy.field.add(name=name, number=number, **{"label": _FIELD.LABEL_OPTIONAL, **more})

    for name, scalar in _KINDS.items():
        field(name, type=scalar)
    for name, message in _WELL_KNOWN.items():
        field(name, type=_FIELD.TYPE_MESSAGE, type_name=f".{message.DESCRIPTOR.full_name}")
    field("kind", type=_FIELD.TYPE_ENUM, type_name=".gateway.test.Kind")
    field("inner_toy", type=_FIELD.TYPE_MESSAGE, type_name=".gateway.test.Toy")
    field("toys", type=_FIELD.TYPE_MESSAGE, type_name=".gateway.test.Toy", label=_FIELD.LABEL_REPEATED)
    field("numbers", type=_FIELD.TYPE_INT64, label=_FIELD.LABEL_REPEATED)
    field("kinds", type=_FIELD.TYPE_ENUM, type_name=".gateway.test.Kind", label=_FIELD.LABEL_REPEATED)
    toy.oneof_decl.add(name="choice")
    field("left", type=_FIELD.TYPE_STRING, oneof_index=0)
    field("right", type=_FIELD.TYPE_STRING, oneof_index=0)
    entry = toy.nested_type.add(name="SizesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_FIELD.TYPE_INT32, label=_FIELD.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=_FIELD.TYPE_INT64, label=_FIELD.LABEL_OPTIONAL)
    field(
        "sizes",
        type=_FIELD.TYPE_MESSAGE,
        type_name=".gateway.test.Toy.SizesEntry",
        label=_FIELD.LABEL_REPEATED,
    )
    return file


_pool = descriptor_pool.Default()
_pool.AddSerializedFile(_file().SerializeToString())
_Toy: Any = GetMessageClass(_pool.FindMessageTypeByName("gateway.test.Toy"))


def from_json(**content: object) -> Any:
    toy = _Toy()
    fill(toy, content)
    return toy


def from_query(query: str) -> Any:
    toy = _Toy()
    fill_from_query(toy, query, elsewhere=())
    return toy


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/v1/tickets", "/v1/tickets", {}),
        ("/v1/tickets", "/v1/tickets/", None),
        ("/v1/tickets/{ticket_id}", "/v1/tickets/5", {"ticket_id": "5"}),
        ("/v1/tickets/{ticket_id}", "/v1/tickets/5/6", None),
        ("/v1/tickets/{ticket_id}", "/v1/tickets/", None),
        ("/v1/tickets/{ticket_id}", "/v1/tickets/5%2F6", {"ticket_id": "5/6"}),
        ("/v1/prefixes/{prefix=**}", "/v1/prefixes/10.0.0.0/8", {"prefix": "10.0.0.0/8"}),
        ("/v1/tickets:search", "/v1/tickets:search", {}),
        ("/v1/e/{id}:cancel", "/v1/e/a:b:cancel", {"id": "a:b"}),
        ("/v1/{name=shelves/*}/x", "/v1/shelves/3/x", {"name": "shelves/3"}),
        ("/v1/a.b", "/v1/aXb", None),
    ],
)
def test_a_template_matches_what_it_says(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert PathTemplate.parse(template).match(path) == expected


def test_the_tighter_template_is_tried_first() -> None:
    loose_to_tight = ["/v1/x/{a=**}", "/v1/x/{a}/{b}", "/v1/x/{a}", "/v1/x/{a}:do", "/v1/x"]
    ordered = sorted((PathTemplate.parse(text) for text in loose_to_tight), key=lambda each: each.looseness)
    assert [each.text for each in ordered] == list(reversed(loose_to_tight))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("small", 7, 7),
        ("small", 7.0, 7),
        ("small", "-7", -7),
        ("large", "9223372036854775807", 2**63 - 1),
        ("many", 2**64 - 1, 2**64 - 1),
        ("real", 1, 1.0),
        ("real", "1.5", 1.5),
        ("real", "Infinity", float("inf")),
        ("yes", True, True),
        ("data", "_-8=", b"\xff\xef"),
        ("kind", "KIND_BIG", 1),
        ("kind", 1, 1),
        ("numbers", [1, "2"], [1, 2]),
        ("kinds", ["KIND_BIG"], [1]),
        ("sizes", {"1": "2"}, {1: 2}),
    ],
)
def test_proto_json_is_read(field: str, value: object, expected: object) -> None:
    assert getattr(from_json(**{field: value}), field) == expected


def test_messages_that_are_written_as_one_value() -> None:
    toy = from_json(moment="2026-11-23T10:30:00+01:00", span="1.5s", mask="a,b", maybe="0", perhaps=False)
    assert toy.moment.ToJsonString() == "2026-11-23T09:30:00Z"
    assert toy.span.ToMilliseconds() == 1500
    assert list(toy.mask.paths) == ["a", "b"]
    both_ways = from_json(mask="display_name,ticketing.baseUrl,ticketing.base_url")
    assert list(both_ways.mask.paths) == ["display_name", "ticketing.base_url", "ticketing.base_url"]
    assert toy.HasField("maybe")
    assert toy.HasField("perhaps")


def test_null_is_absent_and_an_empty_object_is_present() -> None:
    toy = from_json(text=None, inner_toy={}, moment=None)
    assert toy.HasField("inner_toy")
    assert not toy.HasField("moment")


def test_names_are_taken_in_both_spellings() -> None:
    assert from_json(innerToy={"text": "x"}).inner_toy.text == "x"


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"small": 2**31}, "small"),
        ({"small": 1.5}, "small"),
        ({"small": ""}, "small"),
        ({"count": -1}, "count"),
        ({"single": 1e39}, "single"),
        ({"real": "much"}, "real"),
        ({"real": True}, "real"),
        ({"yes": "true"}, "yes"),
        ({"text": 5}, "text"),
        ({"data": "???"}, "data"),
        ({"kind": "KIND_HUGE"}, "kind"),
        ({"kind": 9}, "kind"),
        ({"kind": True}, "kind"),
        ({"moment": "yesterday"}, "moment"),
        ({"moment": 5}, "moment"),
        ({"span": "long"}, "span"),
        ({"maybe": {}}, "maybe"),
        ({"toys": [{}, {"inner_toy": {"small": "x"}}]}, "toys[1].inner_toy.small"),
        ({"toys": [None]}, "toys[0]"),
        ({"numbers": [1, None]}, "numbers[1]"),
        ({"sizes": {"one": 1}}, "sizes.one"),
        ({"sizes": {"1": "x"}}, "sizes.1"),
        ({"sizes": []}, "sizes"),
        ({"left": "x", "right": "y"}, "right"),
        ({"inner_toy": {}, "innerToy": {}}, "innerToy"),
        ({"inner_toy": 5}, "inner_toy"),
    ],
)
def test_what_does_not_fit_is_named(content: dict[str, object], path: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        from_json(**content)
    assert refused.value.violations[0].field == path


def test_a_query_reaches_nested_and_repeated_fields() -> None:
    toy = from_query(
        "inner_toy.text=a%20b&inner_toy.inner_toy.small=3&numbers=1&numbers=2&kind=KIND_BIG&kinds=1&yes=true"
        "&moment=2026-11-23T09:30:00Z&perhaps=false&large=-5"
    )
    assert toy.inner_toy.text == "a b"
    assert toy.inner_toy.inner_toy.small == 3
    assert list(toy.numbers) == [1, 2]
    assert (toy.kind, list(toy.kinds), toy.yes, toy.large) == (1, [1], True, -5)
    assert toy.moment.ToJsonString() == "2026-11-23T09:30:00Z"
    assert toy.HasField("perhaps")


@pytest.mark.parametrize(
    "query", ["toys.text=x", "inner_toy=x", "sizes=1", "text.x=1", "inner_toy.nothing=1", "toys=1"]
)
def test_a_query_does_not_reach_what_one_value_cannot_say(query: str) -> None:
    with pytest.raises(FieldUnknown) as refused:
        from_query(query)
    assert refused.value.violations[0].field == query.partition("=")[0]


def _service(number: int, **rule: str) -> ServiceDescriptor:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"gateway/test/service{number}.proto",
        package=f"gateway.test{number}",
        syntax="proto3",
        dependency=["gateway/test/toy.proto", "google/api/annotations.proto"],
    )
    streams = rule.pop("streams", "")
    method = file.service.add(name="ToyService").method.add(
        name="Play",
        input_type=".gateway.test.Toy",
        output_type=".gateway.test.Toy",
        client_streaming=streams == "in",
        server_streaming=streams == "out",
    )
    http: Any = method.options
    for name, value in rule.items():
        setattr(http.Extensions[annotations_pb2.http], name, value)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(f"gateway.test{number}.ToyService")


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        (1, {"get": "/v1/toys", "streams": "out"}),
        (2, {"get": "/v1/toys/{nothing}"}),
        (3, {"post": "/v1/toys", "body": "nothing"}),
        (4, {"get": "/v1/toys", "response_body": "text"}),
        (5, {"body": "*"}),
        # The rows of a stream have to be a field, and its answer has to tell those that were rejected.
        (6, {"post": "/v1/toys:import", "body": "*", "streams": "in"}),
        (7, {"post": "/v1/toys:import", "body": "toys", "streams": "in"}),
    ],
)
def test_an_annotation_that_cannot_be_kept_stops_the_start(number: int, rule: dict[str, str]) -> None:
    with pytest.raises(AnnotationUnsupported):
        bindings({"toys": _service(number, **rule)})
