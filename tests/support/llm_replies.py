"""What a test can have the stand-in LLM endpoint say, and what the endpoint notes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

FinishReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion. Content that is not a text is sent as JSON; tokens not given are counted as words."""

    content: str | Mapping[str, Any]
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: FinishReason = "stop"
    refusal: str | None = None
    """Why the model declines; `content` is then not sent."""

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else json.dumps(dict(self.content))


@dataclass(frozen=True, slots=True)
class Failure:
    """An error reply: 429 with `retry_after`, 500, 503, 400 with a code …"""

    status: int
    message: str = "scripted failure"
    code: str | None = None
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Malformed:
    """A reply with status 200 that is not what it should be."""

    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Lost:
    """The answer is made, and paid for, and the connection ends: before it, or amid a stream."""

    answer: Answer
    after_events: int = 0


@dataclass(frozen=True, slots=True)
class Slow:
    seconds: float
    then: Answer | Failure | Malformed | Lost


Reply = Answer | Failure | Malformed | Lost | Slow


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat request that the real service would have taken."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        """All the messages' text, for a script to look into."""
        return "\n".join(_text(message.get("content")) for message in self.messages)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One line of the journal. Tokens are what the caller will be charged for, even if the reply was lost."""

    path: str
    body: Mapping[str, Any]
    status: int
    """0 when the reply was lost."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


def _text(content: object) -> str:
    """Read a message's content, a text or a list of parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return content if isinstance(content, str) else ""
