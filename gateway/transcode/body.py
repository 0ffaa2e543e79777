"""A JSON body into a message: every problem is named by its field, a broken text by line and column.

`google.protobuf.json_format` reads the same JSON, but says what is wrong only in prose of its own.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.errors import FieldInvalid, FieldUnknown, JsonMalformed
from gateway.transcode.values import ValueProblem, is_leaf, leaf, leaf_from_text, message_of

Given = TypeVar("Given")


def parse_json(body: bytes) -> object:
    """An absent body is an empty object."""
    if not body.strip():
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise JsonMalformed(f"not JSON: {error.msg}", line=error.lineno, column=error.colno) from None


def fill(message: Message, content: object, *, path: str = "") -> None:
    """Set the message's fields from JSON, under their names in the contract or in camelCase."""
    if not isinstance(content, dict):
        raise FieldInvalid(path or "body", "must be an object")
    chosen: dict[str, str] = {}
    for name, value in content.items():
        here = f"{path}.{name}" if path else name
        field = field_named(descriptor_of(message), name)
        if field is None:
            raise FieldUnknown(here, descriptor_of(message).fields_by_name)
        if value is None:
            continue
        slot = field.containing_oneof.name if field.containing_oneof else field.name
        if slot in chosen:
            raise FieldInvalid(here, f"cannot be given together with {chosen[slot]}")
        chosen[slot] = name
        _set(message, field, value, path=here)


def field_named(message: Descriptor, name: str) -> FieldDescriptor | None:
    return message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)


def descriptor_of(message: Message) -> Descriptor:
    descriptor: Any = message.DESCRIPTOR
    return cast("Descriptor", descriptor)


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _set(message: Message, field: FieldDescriptor, value: object, *, path: str) -> None:
    if is_map(field):
        _set_map(message, field, value, path=path)
    elif field.is_repeated:
        _set_list(message, field, value, path=path)
    elif is_leaf(field):
        assign(message, field, _leaf(field, value, path=path))
    else:
        inner: Message = getattr(message, field.name)
        # Present even when it is empty.
        inner.SetInParent()
        fill(inner, value, path=path)


def _set_list(message: Message, field: FieldDescriptor, value: object, *, path: str) -> None:
    if not isinstance(value, list):
        raise FieldInvalid(path, "must be a list")
    items: Any = getattr(message, field.name)
    for number, item in enumerate(value):
        here = f"{path}[{number}]"
        if is_leaf(field):
            items.append(_leaf(field, item, path=here))
        else:
            fill(items.add(), item, path=here)


def _set_map(message: Message, field: FieldDescriptor, value: object, *, path: str) -> None:
    if not isinstance(value, dict):
        raise FieldInvalid(path, "must be an object")
    entries: Any = getattr(message, field.name)
    key_field, value_field = (message_of(field).fields_by_name[name] for name in ("key", "value"))
    for key, item in value.items():
        here = f"{path}.{key}"
        kept_key: Any = _fitting(leaf_from_text, key_field, key, path=here)
        if is_leaf(value_field):
            entries[kept_key] = _leaf(value_field, item, path=here)
        else:
            fill(entries[kept_key], item, path=here)


def assign(message: Message, field: FieldDescriptor, value: object) -> None:
    if isinstance(value, Message):
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def _leaf(field: FieldDescriptor, value: object, *, path: str) -> object:
    return _fitting(leaf, field, value, path=path)


def _fitting(
    read: Callable[[FieldDescriptor, Given], object], field: FieldDescriptor, value: Given, *, path: str
) -> object:
    try:
        return read(field, value)
    except ValueProblem as problem:
        raise FieldInvalid(path, str(problem)) from None
