"""Calls of tools in which secrets are filled in: after everything about them was recorded, and out again before anything is.

A guarded tool's task runs one of the functions here in the place of its own. They are given the tool's arguments as they were
recorded, with placeholders, and a `Filler`, which is no part of the call's name. Inside, the placeholders are filled in and the
tool's own function is run. What it returns or raises is cleaned before the engine sees it. The same holds in a thread and in a
worker process, where the secrets arrive through the pipe by which arguments do, and never by a file.

Nothing here may hold a secret in a place that outlives the call.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any

import headway as hw
from headway.engine.identity.signature import Signature, unkeyed
from headway.engine.tasks.callables import is_async
from headway.engine.tasks.spec import TaskSpec
from headway.methods.guard.cleaning import clean_error, clean_result
from headway.methods.guard.forms import PLACEHOLDER, Cleaner
from headway.methods.guard.logs import clean_logs
from headway.pools.base import FunctionRef
from headway.pools.program import find, function_ref
from headway.task import Task


class Filler:
    """What fills a tool's arguments, and cleans what comes of it. It shows no secret to anybody who looks at it."""

    __slots__ = ("_secrets", "cleaner", "fn", "name", "pickled", "redacts", "ref")

    def __init__(
        self, secrets: Mapping[str, str], cleaner: Cleaner, spec: TaskSpec, *, redacts: bool, hidden: Mapping[str, str]
    ) -> None:
        self._secrets = {"given": dict(secrets), "all": dict(hidden)}
        self.cleaner, self.redacts = cleaner, redacts
        self.fn, self.name, self.pickled, self.ref = spec.fn, spec.name, spec.pickled, spec.ref

    def __repr__(self) -> str:
        return f"<fills in {', '.join(sorted(self._secrets['given'])) or 'nothing'}>"

    def __headway_key__(self) -> object:
        return ("filler", *sorted(self._secrets["given"]))

    def __reduce__(self) -> tuple[Any, ...]:
        if self.ref is None:
            raise TypeError("a vault's secrets are not pickled")
        return _unpack, (self._secrets["given"], self._secrets["all"], self.name, self.pickled, self.redacts, self.ref)

    def fill(self, value: Any) -> Any:
        """A value with secrets in the place of their placeholders, in a copy."""
        if isinstance(value, str):
            return PLACEHOLDER.sub(self._reveal, value)
        if isinstance(value, dict):
            return {name: self.fill(each) for name, each in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self.fill, value))
        if isinstance(value, list | tuple | set | frozenset):
            return type(value)(map(self.fill, value))
        return fill_fields(self.fill, value)

    def _reveal(self, found: Any) -> str:
        secret: str = self._secrets["given"].get(found.group(1), found.group())
        return secret

    def clean(self, value: Any) -> Any:
        """What the tool returned, without secrets."""
        return clean_result(self.cleaner, value, self.name, pickled=self.pickled)

    def clean_error(self, error: BaseException) -> BaseException:
        """What the tool raised, without secrets."""
        return clean_error(self.cleaner, error)


def fill_fields(fill: Callable[[Any], Any], value: Any) -> Any:
    """A dataclass or a struct with filled fields; anything else as it is."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return dataclasses.replace(value, **{name: fill(getattr(value, name)) for name in names})
    if hasattr(value, "__struct_fields__"):
        return type(value)(**{name: fill(getattr(value, name)) for name in value.__struct_fields__})
    return value


def _unpack(
    given: Mapping[str, str], hidden: Mapping[str, str], name: str, pickled: bool, redacts: bool, ref: FunctionRef
) -> Filler:
    """A filler in a worker process."""
    from headway.methods.guard.redaction import redact

    found = find(ref)
    filler = Filler.__new__(Filler)
    filler._secrets = {"given": dict(given), "all": dict(hidden)}
    filler.cleaner = Cleaner(hidden, redact if redacts else None)
    filler.fn, filler.name, filler.pickled = found.fn if isinstance(found, Task) else found, name, pickled
    filler.redacts, filler.ref = redacts, ref
    clean_logs(filler.cleaner)
    return filler


def run_filled(filler: Filler, /, *args: Any, **kwargs: Any) -> Any:
    """Run a tool's plain function."""
    return _guarded(filler, filler.fn, args, kwargs)


