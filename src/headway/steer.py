"""Steering runs from outside: fork, cancel, signal. Each works from any process, whether or not the run is going on."""

from __future__ import annotations

import time
import warnings

from headway.context import check_signal_name, encode_signal
from headway.journal.open import DEFAULT_STORE, open_existing
from headway.journal.records import RunStatus
from headway.journal.recovery.forking import fork_rows
from headway.run import StoreLike, new_run_id


def fork(run_id: str, *, at: str, store: StoreLike = DEFAULT_STORE, new_id: str | None = None) -> str:
    """Make a new run that knows what another one knows, except one call, what is below it and what it is part of.

    The source is not touched and blobs are shared. Signals that nothing in the fork has received yet are sent to it again. Start
    the fork with `resume` or `run`.

    Args:
        run_id: the source.
        at: the key of the call, or the beginning of it.
        store: where the source is, and the fork will be.
        new_id: the id of the fork; without one it is made.

    Returns:
        The id of the fork.

    Raises:
        UnknownRun: the store has no such run.
        UsageError: `at` names no call, or several.
        RunMismatch: `new_id` is taken.

    Example:
        >>> drafts = ["dull", "lively"]
        >>> @hw.task
        ... async def write() -> str:
        ...     return drafts.pop(0)
        >>> @hw.task
        ... async def essay() -> str:
        ...     return await write()
        >>> store = hw.MemoryStore()
        >>> hw.run(essay, store=store, run_id="first")
        'dull'
        >>> (written,) = hw.view("first", store=store).find("write")
        >>> hw.resume(hw.fork("first", at=written.key, store=store), store=store)
        'lively'
    """
    opened = open_existing(store)
    try:
        info = opened.run(run_id)
        return fork_rows(opened, info, at, new_id or new_run_id(info.spec.task), time.time())
    finally:
        if opened is not store:
            opened.close()


def cancel(run_id: str, *, store: StoreLike = DEFAULT_STORE) -> None:
    """Ask a run to stop, from any process.

    What is finished stays journaled, and `resume` goes on with it. Warns where the run is done: nothing in it is left to stop.

    Args:
        run_id: the run.
        store: where it is.

    Raises:
        UnknownRun: the store has no such run.

    Example:
        >>> @hw.task
        ... async def program() -> None:
        ...     hw.cancel("long", store=store)
        ...     await hw.sleep(3600)
        >>> store = hw.MemoryStore()
        >>> try:
        ...     hw.run(program, store=store, run_id="long")
        ... except hw.RunCancelled:
        ...     print("stopped")
        stopped
    """
    opened = open_existing(store)
    try:
        if opened.run(run_id).status == RunStatus.DONE:
            warnings.warn(f"run {run_id!r} is done: nothing in it is left to stop", RuntimeWarning, stacklevel=2)
        opened.request_cancel(run_id, time.time())
    finally:
        if opened is not store:
            opened.close()


def signal(run_id: str, name: str, value: object = None, *, store: StoreLike = DEFAULT_STORE) -> None:
    """Send a value to whoever waits, now or later, with `hw.wait_event(name)` in a run.

    A signal that nobody has used waits in the queue of the run, through crashes and resumes. Warns where the run is done: nobody in
    it waits any more.

    Args:
        run_id: the run.
        name: the name of the signal.
        value: what `wait_event` returns: numbers, text, lists or dictionaries.
        store: where the run is.

    Raises:
        UnknownRun: the store has no such run.
        UsageError: the name is no text, or the value too large for a signal.
        NotEncodable: the value can't be stored.

    Example:
        >>> @hw.task
        ... async def program() -> str:
        ...     hw.signal("sky", "answer", "blue", store=store)
        ...     return await hw.wait_event("answer")
        >>> store = hw.MemoryStore()
        >>> hw.run(program, store=store, run_id="sky")
        'blue'
    """
    check_signal_name(name, "hw.signal(name={!r})")
    opened = open_existing(store)
    try:
        if opened.run(run_id).status == RunStatus.DONE:
            warnings.warn(f"run {run_id!r} is done: nobody in it waits for {name!r} any more", RuntimeWarning, stacklevel=2)
        opened.send_signal(run_id, name, encode_signal(value), time.time())
    finally:
        if opened is not store:
            opened.close()
