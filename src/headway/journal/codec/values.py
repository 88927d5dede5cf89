"""Kinds of value of the standard library: tuples, sets, big buffers, numbers, times, paths, collections.

Every reader here builds its value from plain parts. Names in the data only ever choose from a table in this file.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import pathlib
import struct
import uuid
import zoneinfo
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from headway.errors import NotDecodable
from headway.journal.codec.wire import Code, Reader, Refused, Writer, ext, pack, read_pairs, reader, write_pairs, writer

# --- sequences and sets ----------------------------------------------------------------------------------------------


@writer(tuple)
def _write_tuple(w: Writer, value: tuple[Any, ...], depth: int) -> object:
    return ext(Code.TUPLE, w.lower_all(value, depth, value))


@reader(Code.TUPLE)
def _read_tuple(r: Reader, data: memoryview) -> tuple[Any, ...]:
    return tuple(r.read(data))


@writer(set)
def _write_set(w: Writer, value: set[Any], depth: int) -> object:
    return _write_members(w, Code.SET, value, depth)


@writer(frozenset)
def _write_frozenset(w: Writer, value: frozenset[Any], depth: int) -> object:
    return _write_members(w, Code.FROZENSET, value, depth)


def _write_members(w: Writer, code: int, value: set[Any] | frozenset[Any], depth: int) -> Ext:
    """In the order of their encodings, so that equal sets are stored as equal bytes."""
    try:
        members = sorted(pack(w.lower(item, depth + 1)) for item in value)
    except Refused as refused:
        refused.step(value, "{…}")
        raise
    return ext(code, [msgspec.Raw(member) for member in members])


@reader(Code.SET)
def _read_set(r: Reader, data: memoryview) -> set[Any]:
    return set(r.read(data))


@reader(Code.FROZENSET)
def _read_frozenset(r: Reader, data: memoryview) -> frozenset[Any]:
    return frozenset(r.read(data))


@writer(collections.deque)
def _write_deque(w: Writer, value: collections.deque[Any], depth: int) -> object:
    return ext(Code.DEQUE, [value.maxlen, w.lower_all(value, depth, value)])


@reader(Code.DEQUE)
def _read_deque(r: Reader, data: memoryview) -> collections.deque[Any]:
    maxlen, items = r.read(data)
    return collections.deque(items, maxlen)


# --- mappings --------------------------------------------------------------------------------------------------------

_FACTORIES: dict[str, Any] = {f.__name__: f for f in (list, dict, set, tuple, int, float, str, bool, bytes, frozenset)}


@writer(collections.OrderedDict)
def _write_ordered(w: Writer, value: collections.OrderedDict[Any, Any], depth: int) -> object:
    return ext(Code.ORDERED, write_pairs(w, value, depth))


@reader(Code.ORDERED)
def _read_ordered(r: Reader, data: memoryview) -> collections.OrderedDict[Any, Any]:
    return collections.OrderedDict(read_pairs(r, data))


@writer(collections.Counter)
def _write_counter(w: Writer, value: collections.Counter[Any], depth: int) -> object:
    return ext(Code.COUNTER, write_pairs(w, value, depth))


@reader(Code.COUNTER)
def _read_counter(r: Reader, data: memoryview) -> collections.Counter[Any]:
    return collections.Counter(read_pairs(r, data))


@writer(collections.defaultdict)
def _write_defaultdict(w: Writer, value: collections.defaultdict[Any, Any], depth: int) -> object:
    factory = value.default_factory
    name = "" if factory is None else getattr(factory, "__name__", "?")
    if factory is not None and _FACTORIES.get(name) is not factory:
        raise Refused(f"is a defaultdict of {name}, which has no encoding: return dict(...) of it")
    return ext(Code.DEFAULTDICT, [name, *write_pairs(w, value, depth)])


@reader(Code.DEFAULTDICT)
def _read_defaultdict(r: Reader, data: memoryview) -> collections.defaultdict[Any, Any]:
    name, *flat = r.read(data)
    pairs = iter(flat)
    return collections.defaultdict(_FACTORIES.get(name), zip(pairs, pairs, strict=True))


# --- bytes -----------------------------------------------------------------------------------------------------------


@writer(bytes)
def _write_bytes(w: Writer, value: bytes, depth: int) -> object:
    place = w.buffer(value)
    return place if isinstance(place, bytes) else ext(Code.BUFFER, place)


@reader(Code.BUFFER)
def _read_bytes(r: Reader, data: memoryview) -> bytes:
    return bytes(r.buffer(r.read(data)))


@writer(bytearray)
def _write_bytearray(w: Writer, value: bytearray, depth: int) -> object:
    return ext(Code.BYTEARRAY, w.buffer(value))


@reader(Code.BYTEARRAY)
def _read_bytearray(r: Reader, data: memoryview) -> bytearray:
    return bytearray(r.buffer(r.read(data)))


@writer(memoryview)
def _write_memoryview(w: Writer, value: memoryview, depth: int) -> object:
    sizes = value.shape or ()
    shape = list(sizes) if value.ndim != 1 else None
    flat = memoryview(value.tobytes()) if not value.c_contiguous or 0 in sizes else value.cast("B")
    return ext(Code.MEMORYVIEW, [value.format, shape, w.buffer(flat)])


@reader(Code.MEMORYVIEW)
def _read_memoryview(r: Reader, data: memoryview) -> memoryview:
    form, shape, place = r.read(data)
    flat = r.buffer(place).cast("B")
    if shape is not None and 0 not in shape:
        return flat.cast(form, shape)
    return flat if form == "B" else flat.cast(form)


# --- numbers and identifiers -----------------------------------------------------------------------------------------


@writer(complex)
def _write_complex(w: Writer, value: complex, depth: int) -> object:
    return Ext(Code.COMPLEX, struct.pack("<dd", value.real, value.imag))


@reader(Code.COMPLEX)
def _read_complex(r: Reader, data: memoryview) -> complex:
    return complex(*struct.unpack("<dd", data))


@writer(decimal.Decimal)
def _write_decimal(w: Writer, value: decimal.Decimal, depth: int) -> object:
    return Ext(Code.DECIMAL, str(value).encode())


@reader(Code.DECIMAL)
def _read_decimal(r: Reader, data: memoryview) -> decimal.Decimal:
    return decimal.Decimal(str(data, "ascii"))


@writer(fractions.Fraction)
def _write_fraction(w: Writer, value: fractions.Fraction, depth: int) -> object:
    return ext(Code.FRACTION, [_exact(value.numerator), _exact(value.denominator)])


@reader(Code.FRACTION)
def _read_fraction(r: Reader, data: memoryview) -> fractions.Fraction:
    return fractions.Fraction(*(int(part, 16) for part in r.read(data)))


def _exact(number: int) -> str:
    return f"{number:x}"


@writer(uuid.UUID)
def _write_uuid(w: Writer, value: uuid.UUID, depth: int) -> object:
    return Ext(Code.UUID, value.bytes)


@reader(Code.UUID)
def _read_uuid(r: Reader, data: memoryview) -> uuid.UUID:
    return uuid.UUID(bytes=bytes(data))


# --- times -----------------------------------------------------------------------------------------------------------


@writer(dt.datetime)
def _write_datetime(w: Writer, value: dt.datetime, depth: int) -> object:
    fields = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    return ext(Code.DATETIME, [*fields, value.fold, w.lower(value.tzinfo, depth + 1)])


@reader(Code.DATETIME)
def _read_datetime(r: Reader, data: memoryview) -> dt.datetime:
    year, month, day, hour, minute, second, micro, fold, zone = r.read(data)
    return dt.datetime(year, month, day, hour, minute, second, micro, zone, fold=fold)


@writer(dt.date)
def _write_date(w: Writer, value: dt.date, depth: int) -> object:
    return ext(Code.DATE, [value.year, value.month, value.day])


@reader(Code.DATE)
def _read_date(r: Reader, data: memoryview) -> dt.date:
    return dt.date(*r.read(data))


@writer(dt.time)
def _write_time(w: Writer, value: dt.time, depth: int) -> object:
    fields = (value.hour, value.minute, value.second, value.microsecond)
    return ext(Code.TIME, [*fields, value.fold, w.lower(value.tzinfo, depth + 1)])


@reader(Code.TIME)
def _read_time(r: Reader, data: memoryview) -> dt.time:
    hour, minute, second, micro, fold, zone = r.read(data)
    return dt.time(hour, minute, second, micro, zone, fold=fold)


@writer(dt.timedelta)
def _write_timedelta(w: Writer, value: dt.timedelta, depth: int) -> object:
    return ext(Code.TIMEDELTA, [value.days, value.seconds, value.microseconds])


@reader(Code.TIMEDELTA)
def _read_timedelta(r: Reader, data: memoryview) -> dt.timedelta:
    return dt.timedelta(*r.read(data))


@writer(zoneinfo.ZoneInfo)
def _write_zone(w: Writer, value: zoneinfo.ZoneInfo, depth: int) -> object:
    if value.key is None:
        raise Refused("is a ZoneInfo without a name, which has no encoding: use zoneinfo.ZoneInfo(name)")
    return ext(Code.ZONE, value.key)


@reader(Code.ZONE)
def _read_zone(r: Reader, data: memoryview) -> zoneinfo.ZoneInfo:
    name = r.read(data)
    try:
        return zoneinfo.ZoneInfo(name)
    except zoneinfo.ZoneInfoNotFoundError:
        raise NotDecodable(f"a recorded time is in zone {name}, which this machine does not know: pip install tzdata") from None


@writer(dt.timezone)
def _write_offset(w: Writer, value: dt.timezone, depth: int) -> object:
    offset = value.utcoffset(None)
    name = value.tzname(None)
    parts: list[Any] = [offset.days, offset.seconds, offset.microseconds]
    return ext(Code.OFFSET, parts if name == dt.timezone(offset).tzname(None) else [*parts, name])


@reader(Code.OFFSET)
def _read_offset(r: Reader, data: memoryview) -> dt.timezone:
    parts = r.read(data)
    offset = dt.timedelta(*parts[:3])
    if len(parts) == 4:
        return dt.timezone(offset, parts[3])
    return dt.timezone(offset) if offset else dt.UTC


# --- paths, ranges, constants ----------------------------------------------------------------------------------------

_PATHS = {kind.__name__: kind for kind in (pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath)}


@writer(*_PATHS.values())
def _write_path(w: Writer, value: pathlib.PurePath, depth: int) -> object:
    return ext(Code.PATH, [type(value).__name__, w.lower(str(value), depth)])


@reader(Code.PATH)
def _read_path(r: Reader, data: memoryview) -> pathlib.PurePath:
    name, text = r.read(data)
    kind = _PATHS[name]
    here: type[pathlib.PurePath] = type(pathlib.Path())
    if issubclass(kind, pathlib.Path) and kind is not here:
        kind = pathlib.PureWindowsPath if kind is pathlib.WindowsPath else pathlib.PurePosixPath
    return kind(text)


@writer(range)
def _write_range(w: Writer, value: range, depth: int) -> object:
    return ext(Code.RANGE, [w.lower(part) for part in (value.start, value.stop, value.step)])


@reader(Code.RANGE)
def _read_range(r: Reader, data: memoryview) -> range:
    return range(*r.read(data))


@writer(slice)
def _write_slice(w: Writer, value: slice, depth: int) -> object:
    return ext(Code.SLICE, w.lower_all((value.start, value.stop, value.step), depth, value))


@reader(Code.SLICE)
def _read_slice(r: Reader, data: memoryview) -> slice:
    return slice(*r.read(data))


_SINGLETONS: tuple[object, ...] = (Ellipsis, NotImplemented)


@writer(type(Ellipsis), type(NotImplemented))
def _write_singleton(w: Writer, value: object, depth: int) -> object:
    return ext(Code.SINGLETON, _SINGLETONS.index(value))


@reader(Code.SINGLETON)
def _read_singleton(r: Reader, data: memoryview) -> object:
    return _SINGLETONS[r.read(data)]


STANDARD = frozenset(
    {
        decimal.Decimal,
        fractions.Fraction,
        uuid.UUID,
        dt.datetime,
        dt.date,
        dt.time,
        dt.timedelta,
        dt.timezone,
        zoneinfo.ZoneInfo,
        range,
        type(Ellipsis),
        type(NotImplemented),
        *_PATHS.values(),
    }
)
"""Leaves whose encoding depends on nothing but their value: what names a call may use it as it is."""
