"""A task's signature, read once: it puts the arguments of a call into one normal form.

`f(1, b=2)`, `f(1, 2)` and `f(1)` with a default of 2 ask the same, so they must be one call. Defaults are filled in,
what may be positional becomes positional, and what cannot be stays by name. It never changes a value.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from headway.engine.identity.canonical import FLAT, argument_forms, canonical_arguments, has_form
from headway.errors import WrongArguments
from headway.journal.codec.declared import evaluate
from headway.journal.codec.wire import pack

Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]

_EMPTY = inspect.Parameter.empty
_P = inspect.Parameter


class Unkeyed:
    """The mark of a parameter that does not change the result: `Annotated[Client, hw.unkeyed]`."""

    def __repr__(self) -> str:
        return "hw.unkeyed"


unkeyed = Unkeyed()


class Signature:
    """What a task takes. With `batch=True` the function takes a list of items, and a call gives one item.

    >>> def f(a, b=2, *, c=3): ...
    >>> Signature(f, "f").bind((1,), {"c": 4})
    ((1, 2), {'c': 4})
    """

    __slots__ = (
        "_defaults",
        "_kw_only",
        "_npos",
        "_plain",
        "_posonly",
        "_unkeyed",
        "_var_kw",
        "_var_pos",
        "names",
        "params",
        "task",
        "text",
    )

    def __init__(self, fn: Callable[..., Any], task: str, *, batch: bool = False) -> None:
        signature = inspect.signature(fn)
        if batch:
            signature = _of_one_item(signature, task)
        params = list(signature.parameters.values())
        positional = [p for p in params if p.kind in (_P.POSITIONAL_ONLY, _P.POSITIONAL_OR_KEYWORD)]
        self.task = task
        self.text = signature.replace(return_annotation=_EMPTY)
        self.names = tuple(p.name for p in positional)
        self._posonly = sum(p.kind is _P.POSITIONAL_ONLY for p in params)
        self._defaults = {p.name: p.default for p in params if p.default is not _EMPTY}
        self._kw_only = tuple(p.name for p in params if p.kind is _P.KEYWORD_ONLY)
        self._var_pos = next((p.name for p in params if p.kind is _P.VAR_POSITIONAL), None)
        self._var_kw = next((p.name for p in params if p.kind is _P.VAR_KEYWORD), None)
        self._unkeyed = frozenset(p.name for p in params if _is_unkeyed(p.annotation, fn))
        self.params = tuple(name for name in self.names if name not in self._unkeyed)  # of the arguments in `canonical`, by place
        self._npos = -1 if self._kw_only else len(positional)  # -1: no call is already in normal form
        self._plain = not self._unkeyed

    def bind(self, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
        """The arguments in normal form. Raises WrongArguments where the signature does not take them."""
        if not kwargs and len(args) == self._npos:
            return args, kwargs
        return self._bind(args, dict(kwargs))

    def _bind(self, args: Args, rest: dict[str, Any]) -> tuple[Args, Kwargs]:
        given = tuple(args), dict(rest)
        values = list(args)
        names, defaults = self.names, self._defaults
        if len(values) > len(names) and self._var_pos is None:
            raise self._wrong(*given)
        for i in range(len(values), len(names)):
            name = names[i]
            if name in rest and i >= self._posonly:
                values.append(rest.pop(name))
            elif name in defaults:
                values.append(defaults[name])
            else:
                raise self._wrong(*given)
        for name in self._kw_only:
            if name not in rest:
                if name not in defaults:
                    raise self._wrong(*given)
                rest[name] = defaults[name]
        if len(rest) > len(self._kw_only) and not self._takes(rest):
            raise self._wrong(*given)
        return tuple(values), rest

    @property
    def keyword_names(self) -> tuple[str, ...]:
        """The names of the arguments that can only be given by name."""
        return self._kw_only

    @property
    def takes_any(self) -> bool:
        """Whether it takes arguments of any name."""
        return self._var_kw is not None

    def _takes(self, rest: Kwargs) -> bool:
        """Whether the names beyond the keyword-only ones go into `**kwargs`."""
        return self._var_kw is not None and not any(name in rest for name in self.names[self._posonly :])

    def _wrong(self, args: Args, kwargs: Kwargs) -> WrongArguments:
        try:
            self.text.bind(*args, **kwargs)
            why = "it does not take these arguments"
        except TypeError as error:
            why = str(error)
        return WrongArguments(f"{self.task}: {why}. It is called as {self.task}{self.text}")

    def canonical(self, args: Args, kwargs: Kwargs) -> bytes:
        """The canonical bytes of arguments in normal form, without unkeyed ones. Raises NoCanonicalForm."""
        if self._plain and not kwargs and FLAT.issuperset(map(type, args)):  # most calls: as `canonical_arguments` does
            try:
                return pack(args)
            except (OverflowError, UnicodeEncodeError):
                pass
        if not self._plain:
            args, kwargs = self.keyed(args, kwargs)
        return canonical_arguments(args, kwargs, self._place)

    def changed_places(self, asked: bytes, args: Args, kwargs: Kwargs) -> list[int | str]:
        """The places among `keyed` of the arguments that are not what they were when `canonical` gave `asked`."""
        values, named = self.keyed(args, kwargs)
        forms, named_forms = argument_forms(asked, bool(named))
        places = [place for place, value in enumerate(values) if not has_form(value, forms[place])]
        return [*places, *(name for name, value in named.items() if not has_form(value, named_forms[name]))]

    def keyed(self, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
        """The arguments in normal form without unkeyed ones."""
        if self._plain:
            return args, kwargs
        hidden, named = self._unkeyed, len(self.names)
        kept = [value for name, value in zip(self.names, args, strict=False) if name not in hidden]
        if self._var_pos not in hidden:
            kept += args[named:]
        left = {name: value for name, value in kwargs.items() if (name if name in self._kw_only else self._var_kw) not in hidden}
        return tuple(kept), left

    def name_of(self, place: int | str) -> str:
        """The name of an argument by its place among those that `keyed` gives."""
        if isinstance(place, str):
            return place
        return self.params[place] if place < len(self.params) else f"{self._var_pos}[{place - len(self.params)}]"

    def _place(self, place: int | str) -> str:
        return f"{self.task}: argument {self.name_of(place)}"


def _of_one_item(signature: inspect.Signature, task: str) -> inspect.Signature:
    """The signature of a call to a batch task: the function's list parameter, taking one item."""
    params = list(signature.parameters.values())
    positional = [p for p in params if p.kind in (_P.POSITIONAL_ONLY, _P.POSITIONAL_OR_KEYWORD)]
    if len(positional) != 1 or len(params) != 1:
        raise WrongArguments(f"{task}{signature}: a task with batch= takes exactly one parameter, the list of the items of a batch")
    item = positional[0].replace(default=_EMPTY)
    return signature.replace(parameters=[item])


def _is_unkeyed(annotation: Any, fn: Callable[..., Any]) -> bool:
    if isinstance(annotation, str):
        annotation = evaluate(annotation, getattr(inspect.unwrap(fn), "__globals__", {}))
    annotation = getattr(annotation, "__value__", annotation)  # of a `type X = ...` statement
    origin = typing.get_origin(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return any(_is_unkeyed(part, fn) for part in typing.get_args(annotation))
    return origin is typing.Annotated and any(isinstance(mark, Unkeyed) for mark in typing.get_args(annotation)[1:])
