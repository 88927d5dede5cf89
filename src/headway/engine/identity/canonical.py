"""The canonical form of arguments: equal values give equal bytes, whatever objects they are made of.

It is msgpack again, as in the codec, but in one order: dict items and set members sorted by their bytes, arrays
row-major and little-endian whatever their layout. The type is part of the value: 1, 1.0 and True differ, a list
differs from a tuple. A NaN equals itself; -0.0 is not 0.0; a Decimal keeps its trailing zeros and a datetime its
zone. A field that does not take part in the comparison of its dataclass (`field(compare=False)`) is not part of its
value. An error is its class, its arguments and those of its attributes that are plain, which its record always keeps.

Nothing here is ever decoded, so types need no declaration. An object without a value (an open file, a client, a lambda, an object
that equals only itself) is refused, never named by its address. An object may define `__headway_key__()`, which returns something
canonical to stand for it.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import struct
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.msgpack import Ext

from headway.engine.identity.array_forms import describe, library_kind, lower_array, lower_array_scalar, lower_tensor, sampling
from headway.errors import NoCanonicalForm
from headway.journal.codec.declared import stable_tag
from headway.journal.codec.errors import take_apart
from headway.journal.codec.models import dataclass_fields, user_kind
from headway.journal.codec.tables import table_parts
from headway.journal.codec.values import STANDARD
from headway.journal.codec.wire import WRITERS, Code, Refused, Writer, a_or_an, ext, pack
from headway.values import MAX_DEPTH

WAY_OUT = "give the call a name with key=, or mark a parameter that does not change the result with Annotated[T, hw.unkeyed]"

FLAT = frozenset({type(None), bool, int, str, bytes})
"""Types that msgpack writes canonically by itself. Floats are not among them: there are many NaNs."""


class Form:
    """Extension codes of canonical forms that have no counterpart in the codec."""

    HANDLE, KEYED, NAMED, PARTIAL, METHOD, PATTERN, KWARGS, MAPPING, OF_LIBRARY = range(100, 109)


Lower = Callable[[Any, int], object]
_NAN = float("nan")
_NAN_BYTES = Raw(b"\xcb" + struct.pack(">d", abs(_NAN)))
_writer = Writer(inline=True, careful=True)
_parts = msgspec.msgpack.Decoder(list[Raw]).decode
_named_parts = msgspec.msgpack.Decoder(list[tuple[str, Raw]]).decode


def canonical(value: object, where: str = "the argument") -> bytes:
    """The canonical bytes of a value. Raises NoCanonicalForm, naming the part after `where`."""
    try:
        return pack(_lower(value, 0))
    except Refused as refused:
        raise NoCanonicalForm(f"{refused.text(where)}: {WAY_OUT}") from None


def canonical_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any], names: Callable[[int | str], str]) -> bytes:
    """The canonical bytes of a call's arguments; `names` gives one's place, for messages, by number or name."""
    if not kwargs and FLAT.issuperset(map(type, args)):
        try:
            return pack(args)
        except (OverflowError, UnicodeEncodeError):
            pass
    lowered: list[object] = []
    where = ""
    try:
        for value in args:
            lowered.append(_lower(value, 1))
        if kwargs:
            pairs = []
            for where, value in sorted(kwargs.items()):
                pairs.append([_lower(where, 1), _lower(value, 1)])
            lowered.append(ext(Form.KWARGS, pairs))
    except Refused as refused:
        raise NoCanonicalForm(f"{refused.text(names(where or len(lowered)))}: {WAY_OUT}") from None
    return pack(lowered)


def argument_forms(asked: bytes, has_named: bool) -> tuple[list[bytes], dict[str, bytes]]:
    """What `canonical_arguments` gave, taken apart: the form of each argument, by place and by name."""
    forms: list[Raw] = _parts(asked)
    named = msgspec.msgpack.decode(forms.pop(), type=Ext).data if has_named else None
    pairs: list[tuple[str, Raw]] = [] if named is None else _named_parts(named)
    return [bytes(form) for form in forms], {name: bytes(form) for name, form in pairs}


def has_form(value: object, form: bytes) -> bool:
    """Whether a value has this canonical form, now."""
    try:
        return pack(_lower(value, 1)) == form
    except BaseException:  # there is none, or an object of the program failed
        return False


def glance(value: object) -> bytes:
    """The canonical form of a value, with samples of its large arrays instead of the whole. Raises NoCanonicalForm."""
    with sampling():
        return canonical(value)


# --- the walk --------------------------------------------------------------------------------------------------------


def _lower(value: Any, depth: int) -> object:
    kind = type(value)
    if kind is str or kind is int:
        return _writer.lower(value)
    if kind in FLAT:
        return value
    if kind is float:
        return _NAN_BYTES if value != value else value
    if depth > MAX_DEPTH:
        raise Refused(f"is nested deeper than {MAX_DEPTH} levels", value)
    lower = _LOWER.get(kind) or _find(kind)
    return lower(value, depth)


def _lower_items(values: Iterable[Any], depth: int, owner: object) -> list[object]:
    out: list[object] = []
    try:
        for value in values:
            out.append(_lower(value, depth + 1))
    except Refused as refused:
        refused.step(owner, f"[{len(out)}]")
        raise
    return out


def _lower_fields(fields: Mapping[str, Any], depth: int, owner: object) -> list[object]:
    out: list[object] = []
    name = ""
    try:
        for name, value in sorted(fields.items()):
            out += (name, _lower(value, depth + 1))
    except Refused as refused:
        refused.step(owner, f".{name}")
        raise
    return out


def _lower_list(value: Any, depth: int) -> object:
    if FLAT.issuperset(map(type, value)):
        try:
            return Raw(pack(value))
        except (OverflowError, UnicodeEncodeError):
            pass
    return _lower_items(value, depth, value)


def _lower_tuple(value: Any, depth: int) -> object:
    return ext(Code.TUPLE, _lower_list(value, depth))


def _pairs(value: Any, depth: int) -> list[object]:
    pairs: list[tuple[bytes, bytes]] = []
    key: object = None
    try:
        for key, item in value.items():
            pairs.append((pack(_lower(key, depth + 1)), pack(_lower(item, depth + 1))))
    except Refused as refused:
        refused.step(value, f"[{_key_text(key)}]")
        raise
    return [Raw(part) for pair in sorted(pairs) for part in pair]


def _key_text(key: object) -> str:
    return f"{key!r:.60}" if type(key) in FLAT else type(key).__qualname__


def _lower_dict(value: Any, depth: int) -> object:
    return ext(Code.DICT, _pairs(value, depth))


def _lower_mapping(value: Any, depth: int) -> object:
    return ext(Form.MAPPING, [type(value).__name__, *_pairs(value, depth)])


def _lower_ordered(value: Any, depth: int) -> object:
    flat = _lower_items([part for pair in value.items() for part in pair], depth, value)
    return ext(Code.ORDERED, flat)


def _lower_members(code: int) -> Lower:
    def lower(value: Any, depth: int) -> object:
        try:
            return ext(code, [Raw(member) for member in sorted(pack(_lower(item, depth + 1)) for item in value)])
        except Refused as refused:
            refused.step(value, "{…}")
            raise

    return lower


def _lower_deque(value: Any, depth: int) -> object:
    return ext(Code.DEQUE, _lower_items(value, depth, value))


def _lower_complex(value: complex, depth: int) -> object:
    return ext(Code.COMPLEX, [_lower(value.real, depth), _lower(value.imag, depth)])


def _lower_buffer(code: int) -> Lower:
    def lower(value: Any, depth: int) -> object:
        return Ext(code, bytes(value) if code == Code.BYTEARRAY else pack([value.format, value.shape, value.tobytes()]))

    return lower


def _lower_slice(value: slice, depth: int) -> object:
    return ext(Code.SLICE, _lower_items((value.start, value.stop, value.step), depth, value))


# --- things that have a name -----------------------------------------------------------------------------------------


def _lower_named(value: Any, depth: int) -> object:
    """Functions and classes, by name; only those that everybody who knows the name would find."""
    if "<" in value.__qualname__:
        what = "a lambda" if value.__name__ == "<lambda>" else f"{value.__qualname__}, defined inside a function"
        raise Refused(f"is {what}, which has no canonical form (define it at the top of a module)")
    return ext(Form.NAMED, stable_tag(value))


def _lower_builtin(value: Any, depth: int) -> object:
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        return ext(Form.NAMED, f"{value.__module__ or 'builtins'}:{value.__qualname__}")
    return ext(Form.METHOD, [value.__name__, _lower(owner, depth + 1)])


def _lower_descriptor(value: Any, depth: int) -> object:
    return ext(Form.NAMED, stable_tag(value.__objclass__) + f".{value.__name__}")  # str.upper, say


def _lower_method(value: Any, depth: int) -> object:
    return ext(Form.METHOD, [_lower(value.__func__, depth + 1), _lower(value.__self__, depth + 1)])


def _lower_partial(value: functools.partial[Any], depth: int) -> object:
    parts = [_lower(value.func, depth + 1), _lower_items(value.args, depth, value)]
    return ext(Form.PARTIAL, [*parts, _lower_fields(value.keywords, depth, value)])


def _lower_pattern(value: re.Pattern[Any], depth: int) -> object:
    return ext(Form.PATTERN, [_lower(value.pattern, depth), value.flags])


def _lower_handle(value: Any, depth: int) -> object:
    return Ext(Form.HANDLE, value._key)


def _lower_keyed(value: Any, depth: int) -> object:
    try:
        return ext(Form.KEYED, _lower(value.__headway_key__(), depth + 1))
    except Refused as refused:
        refused.step(value, ".__headway_key__()")
        raise


# --- types that users define -----------------------------------------------------------------------------------------


def _lower_enum(value: Any, depth: int) -> object:
    named = value._name_ is not None and value._name_ in type(value).__members__
    return ext(Code.ENUM, [stable_tag(type(value)), value._name_ if named else _lower(value._value_, depth + 1)])


def _lower_dataclass(value: Any, depth: int) -> object:
    compared = _list_compared_fields(value.__class__)
    fields = {name: getattr(value, name) for name in compared if hasattr(value, name)}
    return ext(Code.DATACLASS, [stable_tag(type(value)), *_lower_fields(fields, depth, value)])


@functools.cache
def _list_compared_fields(cls: Any) -> tuple[str, ...]:
    """The fields that make a dataclass equal to another; all of them where it does not compare by fields."""
    if not cls.__dataclass_params__.eq:
        return dataclass_fields(cls)
    return tuple(field.name for field in dataclasses.fields(cls) if field.compare)


def _lower_namedtuple(value: Any, depth: int) -> object:
    fields = dict(zip(value._fields, tuple.__iter__(value), strict=True))
    return ext(Code.NAMEDTUPLE, [stable_tag(type(value)), *_lower_fields(fields, depth, value)])


def _lower_struct(value: Any, depth: int) -> object:
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    return ext(Code.STRUCT, [stable_tag(type(value)), *_lower_fields(fields, depth, value)])


def _lower_model(value: Any, depth: int) -> object:
    fields = {name: part for name, part in value.__dict__.items() if name in type(value).__pydantic_fields__}
    fields |= value.__pydantic_extra__ or {}
    parts = _lower_fields(fields, depth, value)
    private = _lower_fields(value.__pydantic_private__ or {}, depth, value)
    return ext(Code.MODEL, [stable_tag(type(value)), parts, private])


def _lower_error(value: BaseException, depth: int) -> object:
    args, attributes = take_apart(value)
    parts = [stable_tag(type(value)), _lower_items(args, depth, value)]
    return ext(Code.ERROR, [*parts, _lower_fields(attributes, depth, value)] if attributes else parts)


# --- arrays ----------------------------------------------------------------------------------------------------------


def _lower_array(value: Any, depth: int) -> object:
    return lower_array(value, depth, _lower_items, _lower_fields)


def _lower_table(value: Any, depth: int) -> object:
    return ext(Code.TABLE, _lower_items(table_parts(value) or (), depth, value))


def _lower_array_scalar(value: Any, depth: int) -> object:
    return lower_array_scalar(value, depth, _lower_array)


def _lower_tensor(value: Any, depth: int) -> object:
    return lower_tensor(value)


def _lower_array_type(value: Any, depth: int) -> object:
    return ext(Form.OF_LIBRARY, describe(value))


# --- which form a type has -------------------------------------------------------------------------------------------

_LOWER: dict[type, Lower] = {
    list: _lower_list,
    tuple: _lower_tuple,
    dict: _lower_dict,
    set: _lower_members(Code.SET),
    frozenset: _lower_members(Code.FROZENSET),
    collections.OrderedDict: _lower_ordered,
    collections.defaultdict: _lower_mapping,
    collections.Counter: _lower_mapping,
    types.MappingProxyType: _lower_mapping,
    collections.deque: _lower_deque,
    bytearray: _lower_buffer(Code.BYTEARRAY),
    memoryview: _lower_buffer(Code.MEMORYVIEW),
    complex: _lower_complex,
    slice: _lower_slice,
    functools.partial: _lower_partial,
    re.Pattern: _lower_pattern,
    types.FunctionType: _lower_named,
    types.BuiltinFunctionType: _lower_builtin,
    types.MethodType: _lower_method,
    types.MethodDescriptorType: _lower_descriptor,
    types.WrapperDescriptorType: _lower_descriptor,
}

_USER_KINDS: dict[str, Lower] = {
    "enum": _lower_enum,
    "namedtuple": _lower_namedtuple,
    "struct": _lower_struct,
    "model": _lower_model,
    "dataclass": _lower_dataclass,
}

_LIBRARY_KINDS: dict[str, Lower] = {
    "array": _lower_array,
    "scalar": _lower_array_scalar,
    "tensor": _lower_tensor,
    "array type": _lower_array_type,
    "table": _lower_table,
}


def _find(cls: type) -> Lower:
    lower = _by_protocol(cls) or _USER_KINDS.get(user_kind(cls)) or _LIBRARY_KINDS.get(library_kind(cls))
    if lower is None and cls in STANDARD:  # a kind of the standard library whose encoding is canonical already
        lower = _as_encoded
    if lower is None:
        return _refuse
    _LOWER[cls] = lower
    return lower


def _by_protocol(cls: type) -> Lower | None:
    if getattr(cls, "__headway_handle__", False):
        return _lower_handle
    if hasattr(cls, "__headway_key__"):
        return _lower_keyed
    if issubclass(cls, type):
        return _lower_named
    return _lower_error if issubclass(cls, BaseException) else None


def _as_encoded(value: Any, depth: int) -> object:
    return WRITERS[type(value)](_writer, value, depth)


def _refuse(value: Any, depth: int) -> object:
    raise Refused(f"is {a_or_an(type(value).__qualname__)}, which has no canonical form")
