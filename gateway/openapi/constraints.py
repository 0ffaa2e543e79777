"""Rules of `buf.validate` as keywords of JSON Schema, where there is one that means the same."""

from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from buf.validate.validate_pb2 import (
    IGNORE_UNSPECIFIED,
    FieldRules,
    MapRules,
    RepeatedRules,
    StringRules,
)
from gateway.transcode.values import rules_of

Keywords = dict[str, object]

_NUMERIC: Final = frozenset(
    {
        "float", "double", "int32", "int64", "uint32", "uint64", "sint32", "sint64",
        "fixed32", "fixed64", "sfixed32", "sfixed64",
    }
)  # fmt: skip
_BOUNDS: Final = {"gte": "minimum", "lte": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
_LENGTHS: Final = {"min_len": "minLength", "max_len": "maxLength", "pattern": "pattern"}
_FORMATS: Final = {
    "email": "email",
    "hostname": "hostname",
    "uri": "uri",
    "uuid": "uuid",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
}


def is_required(field: FieldDescriptor) -> bool:
    return rules_of(field).required


def keywords_of(field: FieldDescriptor) -> Keywords:
    """Keywords for the field as a whole: for a list, the list."""
    return _keywords(rules_of(field))


def item_keywords_of(field: FieldDescriptor) -> Keywords:
    """Keywords for each item of a list or each value of a map."""
    rules = rules_of(field)
    match rules.WhichOneof("type"):
        case "repeated":
            return _keywords(rules.repeated.items)
        case "map":
            return _keywords(rules.map.values)
        case _:
            return {}


def _keywords(rules: FieldRules) -> Keywords:
    # A rule that the empty value escapes would need two schemas; the service says it when it is broken.
    if rules.ignore != IGNORE_UNSPECIFIED:
        return {}
    match rules.WhichOneof("type"):
        case "string":
            return _of_string(rules.string)
        case "repeated":
            return _set_of(rules.repeated, {"min_items": "minItems", "max_items": "maxItems"})
        case "map":
            return _set_of(rules.map, {"min_pairs": "minProperties", "max_pairs": "maxProperties"})
        case str(kind) if kind in _NUMERIC:
            return _of_number(getattr(rules, kind))
        case _:
            return {}


def _of_string(rules: StringRules) -> Keywords:
    found = _set_of(rules, _LENGTHS)
    known = rules.WhichOneof("well_known")
    if known in _FORMATS:
        found["format"] = _FORMATS[known]
    if getattr(rules, "in"):
        found["enum"] = list(getattr(rules, "in"))
    if rules.not_in:
        found["not"] = {"enum": list(rules.not_in)}
    if rules.example:
        found["examples"] = list(rules.example)
    return found


def _of_number(rules: Message) -> Keywords:
    return _set_of(rules, _BOUNDS)


def _set_of(rules: Message | RepeatedRules | MapRules, names: dict[str, str]) -> Keywords:
    return {keyword: getattr(rules, rule) for rule, keyword in names.items() if rules.HasField(rule)}
