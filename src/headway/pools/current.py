"""The call that this worker process runs now: what `hw.call()`, `hw.charge()`, `hw.remaining()` consult in a worker.

It is a module global and no context variable, because a worker runs one call at a time and threads that the call starts
belong to it as well. Outside of a worker there is never one. Only the worker's loop may set it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from headway.events import AnyEvent
from headway.journal.records import Amounts
from headway.journal.store import Buffer
from headway.pools.base import CallFacts, Word
from headway.pools.logs import Entry

T = TypeVar("T")


class Line(Protocol):
    """The way from a call's code in a worker to its run, and back (`headway.relay`)."""

    on_word: Word
    """Takes what the run says, on any thread. Set by whoever uses the line, before the first `send`."""

    def send(self, head: bytes, buffers: Sequence[Buffer], /) -> None:
        """Say something to the run. Messages arrive in the order in which they were sent."""

    def wait(self, future: concurrent.futures.Future[T], /) -> T:
        """Block until what the run says has ended the future."""


class Asker(Protocol):
    """Asks the run in the name of a call's code."""

    def find_origins(self, error: BaseException) -> list[int]:
        """The numbers of errors told by the run that this error is, or was raised because of."""


class WorkerCall(Protocol):
    """A call inside a worker process."""

    @property
    def facts(self) -> CallFacts: ...

    @property
    def items(self) -> int | None:
        """How many items a batch has; None where the call is no batch."""

    @property
    def left_s(self) -> float:
        """Seconds until its deadline, no more than there were when it began here; inf without one."""

    def count(self, what: str) -> int:
        """How often this attempt has asked for `what` before."""

    def charge(self, amounts: Amounts, item: int | None) -> None:
        """Book what the call spent, or an item of a batch. Never raises for a bound; the driver does."""

    def tell(self, event: AnyEvent) -> None:
        """Put an event into the run's stream. May be called from any thread."""

    @property
    def log(self) -> Callable[[Entry], None]:
        """Pass a record to the program's logging."""

    def open_meeting(self, address: str) -> None:
        """Say where the other members of this gang find this one."""

    def remaining(self) -> Amounts:
        """What is left of each bounded unit: the allowance at the start minus own charges, never below 0."""

    @property
    def line(self) -> Line | None:
        """The way to the run; None where this code has none."""

    asker: Asker | None
    """Who uses the line; None until the code asks something."""

    def run_async(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end on an event loop of its own, in the context of whoever asks."""


_current: WorkerCall | None = None


def worker_call() -> WorkerCall | None:
    """The call that this process runs as a worker, or None."""
    return _current


def set_worker_call(call: WorkerCall | None) -> None:
    """Say which call runs now. For the worker's loop only."""
    global _current
    _current = call


_fork = False


def _note_fork() -> None:
    global _fork
    _fork = _current is not None


os.register_at_fork(after_in_child=_note_fork)


def is_forked() -> bool:
    """Whether a worker's call has forked this process, which must not speak for the call."""
    return _fork


_ending = False


def note_end() -> None:
    """The run of this worker was told to end. For the worker's loop only; a worker has one run."""
    global _ending
    _ending = True


def run_is_ending() -> bool:
    """Whether the run of this worker was told to end, so that this call will be stopped soon."""
    return _ending


_loading = 0


@contextlib.contextmanager
def loading_program() -> Iterator[None]:
    """While a program file is imported by its path, as the command line does."""
    global _loading
    _loading += 1
    try:
        yield
    finally:
        _loading -= 1


def importing_main() -> bool:
    """Whether the program is being imported, by a starting worker or by its path, and not run.

    A run started then would start the program again in each of its workers; the main module lacks its
    `if __name__ == "__main__":` guard.
    """
    return _loading > 0 or bool(getattr(multiprocessing.current_process(), "_inheriting", False))
