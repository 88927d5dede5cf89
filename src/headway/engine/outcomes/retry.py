"""When and how a failed call is tried again: one frozen value, and the rule for which errors never are."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headway.engine.tasks.callables import check_function, describe_error, name_of, yes_or_no
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

    Attempts are counted in the journal: a crash does not give a call new ones. Cancellation, used-up budgets and programming errors
    (`TypeError`, `NameError`, …) never deserve another attempt, unless `on` names them.

    The next attempt finds the results of calls that succeeded where the failure says nothing against them: another call failed, or
    the world outside did (`OSError`: a connection, a file, a wait that took too long). Any other error of the call's own code has
    its calls made afresh. The signals that `hw.wait_event` returned are returned again in either case.

    Attributes:
        attempts: how many there are at most, the first one counted.
        delay_s: the rest before attempt n + 1 is `delay_s * factor ** (n - 1)` seconds.
        factor: see `delay_s`.
        max_delay_s: the longest such rest, in seconds.
        jitter: a rest is shorter by up to this share of it, drawn from the call's key, so a replay rests as long.
        on: the exceptions that deserve another attempt, a class or several, or a plain function of the exception that decides. One
            that raises fails the call with UsageError.
        max_retry_after_s: an error's `retry_after_s` (how long it asks to be left alone, in seconds: a number, or the text of one,
            as headers have it) is obeyed where it is longer. An error that asks for more than this is not tried again, so that no
            server puts a run to sleep for a day.

    Raises:
        UsageError: a number or `on` makes no sense.

    Example:
        >>> retry = hw.Retry(attempts=5, delay_s=1.0, on=(ConnectionError, TimeoutError))
        >>> 3.6 <= retry.delay_after(3, b"key") <= 4.0
        True
    """

    attempts: int = 3
    delay_s: float = 0.5
    factor: float = 2.0
    max_delay_s: float = 60.0
    jitter: float = 0.1
    on: type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool] = (Exception,)
    max_retry_after_s: float = 600.0

    def __post_init__(self) -> None:
        if not isinstance(self.attempts, int) or isinstance(self.attempts, bool) or self.attempts < 1:
            raise UsageError(f"Retry(attempts={self.attempts!r}): a whole number, at least 1, which counts the first attempt")
        for name in ("delay_s", "factor", "max_delay_s", "jitter", "max_retry_after_s"):
            if not isinstance(getattr(self, name), int | float) or math.isnan(getattr(self, name)):
                raise UsageError(f"Retry({name}={getattr(self, name)!r}): a number")
        if min(self.delay_s, self.factor, self.max_delay_s, self.max_retry_after_s) < 0 or not 0 <= self.jitter <= 1:
            raise UsageError(f"{self}: delays and factor can't be negative, jitter is a share from 0 to 1")
        object.__setattr__(self, "on", _check_on(self.on))

    def wants(self, error: BaseException) -> bool:
        """Whether an error deserves another attempt.

        Args:
            error: what the attempt ended with.

        Returns:
            The answer of `on`, within the rules above.

        Raises:
            UsageError: `on` is a function and raises.
        """
        kind = type(error)  # never `isinstance`, which trusts the error's own `__class__`
        if not issubclass(kind, Exception) or issubclass(kind, (UsageError, RunError, StoreError)):
            return False
        if issubclass(kind, ExceptionGroup):
            return all(self.wants(part) for part in _parts_of(error))
        if _read_retry_after(error) > self.max_retry_after_s:
            return False
        if not isinstance(self.on, tuple):
            return not issubclass(kind, BOUNDS) and self._asks(error)
        if issubclass(kind, NEVER):
            return kind in self.on
        return issubclass(kind, self.on)

    def _asks(self, error: BaseException) -> bool:
        what = f"Retry(on={name_of(self.on)})"
        try:
            return yes_or_no(self.on(error), what)  # type: ignore[operator]  # a function here
        except UsageError:
            raise
        except BaseException as fault:
            raise UsageError(
                f"{what} failed with {describe_error(fault)} when it was asked about {describe_error(error)}"
            ) from fault

    def delay_after(self, attempt: int, key: bytes, error: BaseException | None = None) -> float:
        """How long to rest after a failed attempt.

        Args:
            attempt: its number, from 1.
            key: the call's key, from which the jitter is drawn.
            error: what it ended with.

        Returns:
            Seconds.
        """
        try:
            delay = min(self.delay_s * self.factor ** (attempt - 1), self.max_delay_s)
        except OverflowError:
            delay = self.max_delay_s
        drawn = hashlib.blake2b(key + attempt.to_bytes(4, "big"), digest_size=8).digest()
        return max(delay * (1.0 - self.jitter * (int.from_bytes(drawn, "big") / 2**64)), _read_retry_after(error))


_parts_of = vars(BaseExceptionGroup)["exceptions"].__get__


def _check_on(on: Any) -> Any:
    """What `on=` means, as a tuple of classes or a function. Raises UsageError."""
    if isinstance(on, type):
        on = (on,)
    if isinstance(on, list | set | frozenset):
        on = tuple(on)
    if not isinstance(on, tuple):
        check_function(on, "Retry(on", "decide by the exception alone, or by an attribute that it has")
        return on
    for kind in on:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise UsageError(f"Retry(on=…): {kind!r:.100} is no exception class")
    return on


def _read_retry_after(error: BaseException | None) -> float:
    """How long an error asks to be left alone."""
    try:
        wanted = getattr(error, "retry_after_s", 0.0)
        seconds = float(wanted) if isinstance(wanted, int | float | str) else 0.0  # a header's text, as it came
        return seconds if 0.0 < seconds < math.inf else 0.0
    except BaseException:  # the error can't say
        return 0.0
