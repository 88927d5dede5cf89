"""Handles among the arguments of a call: finding them, and putting their results in their place.

A handle counts as an input when it is an argument itself or sits inside lists, tuples, sets or dictionaries of an argument. The
containers are rebuilt with the results; what the caller holds is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from headway.engine.call import Call
from headway.engine.handle import Handle
from headway.errors import UsageError

PLAIN = frozenset({int, str, float, bool, bytes, type(None)})


def handles_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Call, ...]:
    """The calls whose handles are among the arguments, each once, in order. Raises UsageError for a stream."""
    found: dict[Call, None] = {}
    for value in args:
        if type(value) not in PLAIN:
            _collect(value, found, 0)
    for value in kwargs.values():
        if type(value) not in PLAIN:
            _collect(value, found, 0)
    return tuple(found)


def _collect(value: Any, found: dict[Call, None], depth: int) -> None:
    kind = type(value)
    if kind is Handle:
        found[value._call] = None
    elif kind in (list, tuple, set, frozenset) and depth < 100:
        for item in value:
            if type(item) not in PLAIN:
                _collect(item, found, depth + 1)
    elif kind is dict and depth < 100:
        for item in value.values():
            if type(item) not in PLAIN:
                _collect(item, found, depth + 1)
    elif issubclass(kind, Handle):
        raise UsageError(
            f"{value!r} is a stream and can't be an argument of a call: a call gets results, and a stream is read item by item. "
            "Pass the items, or their list, or let the call read a stream of its own"
        )


def replace_handles(value: Any, result_of: Callable[[Call], Any]) -> Any:
    """Replace the handles in an argument by their results. Returns the same object if it has none."""
    kind = type(value)
    if kind is Handle:
        return result_of(value._call)
    if kind in (list, tuple, set, frozenset):
        items = [replace_handles(item, result_of) for item in value]
        return kind(items) if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if kind is dict:
        pairs = {name: replace_handles(item, result_of) for name, item in value.items()}
        return pairs if any(pairs[name] is not item for name, item in value.items()) else value
    return value
