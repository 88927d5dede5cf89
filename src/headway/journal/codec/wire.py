"""The format of recorded values: msgpack, with one extension code per kind of value that msgpack does not have.

Plain data (None, bool, 64-bit ints, floats, strings, bytes, lists, dicts with string keys) is plain msgpack: no
wrapping, any msgpack reader reads it. Everything else is lowered to an extension whose payload is again msgpack.
Large buffers stay outside: the head holds their number, the journal stores them once each, by content.

A kind is a pair of functions, registered by the module that owns the kind: a writer (value -> something msgpack can
write) and a reader (payload -> value). This file only walks containers and keeps the tables. It must never guess: a
type without a writer is refused with the path of the value that has it.
"""

from __future__ import annotations

import pickle as pickling
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from headway.errors import NotDecodable
from headway.journal.store import Buffer
from headway.values import MAX_DEPTH, is_text

OUT_OF_BAND = 16 * 1024
"""Buffers of at least this many bytes are kept outside of the head."""

pack = msgspec.msgpack.Encoder().encode

SCALARS = frozenset({type(None), bool, int, float, str})
_STR_ONLY = frozenset({str})


class Code:
    """The extension codes. A code is never given another meaning."""

    TUPLE, SET, FROZENSET, DICT, BIG_INT, COMPLEX, TEXT, BUFFER, BYTEARRAY, MEMORYVIEW = range(1, 11)
    DECIMAL, FRACTION, UUID, DATETIME, DATE, TIME, TIMEDELTA, ZONE, OFFSET, PATH, RANGE, SLICE = range(11, 23)
    SINGLETON, ORDERED, DEFAULTDICT, COUNTER, DEQUE = range(23, 28)
    ENUM, DATACLASS, NAMEDTUPLE, STRUCT, MODEL = range(40, 45)
    ARRAY, ARRAY_SCALAR, TENSOR, TABLE = range(60, 64)
    ERROR, PICKLE = range(80, 82)


class Refused(Exception):
    """A part has no encoding. Each container on the way out adds its step to `path`."""

    def __init__(self, why: str, culprit: object = None) -> None:
        super().__init__(why)
        self.why = why
        self.culprit = culprit  # where the walk went too deep; met again on the way out, it is a cycle
        self.path: list[str] = []

    def step(self, container: object, step: str) -> None:
        self.path.append(step)
        if self.culprit is not None and container is self.culprit:
            self.why, self.path = "contains itself, and a value that contains itself has no encoding", []

    def text(self, root: str) -> str:
        parts = list(reversed(self.path))
        if len(parts) > 8:
            parts = [*parts[:4], " … ", *parts[-3:]]
        return f"{root}{''.join(parts)} {self.why}"


Write = Callable[["Writer", Any, int], object]
Read = Callable[["Reader", Any], Any]

WRITERS: dict[type, Write] = {}
"""Writers by exact type; filled by the modules of kinds, and for user types at first use."""

READERS: dict[int, Read] = {}

FAMILIES: list[Callable[[type], Write | None]] = []
"""For a type met for the first time: each family says whether it is one of its own."""


def reader(code: int) -> Callable[[Read], Read]:
    def keep(read: Read) -> Read:
        READERS[code] = read
        return read

    return keep


def writer(*kinds: type) -> Callable[[Write], Write]:
    def keep(write: Write) -> Write:
        WRITERS.update(dict.fromkeys(kinds, write))
        return write

    return keep


def ext(code: int, payload: object) -> Ext:
    return Ext(code, pack(payload))


# --- writing ---------------------------------------------------------------------------------------------------------


