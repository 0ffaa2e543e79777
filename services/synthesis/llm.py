"""Asks a language model over the OpenAI wire format."""

from typing import Final, Self

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    InternalServerError,
    OpenAIError,
    RateLimitError,
)
from openai.types.chat import ChatCompletion
from openai.types.shared_params import ResponseFormatJSONSchema
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from services.synthesis.model import Answer, ModelUnavailable, Usage
from services.synthesis.prices import Prices
from services.synthesis.prompt import Prompt
from services.synthesis.settings import SynthesisSettings

# Rough: four characters a token, for endpoints that report no usage.
_CHARACTERS_PER_TOKEN: Final = 4
_LONGEST_WAIT_SECONDS: Final = 5.0


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

    def check_price(self, model: str) -> None:
        """`PriceUnknown` unless what the model costs can be kept."""
        self._prices.cost(model, prompt_tokens=0, completion_tokens=0)

    async def close(self) -> None:
        await self._client.close()

    async def answer(self, model: str, prompt: Prompt) -> Answer:
        """The model's answer and what it consumed; `PriceUnknown` before trying, else `ModelUnavailable`."""
        self.check_price(model)
        try:
            completion = await AsyncRetrying(
                stop=stop_after_attempt(self._settings.llm_attempts),
                wait=wait_random_exponential(multiplier=0.25, max=_LONGEST_WAIT_SECONDS),
                retry=retry_if_exception_type((APIConnectionError, RateLimitError, InternalServerError)),
                reraise=True,
            )(self._complete, model, prompt)
        except OpenAIError as error:
            raise ModelUnavailable(_reason(error)) from error
        return Answer(_text(completion), self._usage(model, prompt, completion))

    async def _complete(self, model: str, prompt: Prompt) -> ChatCompletion:
        response_format: ResponseFormatJSONSchema = {
            "type": "json_schema",
            "json_schema": {"name": "brief", "strict": True, "schema": dict(prompt.schema)},
        }
        return await self._client.chat.completions.create(
            model=model,
            messages=[
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            response_format=response_format,
            max_completion_tokens=self._settings.llm_max_completion_tokens,
        )

    def _usage(self, model: str, prompt: Prompt, completion: ChatCompletion) -> Usage:
        if completion.usage is None:
            prompt_tokens = (len(prompt.system) + len(prompt.user)) // _CHARACTERS_PER_TOKEN
            completion_tokens = len(_text(completion)) // _CHARACTERS_PER_TOKEN
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


def _text(completion: ChatCompletion) -> str:
    """The answer's text; empty when the endpoint left it out, which no reader of answers accepts."""
    if not completion.choices:
        return ""
    return completion.choices[0].message.content or ""


def _reason(error: OpenAIError) -> str:
    """For the brief's reader; never the endpoint's own text, which may quote the prompt."""
    match error:
        case APITimeoutError():
            return "the language model did not answer in time"
        case APIConnectionError():
            return "the language model cannot be reached"
        case RateLimitError():
            return "the language model is overloaded or its quota is used up"
        case APIStatusError():
            return f"the language model refused the request (HTTP {error.status_code})"
        case _:
            return "the language model gave no usable answer"
