"""What goes wrong on demand, and the journal of what was called."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FaultKind = Literal[
    "rate_limited",  # 429 and 4015, with Retry-After when `retry_after` is given; nothing is done
    "error",  # 500 and 4004; nothing is done
    "slow",  # done and answered after `seconds`
    "lost_reply",  # done, and the connection cut before the reply
    "failed_with_200",  # HTTP 200 with status "failed"; nothing is done
    "forbidden",  # 403 and 4002; nothing is done
    "web_page",  # 200 and a login page
    "redirect",  # 302 to a login page
    "truncated",  # done, and the reply cut in the middle of its JSON
    "huge",  # 10 MB of valid JSON
]


class Fault(BaseModel):
    """Meets the next `count` API calls that fit; absent `method` and `path` fit all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    count: int = Field(default=1, ge=1)
    method: str = ""
    path: str = ""
    """A part of the path, such as `/notes`."""
    retry_after: str = ""
    seconds: float = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    """From `/requests` on, without edition and portal."""
    input_data: str | None
    status: int
    """What was answered; 0 when the reply was lost."""


class Calls(list[Call]):
    def count(self, method: str = "", path: str = "") -> int:  # type: ignore[override]  # by what, not by equality
        """Count the calls by method and by a part of their path."""
        return sum(1 for call in self if method in {"", call.method} and path in call.path)


class Faults:
    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []

    def inject(self, fault: Fault) -> None:
        self._waiting.append((fault, fault.count))

    def clear(self) -> None:
        self._waiting.clear()

    @property
    def waiting(self) -> int:
        return sum(left for _, left in self._waiting)

    def take(self, method: str, path: str) -> Fault | None:
        for index, (fault, left) in enumerate(self._waiting):
            if fault.method in {"", method} and fault.path in path:
                self._waiting[index : index + 1] = [(fault, left - 1)] if left > 1 else []
                return fault
        return None
