"""When and how a failed call is tried again: one frozen value, and the rule for which errors never are."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

from headway.errors import BudgetExceeded, CallCancelled, DeadlineExceeded, RunError, StoreError, UsageError

BOUNDS = (BudgetExceeded, DeadlineExceeded, CallCancelled)  # the next attempt would meet the same one
NEVER = (
    UsageError,
    RunError,
    StoreError,
    BudgetExceeded,
    DeadlineExceeded,
    CallCancelled,
    asyncio.CancelledError,
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    # programming errors: the next attempt would make the same mistake
    SyntaxError,
    NameError,
    AttributeError,
    TypeError,
    NotImplementedError,
    AssertionError,
)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how fast a failed call is tried again.

    `attempts` counts the first one. Before attempt n + 1 the call rests `delay_s * factor ** (n - 1)` seconds, at most
    `max_delay_s`, less up to the share `jitter` of it (drawn from the call's key, so a replay rests as long). `on` names
    the exceptions that deserve another attempt, or decides with a function; cancellation, used-up budgets and programming errors
    (`TypeError`, `NameError`, …) never do, unless `on` names them. An error's `retry_after_s` (how
    long it asks to be left alone) is obeyed where it is longer.

    Attempts are counted in the journal: a crash does not give a call new ones.

    Example:
        >>> Retry(attempts=5, delay_s=1.0, on=(ConnectionError, TimeoutError)).delay_after(3, b"key")  # doctest: +ELLIPSIS
        3...
    """

    attempts: int = 3
    delay_s: float = 0.5
    factor: float = 2.0
    max_delay_s: float = 60.0
    jitter: float = 0.1
    on: tuple[type[BaseException], ...] | Callable[[BaseException], bool] = (Exception,)

    def __post_init__(self) -> None:
        if not isinstance(self.attempts, int) or isinstance(self.attempts, bool) or self.attempts < 1:
            raise UsageError(f"Retry(attempts={self.attempts!r}): a whole number, at least 1, which counts the first attempt")
        for name in ("delay_s", "factor", "max_delay_s", "jitter"):
            if not isinstance(getattr(self, name), int | float):
                raise UsageError(f"Retry({name}={getattr(self, name)!r}): a number")
        if self.delay_s < 0 or self.factor < 0 or self.max_delay_s < 0 or not 0 <= self.jitter <= 1:
            raise UsageError(f"{self}: delays and factor can't be negative, jitter is a share from 0 to 1")
        if not callable(self.on):
            for kind in self.on:
                if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                    raise UsageError(f"Retry(on=…): {kind!r} is no exception class")

    def wants(self, error: BaseException) -> bool:
        """Whether this error deserves another attempt."""
        if not isinstance(error, Exception) or isinstance(error, (UsageError, RunError, StoreError)):
            return False
        if isinstance(error, ExceptionGroup):
            return all(self.wants(part) for part in error.exceptions)
        if callable(self.on):
            return not isinstance(error, BOUNDS) and self.on(error)
        if isinstance(error, NEVER):
            return type(error) in self.on
        return isinstance(error, self.on)

    def delay_after(self, attempt: int, key: bytes, error: BaseException | None = None) -> float:
        """Seconds to rest after failed attempt number `attempt` (from 1), which ended with `error`."""
        try:
            delay = min(self.delay_s * self.factor ** (attempt - 1), self.max_delay_s)
        except OverflowError:
            delay = self.max_delay_s
        drawn = hashlib.blake2b(key + attempt.to_bytes(4, "big"), digest_size=8).digest()
        return max(delay * (1.0 - self.jitter * (int.from_bytes(drawn, "big") / 2**64)), _asked_for(error))


def _asked_for(error: BaseException | None) -> float:
    """How long an error asks to be left alone."""
    wanted = getattr(error, "retry_after_s", 0.0)
    return wanted if isinstance(wanted, int | float) and 0.0 < wanted < math.inf else 0.0
