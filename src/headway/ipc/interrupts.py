"""Ctrl-C and SIGTERM while a run goes on: the run handles them, and processes that its code forks do not.

A forked process has its parent's handlers and writes into its parent's pipe of signals: a `multiprocessing.Pool` that ends its
workers with SIGTERM would end the run, and its workers would not end. So a fork gives back what was taken; a signal that comes
before waits for that.

Handlers are read and set by `_signal`, as `signal` does it: that makes an enum of each handler, and where it is none, words an
error with the repr of the task that asyncio.run waits for. That is a twentieth of what starting a run takes.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

_taken: dict[int, Any] = {}  # signals that no fork is to have as they are here, with the handlers that they had
_of_runs: set[int] = set()  # those of them that are the runs'
_runs: list[tuple[Callable[[int], None], Callable[[int], None]]] = []  # those that go on in the main thread hear of them, each
_loops: list[asyncio.AbstractEventLoop] = []  # the one that they go on in


@contextmanager
def interrupts(act: Callable[[int], None], at_once: Callable[[int], None]) -> Iterator[None]:
    """Have `act` called with the number of each such signal, on the running loop, and `at_once` in the signal's handler, whatever
    the loop does; so for every run that goes on here. Handlers of the program's own are left alone, and so is everything where the
    loop is not in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, mine = asyncio.get_running_loop(), (act, at_once)
    if not _runs:
        _take(loop)
    _runs.append(mine)
    try:
        yield
    finally:
        if mine in _runs:  # a fork has forgotten it
            _runs.remove(mine)
            if not _runs:
                _return()


def keep_from_forks(number: int, handler: Any) -> None:
    """Set a signal's handler in this process, and not in those that it forks."""
    _taken[number] = signal.getsignal(number)
    signal.signal(number, handler)


def give_back(number: int, handler: Any) -> None:
    """Take a handler of `keep_from_forks` back, unless the program has set another one since."""
    before = _taken.pop(number, signal.SIG_DFL)
    if signal.getsignal(number) == handler:
        signal.signal(number, before)


def _take(loop: asyncio.AbstractEventLoop) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        before = _signal.getsignal(number)
        if _is_default(number, before):
            _taken[number] = before
            _of_runs.add(number)
            _signal.signal(number, _tell_all_at_once)
    _loops[:] = [loop]


def _return() -> None:
    for number in list(_of_runs):
        _signal.signal(number, _taken.pop(number))
    _of_runs.clear()
    _loops.clear()


def _tell_all(number: int) -> None:
    for act, _ in _runs:
        act(number)


def _tell_all_at_once(number: int, _: object) -> None:
    for _, at_once in _runs:
        at_once(number)
    for loop in _loops:  # not by `add_signal_handler`, which takes longer than opening a store; this wakes the loop as well
        loop.call_soon_threadsafe(_tell_all, number)


def _is_default(number: int, handler: Any) -> bool:
    """Whether a signal with this handler does what the system, Python or asyncio.run makes it do."""
    if number == signal.SIGTERM:
        return handler is _signal.SIG_DFL
    function = getattr(handler, "func", None)  # asyncio.Runner installs a partial of its method
    return handler is signal.default_int_handler or getattr(function, "__name__", "") == "_on_sigint"


class _Forking(threading.local):
    """What a thread that forks had blocked before."""

    blocked: Iterable[int] = ()


_forking = _Forking()


def _hold() -> None:
    _forking.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _taken)


def _let_go() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.blocked)


def _give_all_back() -> None:
    if _taken:
        signal.set_wakeup_fd(-1)
        for number in _taken:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        _taken.clear()  # what it forks in turn has handlers of its own
        _of_runs.clear()
        _runs.clear()
        _loops.clear()
    _let_go()


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_give_all_back)
