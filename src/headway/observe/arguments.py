"""Reads a call's arguments back from its key's canonical form, for people to look at.

A key is made of arguments in their canonical form (`engine.identity.canonical`), which is recorded with the call. It has plain data
as it is and objects by their fields. Of an array it has type and shape, and for a result that was passed by handle it has the call.
Nothing here makes an object of a user's class: such a part shows as a `StandIn` with its fields.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from headway.engine.identity.canonical import Form
from headway.journal.codec.wire import Code, Reader, StandIn

EXPLICIT = b"\xc1"  # begins what `key=` gave


class Arguments(dict[str, Any]):
    """The arguments of a call by name, or by place ("0", "1", …) where a place has no name."""


def read_arguments(asked: bytes, params: Sequence[str]) -> Arguments:
    """The arguments in `asked`; of a call with `key=` the key. Never fails: what can't be read shows as a `StandIn`."""
    try:
        if asked.startswith(EXPLICIT):
            return Arguments({"key=": _decode(asked[1:])})
        values = _decode(asked)
        named = values.pop() if values and type(values[-1]) is _Named else {}
    except (msgspec.DecodeError, ValueError, TypeError, AttributeError):
        return Arguments({"0": StandIn("arguments that can't be read")}) if asked else Arguments()
    names = [*params, *map(str, range(len(params), len(values)))]
    return Arguments({**dict(zip(names, values, strict=False)), **named})


class _Named(dict[str, Any]):
    """The arguments that were given by name."""


def _read(code: int, data: memoryview) -> Any:
    read = _READ.get(code)
    try:
        if read is not None:
            return read(_decode(data))
        if code in _RAW:
            return _RAW[code](bytes(data))
        return Reader(lenient=True)._read(code, data)
    except Exception:  # people still want to see the rest
        return StandIn(f"kind {code}")


_decode = msgspec.msgpack.Decoder(ext_hook=_read).decode


def _pairs(flat: Sequence[Any]) -> dict[Any, Any]:
    """A flat list of keys and values; a key that can't be one here shows as its text."""
    items = iter(flat)
    return {_hashable(key): value for key, value in zip(items, items, strict=True)}


def _hashable(key: Any) -> Any:
    try:
        hash(key)
    except TypeError:
        return repr(key)
    return key


def _members(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(parts: list[Any]) -> Any:
        try:
            return kind(parts)
        except TypeError:  # members that only their own classes can hash
            return StandIn(kind.__name__, dict(enumerate(parts)))

    return read


def _fields(parts: list[Any]) -> StandIn:
    return StandIn(parts[0], _pairs(parts[1:]))


def _array(parts: list[Any], kind: str = "ndarray") -> StandIn:
    dtype, shape, *_ = parts
    return StandIn(kind, {"dtype": dtype, "shape": tuple(shape)})


def _scalar(parts: list[Any]) -> Any:
    dtype, data = parts
    np = sys.modules.get("numpy")
    return StandIn("numpy scalar", {"dtype": dtype}) if np is None else np.frombuffer(data, dtype)[0].item()


def _enum(parts: list[Any]) -> StandIn:
    return StandIn(f"{parts[0]}.{parts[1]}")


def _partial(parts: list[Any]) -> StandIn:
    function, args, named = parts
    return StandIn("partial", {"of": function, **dict(zip(map(str, range(len(args))), args, strict=True)), **_pairs(named)})


_READ: Mapping[int, Callable[[Any], Any]] = {
    Code.TUPLE: tuple,
    Code.DICT: _pairs,
    Code.ORDERED: lambda flat: OrderedDict(_pairs(flat)),
    Code.SET: _members(set),
    Code.FROZENSET: _members(frozenset),
    Code.DEQUE: deque,
    Code.COMPLEX: lambda parts: complex(*parts),
    Code.SLICE: lambda parts: slice(*parts),
    Code.ENUM: _enum,
    Code.DATACLASS: _fields,
    Code.NAMEDTUPLE: _fields,
    Code.STRUCT: _fields,
    Code.MODEL: lambda parts: StandIn(parts[0], _pairs(parts[1])),
    Code.ERROR: lambda parts: StandIn(parts[0], dict(enumerate(parts[1]))),
    Code.ARRAY: _array,
    Code.TENSOR: lambda parts: _array(parts, "tensor"),
    Code.ARRAY_SCALAR: _scalar,
    Form.KEYED: lambda value: StandIn("keyed", {"key": value}),
    Form.NAMED: lambda tag: StandIn(tag),
    Form.PARTIAL: _partial,
    Form.METHOD: lambda parts: StandIn("method", {"of": parts[1], "name": parts[0]}),
    Form.PATTERN: lambda parts: StandIn("pattern", {"pattern": parts[0]}),
    Form.MAPPING: lambda parts: StandIn(parts[0], _pairs(parts[1:])),
    Form.KWARGS: lambda pairs: _Named(dict(pairs)),
}
_RAW: Mapping[int, Callable[[bytes], Any]] = {
    Code.BYTEARRAY: bytearray,
    Code.MEMORYVIEW: lambda data: StandIn("memoryview"),
    Form.HANDLE: lambda key: StandIn("result of call", key.hex()[:8]),
}
