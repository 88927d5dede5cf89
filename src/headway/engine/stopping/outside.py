"""Refuses code of a run in a place that can't reach the run.

Outside of a run a task is just its function, and a bound does nothing. That is right for code that belongs to no run. In a worker
process, in a process that a call forked, or in a thread that a call started without its context, the same code would silently lose
its record, its retries and its budget. So a process refuses, and a thread, which may belong to no run after all, warns.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from headway.engine.call import current
from headway.errors import UsageError
from headway.pools.current import WorkerCall, is_forked, worker_call

_driven: dict[int, tuple[str, int]] = {}  # the runs that go on in this process: id of the driver -> (run, thread of its engine)
_warned: set[str] = set()
_forked_by = ""  # the call that forked this process


def refuse_outside(what: str, instead: str, name: str = "") -> None:
    """Refuse `what` (with `name` in it) where this code belongs to a call whose run it can't reach; say nothing where it belongs to
    no run. `instead` says what to do.

    Raises UsageError in a worker process and in a process that a call forked. Warns once in a thread that knows of no call while a
    run goes on beside it.
    """
    if (worker := worker_call()) is not None:
        where = _describe_worker(worker)
    elif _forked_by:
        where = f"in a process that {_forked_by} forked, which can't reach the run"
    else:
        if _driven:
            _warn_bare_thread(what.format(name), instead)
        return
    raise UsageError(f"{what.format(name)} {where}: {instead}")


def _describe_worker(worker: WorkerCall) -> str:
    """Where the code is, and why it can't do that there."""
    task, seat = worker.facts.task, worker.facts.seat
    if is_forked():
        return f"in a process that {task} forked, which can't reach the run"
    if seat is not None and seat.rank > 0:
        return f"on rank {seat.rank} of the gang of {task}, of which only rank 0 can reach the run"
    if worker.line is None:
        return f"in the worker process of {task}, which can't reach the run"
    return f"in the worker process of {task}, where that can't be done"


def _warn_bare_thread(what: str, instead: str) -> None:
    thread = threading.current_thread()
    if thread is threading.main_thread() or any(thread.ident == owner for _, owner in _driven.values()) or what in _warned:
        return
    _warned.add(what)
    runs = " and ".join(sorted({repr(run) for run, _ in _driven.values()}))
    warnings.warn(
        f"{what} in thread {thread.name!r}, which belongs to no call, while run {runs} goes on: it is not recorded, tried again or "
        "counted. If a call started this thread, start it with asyncio.to_thread or contextvars.copy_context().run; "
        f"if the thread belongs to no run, {instead}",
        RuntimeWarning,
        stacklevel=_frames_of_ours(),
    )


def _frames_of_ours() -> int:
    """How far up the stack, as `warnings.warn` counts, the code is that used this package."""
    frame, up = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "headway":
        frame, up = frame.f_back, up + 1
    return up


@contextmanager
def driving(run_id: str) -> Iterator[None]:
    """While a run is driven by this thread."""
    token = object()
    _driven[id(token)] = (run_id, threading.get_ident())
    try:
        yield
    finally:
        _driven.pop(id(token), None)  # empty in a fork


def _in_forked_child() -> None:
    """A process that a call forked has copies of the run's objects, and nobody who listens to them."""
    global _forked_by
    _driven.clear()
    if (frame := current.get()) is not None:
        _forked_by = frame.call.task
        current.set(None)


os.register_at_fork(after_in_child=_in_forked_child)
