"""What a function carries besides its source: arguments that were bound early, its object, values that it closes over.

A task is known by the name of its function. Functions of one name that carry different things are different tasks, so what they
carry is part of the name in keys, or the definition is refused in a sentence. It is looked at once, when the task is defined.

- A partial's arguments, the object of a bound method and an object that is called count as arguments do.
- What a function closes over counts for `cache="forever"`, whose results outlive the program that made them, and so does the code
  of a lambda, which has nothing else to be known by. It counts in every layer under decorators, and in the local functions that it
  closes over, whose defaults count too. Defaults of its own parameters don't: they are arguments of its calls. Within a run all of
  this tells functions of one name apart (`TaskSpec.source`), as the source does.

Globals never count, and neither does what changes after the definition.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from headway.engine.identity.canonical import canonical
from headway.engine.tasks.fingerprint import fingerprint
from headway.errors import NoCanonicalForm, UsageError

Function = Callable[..., Any]


def check_task_function(fn: Any) -> Function:
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
        if inspect.isgeneratorfunction(called):
            raise UsageError(
                f"{own_name(inner) or repr(fn)} is a generator, and a task has one result: return a list of its items, or make it "
                "an async def, which hands them out one by one"
            )
    try:
        inspect.signature(fn)
    except ValueError:
        raise UsageError(f"{fn!r:.100} does not say which arguments it takes: wrap it in a def") from None
    return fn  # type: ignore[no-any-return]  # callable, as its signature says


def own_name(fn: Any) -> str:
    """The qualified name of a function; empty where it has none, as objects and partials."""
    module, name = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    return name if isinstance(module, str) and isinstance(name, str) else ""


def what_it_carries(fn: Function, task: str, *, named: bool, forever: bool) -> str:
    """A short text that tells the function from others of its name; empty for a plain function.

    named: the user has named it, so that within a run its name is enough. forever: its results are shared between runs.

    Raises UsageError for what has no canonical form.
    """
    parts: list[bytes] = []
    try:
        parts += _encode_bound(fn, task)
    except NoCanonicalForm as error:
        if forever or not named:
            way = "name its calls with key=" if forever else "give the task a name= of its own, or name its calls with key="
            raise UsageError(f"{_without_advice(error)}, and functions that differ in it would have one name: {way}") from None
    if forever:
        try:
            parts += _encode_layers(_innermost(fn), task)
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


def _encode_bound(fn: Any, task: str) -> Iterator[bytes]:
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


def encode_closure(fn: Function) -> bytes:
    """Encode what the function closes over, up to the first value without a canonical form."""
    parts: list[bytes] = []
    with contextlib.suppress(NoCanonicalForm):
        parts.extend(_encode_layers(_innermost(fn), ""))
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def _encode_layers(fn: Any, task: str, seen: dict[int, int] | None = None) -> Iterator[bytes]:
    """What the layers of a function close over, and the functions of its kind among that.

    seen: the numbers of the functions that were looked at, by id; given for one that another closes over.
    """
    is_helper, seen = seen is not None, {} if seen is None else seen
    layers = _layers(fn)
    for layer in layers:
        function = getattr(layer, "__func__", layer)
        if id(function) in seen:
            continue
        seen[id(function)] = len(seen)
        if layer is not layers[0]:
            yield from _wrapper(function, task)
        if isinstance(function, types.FunctionType):
            yield from _cells(function, task, seen)
            if is_helper or layer is not layers[0]:
                yield from _defaults(function, task, seen)


def _layers(fn: Any) -> list[Any]:
    """The function and what it wraps, the innermost first."""
    if not own_name(fn):
        return [getattr(type(fn), "__call__", None)]  # noqa: B004 - its code is asked for
    layers = [fn]
    while (inner := getattr(layers[0], "__wrapped__", None)) is not None and all(inner is not layer for layer in layers):
        layers.insert(0, inner)
    return layers


def _wrapper(layer: Any, task: str) -> Iterator[bytes]:
    """What identifies a decorator: the name of its code, or its value if it is an object."""
    if isinstance(layer, types.FunctionType):
        yield f"{layer.__globals__.get('__name__', '')}:{layer.__code__.co_qualname}".encode()
    elif not isinstance(layer, type | functools._lru_cache_wrapper) and not inspect.isroutine(layer):
        yield canonical(layer, f"task {task}: the object that wraps it")


def _cells(function: types.FunctionType, task: str, seen: dict[int, int]) -> Iterator[bytes]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # nothing yet: the function itself, or what is defined after it
            continue
        if name != "__class__" and value is not function:
            yield from _value(name, value, task, seen)


def _defaults(function: types.FunctionType, task: str, seen: dict[int, int]) -> Iterator[bytes]:
    defaults = function.__defaults__ or ()
    named = function.__code__.co_varnames[: function.__code__.co_argcount]
    for name, value in [*zip(named[len(named) - len(defaults) :], defaults, strict=True), *(function.__kwdefaults__ or {}).items()]:
        if value is not function:
            yield from _value(f"{name}=", value, task, seen)


def _value(name: str, value: Any, task: str, seen: dict[int, int]) -> Iterator[bytes]:
    yield name.encode()
    if id(value) in seen:  # a layer under this one, say: its source is no part of what the function carries
        yield b"%d" % seen[id(value)]
    elif isinstance(value, types.ModuleType):
        yield value.__name__.encode()
    elif isinstance(value, types.FunctionType) and _is_local(value):
        yield fingerprint(value)
        yield from _encode_layers(value, task, seen)
    else:
        yield canonical(value, f"task {task} closes over {name}, which")


def _is_local(function: types.FunctionType) -> bool:
    """Whether it has no name that others could find it by. What a decorator returns may only have taken over such a name."""
    return "<" in function.__qualname__ or "<" in function.__code__.co_qualname
