"""Gives loaded values the classes that the state has in the same places.

A tree names the class of an enum member or a named tuple, but no class is ever looked up by a name that was read. So an object gets
such a value back only if its own state, before the load, has one of that class anywhere in it. Ordered dictionaries and those with
defaults come back as such if the object has one in that place.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from headway.checkpoint.files.manifest import Json
from headway.checkpoint.state.values.tree import CLASSED, class_of, decode
from headway.errors import CheckpointMismatch


def classes_for(saved: Json, current: object, name: str) -> dict[str, Any]:
    """Find the classes that a tree names among those in the current state. Raises CheckpointMismatch for one that is not there, and
    for a value that its class does not take."""
    named = list(_find_classed(saved))
    classes = dict(_classes_in(current)) if named else {}
    for mark, kind, value in named:
        where = f"{name} was saved with {'a member of the enum' if mark == '$enum' else 'the named tuple'} {kind} ({value!r}), "
        known = classes.get(kind)
        if known is None:
            raise CheckpointMismatch(
                f"{where}and what the state has there has none of that class. Nothing was changed. Put one there"
            )
        try:
            _ = known(value) if mark == "$enum" else known(*value)
        except (TypeError, ValueError):
            raise CheckpointMismatch(f"{where}which the class of that name does not take now. Nothing was changed") from None
    return classes


def match_kinds(current: object, loaded: Any) -> Any:
    """Give loaded dictionaries the kinds that the current ones have."""
    if type(loaded) is list and isinstance(current, list):
        return [match_kinds(*pair) for pair in zip(current, loaded, strict=False)] + loaded[len(current) :]
    if type(loaded) is tuple and isinstance(current, tuple):
        return (*map(match_kinds, current, loaded), *loaded[len(current) :])
    if type(loaded) is not dict or not isinstance(current, dict):
        return loaded
    items = {key: match_kinds(current[key], each) if key in current else each for key, each in loaded.items()}
    if isinstance(current, defaultdict):
        return defaultdict(current.default_factory, items)
    return OrderedDict(items) if isinstance(current, OrderedDict) else items


def _find_classed(tree: Json) -> Iterator[tuple[str, str, Any]]:
    """Yield the marks of a tree that name a class, with that name and the value."""
    if isinstance(tree, dict):
        for key, each in tree.items():
            if key in CLASSED and len(tree) == 1 and isinstance(each, list):
                yield key, str(each[0]), decode(each[1], _no_array)
                yield from _find_classed(each[1])
            else:
                yield from _find_classed(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from _find_classed(each)


def _classes_in(value: object) -> Iterator[tuple[str, Any]]:
    if (known := class_of(value)) is not None:
        yield known.__qualname__, known
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _classes_in(key)
            yield from _classes_in(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _classes_in(each)


def _no_array(mark: str, name: str) -> None:
    """Leave arrays out: they are not loaded yet."""
