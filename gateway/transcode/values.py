"""One value of proto JSON, or of a query parameter, as its field takes it."""

import math
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from buf.validate.validate_pb2 import FieldRules
from buf.validate.validate_pb2 import field as field_extension

Scalar = bool | int | float | str | bytes

_WHOLE: Final = re.compile(r"-?\d{1,20}")
_UNDERSCORED: Final = re.compile(r"(?<=[a-z0-9])_([a-z])")
_RANGES: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_FLOAT_MOST: Final = 3.4028234663852886e38
_WRAPPERS: Final = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
_AS_TEXT: Final = {
    "google.protobuf.Timestamp": "a time such as 2026-11-23T09:30:00Z",
    "google.protobuf.Duration": "a duration such as 1.5s",
    "google.protobuf.FieldMask": "field names, separated by commas",
}


class ValueProblem(Exception):
    """Why a value does not fit its field, in words that follow the field's name."""


def message_of(field: FieldDescriptor) -> Descriptor:
    """The type of a field that holds messages."""
    if field.message_type is None:
        raise TypeError(f"{field.full_name} holds no message")
    return field.message_type


def enum_of(field: FieldDescriptor) -> EnumDescriptor:
    if field.enum_type is None:
        raise TypeError(f"{field.full_name} holds no enum")
    return field.enum_type


def rules_of(field: FieldDescriptor) -> FieldRules:
    options: Any = field.GetOptions()
    rules: FieldRules = options.Extensions[field_extension]
    return rules


def names_of(field: FieldDescriptor) -> list[str]:
    """The values of its enum that a caller may give it; the one that says nothing is none."""
    rules = rules_of(field)
    of_one = rules.repeated.items.enum if field.is_repeated else rules.enum
    allowed = set(getattr(of_one, "in"))
    return [
        each.name for each in enum_of(field).values if each.number and (not allowed or each.number in allowed)
    ]


def is_leaf(field: FieldDescriptor) -> bool:
    """Whether one value fills the field: a scalar, or a message that is written as one."""
    if field.message_type is None:
        return True
    return field.message_type.full_name in _AS_TEXT or field.message_type.full_name in _WRAPPERS


def leaf(field: FieldDescriptor, value: object) -> Scalar | Message:
    """Take a value from JSON; raises `ValueProblem`."""
    if field.message_type is not None:
        return _message(field, value)
    return _READERS[field.cpp_type](field, value)


def leaf_from_text(field: FieldDescriptor, text: str) -> Scalar | Message:
    """Take a value from a query or a path, where everything is text."""
    kind = field
    while kind.message_type is not None and kind.message_type.full_name in _WRAPPERS:
        kind = kind.message_type.fields_by_name["value"]
    value: object = text
    if kind.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        value = {"true": True, "false": False}.get(text, text)
    elif kind.cpp_type == FieldDescriptor.CPPTYPE_ENUM and _WHOLE.fullmatch(text):
        value = int(text)
    return leaf(field, value)


def _message(field: FieldDescriptor, value: object) -> Message:
    kind = message_of(field)
    name = kind.full_name
    message = GetMessageClass(kind)()
    # What it has beyond a message depends on a name that is known at run time only.
    known: Any = message
    if name in _WRAPPERS:
        known.value = leaf(kind.fields_by_name["value"], value)
        return message
    if not isinstance(value, str):
        raise ValueProblem(f"must be {_AS_TEXT[name]}")
    if name == "google.protobuf.FieldMask":
        # As elsewhere: the names of the contract, or in camelCase, which is all that the library takes.
        value = _UNDERSCORED.sub(lambda found: found[1].upper(), value)
    try:
        known.FromJsonString(value)
    except (ValueError, TypeError):
        raise ValueProblem(f"must be {_AS_TEXT[name]}") from None
    return message


def _whole(field: FieldDescriptor, value: object) -> int:
    least, most = _RANGES[field.cpp_type]
    match value:
        case bool():
            raise ValueProblem("must be a whole number")
        case int():
            number = value
        case float() if value.is_integer():
            number = int(value)
        case str() if _WHOLE.fullmatch(value):
            number = int(value)
        case _:
            raise ValueProblem("must be a whole number")
    if not least <= number <= most:
        raise ValueProblem(f"must be a whole number from {least} to {most}")
    return number


def _real(field: FieldDescriptor, value: object) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueProblem("must be a number")
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueProblem("must be a number") from None
    if (
        field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT
        and math.isfinite(number)
        and abs(number) > _FLOAT_MOST
    ):
        raise ValueProblem("is too large")
    return number


def _truth(_field: FieldDescriptor, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueProblem("must be true or false")
    return value


def _text_or_bytes(field: FieldDescriptor, value: object) -> str | bytes:
    if not isinstance(value, str):
        raise ValueProblem("must be a string")
    if field.type != FieldDescriptor.TYPE_BYTES:
        return value
    try:
        standard = value.replace("-", "+").replace("_", "/").rstrip("=")
        return b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except NotBase64:
        raise ValueProblem("must be base64") from None


def _enum(field: FieldDescriptor, value: object) -> int:
    enum, names = enum_of(field), names_of(field)
    if isinstance(value, str) and value in enum.values_by_name:
        value = enum.values_by_name[value].number
    # The zero is what is not given; whether something must be, the service says.
    taken = {0, *(enum.values_by_name[name].number for name in names)}
    if isinstance(value, int) and not isinstance(value, bool) and value in taken:
        return value
    raise ValueProblem(f"must be one of {', '.join(names)}")


_READERS: Final[dict[int, Callable[[FieldDescriptor, object], Scalar]]] = {
    **dict.fromkeys(_RANGES, _whole),
    FieldDescriptor.CPPTYPE_DOUBLE: _real,
    FieldDescriptor.CPPTYPE_FLOAT: _real,
    FieldDescriptor.CPPTYPE_BOOL: _truth,
    FieldDescriptor.CPPTYPE_STRING: _text_or_bytes,
    FieldDescriptor.CPPTYPE_ENUM: _enum,
}
