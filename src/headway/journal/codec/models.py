"""Kinds of value that users define: enums, dataclasses, named tuples, msgspec structs, pydantic models.

They are stored by the name of the class and their fields, and rebuilt only for classes that the program declared (see
`declared`). Rebuilding sets the fields and runs neither `__init__` nor `__post_init__` nor validators: the value was
whole when it was stored, and reading a journal must have no side effects. (msgspec offers no such door: a Struct's
`__post_init__` runs.) What `__post_init__` put on an object beside its fields is therefore stored with it.

A class may have changed since: fields that the record lacks take their defaults, fields that the class lacks are
dropped.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from headway.errors import NotDecodable
from headway.journal.codec.declared import full_tag, is_declared, resolve
from headway.journal.codec.values import STANDARD
from headway.journal.codec.wire import FAMILIES, Code, Reader, Refused, StandIn, Write, Writer, a_or_an, ext, reader
from headway.values import is_named_tuple

_ABSENT: Any = object()


def _tag(value: object) -> str:
    """The name of a value's class, once it is sure that the program can find it again."""
    cls = type(value)
    if not is_declared(cls):
        raise Refused(
            f"is {a_or_an(cls.__qualname__)}, which a later process could not find by its name: define the class at the top of a"
            f" module, name it in the task's return annotation (-> {cls.__qualname__}), or decorate it with @hw.register"
        )
    return full_tag(cls)


def _find(r: Reader, tag: str, kind: str, fits: Callable[[type], bool]) -> type | None:
    """The declared class of this name, or None where the reader is lenient."""
    try:
        cls = resolve(tag)
    except NotDecodable:
        if r.lenient:
            return None
        raise
    if fits(cls):
        return cls
    if r.lenient:
        return None
    raise NotDecodable(f"a recorded value is a {kind} {tag}, and {tag} is something else now: fork the run before that call")


def _missing(tag: str, name: str) -> NotDecodable:
    return NotDecodable(f"a recorded {tag} has no field {name!r}, and the class gives it no default: give it one")


# --- enums -----------------------------------------------------------------------------------------------------------


def _write_enum(w: Writer, value: enum.Enum, depth: int) -> object:
    return ext(Code.ENUM, [_tag(value), value._name_, w.lower(value._value_, depth + 1)])


@reader(Code.ENUM)
def _read_enum(r: Reader, data: memoryview) -> object:
    tag, name, value = r.read(data)
    cls = _find(r, tag, "enum", lambda cls: issubclass(cls, enum.Enum))
    if cls is None:
        return StandIn(f"{tag}.{name}")
    assert issubclass(cls, enum.Enum)
    member = cls.__members__.get(name or "")
    if member is not None:
        return member
    try:
        return cls(value)
    except ValueError:
        raise NotDecodable(f"a recorded {tag} is {name!r} = {value!r}, and the enum has no such member now") from None


# --- dataclasses -----------------------------------------------------------------------------------------------------


