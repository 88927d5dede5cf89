"""`hw.result_of`: the result of a run that somebody else drives, for whoever enqueued it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from headway.engine.tasks.options import is_number
from headway.errors import HeadwayError, RunCancelled, RunError, UsageError
from headway.journal.codec.codec import decode, decode_error
from headway.journal.open import DEFAULT_STORE, open_to_read
from headway.journal.records import COSTED, ENDED, Kind, Outcome, RunInfo, RunStatus, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.journal.shared.queues import JobState
from headway.journal.store import Store

FIRST_S, LONGEST_S = 0.02, 1.0  # between two looks
TAIL = 256  # rows from the end, among which the root's outcome is but for rare runs


def result_of(run_id: str, /, *, timeout: float | None = None, store: str | Path | Store = DEFAULT_STORE) -> Any:
    """Wait until a run has ended, whoever drives it, and return its result.

    Args:
        run_id: the run.
        timeout: seconds to wait at most; None waits without end, 0 only looks.
        store: where it is.

    Returns:
        The program's result.

    Raises:
        Exception: what the program raised.
        TimeoutError: it has not ended in time. It goes on.
        RunCancelled: it was cancelled.
        RunError: its drivers died too often, so nobody takes it any more.
        UnknownRun: the store has no such run.

    Example:
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> store = hw.MemoryStore()
        >>> hw.run(double, 21, store=store, run_id="answer")
        42
        >>> hw.result_of("answer", store=store)
        42
    """
    looks = _looks(run_id, timeout, store)
    try:
        for delay_s, found in looks:
            if found is not None:
                return found()
            time.sleep(delay_s)
    finally:
        looks.close()


async def aresult_of(run_id: str, /, *, timeout: float | None = None, store: str | Path | Store = DEFAULT_STORE) -> Any:
    """Wait for a run's result as `result_of` does, inside an event loop.

    Args:
        run_id: the run.
        timeout: seconds to wait at most; None waits without end.
        store: where it is.

    Returns:
        The program's result.

    Example:
        >>> import asyncio
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> store = hw.MemoryStore()
        >>> hw.run(double, 21, store=store, run_id="answer")
        42
        >>> asyncio.run(hw.aresult_of("answer", store=store))
        42
    """
    looks = _looks(run_id, timeout, store)
    try:
        while True:
            delay_s, found = await asyncio.to_thread(next, looks)
            if found is not None:
                return found()
            await asyncio.sleep(delay_s)
    finally:
        await asyncio.to_thread(looks.close)


def _looks(run_id: str, timeout: float | None, store: str | Path | Store) -> Any:
    """Looks at the run: each time how long to wait before the next, and what its end was, once there is one."""
    if timeout is not None and not is_number(timeout):
        raise UsageError(f"hw.result_of(timeout={timeout!r}): expected a number of seconds, or None to wait without end")
    return _look(run_id, timeout, store)


def _look(run_id: str, timeout: float | None, store: str | Path | Store) -> Iterator[tuple[float, Callable[[], Any] | None]]:
    opened = open_to_read(store)
    ends, delay_s = None if timeout is None else time.monotonic() + timeout, FIRST_S
    try:
        while (end := end_of(opened, run_id)) is None:
            left_s = delay_s if ends is None else ends - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"run {run_id!r} has not ended within {timeout:g} s; it goes on")
            yield min(delay_s, left_s), None
            delay_s = min(2 * delay_s, LONGEST_S)
        yield 0.0, end
    finally:
        if opened is not store:
            opened.close()


def end_of(store: Store, run_id: str) -> Callable[[], Any] | None:
    """What gives the result of a run, or raises its error; None where it has not ended."""
    info = store.run(run_id)
    if info.status == RunStatus.CANCELLED:
        return _raises(RunCancelled(f"run {run_id!r} was cancelled"))
    if info.status not in ENDED:
        job = store.job(run_id, time.time())
        if job is not None and job.state == JobState.STUCK:
            return _raises(
                RunError(
                    f"run {run_id!r} is stuck: its drivers died {job.deaths} times, so nobody takes it any more. See why, then "
                    f"`headway queue retry {run_id}`"
                )
            )
        return None
    outcome = _root_outcome(store, info)
    if outcome.error is not None:
        return _raises(decode_error(outcome.error))
    value = _read(store, outcome)
    return lambda: value


def _raises(error: BaseException) -> Callable[[], Any]:
    def end() -> Any:
        raise error

    return end


def _root_outcome(store: Store, info: RunInfo) -> Outcome:
    """The newest outcome of the run's first call. It is mostly the last row."""
    for after in (max(0, info.nrows - TAIL), 0):
        found = None
        for _, row in store.rows(info.uid, after=after):
            if row.key == info.spec.root and row.kind & ~COSTED == Kind.OUTCOME:
                found = row
        if found is not None:
            outcome = decode_outcome(found.body)
            if outcome.status != Status.CANCELLED:
                return outcome
    raise HeadwayError(f"run {info.spec.run_id!r} is {info.status}, and its journal has no result: `headway show` has its calls")


def _read(store: Store, outcome: Outcome) -> Any:
    buffers = [store.get_blob(name) for name in outcome.blobs]
    return decode(outcome.value, buffers) if outcome.value else decode(bytes(buffers[0]), buffers[1:])