class Writer:
    """Lowers one value to what msgpack can write, and collects its large buffers."""

    __slots__ = ("buffers", "careful", "copy", "inline", "pickle")

    def __init__(self, *, pickle: bool = False, copy: bool = True, inline: bool = False, careful: bool = False) -> None:
        self.buffers: list[Buffer] = []
        self.careful = careful  # look at every int and string: the value holds one that msgpack refuses
        self.pickle = pickle
        self.copy = copy
        self.inline = inline  # no buffers: everything goes into the head

    def lower(self, value: Any, depth: int = 0) -> object:
        kind = type(value)
        if kind in SCALARS:
            return _lower_scalar(value) if self.careful else value
        write = WRITERS.get(kind) or _find_writer(kind)
        if depth > MAX_DEPTH:
            raise Refused(f"is nested deeper than {MAX_DEPTH} levels: store a flat list instead", value)
        if write is not None and not self.pickle:
            return write(self, value, depth)
        return self._lower_or_pickle(value, write, depth)

    def lower_all(self, values: Any, depth: int, container: object) -> list[object]:
        """Lower the items of a sequence, naming the item that is refused by its number."""
        out: list[object] = []
        lower, add = self.lower, out.append
        try:
            for value in values:
                add(lower(value, depth + 1))
        except Refused as refused:
            refused.step(container, f"[{len(out)}]")
            raise
        return out

    def lower_fields(self, fields: dict[str, Any], depth: int, owner: object) -> dict[str, object]:
        """Lower named parts, naming the one that is refused."""
        out: dict[str, object] = {}
        name = ""
        try:
            for name, value in fields.items():
                out[name] = self.lower(value, depth + 1)
        except Refused as refused:
            refused.step(owner, f".{name}")
            raise
        return out

    def buffer(self, data: Buffer) -> object:
        """The place of a buffer in the head: itself when small, else its number."""
        nbytes = data.nbytes if isinstance(data, memoryview) else len(data)
        if self.inline or nbytes < OUT_OF_BAND:
            return bytes(data)
        self.buffers.append(data if isinstance(data, bytes) or not self.copy else bytes(data))
        return len(self.buffers) - 1

    def owned(self, data: Buffer) -> object:
        """As `buffer`, for memory that the caller has just made and nobody else can change."""
        nbytes = data.nbytes if isinstance(data, memoryview) else len(data)
        if self.inline or nbytes < OUT_OF_BAND:
            return bytes(data)
        self.buffers.append(data)
        return len(self.buffers) - 1

    def _lower_or_pickle(self, value: Any, write: Write | None, depth: int) -> object:
        mark = len(self.buffers)
        try:
            if write is not None:
                return write(self, value, depth)
            raise Refused(_no_encoding(value))
        except Refused as refused:
            if not self.pickle or refused.culprit is not None:
                raise
            del self.buffers[mark:]
            return self._pickled(value, refused)

    def _pickled(self, value: Any, refused: Refused) -> object:
        try:
            data = pickling.dumps(value, protocol=5)
        except Exception as error:
            refused.why += f" (and pickle refused it: {error})"
            raise refused from error
        return ext(Code.PICKLE, self.owned(data))


