"""A language model that counts what it is asked: each call costs, whoever still waits for its answer."""

import re
import time
from collections import defaultdict
from dataclasses import dataclass
from random import Random
from typing import Final

from cli.standins.instant_llm import quoting
from tests.support.llm_endpoint import Answer, Asked, LlmEndpoint, Slow

MODEL: Final = "standin-chat"
_CASE: Final = re.compile(r"\bcase-[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Purchase:
    """One call. Times are seconds since the epoch."""

    asked: float
    answered: float


class CountingModel:
    def __init__(self, dice: Random, *, slowest_seconds: float = 1.5) -> None:
        self.purchases: defaultdict[str, list[Purchase]] = defaultdict(list)
        """By the word in the ticket's subject that begins with `case-`."""
        self.endpoint: Final = LlmEndpoint(models=[MODEL])
        self.endpoint.reply_by(self._reply)
        self._dice = dice
        self._slowest_seconds = slowest_seconds

    def environment(self, base_url: str) -> dict[str, str]:
        return {
            "OPENAI_BASE_URL": base_url,
            "OPENAI_API_KEY": self.endpoint.api_key,
            "DOSSIER_SYNTHESIS_LLM_MODEL": MODEL,
            "DOSSIER_SYNTHESIS_LLM_INPUT_PRICE": "1",
            "DOSSIER_SYNTHESIS_LLM_OUTPUT_PRICE": "1",
        }

    def _reply(self, asked: Asked) -> Slow | None:
        case = _CASE.search(asked.text)
        if case is None:
            return None
        now, seconds = time.time(), self._dice.uniform(0.05, self._slowest_seconds)
        self.purchases[case[0]].append(Purchase(now, now + seconds))
        prompt = "".join(message["content"] for message in asked.messages)
        brief = quoting(asked.body["response_format"]["json_schema"]["schema"], prompt)
        return Slow(seconds, Answer(brief))
