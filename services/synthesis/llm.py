"""Asks a language model over the OpenAI wire format."""

import json
from decimal import Decimal
from http import HTTPStatus
from typing import Final, Self

import orjson
from httpx2 import ConnectError, ConnectTimeout, Response
from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    InternalServerError,
    OpenAIError,
    RateLimitError,
)
from pydantic import BaseModel, Field, ValidationError, ValidatorFunctionWrapHandler, field_validator
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from services.synthesis.model import Answer, Finish, ModelUnavailable, Usage
from services.synthesis.prices import Prices
from services.synthesis.prompt import Prompt
from services.synthesis.settings import SynthesisSettings

# Rough: four bytes of UTF-8 a token, for endpoints that report no usage.
_BYTES_PER_TOKEN: Final = 4
_BACKOFF: Final = wait_random_exponential(multiplier=0.25, max=5)
_QUOTA_USED_UP: Final = "insufficient_quota"
# What an endpoint may add to a prompt: its template around each message, the schema in a notation of its own.
_ADDED_TOKENS: Final = 1_000


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Tokens(BaseModel):
    # An endpoint that does not count says 0.
    prompt_tokens: int = Field(gt=0)
    completion_tokens: int = Field(ge=0)


class _Completion(BaseModel):
    """What is read of an answer; compatible endpoints differ in the rest."""

    choices: list[_Choice]
    usage: _Tokens | None = None

    @field_validator("usage", mode="wrap")
    @classmethod
    def _none_if_odd(cls, value: object, handler: ValidatorFunctionWrapHandler) -> _Tokens | None:
        try:
            tokens: _Tokens | None = handler(value)
        except ValidationError:
            return None
        return tokens

    @property
    def text(self) -> str:
        # PostgreSQL's text has no NUL.
        return (self.choices[0].message.content or "").replace("\x00", "") if self.choices else ""

    @property
    def finish(self) -> Finish:
        if not self.choices:
            return Finish.COMPLETE
        choice = self.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            return Finish.DECLINED
        return Finish.CUT_OFF if choice.finish_reason == "length" else Finish.COMPLETE


class OpenAiModel:
    """One endpoint; models are named per call."""

    def __init__(self, settings: SynthesisSettings, prices: Prices, client: AsyncOpenAI) -> None:
        self._client = client
        self._settings = settings
        self._prices = prices

    @classmethod
    def connect(cls, settings: SynthesisSettings, *, api_key: str) -> Self:
        base_url = None if settings.openai_base_url is None else str(settings.openai_base_url)
        # Retries are ours: the SDK would sleep through a Retry-After of two minutes inside the call.
        client = AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            timeout=settings.llm_timeout_seconds,
        )
        prices = Prices(settings.llm_input_price, settings.llm_output_price)
        return cls(settings, prices, client)

    async def close(self) -> None:
        await self._client.close()

    def most(self, model: str, prompt: Prompt) -> Decimal:
        """The most that the answer can cost, in US dollars; raises `PriceUnknown`.

        A token is a byte at least, so the prompt has no more of them than bytes. There is one answer to pay
        for: only what has certainly not been paid for is asked again.
        """
        return self._prices.cost(
            model,
            prompt_tokens=len(self._request(model, prompt)) + _ADDED_TOKENS,
            completion_tokens=self._settings.llm_max_completion_tokens,
        )

    async def answer(self, model: str, prompt: Prompt) -> Answer:
        """The model's answer and what it consumed, or `ModelUnavailable`."""
        try:
            body: str = await AsyncRetrying(
                stop=stop_after_attempt(self._settings.llm_attempts)
                | stop_before_delay(self._settings.llm_timeout_seconds),
                wait=_wait,
                retry=retry_if_exception(_passes),
                reraise=True,
            )(self._complete, model, prompt)
        except OpenAIError as error:
            raise ModelUnavailable(_reason(error), unpaid=_is_unpaid(error)) from error
        try:
            completion = _Completion.model_validate_json(body)
        except ValidationError as error:
            raise ModelUnavailable(
                "the language model's endpoint does not speak the OpenAI wire format"
            ) from error
        usage = self._usage(model, prompt, completion)
        return Answer(completion.text, completion.finish, usage)

    async def _complete(self, model: str, prompt: Prompt) -> str:
        """The body as it came: the SDK takes any JSON, and even a page of HTML, for a completion.

        Posted as bytes: the SDK's typed method walks through the request and its schema once more, which
        takes longer than all the rest of it.
        """
        response = await self._client.post(
            "/chat/completions",
            cast_to=Response,
            content=self._request(model, prompt),
            options={"headers": {"Content-Type": "application/json"}},
        )
        return response.text

    def _request(self, model: str, prompt: Prompt) -> bytes:
        request = {
            "model": model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "brief", "strict": True, "schema": prompt.schema},
            },
            "max_completion_tokens": self._settings.llm_max_completion_tokens,
        }
        return orjson.dumps(request)

    def _usage(self, model: str, prompt: Prompt, completion: _Completion) -> Usage:
        if completion.usage is None:
            prompt_tokens = _estimate(prompt.system, prompt.user, json.dumps(prompt.schema))
            completion_tokens = _estimate(completion.text)
        else:
            prompt_tokens = completion.usage.prompt_tokens
            completion_tokens = completion.usage.completion_tokens
        cost = self._prices.cost(model, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
        return Usage(
            model=model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cost=cost,
            estimated=completion.usage is None,
        )


def _estimate(*texts: str) -> int:
    """Tokens, rounded up."""
    return -(-sum(len(text.encode(errors="replace")) for text in texts) // _BYTES_PER_TOKEN)


def _passes(error: BaseException) -> bool:
    """True for what may be over in a moment and has certainly not been paid for.

    An endpoint that was reached may be at work on the answer still, or have sent one that was lost: asked
    again, it would be paid twice.
    """
    match error:
        case RateLimitError():
            return error.code != _QUOTA_USED_UP
        case APIConnectionError():
            return isinstance(error.__cause__, ConnectError | ConnectTimeout)
        case InternalServerError():
            return error.status_code != HTTPStatus.GATEWAY_TIMEOUT
        case _:
            return False


def _is_unpaid(error: OpenAIError) -> bool:
    """True for what has certainly not been paid for, whether or not it may be over in a moment."""
    match error:
        case APIStatusError():
            refused = error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
            return _passes(error) or (refused and error.status_code != HTTPStatus.REQUEST_TIMEOUT)
        case _:
            return _passes(error)


def _wait(state: RetryCallState) -> float:
    """As long as the endpoint asks for, and no less than our own backoff."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.response.headers.get("retry-after", "") if isinstance(error, APIStatusError) else ""
    return max(_BACKOFF(state), float(asked) if asked.isascii() and asked.isdigit() else 0.0)


def _reason(error: OpenAIError) -> str:
    """For the brief's reader; never the endpoint's own text, which may quote the prompt."""
    match error:
        case APITimeoutError():
            return "the language model did not answer in time"
        case APIConnectionError():
            return "the connection to the language model failed"
        case RateLimitError():
            return "the language model is overloaded or its quota is used up"
        case InternalServerError():
            return f"the language model is out of order (HTTP {error.status_code})"
        case APIStatusError():
            return f"the language model refused the request (HTTP {error.status_code})"
        case _:
            return "the language model gave no usable answer"
