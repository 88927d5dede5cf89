"""What an error means for the call that ended with it: which error the program sees, and whose fault it is.

An error's own methods may misbehave, so its class, its cause and its parts are read through Python's own functions.
"""

from __future__ import annotations

import asyncio

from headway.engine.call import Call
from headway.engine.tasks.callables import describe_error
from headway.errors import CallExited, HeadwayError, WorkerDied
from headway.journal.codec.codec import text_of


def as_exception(call: Call, error: BaseException, *, closing: bool) -> BaseException:
    """Convert what code raised into an error that a program can catch. Anything that is not an `Exception` would pass through every
    `except Exception` up to the run's end: the exit of code, a test's failure, a cancellation that nobody asked for."""
    kind = type(error)  # never `isinstance`, which trusts the error's own `__class__`
    if issubclass(kind, StopIteration):  # can't leave a coroutine
        return set_cause(RuntimeError(f"{call.describe()} raised {kind.__name__}"), error)
    if issubclass(kind, Exception) or (issubclass(kind, asyncio.CancelledError) and closing):
        return error
    if issubclass(kind, SystemExit):
        message = f"{call.describe()} called sys.exit({text_of(error)}): raise an exception to fail a call"
    elif issubclass(kind, asyncio.CancelledError):
        message = f"{call.describe()} raised CancelledError, though nobody had asked it to stop"
    else:
        message = f"{call.describe()} raised {describe_error(error)} (which is no Exception)"
    return set_cause(CallExited(message), error)


def is_own_failure(error: BaseException, child_errors: list[BaseException]) -> bool:
    """Whether a call failed for a reason of its own, so that it may fail again with what its children gave. An error of the world
    outside (a connection, a file, a time that passed, a worker that died) says nothing against that, and neither does a child's."""
    kind = type(error)
    outside = issubclass(kind, WorkerDied) or (issubclass(kind, OSError) and not issubclass(kind, HeadwayError))
    return not outside and not _because_of(error, child_errors)


def _because_of(error: BaseException, child_errors: list[BaseException]) -> bool:
    """Whether the error is, wraps or was raised while handling an error that a child gave."""
    if not child_errors:
        return False
    seen: set[int] = set()
    stack: list[BaseException | None] = [error]
    wanted = {id(child) for child in child_errors}
    while stack:
        found = stack.pop()
        if found is None or id(found) in seen:
            continue
        if id(found) in wanted:
            return True
        seen.add(id(found))
        stack += [_CAUSE(found), _CONTEXT(found)]
        if issubclass(type(found), BaseExceptionGroup):
            stack += _PARTS(found)
    return False


# read through Python: an error's own method may return anything
_CAUSE, _CONTEXT = (vars(BaseException)[name].__get__ for name in ("__cause__", "__context__"))
_PARTS = vars(BaseExceptionGroup)["exceptions"].__get__


def set_cause(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error