@functools.cache
def dataclass_fields(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


def _write_dataclass(w: Writer, value: Any, depth: int) -> object:
    tag = _tag(value)
    names = dataclass_fields(value.__class__)
    fields = {name: part for name in names if (part := getattr(value, name, _ABSENT)) is not _ABSENT}
    lowered = w.lower_fields(fields, depth, value)
    extras = _extras(value, names)
    return ext(Code.DATACLASS, [tag, lowered, w.lower_fields(extras, depth, value)] if extras else [tag, lowered])


def _extras(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Attributes beside the fields, without what Python computes again when asked."""
    cls = type(value)
    return {
        name: part
        for name, part in getattr(value, "__dict__", {}).items()
        if name not in names and not name.startswith("__") and not isinstance(getattr(cls, name, None), functools.cached_property)
    }


@reader(Code.DATACLASS)
def _read_dataclass(r: Reader, data: memoryview) -> object:
    tag, fields, *extras = r.read(data)
    cls = _find(r, tag, "dataclass", dataclasses.is_dataclass)
    if cls is None:
        return StandIn(tag, fields)
    value: Any = object.__new__(cls)
    for field in dataclasses.fields(cls):
        part = fields.get(field.name, _ABSENT)
        if part is _ABSENT:
            part = _field_default(tag, field)
        if part is not _ABSENT:
            object.__setattr__(value, field.name, part)
    if extras and hasattr(value, "__dict__"):
        value.__dict__.update(extras[0])
    return value


def _field_default(tag: str, field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    if not field.init:
        return _ABSENT  # it is `__post_init__` that sets it, and it was not set when the value was stored
    raise _missing(tag, field.name)


# --- named tuples ----------------------------------------------------------------------------------------------------


def _write_namedtuple(w: Writer, value: Any, depth: int) -> object:
    fields = dict(zip(value._fields, tuple.__iter__(value), strict=True))
    return ext(Code.NAMEDTUPLE, [_tag(value), w.lower_fields(fields, depth, value)])


@reader(Code.NAMEDTUPLE)
def _read_namedtuple(r: Reader, data: memoryview) -> object:
    tag, fields = r.read(data)
    cls: Any = _find(r, tag, "named tuple", lambda cls: issubclass(cls, tuple) and hasattr(cls, "_fields"))
    if cls is None:
        return StandIn(tag, fields)
    return tuple.__new__(cls, [_part(tag, fields, name, cls._field_defaults) for name in cls._fields])


def _part(tag: str, fields: Mapping[str, Any], name: str, defaults: Mapping[str, Any]) -> Any:
    if name in fields:
        return fields[name]
    if name in defaults:
        return defaults[name]
    raise _missing(tag, name)


# --- msgspec structs -------------------------------------------------------------------------------------------------


def _write_struct(w: Writer, value: msgspec.Struct, depth: int) -> object:
    names = value.__struct_fields__
    tag = _tag(value)
    fields = {name: part for name in names if (part := getattr(value, name)) is not msgspec.UNSET}
    lowered = w.lower_fields(fields, depth, value)
    extras = _extras(value, names)
    return ext(Code.STRUCT, [tag, lowered, w.lower_fields(extras, depth, value)] if extras else [tag, lowered])


@reader(Code.STRUCT)
def _read_struct(r: Reader, data: memoryview) -> object:
    tag, fields, *extras = r.read(data)
    cls = _find(r, tag, "struct", lambda cls: issubclass(cls, msgspec.Struct))
    if cls is None:
        return StandIn(tag, fields)
    names: tuple[str, ...] = cls.__struct_fields__  # type: ignore[attr-defined]  # every Struct has it
    given = {name: fields[name] for name in names if name in fields}
    required = [field.name for field in msgspec.structs.fields(cls) if field.required] if len(given) < len(names) else ()
    for name in required:
        if name not in given:
            raise _missing(tag, name)
    value = cls(**given)
    if extras and hasattr(value, "__dict__"):
        value.__dict__.update(extras[0])
    return value


# --- pydantic models -------------------------------------------------------------------------------------------------


def _is_model(cls: type) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def _write_model(w: Writer, value: Any, depth: int) -> object:
    tag = _tag(value)
    declared = type(value).__pydantic_fields__
    fields = {name: part for name, part in value.__dict__.items() if name in declared}
    parts = [tag, w.lower_fields(fields, depth, value), sorted(value.__pydantic_fields_set__)]
    extra, private = value.__pydantic_extra__, value.__pydantic_private__
    rest = [extra if extra is None else w.lower_fields(extra, depth, value)]
    rest.append(private if private is None else w.lower_fields(private, depth, value))
    return ext(Code.MODEL, parts + rest)


@reader(Code.MODEL)
def _read_model(r: Reader, data: memoryview) -> object:
    tag, fields, fields_set, extra, private = r.read(data)
    cls: Any = _find(r, tag, "pydantic model", _is_model)
    if cls is None:
        return StandIn(tag, {**fields, **(extra or {})})
    given = {name: _model_part(tag, cls, fields, name) for name in cls.__pydantic_fields__}
    value = cls.__new__(cls)
    put = object.__setattr__
    put(value, "__dict__", given)
    put(value, "__pydantic_fields_set__", {name for name in fields_set if name in given or (extra and name in extra)})
    put(value, "__pydantic_extra__", extra)
    put(value, "__pydantic_private__", _private(cls, private))
    return value


def _model_part(tag: str, cls: Any, fields: Mapping[str, Any], name: str) -> Any:
    if name in fields:
        return fields[name]
    field = cls.__pydantic_fields__[name]
    if field.is_required():
        raise _missing(tag, name)
    return field.get_default(call_default_factory=True, validated_data=fields)


def _private(cls: Any, private: dict[str, Any] | None) -> dict[str, Any] | None:
    """The stored private attributes; those that are new take their defaults."""
    if not cls.__private_attributes__:
        return private
    missing = {name: attr.get_default() for name, attr in cls.__private_attributes__.items() if name not in (private or {})}
    return {**missing, **(private or {})}


# --- which family a class is of --------------------------------------------------------------------------------------


def user_kind(cls: type) -> str:
    """Which kind of user type a class is: enum, namedtuple, struct, model or dataclass; empty for none of them."""
    if issubclass(cls, enum.Enum):
        return "enum"
    if issubclass(cls, tuple):
        return "namedtuple" if is_named_tuple(cls) else ""
    if issubclass(cls, msgspec.Struct):
        return "struct"
    if _is_model(cls):
        return "model"
    return "dataclass" if dataclasses.is_dataclass(cls) and not issubclass(cls, _BUILTIN_BASES) else ""


_BUILTIN_BASES = (str, int, float, complex, bytes, bytearray, list, dict, set, frozenset, deque, BaseException, *STANDARD)
"""Classes whose values are more than the fields of a dataclass that is one of them."""
_WRITE_KINDS: dict[str, Write] = {
    "enum": _write_enum,
    "namedtuple": _write_namedtuple,
    "struct": _write_struct,
    "model": _write_model,
    "dataclass": _write_dataclass,
}


@FAMILIES.append
def _user_family(cls: type) -> Write | None:
    return _WRITE_KINDS.get(user_kind(cls))
