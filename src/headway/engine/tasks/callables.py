"""Functions that users pass in: checked when they are passed, and called under guard.

The runtime calls them on the event loop, between two of its own steps. So each must be a plain function that returns at once: an
`async def` returns a coroutine, which counts as true. If the function raises, the call that it was asked about fails.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from headway.errors import UsageError
from headway.journal.codec.codec import text_of


def is_async(function: object) -> bool:
    """Whether calling it gives something to await: an async function, a partial of one, an object whose `__call__` is one."""
    while isinstance(function, functools.partial):
        function = function.func
    called = function if inspect.isroutine(function) else getattr(type(function), "__call__", None)  # noqa: B004 - its kind is asked for
    return any(kind(each) for kind in (inspect.iscoroutinefunction, inspect.isasyncgenfunction) for each in (function, called))


def is_stream(function: object) -> bool:
    """Whether calling it gives an async generator."""
    while isinstance(function, functools.partial):
        function = function.func
    called = function if inspect.isroutine(function) else getattr(type(function), "__call__", None)  # noqa: B004 - its kind is asked for
    return any(map(inspect.isasyncgenfunction, (function, called)))


def check_function(function: object, what: str, instead: str) -> None:
    """Raise UsageError for anything that can't be called synchronously. `what` names the place, `instead` says what to do with an
    async function."""
    if not callable(function):
        raise UsageError(f"{what}={function!r:.100}: expected a function, got {type(function).__name__}")
    if is_async(function):
        raise UsageError(f"{what}={name_of(function)} is async, and the runtime can't await it there: {instead}")


def yes_or_no(answer: object, what: str) -> bool:
    """The answer of a function that says yes or no. Raises UsageError where it has to be awaited."""
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise UsageError(f"{what} returned something to await, which would always count as true: give it a plain function")
    return bool(answer)


def name_of(function: object) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def call_user_function(function: Callable[..., Any], what: str, *args: Any, **kwargs: Any) -> Any:
    """Call a user's function and return its answer. Raises UsageError, with the function's own error as the cause."""
    try:
        return function(*args, **kwargs)
    except UsageError:
        raise
    except BaseException as error:
        raise UsageError(f"{what}={name_of(function)} failed: {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:
    """Describe an error by class and text, for messages and events. Works even if its class misbehaves."""
    return f"{type(error).__name__}: {text_of(error)}"
