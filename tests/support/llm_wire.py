"""The OpenAI wire format, as far as a server must speak it for the real SDK."""

import base64
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from starlette.responses import JSONResponse

Json = dict[str, Any]

# A fixed moment: nothing here depends on when a test runs.
_CREATED: Final = 1_767_225_600


class RefusedError(Exception):
    """The request is wrong in a way the real service refuses."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param

    def response(self) -> JSONResponse:
        return error(self.status, self.message, code=self.code, param=self.param)


def error(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(status)
    kind = kind or ("server_error" if status >= 500 else "invalid_request_error")
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(body, status, headers)


def usage(prompt_tokens: int, completion_tokens: int) -> Json:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def completion(
    id_: str, model: str, *, content: str | None, refusal: str | None, finish_reason: str, used: Json
) -> Json:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return {
        "id": id_,
        "object": "chat.completion",
        "created": _CREATED,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}],
        "usage": used,
    }


def chunks(id_: str, model: str, *, content: str, finish_reason: str, used: Json | None) -> Iterator[bytes]:
    """Yield the events of a streamed completion; `used` goes in a last one without choices."""

    def event(choices: list[Json], used: Json | None = None) -> bytes:
        chunk = {
            "id": id_,
            "object": "chat.completion.chunk",
            "created": _CREATED,
            "model": model,
            "choices": choices,
            "usage": used,
        }
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    def choice(delta: Json, finish_reason: str | None = None) -> list[Json]:
        return [{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}]

    yield event(choice({"role": "assistant", "content": ""}))
    for start in range(0, len(content), 8):
        yield event(choice({"content": content[start : start + 8]}))
    yield event(choice({}, finish_reason))
    if used is not None:
        yield event([], used)
    yield b"data: [DONE]\n\n"


def embedding(text: str, dimensions: int, *, encoding: str) -> list[float] | str:
    """Return a unit vector that only depends on the text."""
    seed = hashlib.shake_256(text.encode()).digest(dimensions)
    raw = [byte / 127.5 - 1 for byte in seed]
    length = sum(value * value for value in raw) ** 0.5 or 1.0
    vector = [value / length for value in raw]
    if encoding == "base64":
        return base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
    return vector


def check_response_format(body: Json) -> None:
    """Refuse what the real service refuses: strict schemas are closed and require all their properties."""
    match body.get("response_format"):
        case None | {"type": "text" | "json_object"}:
            return
        case {"type": "json_schema", "json_schema": {"name": str(name), "schema": dict(schema), **more}}:
            if more.get("strict"):
                _check_strict(name, schema, at="()")
        case _:
            raise RefusedError(400, "Invalid response_format", param="response_format")


def _check_strict(name: str, schema: Json, *, at: str) -> None:
    problem = None
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            problem = "'additionalProperties' is required to be supplied and to be false"
        elif set(schema.get("required", ())) != set(properties):
            problem = "'required' is required to be supplied and to hold every key in properties"
    if problem:
        message = f"Invalid schema for response_format '{name}': In context={at}, {problem}."
        raise RefusedError(400, message, param="response_format")
    for key in ("properties", "$defs"):
        for inner_name, inner in schema.get(key, {}).items():
            _check_strict(name, inner, at=f"({inner_name!r})")
    if isinstance(schema.get("items"), dict):
        _check_strict(name, schema["items"], at="('items')")
    for inner in schema.get("anyOf", ()):
        _check_strict(name, inner, at=at)
