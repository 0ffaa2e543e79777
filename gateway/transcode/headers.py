"""Headers for what the contracts have as fields: `If-Match` is an etag, `Idempotency-Key` a request id."""

import re
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from starlette.types import Scope

from gateway.errors import FieldInvalid
from gateway.transcode.body import descriptor_of
from gateway.transcode.values import is_leaf, rules_of

IF_MATCH: Final = "If-Match"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
ETAG: Final = "etag"
REQUEST_ID: Final = "request_id"

# Weak ones, too: a proxy that packs an answer weakens its etag.
_ONE_ETAG: Final = re.compile(r'(?:W/)?"([^"]+)"|([^",\s]+)')


def fill_from_headers(request: Message, method: MethodDescriptor, scope: Scope) -> None:
    """Set the etag and the request id, where the request has them; what contradicts its body is refused.

    So is an etag that a change does not look at. A call without a request id may be repeated as it is, which
    is what the key promises.
    """
    named = descriptor_of(request).fields_by_name
    reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    if ETAG in named:
        _fill_etag(request, scope)
    elif not reads:
        refuse_if_match(scope)
    if REQUEST_ID in named:
        _fill_request_id(request, scope)


def refuse_if_match(scope: Scope) -> None:
    """To change it all the same would be what the caller wanted to be kept from."""
    if _if_match(scope) is not None:
        raise FieldInvalid(IF_MATCH, "is not looked at here, so nothing is done; leave it out")


def etag_header(response: Message) -> list[tuple[str, str]]:
    """The `ETag` of an answer that is about one thing which has one."""
    found = [etag for _, etag in _etags_of_parts(response)]
    return [("etag", f'"{found[0]}"')] if len(found) == 1 else []


def _fill_etag(request: Message, scope: Scope) -> None:
    wanted = _if_match(scope)
    if wanted is None:
        return
    known: Any = request
    in_body = [(ETAG, known.etag)] if known.etag else []
    for field, etag in (*in_body, *_etags_of_parts(request)):
        if etag != wanted:
            raise FieldInvalid(field, f"is {etag!r}, but the header {IF_MATCH} says {wanted!r}; give one")
    known.etag = wanted


def _fill_request_id(request: Message, scope: Scope) -> None:
    known: Any = request
    keys = _values(scope, IDEMPOTENCY_KEY)
    if len(keys) > 1:
        raise FieldInvalid(IDEMPOTENCY_KEY, "is given twice")
    wanted = keys[0].strip().strip('"') if keys else ""
    if keys and not wanted:
        raise FieldInvalid(IDEMPOTENCY_KEY, "must not be empty")
    if known.request_id and wanted not in {"", known.request_id}:
        raise FieldInvalid(
            REQUEST_ID, f"is {known.request_id!r}, but the header {IDEMPOTENCY_KEY} says {wanted!r}; give one"
        )
    if wanted:
        known.request_id = wanted
    elif not known.request_id and rules_of(descriptor_of(request).fields_by_name[REQUEST_ID]).string.min_len:
        # Who does not mean to repeat the call need not name it.
        known.request_id = str(uuid4())


def _if_match(scope: Scope) -> str | None:
    """The one etag; None where any will do."""
    values = [value.strip() for value in _values(scope, IF_MATCH)]
    if values in ([], ["*"]):
        return None
    found = _ONE_ETAG.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        raise FieldInvalid(IF_MATCH, 'must be one etag, such as "7", or *')
    return found[1] or found[2]


def _values(scope: Scope, name: str) -> list[str]:
    wanted = name.lower().encode()
    return [value.decode("latin-1") for key, value in scope["headers"] if key == wanted]


def _etags_of_parts(message: Message) -> Iterator[tuple[str, str]]:
    for field, value in message.ListFields():
        if field.message_type is None or field.is_repeated or is_leaf(field):
            continue
        if ETAG in field.message_type.fields_by_name and value.etag:
            yield f"{field.name}.{ETAG}", value.etag
