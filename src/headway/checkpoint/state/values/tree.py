"""Trees: what an object's `state_dict()` returns, as JSON that gives the same Python values back.

Arrays become objects of the checkpoint, and a reference stands in their place. Everything that JSON would change (tuples, keys
other than strings, NaN, large integers, bytes) is marked by a dictionary with one key that begins with `$`. Any other type is
refused by name. Nothing is pickled, so nothing that is read can run.
"""

from __future__ import annotations

import base64
import importlib
import math
import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

import msgspec

from headway.checkpoint.files.manifest import Json
from headway.checkpoint.state.values.nesting import explain_recursion
from headway.errors import CheckpointDamaged, UsageError
from headway.extras import explain_missing
from headway.values import MAX_DEPTH, is_named_tuple, is_text

_EXACT = 2**53  # beyond it, readers that know only doubles change an integer
_TOO_LONG = 10**4300  # digits beyond which Python refuses to read an integer
_ARRAYS = ("$array", "$tensor", "$scalar")
_OF_TORCH = ("$dtype", "$quantized")
CLASSED = ("$enum", "$namedtuple")  # these marks name a class
_ARRAY_MODULES = ("numpy", "torch", "ml_dtypes")
_PLAIN = frozenset({int, float, str, bytes})
_DICTS = (dict, OrderedDict, defaultdict)
_BASES = (int, float, complex, str, bytes, bytearray, Mapping, list, tuple, set, frozenset)


Keep = Callable[[str, object], str | None]


