"""Messages and enums of the contracts as JSON Schemas, each once, under `#/components/schemas`."""

from collections.abc import Callable
from typing import Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.openapi.comments import Comments
from gateway.openapi.constraints import is_required, item_keywords_of, keywords_of
from gateway.transcode.body import is_map
from gateway.transcode.values import enum_of, message_of, names_of

Schema = dict[str, object]

_INTEGER: Final[Schema] = {"type": "integer", "format": "int32"}
# JSON numbers lose precision above 2^53, so proto JSON answers them as text; both are taken.
_LONG: Final[Schema] = {"type": ["string", "integer"], "format": "int64"}
_NUMBER: Final[Schema] = {"type": "number", "format": "double"}
_SCALARS: Final[dict[int, Schema]] = {
    FieldDescriptor.CPPTYPE_INT32: _INTEGER,
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0},
    FieldDescriptor.CPPTYPE_INT64: _LONG,
    FieldDescriptor.CPPTYPE_UINT64: _LONG,
    FieldDescriptor.CPPTYPE_FLOAT: _NUMBER,
    FieldDescriptor.CPPTYPE_DOUBLE: _NUMBER,
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}
_WELL_KNOWN: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$", "examples": ["1.5s"]},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.BoolValue": {"type": "boolean"},
    "google.protobuf.StringValue": {"type": "string"},
    "google.protobuf.BytesValue": {"type": "string", "contentEncoding": "base64"},
    "google.protobuf.Int32Value": _INTEGER,
    "google.protobuf.UInt32Value": _INTEGER,
    "google.protobuf.Int64Value": _LONG,
    "google.protobuf.UInt64Value": _LONG,
    "google.protobuf.FloatValue": _NUMBER,
    "google.protobuf.DoubleValue": _NUMBER,
}


class Schemas:
    """Collects what is referred to."""

    def __init__(self, comments: Comments) -> None:
        self._comments = comments
        self.components: dict[str, Schema] = {}

    def described(self, full_name: str, schema: Schema) -> Schema:
        comment = self._comments.get(full_name)
        return {**schema, "description": comment} if comment else schema

    def message(self, message: Descriptor) -> Schema:
        return self._refer(message.full_name, lambda: self._of_message(message))

    def field(self, field: FieldDescriptor) -> Schema:
        """The schema of a field, description and rules included."""
        if is_map(field):
            values = {**self._one(message_of(field).fields_by_name["value"]), **item_keywords_of(field)}
            schema = {"type": "object", "additionalProperties": values, **keywords_of(field)}
        elif field.is_repeated:
            items = {**self._one(field), **item_keywords_of(field)}
            schema = {"type": "array", "items": items, **keywords_of(field)}
        else:
            schema = {**self._one(field), **keywords_of(field)}
            if (
                field.enum_type is not None
                and len(names := names_of(field)) < len(field.enum_type.values) - 1
            ):
                schema["enum"] = list[object](names)
        return self.described(field.full_name, schema)

    def _one(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            known = _WELL_KNOWN.get(field.message_type.full_name)
            return self.message(field.message_type) if known is None else known
        if field.enum_type is not None:
            return self._refer(field.enum_type.full_name, lambda: self._of_enum(enum_of(field)))
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        return _SCALARS[field.cpp_type]

    def _refer(self, full_name: str, make: Callable[[], Schema]) -> Schema:
        name = full_name.removeprefix("dossier.")
        if name not in self.components:
            # In its place before it is made: a message may contain itself.
            self.components[name] = {}
            self.components[name] = self.described(full_name, make())
        return {"$ref": f"#/components/schemas/{name}"}

    def _of_message(self, message: Descriptor) -> Schema:
        schema: Schema = {
            "type": "object",
            "properties": {field.name: self.field(field) for field in message.fields},
        }
        if required := [field.name for field in message.fields if is_required(field)]:
            schema["required"] = required
        return schema

    def _of_enum(self, enum: EnumDescriptor) -> Schema:
        lines = [
            f"- `{value.name}`: {comment}"
            for value in enum.values
            if (comment := self._comments.get(f"{enum.full_name}.{value.name}"))
        ]
        schema: Schema = {"type": "string", "enum": [value.name for value in enum.values]}
        if lines:
            heading = self._comments.get(enum.full_name, "")
            schema["description"] = "\n\n".join(filter(None, (heading, "\n".join(lines))))
        return schema
