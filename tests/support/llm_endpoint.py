"""A stand-in for an OpenAI-compatible endpoint, over real HTTP, that says what a test tells it to.

    endpoint = LlmEndpoint()
    endpoint.reply(Answer({"causes": []}, prompt_tokens=900, completion_tokens=12))
    async with running(endpoint) as base_url:
        client = AsyncOpenAI(base_url=base_url, api_key=endpoint.api_key, max_retries=0)

A reply nobody asked for and a question without a reply fail the test when `running` ends.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from cli.standins.loopback import LostReply, cut, listening
from tests.support import llm_wire as wire
from tests.support.llm_replies import Answer, Asked, Exchange, Failure, Lost, Malformed, Reply, Slow
from tests.support.llm_wire import Json, RefusedError

__all__ = [
    "Answer",
    "Asked",
    "Exchange",
    "Failure",
    "LlmEndpoint",
    "Lost",
    "Malformed",
    "Reply",
    "Slow",
    "running",
]


class LlmEndpoint:
    def __init__(
        self,
        *,
        api_key: str = "sk-standin",
        models: Sequence[str] = ("standin-chat",),
        embedding_models: Sequence[str] = ("standin-embed",),
        dimensions: int = 16,
        streams_usage: bool = True,
    ) -> None:
        self.api_key: Final = api_key
        self.models: Final = tuple(models)
        self.embedding_models: Final = tuple(embedding_models)
        self.dimensions: Final = dimensions
        self.streams_usage: Final = streams_usage
        """Compatible servers often ignore `stream_options.include_usage`; False is one of those."""
        self.journal: list[Exchange] = []
        self.unmatched: list[Asked] = []
        self._replies: deque[Reply] = deque()
        self._embedding_failures: deque[Failure] = deque()
        self._script: Callable[[Asked], Reply | None] | None = None

    def reply(self, *replies: Reply) -> None:
        """Give these to the next chat requests, in order."""
        self._replies.extend(replies)

    def reply_by(self, script: Callable[[Asked], Reply | None]) -> None:
        """Ask this when no queued reply is left; None means that the request was not expected."""
        self._script = script

    def fail_embeddings(self, *failures: Failure) -> None:
        self._embedding_failures.extend(failures)

    def count(self, path: str = "/chat/completions") -> int:
        return sum(1 for exchange in self.journal if exchange.path == path)

    def verify(self) -> None:
        """Fail if a reply was not asked for or a request had none."""
        unused = [*self._replies, *self._embedding_failures]
        assert not unused, f"replies nobody asked for: {unused}"
        assert not self.unmatched, (
            f"requests without a reply: {[asked.text[:200] for asked in self.unmatched]}"
        )

    def next_reply(self, asked: Asked) -> Reply:
        if self._replies:
            return self._replies.popleft()
        reply = self._script(asked) if self._script else None
        if reply is None:
            self.unmatched.append(asked)
            # A status that no client tries again.
            return Failure(400, "the test has no reply to this request", code="unscripted_request")
        return reply

    def next_embedding_failure(self) -> Failure | None:
        return self._embedding_failures.popleft() if self._embedding_failures else None


@asynccontextmanager
async def running(endpoint: LlmEndpoint) -> AsyncIterator[str]:
    """Serve it; yields the base URL for the SDK. A test that has not failed otherwise is verified."""
    server = _Server(endpoint)
    routes = [
        Route("/v1/chat/completions", server.guarded(server.chat), methods=["POST"]),
        Route("/v1/embeddings", server.guarded(server.embeddings), methods=["POST"]),
        Route("/v1/models", server.guarded(server.list_models), methods=["GET"]),
        Route("/v1/models/{model}", server.guarded(server.get_model), methods=["GET"]),
    ]
    async with listening(Starlette(routes=routes)) as base_url:
        yield f"{base_url}/v1"
    endpoint.verify()


class _Server:
    def __init__(self, endpoint: LlmEndpoint) -> None:
        self.endpoint = endpoint

    def guarded(
        self, handle: Callable[[Request, Json], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handler(http: Request) -> Response:
            body: Json = {}
            try:
                self._check_key(http)
                body = await _body(http)
                response = await handle(http, body)
            except RefusedError as refused:
                response = refused.response()
                self._record(http, body, response.status_code)
            response.headers["x-request-id"] = f"req_{len(self.endpoint.journal)}"
            return response

        return handler

    def _check_key(self, http: Request) -> None:
        if http.headers.get("authorization") != f"Bearer {self.endpoint.api_key}":
            raise RefusedError(401, "Incorrect API key provided.", code="invalid_api_key")

    def _record(
        self, http: Request, body: Json, status: int, *, prompt: int = 0, completion: int = 0
    ) -> None:
        path = http.url.path.removeprefix("/v1")
        self.endpoint.journal.append(Exchange(path, body, status, prompt, completion))

    async def chat(self, http: Request, body: Json) -> Response:
        asked = self._asked(body)
        reply = self.endpoint.next_reply(asked)
        if isinstance(reply, Slow):
            await asyncio.sleep(reply.seconds)
            reply = reply.then
        match reply:
            case Answer():
                return self._answered(http, asked, reply, cut_after=None)
            case Lost(answer, after_events):
                return self._answered(http, asked, answer, cut_after=after_events)
            case Malformed(content, content_type):
                self._record(http, body, 200)
                return Response(content, media_type=content_type)
            case Failure():
                self._record(http, body, reply.status)
                return _failed(reply)

    def _asked(self, body: Json) -> Asked:
        model, messages = body.get("model"), body.get("messages")
        if model not in self.endpoint.models:
            message = f"The model `{model}` does not exist or you do not have access to it."
            raise RefusedError(404, message, code="model_not_found", param="model")
        known = {"system", "developer", "user", "assistant", "tool"}
        if not messages or any(message.get("role") not in known for message in messages):
            raise RefusedError(400, "Invalid 'messages'", param="messages")
        wire.check_response_format(body)
        return Asked(str(model), messages, body)

    def _answered(self, http: Request, asked: Asked, answer: Answer, *, cut_after: int | None) -> Response:
        text, finish_reason = answer.text, answer.finish_reason
        prompt = len(asked.text.split()) if answer.prompt_tokens is None else answer.prompt_tokens
        completion = len(text.split()) if answer.completion_tokens is None else answer.completion_tokens
        limit = asked.body.get("max_completion_tokens") or asked.body.get("max_tokens")
        if limit is not None and completion > limit:
            text, completion, finish_reason = " ".join(text.split()[:limit]), limit, "length"
        used = wire.usage(prompt, completion)
        id_ = f"chatcmpl-{len(self.endpoint.journal)}"
        status = 200 if cut_after is None else 0
        self._record(http, dict(asked.body), status, prompt=prompt, completion=completion)
        if not asked.body.get("stream"):
            if cut_after is not None:
                return LostReply()
            content = None if answer.refusal else text
            return JSONResponse(
                wire.completion(
                    id_,
                    asked.model,
                    content=content,
                    refusal=answer.refusal,
                    finish_reason=finish_reason,
                    used=used,
                )
            )
        wants_usage = (asked.body.get("stream_options") or {}).get("include_usage", False)
        sent = used if wants_usage and self.endpoint.streams_usage else None
        events = wire.chunks(id_, asked.model, content=text, finish_reason=finish_reason, used=sent)
        return _Stream(list(events), cut_after)

    async def embeddings(self, http: Request, body: Json) -> Response:
        failure = self.endpoint.next_embedding_failure()
        if failure is not None:
            self._record(http, body, failure.status)
            return _failed(failure)
        model, given = body.get("model"), body.get("input")
        if model not in self.endpoint.embedding_models:
            raise RefusedError(
                404, f"The model `{model}` does not exist.", code="model_not_found", param="model"
            )
        texts = [given] if isinstance(given, str) else given
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise RefusedError(400, "'input' must be a text or texts, none of them empty", param="input")
        encoding = body.get("encoding_format", "float")
        size = body.get("dimensions") or self.endpoint.dimensions
        rows = [
            {"object": "embedding", "index": i, "embedding": wire.embedding(text, size, encoding=encoding)}
            for i, text in enumerate(texts)
        ]
        tokens = sum(len(text.split()) for text in texts)
        self._record(http, body, 200, prompt=tokens)
        used = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": rows, "model": model, "usage": used})

    async def list_models(self, http: Request, body: Json) -> Response:
        self._record(http, body, 200)
        names = (*self.endpoint.models, *self.endpoint.embedding_models)
        return JSONResponse({"object": "list", "data": [_model(name) for name in names]})

    async def get_model(self, http: Request, body: Json) -> Response:
        name = http.path_params["model"]
        if name not in (*self.endpoint.models, *self.endpoint.embedding_models):
            raise RefusedError(
                404, f"The model `{name}` does not exist.", code="model_not_found", param="model"
            )
        self._record(http, body, 200)
        return JSONResponse(_model(name))


class _Stream(StreamingResponse):
    def __init__(self, events: Sequence[bytes], cut_after: int | None) -> None:
        super().__init__(iter(events[:cut_after]), media_type="text/event-stream")
        self.is_cut = cut_after is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.is_cut:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for event in self.body_iterator:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await cut(scope, receive)


async def _body(http: Request) -> Json:
    raw = await http.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise RefusedError(400, "We could not parse the JSON body of your request.")
    return body


def _failed(failure: Failure) -> JSONResponse:
    headers = {"Retry-After": failure.retry_after} if failure.retry_after is not None else None
    return wire.error(failure.status, failure.message, code=failure.code, headers=headers)


def _model(name: str) -> Json:
    return {"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "standin"}