def _lower_scalar(value: Any) -> object:
    """Lower a scalar: unchanged if msgpack can hold it, else as an extension."""
    if type(value) is int and not -0x8000000000000000 <= value <= 0xFFFFFFFFFFFFFFFF:
        return Ext(Code.BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
    if type(value) is str and not is_text(value):
        return Ext(Code.TEXT, value.encode("utf-8", "surrogatepass"))
    return value


def _find_writer(kind: type) -> Write | None:
    for family in FAMILIES:
        write = family(kind)
        if write is not None:
            WRITERS[kind] = write
            return write
    return None


def a_or_an(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIOUaeio' else 'a'} {name}"


def _no_encoding(value: object) -> str:
    kind = type(value)
    if hasattr(kind, "__await__"):
        return f"is {a_or_an(kind.__qualname__)}, which nobody awaited: write `await` before it"
    return (
        f"is {a_or_an(kind.__qualname__)}, which has no encoding: return plain data, a dataclass, an enum, a Struct,"
        f' a pydantic model, an array or a tensor, or use @hw.task(codec="pickle")'
    )


@writer(list)
def _write_list(w: Writer, value: list[Any], depth: int) -> object:
    if not w.careful and SCALARS.issuperset(map(type, value)):
        return value
    return w.lower_all(value, depth, value)


@writer(dict)
def _write_dict(w: Writer, value: dict[Any, Any], depth: int) -> object:
    if not _STR_ONLY.issuperset(map(type, value)) or (w.careful and not all(map(is_text, value))):
        return ext(Code.DICT, write_pairs(w, value, depth))
    if not w.careful and SCALARS.issuperset(map(type, value.values())):
        return value
    out: dict[str, object] = {}
    key = ""
    try:
        for key, item in value.items():
            out[key] = w.lower(item, depth + 1)
    except Refused as refused:
        refused.step(value, f"[{_short(key)}]")
        raise
    return out


def write_pairs(w: Writer, value: dict[Any, Any], depth: int) -> list[object]:
    """A mapping with any keys as a flat list of key, value, key, value."""
    flat: list[object] = []
    key: Any = None
    try:
        for key, item in value.items():
            flat += (w.lower(key, depth + 1), w.lower(item, depth + 1))
    except Refused as refused:
        refused.step(value, f"[{_short(key)}]")
        raise
    return flat


def _short(key: object) -> str:
    return f"{key!r:.60}" if type(key) in SCALARS else type(key).__qualname__


# --- reading ---------------------------------------------------------------------------------------------------------

Buffers = Sequence[Buffer] | Callable[[int], Buffer]


class Reader:
    """Reads one value; knows where its buffers are and how strict to be."""

    __slots__ = ("_decode", "buffers", "lenient", "pickle")

    def __init__(self, buffers: Buffers = (), *, lenient: bool = False, pickle: bool = False) -> None:
        self.buffers = buffers
        self.lenient = lenient
        self.pickle = pickle
        self._decode = msgspec.msgpack.Decoder(ext_hook=self._read).decode

    def read(self, data: Buffer) -> Any:
        return self._decode(data)

    def buffer(self, place: bytes | int) -> memoryview:
        """The buffer that `Writer.buffer` put at this place."""
        if isinstance(place, bytes):
            return memoryview(place)
        buffers = self.buffers
        if callable(buffers):
            return memoryview(buffers(place))
        if place >= len(buffers):
            raise NotDecodable(f"a recorded value needs its buffer number {place}, and {len(buffers)} were given")
        return memoryview(buffers[place])

    def _read(self, code: int, data: memoryview) -> Any:
        read = READERS.get(code)
        if read is not None and not self.lenient:
            return read(self, data)
        if read is None and not self.lenient:
            raise NotDecodable(f"a recorded value has a part of kind {code}, which this Headway does not know: upgrade it")
        try:
            return (read or READERS[0])(self, data)
        except Exception:  # a reader for people shows what it can
            return StandIn(_CODE_NAMES.get(code, f"kind {code}"))


class StandIn:
    """What a lenient decode shows for a part that it cannot or may not rebuild: its type's name, and what is known."""

    __slots__ = ("content", "type")

    def __init__(self, type: str, content: object = None) -> None:  # noqa: A002 - the codec's word
        self.type = type
        self.content = content

    def __repr__(self) -> str:
        name = self.type.rpartition(":")[2]
        if isinstance(self.content, dict):
            return f"{name}({', '.join(f'{key}={value!r}' for key, value in self.content.items())})"
        return f"<{name}>" if self.content is None else f"<{name} {self.content}>"


_CODE_NAMES = {code: name.lower() for name, code in vars(Code).items() if isinstance(code, int)}


@reader(Code.DICT)
def _read_dict(r: Reader, data: memoryview) -> dict[Any, Any]:
    return read_pairs(r, data)


def read_pairs(r: Reader, data: memoryview) -> dict[Any, Any]:
    flat = iter(r.read(data))
    return dict(zip(flat, flat, strict=True))


@reader(Code.BIG_INT)
def _read_big_int(r: Reader, data: memoryview) -> int:
    return int.from_bytes(data, "little", signed=True)


@reader(Code.TEXT)
def _read_text(r: Reader, data: memoryview) -> str:
    return bytes(data).decode("utf-8", "surrogatepass")


@reader(Code.PICKLE)
def _read_pickle(r: Reader, data: memoryview) -> Any:
    if not r.pickle:
        raise NotDecodable('a recorded value holds a pickle, and pickles are opened only for @hw.task(codec="pickle")')
    return pickling.loads(r.buffer(r.read(data)))
