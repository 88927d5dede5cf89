"""What a task's version counts besides its own source, on request: `watch=[clean, PROMPT]` or `watch="deep"`.

A list names what counts: functions and classes by their source, other values by their content. "deep" follows names: from the
function to the functions, classes and constants of its own program that its code names, and on from those. A constant is a global
in capital letters, for what else is global may change while the program runs. Other tasks do not count: their calls have versions
of their own. Libraries do not count either.

It is looked at when the version is first asked for, and must be the same in every process.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from headway.engine.identity.canonical import canonical
from headway.engine.tasks.fingerprint import NBYTES, class_source, fingerprint
from headway.errors import NoCanonicalForm, UsageError

Watch = Literal["deep"] | Sequence[Any]


def check_watch(watch: Any, task: str, version: str) -> Watch | None:
    """What a task watches, as it was given. Raises UsageError for what can't be watched."""
    if watch is None:
        return None
    if version:
        raise UsageError(f"task {task}: version= is the whole answer, so watch= would count for nothing: give one of them")
    if watch == "deep":
        return "deep"
    if isinstance(watch, str) or not isinstance(watch, Sequence):
        raise UsageError(f'task {task}: watch={watch!r:.100}: expected a list of functions, classes and values, or "deep"')
    for number, value in enumerate(watch):
        if isinstance(value, types.ModuleType):
            raise UsageError(f'task {task}: watch[{number}] is the module {value.__name__}: name what counts in it, or give "deep"')
        if not _has_source(value):
            try:
                canonical(value, f"task {task}: watch[{number}]")
            except NoCanonicalForm as error:
                raise UsageError(f"{str(error).partition(': give the call')[0]}, so no change of it could be seen") from None
    return tuple(watch)


def fingerprint_watched(fn: Callable[..., Any], watch: Watch) -> bytes:
    """The fingerprint of a function with what it watches."""
    whole = hashlib.blake2b(fingerprint(fn), digest_size=NBYTES, person=b"headway.watched")
    parts = _deep(fn) if watch == "deep" else map(_describe_value, watch)
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.digest()


def _has_source(value: object) -> bool:
    return isinstance(value, type | types.FunctionType | types.MethodType) or hasattr(type(value), "__headway_task__")


def _describe_value(value: Any) -> bytes:
    if hasattr(type(value), "__headway_task__"):
        return fingerprint(value.fn)
    if isinstance(value, type):
        return class_source(value).encode("utf-8", "backslashreplace")
    return fingerprint(value) if _has_source(value) else canonical(value)


# --- following names -------------------------------------------------------------------------------------------------


def _deep(fn: Any) -> Iterator[bytes]:
    """Each function, class and constant that the code names, under its name, in an order that is the same everywhere."""
    start = _code_of(fn)
    if start is None:
        return
    home = _root_of(start)
    found: dict[str, bytes] = {}
    todo: list[tuple[types.CodeType, dict[str, Any]]] = [(start.__code__, start.__globals__)]
    seen = {id(start.__code__)}
    while todo:
        code, names = todo.pop()
        for where, value in _find_named(code, names, home):
            if isinstance(value, type):
                found[where] = _describe_value(value)
                inner = [_code_of(each) for each in vars(value).values()]
            elif (function := _code_of(value)) is not None:
                found[where] = _describe_value(value)
                inner = [function]
            else:
                found[where] = canonical(value)
                continue
            for function in inner:
                if function is not None and id(function.__code__) not in seen:
                    seen.add(id(function.__code__))
                    todo.append((function.__code__, function.__globals__))
    for where in sorted(found):
        yield where.encode() + b"\0" + found[where]


def _find_named(code: types.CodeType, names: dict[str, Any], home: object) -> Iterator[tuple[str, Any]]:
    """Find what a piece of code names in its own program, as `(module:name, value)`."""
    used = _names_in(code)
    for name in used:
        if name not in names:
            continue
        value = names[name]
        if isinstance(value, types.ModuleType):
            if _root_of(value) == home:
                inside = vars(value)
                yield from (
                    found
                    for inner in used
                    if inner in inside
                    for found in _select_counted(value.__name__, inner, inside[inner], home)
                )
        else:
            yield from _select_counted(str(names.get("__name__", "")), name, value, home)


def _select_counted(module: str, name: str, value: Any, home: object) -> Iterator[tuple[str, Any]]:
    stem = module.rpartition(".")[2]
    if hasattr(type(value), "__headway_task__"):
        return
    if isinstance(value, type | types.FunctionType):
        if _root_of(value) == home:
            yield f"{stem}:{name}", value
    elif name.isupper():
        try:
            canonical(value)
        except NoCanonicalForm:
            return
        yield f"{stem}:{name}", value


def _names_in(code: types.CodeType) -> list[str]:
    """Every global name and attribute that a piece of code and the functions inside of it use."""
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names += _names_in(constant)
    return names


def _code_of(value: Any) -> types.FunctionType | None:
    value = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
    value = getattr(value, "__func__", value)
    return value if isinstance(value, types.FunctionType) else None


def _root_of(value: Any) -> object:
    """The program that something belongs to: the top package of its module, or the folder of a module without one."""
    name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None) or ""
    top = name.partition(".")[0]
    if top != name:
        return top
    file = getattr(sys.modules.get(name), "__file__", None)
    found = sys.modules.get(name)
    return top if hasattr(found, "__path__") or file is None else Path(file).parent
