"""A request over REST, and the one that an RPC's message is."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from gateway.transcode.bindings import WHOLE_BODY, Binding


@dataclass(frozen=True, slots=True)
class Sent:
    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def transcoded(binding: Binding, message: Message) -> Sent:
    fields: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    path = re.sub(r"\{([a-z_]+)[^}]*\}", lambda found: quote(fields.pop(found[1])), binding.template.text)
    if binding.body == WHOLE_BODY:
        content: object = fields
        fields = {}
    else:
        content = fields.pop(binding.body, None) if binding.body else None
    query = f"?{urlencode(fields, doseq=True)}" if fields else ""
    return Sent(binding.http_method, path + query, b"" if content is None else json.dumps(content).encode())


def imported(binding: Binding, messages: Sequence[Message]) -> Sent:
    """A client's stream as one body, of a row a line."""
    streamed: list[dict[str, Any]] = [
        MessageToDict(message, preserving_proto_field_name=True) for message in messages
    ]
    rows = [json.dumps(row) for fields in streamed for row in fields.pop(binding.body, ())]
    query = f"?{urlencode(streamed[0])}" if streamed[0] else ""
    return Sent(binding.http_method, binding.template.text + query, "\n".join(rows).encode())
