"""Why a worker process ended, in words for whoever runs the program."""

from __future__ import annotations

import signal
import sys

from headway.errors import WorkerDied
from headway.pools.base import Job


def how_it_ended(code: int) -> str:
    """Describe what an exit code says."""
    if code >= 0:
        return f"ended by itself with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


_HINTS = {
    "SIGKILL": "Often the system does this when memory runs out: lower pools={'process': n} or make inputs smaller.",
    "SIGSEGV": "Native code crashed: set PYTHONFAULTHANDLER=1 to see where.",
    "SIGABRT": "Native code gave up: set PYTHONFAULTHANDLER=1 to see where.",
    "SIGBUS": "Memory behind a mapping is gone: a mapped file was cut, or shared memory ran out.",
}


def death(job: Job, pid: int, why: str) -> WorkerDied:
    """The error of a job whose process ended in its midst."""
    hint = _HINTS.get(why.rpartition(" ")[2], "")
    if "exit code" in why:
        hint = "Something in it called os._exit or a native exit: raise an exception instead."
    text = f"the worker process {pid} that ran {job.facts.task} {why}; only this call is lost. {hint}"
    return WorkerDied(text.rstrip())


def start_failure(why: str, cause: BaseException | None) -> WorkerDied:
    """The error of a job whose process never began to work."""
    if cause is not None:
        died = WorkerDied(f"a worker process could not be started: {type(cause).__name__}: {cause}")
        died.__cause__ = cause
        return died
    main = getattr(sys.modules.get("__main__"), "__file__", None) or "the main module"
    return WorkerDied(
        f"a worker process {why} while it imported {main}; the traceback above says why. "
        f'What starts the run must stand under `if __name__ == "__main__":`, and the rest of the file must import alone'
    )
