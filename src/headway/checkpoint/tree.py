"""Trees: what `state_dict()` of an object says, as JSON that gives the same Python values back.

Arrays are not in it: they become objects of the checkpoint of their own, and a reference stands in their place. Everything that
JSON would bend (tuples, keys that are no strings, NaN, large integers, bytes) is marked by a dictionary with one key that begins
with `$`. What is not listed here is refused, by name: nothing is pickled, so nothing that is read can run.
"""

from __future__ import annotations

import base64
import importlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from headway.checkpoint.manifest import Json
from headway.errors import CheckpointDamaged, UsageError
from headway.extras import needed

_EXACT = 2**53  # beyond it, readers that know only doubles change an integer
_ARRAYS = ("$array", "$tensor", "$scalar")
_OF_TORCH = ("$dtype", "$quantized")


def encode(value: object, name: str, keep: Callable[[str, object], str | None]) -> Json:
    """A tree as JSON. `keep(name, array)` is asked about every leaf: it keeps an array and says what it is (`$array`, `$tensor` or
    `$scalar`), or says None. Raises UsageError, naming the leaf, for a value of a kind that is not kept."""
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, float) and type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, int):
        return int(value) if abs(value) < _EXACT else {"$int": str(int(value))}
    if type(value).__module__.partition(".")[0] == "torch" and (special := _torch_values().marked(value)) is not None:
        return {special[0]: encode(special[1], name, keep)}
    mark = keep(name, value)
    if mark is not None:
        return {mark: name}
    return _encode_container(value, name, keep)


def _encode_container(value: object, name: str, keep: Callable[[str, object], str | None]) -> Json:
    def below(key: object, each: object) -> Json:
        return encode(each, f"{name}.{key}" if name else str(key), keep)

    match value:
        case Counter():
            return {"$counter": [[below("key", key), count] for key, count in value.items()]}
        case Mapping() if all(isinstance(key, str) for key in value) and not any(key.startswith("$") for key in value):
            return {str(key): below(key, each) for key, each in value.items()}
        case Mapping():
            return {"$dict": [[below("key", key), below(key, each)] for key, each in value.items()]}
        case list():
            return [below(at, each) for at, each in enumerate(value)]
        case tuple():
            return {"$tuple": [below(at, each) for at, each in enumerate(value)]}
        case set() | frozenset():
            mark = "$set" if isinstance(value, set) else "$frozenset"
            return {mark: [below(at, each) for at, each in enumerate(sorted(value, key=_order))]}
        case bytes() | bytearray():
            mark = "$bytes" if isinstance(value, bytes) else "$bytearray"
            return {mark: base64.b64encode(value).decode()}
        case complex():
            return {"$complex": [below("real", value.real), below("imag", value.imag)]}
    raise UsageError(
        f"{name} is a {type(value).__module__}.{type(value).__qualname__}, which can't be kept in a checkpoint: leave it out of "
        "the state, or let state_dict() give arrays, numbers, strings, lists, tuples and dictionaries for it"
    )


def _order(element: object) -> tuple[str, str]:
    """The same order on all ranks, of things that can't be compared, too."""
    return type(element).__name__, repr(element)


def decode(tree: Json, array: Callable[[str, str], object]) -> Any:
    """The Python value of a tree. `array(mark, name)` gives what a reference stands for."""
    if isinstance(tree, list):
        return [decode(each, array) for each in tree]
    if not isinstance(tree, dict):
        return tree
    mark = next(iter(tree)) if len(tree) == 1 else ""
    if not mark.startswith("$"):
        return {key: decode(each, array) for key, each in tree.items()}
    if mark in _ARRAYS:
        return array(mark, str(tree[mark]))
    body: Any = tree[mark] if mark in ("$float", "$int", "$bytes", "$bytearray") else decode(tree[mark], array)
    if mark in _OF_TORCH:
        return _torch_values().made(mark, body)
    match mark:
        case "$float":
            return float(str(body))
        case "$int":
            return int(str(body))
        case "$bytes":
            return base64.b64decode(str(body))
        case "$bytearray":
            return bytearray(base64.b64decode(str(body)))
        case "$complex":
            return complex(*body)
        case "$tuple":
            return tuple(body)
        case "$set":
            return set(body)
        case "$frozenset":
            return frozenset(body)
        case "$enum":
            return body[1]
        case "$counter":
            return Counter(dict(body))
        case "$dict":
            return dict(body)
    raise CheckpointDamaged(f"a value is marked {mark}, which this version of Headway does not know")


def references(tree: Json) -> Iterator[tuple[str, str]]:
    """The marks and names of the arrays that a tree refers to."""
    if isinstance(tree, dict):
        for key, each in tree.items():
            if key in _ARRAYS and len(tree) == 1:
                yield key, str(each)
            else:
                yield from references(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from references(each)


def _torch_values() -> Any:
    """What knows the values of torch, which is not imported for a tree without any."""
    with needed("a value of this checkpoint"):
        return importlib.import_module("headway.checkpoint.torch_values")
