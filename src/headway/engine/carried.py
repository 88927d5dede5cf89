"""What a function carries besides its source: arguments that were bound early, its object, values that it closes over.

A task is known by the name of its function. Functions of one name that carry different things are different tasks, so what they
carry is part of the name in keys, or the definition is refused in a sentence. It is looked at once, when the task is defined.

- A partial's arguments, the object of a bound method and an object that is called count as arguments do.
- What a function closes over counts for `cache="forever"`, whose results outlive the program that made them, and so does the code
  of a lambda, which has nothing else to be known by. Within a run both are part of its version (`fingerprint`), as its source is.

Globals never count, and neither does what changes after the definition.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from headway.engine.canonical import canonical
from headway.engine.fingerprint import fingerprint
from headway.errors import NoCanonicalForm, UsageError

Function = Callable[..., Any]


def checked_function(fn: Any) -> Function:
    """The function that a task is made of. Raises UsageError for what can't be one."""
    if isinstance(fn, staticmethod | classmethod):
        kind = type(fn).__name__
        raise UsageError(f"@hw.task got {fn.__func__.__qualname__} as a {kind}: write @{kind} above @hw.task")
    if not callable(fn):
        raise UsageError(f"@hw.task is for functions, not for {fn!r:.100}")
    if getattr(type(fn), "__headway_task__", False):
        raise UsageError(f"{fn!r} is a task already: use it as it is, or with other options by .options(…)")
    inner = _innermost(fn)
    for called in (inner, getattr(type(inner), "__call__", None)):  # noqa: B004 - its kind is asked for
        if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
            raise UsageError(f"{own_name(inner) or repr(fn)} is a generator, and a task has one result: return a list of its items")
    try:
        inspect.signature(fn)
    except ValueError:
        raise UsageError(f"{fn!r:.100} does not say which arguments it takes: wrap it in a def") from None
    return fn  # type: ignore[no-any-return]


def own_name(fn: Any) -> str:
    """The qualified name of a function; empty where it has none, as objects and partials."""
    module, name = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    return name if isinstance(module, str) and isinstance(name, str) else ""


def check_for_processes(fn: Function) -> None:
    """Raises UsageError for a method of an object, which no other process has."""
    owner = getattr(fn, "__self__", None)
    if owner is not None and not isinstance(owner, type | types.ModuleType):
        raise UsageError(
            f"{own_name(fn)} cannot run in another process: it is a method of {owner!r:.100}, which only this one has. "
            "Make it a function that takes the object as an argument"
        )


def what_it_carries(fn: Function, task: str, *, named: bool, forever: bool) -> str:
    """What tells the function from others of its name, as a short text; empty for a plain function.

    named: the user has named it, so that within a run its name is enough. forever: its results are shared between runs.

    Raises UsageError for what has no canonical form.
    """
    parts: list[bytes] = []
    try:
        parts += _bound(fn, task)
    except NoCanonicalForm as error:
        if forever or not named:
            way = "name its calls with key=" if forever else "give the task a name= of its own, or name its calls with key="
            raise UsageError(f"{_without_advice(error)}, and functions that differ in it would have one name: {way}") from None
    if forever:
        try:
            parts += _closed_over(_innermost(fn), task, set())
            if not named and "<lambda>" in own_name(fn):
                parts.append(fingerprint(fn))
        except NoCanonicalForm as error:
            raise UsageError(
                f'{_without_advice(error)}. With cache="forever" functions that close over different values must be told apart: '
                "pass it as an argument, or name the calls with key="
            ) from None
    if not parts:
        return ""
    return hashlib.blake2b(b"".join(len(part).to_bytes(8, "big") + part for part in parts), digest_size=16).hexdigest()


def _without_advice(error: NoCanonicalForm) -> str:
    return str(error).partition(": give the call")[0]


def _innermost(fn: Any) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def _bound(fn: Any, task: str) -> Iterator[bytes]:
    """The arguments of partials, and the object that is called or whose method is."""
    while isinstance(fn, functools.partial):
        for number, value in enumerate(fn.args):
            yield canonical(value, f"task {task}: argument {number} of its partial")
        for name, value in sorted(fn.keywords.items()):
            yield name.encode() + b"=" + canonical(value, f"task {task}: {name}= of its partial")
        yield b"partial"
        fn = fn.func
    owner = getattr(fn, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        yield canonical(owner, f"task {task}: the object of its method")
    elif not own_name(fn):
        yield canonical(fn, f"task {task}: the object that it calls")


def _closed_over(fn: Any, task: str, seen: set[int]) -> Iterator[bytes]:
    """What the function closes over, and the functions of its kind among that."""
    code = inspect.unwrap(fn) if own_name(fn) else getattr(type(fn), "__call__", None)  # noqa: B004 - its code is asked for
    for layer in (fn, code):
        function = getattr(layer, "__func__", layer)
        if not isinstance(function, types.FunctionType) or id(function) in seen:
            continue
        seen.add(id(function))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # nothing yet: the function itself, or what is defined after it
                continue
            if name != "__class__" and value is not function:
                yield from _value(name, value, task, seen)


def _value(name: str, value: Any, task: str, seen: set[int]) -> Iterator[bytes]:
    yield name.encode()
    if isinstance(value, types.ModuleType):
        yield value.__name__.encode()
    elif isinstance(value, types.FunctionType) and "<" in value.__qualname__:  # it has no name that others could find it by
        yield fingerprint(value)
        yield from _closed_over(value, task, seen)
    else:
        yield canonical(value, f"task {task} closes over {name}, which")
