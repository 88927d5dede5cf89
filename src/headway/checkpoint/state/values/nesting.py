"""Says where a state contains itself, or is nested too deep. Asked only when a walk did not come to its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from headway.errors import UsageError
from headway.values import MAX_DEPTH


@contextmanager
def explain_recursion(value: object, name: str = "") -> Iterator[None]:
    """Turn a RecursionError of a walk over a value into a UsageError that names the place. One of the program's own stays."""
    try:
        yield
    except RecursionError:
        if why := explain_nesting(value, name):
            raise UsageError(why) from None
        raise


def explain_nesting(value: object, name: str = "") -> str:
    """Why no walk over a value comes to its end, as a sentence that names the place; "" where one does.

    >>> loop = {"step": 1}
    >>> loop["me"] = [loop]
    >>> explain_nesting({"it": loop})
    "it contains itself, at it.me.0: a value that contains itself can't be kept in a checkpoint"
    """
    return _explain(value, name, {}, set())


def _explain(value: Any, name: str, above: dict[int, str], done: set[int]) -> str:
    """`above`: the names of the containers that this one is in, by id. `done`: those that have been walked to their ends."""
    if id(value) in above:
        loop = above[id(value)] or "the state"
        return f"{loop} contains itself, at {name}: a value that contains itself can't be kept in a checkpoint"
    if len(above) > MAX_DEPTH:
        return f"{_short(name)} is nested deeper than {MAX_DEPTH} levels, so it can't be kept in a checkpoint: make it flatter"
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        items = list(enumerate(value))
    else:
        return ""
    if id(value) not in done:
        above[id(value)] = name
        for key, each in items:
            if why := _explain(each, f"{name}.{key}" if name else str(key), above, done):
                return why
        del above[id(value)]
        done.add(id(value))
    return ""


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:40]} … {name[-17:]}"