async def run_filled_async(filler: Filler, /, *args: Any, **kwargs: Any) -> Any:
    """Run a tool's async function."""
    return await _guarded_async(filler, filler.fn, args, kwargs)


def _guarded(filler: Filler, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    try:  # no secret is bound to a name here, for a traceback keeps this frame
        return filler.clean(fn(*filler.fill(args), **filler.fill(dict(kwargs))))
    except BaseException as error:
        cleaned = filler.clean_error(error)
    raise cleaned  # outside of the clause, or it would be its context


async def _guarded_async(filler: Filler, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    try:
        return filler.clean(await fn(*filler.fill(args), **filler.fill(dict(kwargs))))
    except BaseException as error:
        cleaned = filler.clean_error(error)
    raise cleaned


def guard_task(task: Task[..., Any], filler: Filler, *, leaf: bool) -> Task[..., Any]:
    """A task of the same name that takes a filler before its arguments. `leaf`: its code may make no calls."""
    spec, fn = task.spec, run_filled_async if task.spec.is_async else run_filled
    changed = dataclasses.replace(
        spec,
        fn=fn,
        signature=_add_filler(spec, fn),
        leaf=leaf,
        plain=spec.plain,
        ref=function_ref(fn) if spec.ref is not None else None,
        verify=None if spec.verify is None else _verifier(spec.verify),
        key=_without_filler(spec.key) if callable(spec.key) else spec.key,
        label_as=_without_filler(spec.label_as) if callable(spec.label_as) else spec.label_as,
        _version=[spec.version],  # it changes when the tool's own code does
        _source=[spec.source],
    )
    return Task(changed)


def _add_filler(spec: TaskSpec, fn: Callable[..., Any]) -> Signature:
    """The signature of the tool's function, with a filler in front that is no part of the call's name."""
    own = inspect.signature(spec.fn)
    first = inspect.Parameter("_vault", inspect.Parameter.POSITIONAL_ONLY, annotation=Annotated[Filler, unkeyed])

    def outline(*args: Any, **kwargs: Any) -> None: ...

    outline.__wrapped__ = spec.fn  # type: ignore[attr-defined]  # where annotations that are texts are looked up
    outline.__signature__ = own.replace(parameters=[first, *own.parameters.values()])  # type: ignore[attr-defined]  # PEP 362
    return Signature(outline, spec.name)


def _without_filler(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, /, *args, **kwargs: function(*args, **kwargs)


def _verifier(verify: Callable[..., Any]) -> Callable[..., Any]:
    """What asks whether an effect has happened, which needs the secrets, too."""
    if is_async(verify):

        async def ask_filled(filler: Filler, /, *args: Any, **kwargs: Any) -> Any:
            return await _guarded_async(_telling(filler), verify, args, kwargs)

        return ask_filled

    def ask(filler: Filler, /, *args: Any, **kwargs: Any) -> Any:
        return _guarded(_telling(filler), verify, args, kwargs)

    return ask


def _telling(filler: Filler) -> Any:
    """The filler for a verifier, whose answer may hold a result."""
    return _Telling(filler)


class _Telling:
    def __init__(self, filler: Filler) -> None:
        self.fill, self.clean_error, self._filler = filler.fill, filler.clean_error, filler

    def clean(self, answer: Any) -> Any:
        return hw.Happened(self._filler.clean(answer.value)) if isinstance(answer, hw.Happened) else answer


def placeholders_in(value: Any) -> Collection[str]:
    """The names of the secrets whose placeholders a value holds."""
    found: set[str] = set()

    def note(text: Any) -> Any:
        if isinstance(text, str):
            found.update(PLACEHOLDER.findall(text))
        elif isinstance(text, dict):
            for pair in text.items():
                note(list(pair))
        elif isinstance(text, list | tuple | set | frozenset):
            for each in text:
                note(each)
        else:
            fill_fields(lambda each: (note(each), each)[1], text)
        return text

    note(value)
    return found
