"""Tries a step until it succeeds, cannot succeed, or patience ends."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_exponential_jitter

from services.orchestrator.failures import Permanent, Transient

T = TypeVar("T")

_QUICKLY: Final = wait_exponential_jitter(multiplier=0.5, max=10, jitter=0.5)
_SLOWLY: Final = wait_exponential_jitter(multiplier=2, max=60, jitter=5)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a run may go on, counted from its first start, whatever was restarted since."""

    run_seconds: float
    patience_seconds: float

    async def attempt(
        self,
        work: Callable[[], Awaitable[T]],
        *,
        since: datetime,
        failed: Callable[[str], Awaitable[None]],
    ) -> T:
        """Do `work` until it raises no `Transient`; each is told to `failed` with when the next try is."""

        def waiting(state: RetryCallState) -> float:
            error = _error(state)
            pace = _QUICKLY if _age(since) < self.run_seconds else _SLOWLY
            return max(pace(state), error.retry_after_seconds or 0.0)

        async def before_sleep(state: RetryCallState) -> None:
            await failed(f"{_error(state).message}; next try in {state.upcoming_sleep:.0f} s")

        def stop(state: RetryCallState) -> bool:
            return _age(since) + state.upcoming_sleep > self.patience_seconds

        def give_up(state: RetryCallState) -> T:
            error, age = _error(state), _age(since)
            raise Permanent(
                f"{error.message}; given up {age:.0f} s after the start, at attempt {state.attempt_number}",
                reason=error.reason,
            ) from error

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Transient),
            wait=waiting,
            stop=stop,
            before_sleep=before_sleep,
            retry_error_callback=give_up,
        )
        return await retrying(work)


def _error(state: RetryCallState) -> Transient:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, Transient):
        raise TypeError(f"only Transient is retried, not {error!r}")
    return error


def _age(since: datetime) -> float:
    return (datetime.now(UTC) - since).total_seconds()
