"""Runs blocking functions beside an event loop, for as long as Python runs.

The executors of `concurrent.futures` refuse work once the main thread has ended, and a loop's own executor ends with the loop. A
run that still goes on then, in a thread of its own or in an exit handler, must start workers and give its lease back. So each
function gets a thread of its own; where no thread can be started any more, it runs where it was called.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Beside(Executor):
    """An executor that never ends and survives a fork. With `one_at_a_time` its functions don't overlap."""

    def __init__(self, name: str, *, one_at_a_time: bool = False) -> None:
        self._name, self._one_at_a_time = name, one_at_a_time
        self._turn: AbstractContextManager[object]
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # a thread that held its turn is not there

    def _begin(self) -> None:
        self._turn = threading.Lock() if self._one_at_a_time else nullcontext()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            try:
                with self._turn:
                    result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        future.set_running_or_notify_cancel()
        try:
            threading.Thread(target=work, name=self._name, daemon=True).start()
        except RuntimeError:  # the interpreter shuts down
            work()
        return future


BESIDE = Beside("headway-beside")


def threads_can_start() -> bool:
    """False while the interpreter shuts down, in the versions of Python that start no threads then."""
    if threading.main_thread().is_alive():
        return True
    try:
        threading.Thread(target=int, daemon=True).start()
    except RuntimeError:
        return False
    return True