def encode(value: object, name: str, keep: Keep, depth: int = 0) -> Json:
    """Convert a tree to JSON. `keep(name, leaf)` is called for every leaf: it keeps an array and returns what it is (`$array`,
    `$tensor` or `$scalar`), or returns None. Raises UsageError, naming the leaf, for a type that can't be kept, and for a value
    that contains itself or is nested too deep to be read again."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return {"$enum": [type(value).__qualname__, encode(value.value, name, keep, depth)]}
    kind = type(value)
    if isinstance(value, str):
        if kind is not str:
            raise _make_refusal(value, name)
        return _text(value, name)
    if isinstance(value, float) and kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, int) and kind is int:
        return value if abs(value) < _EXACT else {"$int": _decimal(value, name)}
    if kind.__module__.partition(".")[0] == "torch" and (special := _torch_values().take_apart(value)) is not None:
        return {special[0]: encode(special[1], name, keep, depth)}
    mark = keep(name, value) if not isinstance(value, bytes) else None
    if mark is not None:
        return {mark: name}
    if depth > MAX_DEPTH:
        raise RecursionError
    return _encode_container(value, name, keep, depth + 1) if depth else _encode_root(value, name, keep)


def _encode_root(value: object, name: str, keep: Keep) -> Json:
    with explain_recursion(value, name):
        return _encode_container(value, name, keep, 1)


def _encode_container(value: object, name: str, keep: Keep, depth: int) -> Json:
    def below(key: object, each: object) -> Json:
        return encode(each, f"{name}.{key}" if name else str(key), keep, depth)

    kind: type[Any] = type(value)
    match value:
        case Counter() if kind is Counter:
            return {"$counter": [[below(f"key-{at}", key), below(key, n)] for at, (key, n) in enumerate(value.items())]}
        case dict() if kind in _DICTS and all(type(key) is str and not key.startswith("$") for key in value):
            return {_text(key, f"a key of {name}"): below(key, each) for key, each in value.items()}
        case dict() if kind in _DICTS:
            return {"$dict": [[below(f"key-{at}", key), below(key, each)] for at, (key, each) in enumerate(value.items())]}
        case list() if kind is list:
            return [below(at, each) for at, each in enumerate(value)]
        case tuple() if kind is tuple or _is_size(kind):
            return {"$tuple" if kind is tuple else "$size": [below(at, each) for at, each in enumerate(value)]}
        case tuple() if class_of(value) is not None:
            return {"$namedtuple": [kind.__qualname__, [below(at, each) for at, each in enumerate(value)]]}
        case set() | frozenset() if kind in (set, frozenset):
            mark = "$set" if kind is set else "$frozenset"
            return {mark: [below(at, each) for at, each in enumerate(sorted(value, key=_order))]}
        case bytes() | bytearray() if kind in (bytes, bytearray):
            mark = "$bytes" if kind is bytes else "$bytearray"
            return {mark: base64.b64encode(value).decode()}
        case complex() if kind is complex:
            return {"$complex": [below("real", value.real), below("imag", value.imag)]}
    raise _make_refusal(value, name)


def _make_refusal(value: object, name: str) -> UsageError:
    what = f"{name or 'the state'} is a {type(value).__module__}.{type(value).__qualname__}, "
    base = next((base for base in _BASES if isinstance(value, base)), None)
    if base is None:
        return UsageError(
            f"{what}which can't be kept in a checkpoint: leave it out of the state, or let state_dict() give arrays, numbers, "
            "strings, lists, tuples and dictionaries for it"
        )
    plain = "dict" if base is Mapping else base.__name__
    return UsageError(f"{what}a kind of {plain} that would come back as a plain {plain}: give {plain}(…) of it")


def _text(text: str, name: str) -> str:
    """Return the string. Raises UsageError for one that UTF-8 can't write, such as `os.listdir` gives for a name in another
    encoding."""
    if not is_text(text):
        raise UsageError(f"{name or 'the state'} is {text!r}, a string that is not valid text: give its bytes (os.fsencode)")
    return text


def _decimal(value: int, name: str) -> str:
    """Write an integer in decimal. Raises UsageError for one with more digits than Python reads."""
    if abs(value) >= _TOO_LONG:
        bits = value.bit_length()
        raise UsageError(f"{name or 'the state'} is an integer of {bits} bits, which is too long: give its bytes (to_bytes)")
    return str(value)


def class_of(value: object) -> type[Any] | None:
    """Return the class that the mark of an enum member or a named tuple names; None for any other value."""
    kind = type(value)
    return kind if is_named_tuple(kind) or isinstance(value, Enum) else None


def _is_size(kind: type[Any]) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and kind is torch.Size


def _order(member: object) -> tuple[str, str]:
    """Make a sort key that is the same on all ranks, even for members that can't be compared. The repr of a set is not the same: it
    depends on the hashes of strings, which every process seeds for itself."""
    kind = type(member)
    if kind in _PLAIN:
        return kind.__name__, repr(member)
    try:
        return kind.__name__, msgspec.json.encode(encode(member, "", _name_by_text)).decode()
    except UsageError:
        return kind.__name__, ""  # refused by its name in a moment


def _name_by_text(name: str, leaf: object) -> str | None:
    """Stand in for keeping an array, with a mark that is its repr."""
    return repr(leaf) if type(leaf).__module__.partition(".")[0] in _ARRAY_MODULES else None


def decode(tree: Json, array: Callable[[str, str], object], classes: Mapping[str, Any] | None = None) -> Any:
    """Convert JSON back to the Python value. `array(mark, name)` returns what a reference stands for. `classes` are those of enums
    and named tuples, by name. For a class that is not there, an enum member's value or a plain tuple comes back."""
    if isinstance(tree, list):
        return [decode(each, array, classes) for each in tree]
    if not isinstance(tree, dict):
        return tree
    mark = next(iter(tree)) if len(tree) == 1 else ""
    if not mark.startswith("$"):
        return {key: decode(each, array, classes) for key, each in tree.items()}
    if mark in _ARRAYS:
        return array(mark, str(tree[mark]))
    body: Any = tree[mark] if mark in ("$float", "$int", "$bytes", "$bytearray") else decode(tree[mark], array, classes)
    if mark in _OF_TORCH:
        return _torch_values().put_together(mark, body)
    if mark in CLASSED:
        return _of_class(mark, (classes or {}).get(body[0]), body[1])
    return _rebuild(mark, body)


def _of_class(mark: str, kind: Any, value: Any) -> Any:
    if mark == "$enum":
        return value if kind is None else kind(value)
    return tuple(value) if kind is None else kind(*value)


def _rebuild(mark: str, body: Any) -> Any:
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
        case "$size":
            torch = sys.modules.get("torch")
            return tuple(body) if torch is None else torch.Size(body)
        case "$set":
            return set(body)
        case "$frozenset":
            return frozenset(body)
        case "$counter":
            return Counter(dict(body))
        case "$dict":
            return dict(body)
    raise CheckpointDamaged(f"a value is marked {mark}, which this version of Headway does not know")


def references(tree: Json) -> Iterator[tuple[str, str]]:
    """Yield the marks and names of the arrays that a tree refers to."""
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
    """Import the module for values of torch, which is not imported for a tree without any."""
    with explain_missing("a value of this checkpoint"):
        return importlib.import_module("headway.checkpoint.state.torch.values")
