"""Reports the failure of a command: one sentence, what to do next, and an exit code for scripts.

    0 it worked    1 the program failed    2 wrong usage    3 a problem with the store or the run    130 interrupted

Headway's own errors are sentences already, so they are printed without a traceback. An error of the user's program is printed with
its traceback, without the runtime's frames between the user's own.
"""

from __future__ import annotations

import functools
import shlex
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import typer

from headway.cli import console
from headway.errors import HeadwayError, Interrupted, RunError, StoreError, UsageError
from headway.journal.place import show_place

FAILED, USAGE, PROBLEM, INTERRUPTED = 1, 2, 3, 130
P = ParamSpec("P")

_HIDDEN = (str(Path(__file__).parent.parent), "/asyncio/", "/concurrent/futures/", "<frozen ")


class ProgramFailed(Exception):
    """The program raised; the error is the `__cause__`. `run_id` says what to resume, or is empty."""

    def __init__(self, run_id: str, store: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id
        self.store = store


def handle_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Make a command print its errors for people. With `--traceback` they are printed with all their frames."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except typer.Exit:
            raise
        except KeyboardInterrupt as error:
            raise typer.Exit(tell(Interrupted("interrupted"), full=False)) from error
        except (HeadwayError, ProgramFailed) as error:
            raise typer.Exit(tell(error, full=bool(kwargs.get("traceback")))) from error

    return wrapped


def tell(error: Exception, *, full: bool) -> int:
    """Print the error, and return the exit code that it stands for."""
    if isinstance(error, ProgramFailed):
        return _tell_failure(error, full=full)
    if full:
        console.err().print("".join(traceback.format_exception(error)).rstrip(), markup=False, soft_wrap=True)
    else:
        console.note(sentence(error), "red")
    if isinstance(error, Interrupted):
        return INTERRUPTED
    if isinstance(error, RunError | StoreError):
        return PROBLEM
    return USAGE if isinstance(error, UsageError) else FAILED


def sentence(error: BaseException) -> str:
    """What an error says, without the number that the operating system puts before it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _tell_failure(failure: ProgramFailed, *, full: bool) -> int:
    cause = failure.__cause__ or failure
    if isinstance(cause, HeadwayError) and not full:
        console.note(f"{type(cause).__name__}: {sentence(cause)}", "red")
    else:
        text = "".join(traceback.format_exception(cause)) if full else user_traceback(cause)
        console.err().print(text.rstrip(), style="red", markup=False, soft_wrap=True)
    if failure.run_id:
        from headway.engine.outcomes.result import ANOTHER_DEADLINE

        late = any(note.endswith(ANOTHER_DEADLINE) for note in getattr(cause, "__notes__", ()))
        how = f"{failure.run_id}{store_option(failure.store)}{ANOTHER_DEADLINE if late else ''}"
        console.note(f"resume with: headway resume {how}", "bold")
    return FAILED


def store_option(store: str) -> str:
    """The option that names a store to a command, as a shell takes it; without a password."""
    return "" if store == ".headway" else f" --store {shlex.quote(show_place(store))}"


def user_traceback(error: BaseException) -> str:
    """The traceback without the runtime's frames, in groups and causes too."""
    told = traceback.TracebackException.from_exception(error)
    _trim(told)
    return "".join(told.format())


def _trim(told: traceback.TracebackException) -> None:
    kept = [frame for frame in told.stack if not any(part in frame.filename for part in _HIDDEN)]
    told.stack = traceback.StackSummary.from_list(kept)
    for inner in told.exceptions or ():
        _trim(inner)
    if told.__cause__ is not None:
        _trim(told.__cause__)
    if told.__context__ is not None:
        _trim(told.__context__)
        if not told.__context__.stack:  # an error that the runtime has handled
            told.__context__ = None
