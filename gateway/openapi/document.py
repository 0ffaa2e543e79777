"""The whole document."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.openapi.by_hand import (
    ERROR_RESPONSE,
    ERROR_SCHEMA,
    hand_written_paths,
    security_schemes,
)
from gateway.openapi.comments import Comments
from gateway.openapi.schema import Schema, Schemas
from gateway.roles import role_for
from gateway.transcode.bindings import WHOLE_BODY, Binding
from gateway.transcode.body import is_map
from gateway.transcode.headers import ETAG, IDEMPOTENCY_KEY, IF_MATCH, REQUEST_ID
from gateway.transcode.values import is_leaf, message_of

_DEEPEST_QUERY: Final = 3
_JSON: Final = "application/json"
_LINES: Final = "application/x-ndjson"


def openapi_document(
    bindings: Iterable[Binding],
    *,
    comments: Comments,
    aliases: Sequence[str],
    public_url: str,
    issuer: str | None = None,
) -> dict[str, object]:
    schemas = Schemas(comments)
    schemes = security_schemes(issuer)
    paths: dict[str, dict[str, object]] = {}
    for binding in sorted(bindings, key=lambda each: each.template.plain):
        operation = _operation(binding, schemas, comments)
        paths.setdefault(binding.template.plain, {})[binding.http_method.lower()] = operation
    for path, operations in hand_written_paths(schemas, aliases=aliases).items():
        paths.setdefault(path, {}).update(operations)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dossier",
            "version": version("dossier"),
            "description": "Cited briefs on incoming tickets. Names are as in the contracts, unknown fields "
            "are refused, 64-bit numbers are text.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url or "/"}],
        "security": [{name: []} for name in schemes],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {"Error": ERROR_SCHEMA, **dict(sorted(schemas.components.items()))},
            "responses": {"Error": ERROR_RESPONSE},
            "securitySchemes": schemes,
        },
    }


def _operation(binding: Binding, schemas: Schemas, comments: Comments) -> dict[str, object]:
    method = binding.method
    comment = comments.get(method.full_name, "")
    role = role_for(method, http_method=binding.http_method)
    operation: dict[str, object] = {
        "operationId": method.name,
        "tags": [binding.service],
        "summary": comment.partition(". ")[0].rstrip(".") if comment else _words(method.name),
        "description": f"{comment}\n\nNeeds the role `{role}`.".strip(),
        "parameters": [
            *_path_parameters(binding, schemas),
            *_query_parameters(binding, schemas),
            *_header_parameters(binding),
        ],
        "responses": {
            "200": {
                "description": comments.get(method.output_type.full_name, "Done"),
                "content": {_JSON: {"schema": schemas.message(method.output_type)}},
            },
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if binding.body:
        operation["requestBody"] = _rows(binding, schemas) if binding.is_import else _body(binding, schemas)
    return operation


def _body(binding: Binding, schemas: Schemas) -> Schema:
    return {"required": True, "content": {_JSON: {"schema": _body_schema(binding, schemas)}}}


def _rows(binding: Binding, schemas: Schemas) -> Schema:
    """OpenAPI has no word for lines before 3.2: the schema is that of one."""
    row = binding.method.input_type.fields_by_name[binding.body]
    return {
        "description": "A row a line, as the schema says; blank lines are passed over. `Content-Encoding: "
        "gzip` is understood. Rows are kept as they come: after a failure, send all of them again.",
        "required": True,
        "content": {_LINES: {"schema": schemas.message(message_of(row))}},
    }


def _body_schema(binding: Binding, schemas: Schemas) -> Schema:
    request = binding.method.input_type
    if binding.body == WHOLE_BODY:
        return schemas.message(request)
    return schemas.field(request.fields_by_name[binding.body])


def _path_parameters(binding: Binding, schemas: Schemas) -> Iterator[dict[str, object]]:
    for name in binding.template.variables:
        schema = schemas.field(binding.method.input_type.fields_by_name[name])
        yield _parameter(name, "path", schema, required=True)


def _query_parameters(binding: Binding, schemas: Schemas) -> Iterator[dict[str, object]]:
    if binding.body == WHOLE_BODY:
        return
    elsewhere = {binding.body, *binding.template.variables}
    for name, field in _query_fields(binding.method.input_type):
        if name.partition(".")[0] not in elsewhere:
            yield _parameter(name, "query", schemas.field(field), required=False)


def _header_parameters(binding: Binding) -> Iterator[dict[str, object]]:
    fields = binding.method.input_type.fields_by_name
    if ETAG in fields:
        about = (
            "The etag of what was read, in quotes, or `*` for whatever it is; the same as `etag` in the "
            "body, of the request or of what is changed. Where they say different ones it is 400; where it "
            "has changed since, 409."
        )
        yield _parameter(IF_MATCH, "header", {"type": "string", "description": about}, required=False)
    if REQUEST_ID in fields:
        about = (
            "Names the call, so that a repeated one does nothing twice: the same as `request_id` in the "
            "body, which may be left out. Where they say different ones it is 400."
        )
        schema: Schema = {"type": "string", "maxLength": 128, "description": about}
        yield _parameter(IDEMPOTENCY_KEY, "header", schema, required=False)


def _query_fields(
    message: Descriptor, prefix: str = "", depth: int = 1
) -> Iterator[tuple[str, FieldDescriptor]]:
    for field in message.fields:
        if is_leaf(field):
            yield prefix + field.name, field
        elif not field.is_repeated and not is_map(field) and depth < _DEEPEST_QUERY:
            yield from _query_fields(message_of(field), f"{prefix}{field.name}.", depth + 1)


def _parameter(name: str, place: str, schema: Schema, *, required: bool) -> dict[str, object]:
    described = dict(schema)
    description = described.pop("description", None)
    parameter: dict[str, object] = {"name": name, "in": place, "required": required, "schema": described}
    return {**parameter, "description": description} if description else parameter


def _words(name: str) -> str:
    return (
        "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip().capitalize()
    )
