"""The wire format of OpenAI's embeddings: https://platform.openai.com/docs/api-reference/embeddings/create."""

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Final, Literal

import numpy as np
import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from embedding.minilm.encoder import DIMENSIONS, MODEL, Matrix
from embedding.minilm.turns import Encode, Turns

_TEXTS_MOST: Final = 2_048
_CHARACTERS_MOST: Final = 1_000_000
_BODY_MOST: Final = 16 * 1024 * 1024


class _Asked(BaseModel):
    model_config = ConfigDict(strict=True)

    model: Literal["all-MiniLM-L6-v2"]
    input: (
        Annotated[str, StringConstraints(min_length=1, max_length=_CHARACTERS_MOST)]
        | Annotated[
            list[Annotated[str, StringConstraints(min_length=1, max_length=_CHARACTERS_MOST)]],
            Field(min_length=1, max_length=_TEXTS_MOST),
        ]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Literal[384] | None = None

    @property
    def texts(self) -> Sequence[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class _Server:
    def __init__(self, encode: Encode, *, api_key: str | None) -> None:
        self._turns = Turns(encode)
        self._api_key = api_key
        self._registry = CollectorRegistry()
        self._texts = Counter("dossier_embedder_texts", "Texts encoded.", registry=self._registry)
        self._seconds = Histogram(
            "dossier_embedder_request_seconds", "From question to answer.", registry=self._registry
        )
        waiting = Gauge("dossier_embedder_waiting", "Texts that wait.", registry=self._registry)
        waiting.set_function(lambda: self._turns.waiting)

    async def embeddings(self, request: Request) -> Response:
        if not self._may(request):
            return _refused(401, "invalid_api_key", "the API key is missing or wrong")
        body = await _body(request)
        if body is None:
            return _refused(413, "too_large", f"a request has at most {_BODY_MOST} bytes")
        try:
            asked = _Asked.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            return _refused(400, "invalid_request", f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        with self._seconds.time():
            answer = await self._turns.encoded(asked.texts)
        self._texts.inc(len(asked.texts))
        data = [
            {"object": "embedding", "index": number, "embedding": _written(vector, asked.encoding_format)}
            for number, vector in enumerate(answer.vectors)
        ]
        usage = {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens}
        return _json({"object": "list", "model": MODEL, "data": data, "usage": usage})

    async def models(self, _request: Request) -> Response:
        model = {
            "id": MODEL,
            "object": "model",
            "created": 0,
            "owned_by": "dossier",
            "dimensions": DIMENSIONS,
        }
        return _json({"object": "list", "data": [model]})

    async def ready(self, _request: Request) -> Response:
        return _json({"ready": True})

    async def metrics(self, _request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    @asynccontextmanager
    async def serving(self, _app: Starlette) -> AsyncIterator[None]:
        serving = asyncio.create_task(self._turns.serve())
        yield
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving

    def _may(self, request: Request) -> bool:
        if self._api_key is None:
            return True
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self._api_key.encode())


def application(encode: Encode, *, api_key: str | None) -> Starlette:
    server = _Server(encode, api_key=api_key)
    return Starlette(
        routes=[
            Route("/v1/embeddings", server.embeddings, methods=["POST"]),
            Route("/v1/models", server.models),
            Route("/readyz", server.ready),
            Route("/metrics", server.metrics),
        ],
        lifespan=server.serving,
    )


async def _body(request: Request) -> bytes | None:
    """None where it is too large, which is told before it has all come."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_MOST:
            return None
    return bytes(body)


def _written(vector: Matrix, encoding: Literal["float", "base64"]) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = np.round(vector.astype(float), 6).tolist()
    return numbers


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _refused(status: int, code: str, message: str) -> Response:
    error = {"message": message, "type": "invalid_request_error", "code": code, "param": None}
    return Response(orjson.dumps({"error": error}), status, media_type="application/json")
