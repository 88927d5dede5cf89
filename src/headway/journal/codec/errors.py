"""Exceptions as data: what a journal keeps of an error, and the same error made of it again.

An error is always recordable. It comes back as its own class where that class is loaded, with the same text, so that a program
that goes on after a crash takes the same branches. Rebuilding calls no user code: the nearest builtin base makes the object, and
arguments and attributes are put on it. Where that gives no such object, a stand-in is made (`stand_ins`), which the same `except`
clauses catch.

Whether an error can be made again is tried when it is recorded. Where even a stand-in would be of another kind or say something
else than the error did, `keep_error` gives the rebuilt error to be used from now on: nobody sees the one that later runs can't see.

Nothing here trusts an error: it is asked for its text once, under guard, and for nothing else that its class could answer itself.
"""

from __future__ import annotations

import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from headway.errors import HeadwayError, NotDecodable, UsageError
from headway.journal.codec.declared import full_tag
from headway.journal.codec.foreign_errors import MAKERS
from headway.journal.codec.stand_ins import (
    BUILTIN,
    RECORDED,
    attributes,
    find_exception,
    get_record,
    is_stand_in,
    real_bases,
    stand_ins,
)
from headway.journal.codec.wire import FAMILIES, Code, Reader, Refused, Write, Writer, ext, pack, reader
from headway.journal.records import Error
from headway.journal.store import Buffer

TRACE_CHARS = 4096
_TEXT_CHARS = 256 * 1024
_ARGS_BYTES = 256 * 1024  # of arguments and attributes; longer ones are dropped, the text stays
_PARTS = 8  # errors within errors (groups, causes)
_PYTHONS_OWN = frozenset(BUILTIN.values())
_MEMBERS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_LOST = "made again from its record, which could not keep:"
_member: Any = vars(BaseException)  # attributes of every exception, read through Python and not through the exception


class Kept(NamedTuple):
    """The record of an error, and the error that everybody is told: the same one, unless it could never be told again."""

    record: Error
    error: BaseException


def keep_error(exc: BaseException) -> Kept:
    """Record an error. Never fails."""
    try:
        record = record_error(exc)
        if _is_plain(exc) or _is_told_again(exc, record):
            return Kept(record, exc)
        again = rebuild_error(record)
    except BaseException as fault:  # an object of the user's that does what no object does
        said = f"<{type(exc).__qualname__} that could not be recorded: {type(fault).__name__}>"
        record = Error(full_tag(type(exc)), said, bases=real_bases(type(exc)), pinned=True)
        again = rebuild_error(record)
    _member["__context__"].__set__(again, exc)
    _member["__traceback__"].__set__(again, _member["__traceback__"].__get__(exc))
    return Kept(record, again)


def _is_told_again(exc: BaseException, record: Error) -> bool:
    """Whether what will be made of the record is caught by the same clauses and says the same as this very error."""
    if not _is_sound(exc, record.message):
        return False
    return is_stand_in(type(exc)) or issubclass(type(_make_error(record, type(exc), None)), type(exc))


def _is_sound(exc: BaseException, message: str) -> bool:
    """Whether an error can be handled like one: it says its text, and can be asked for what it has not."""
    try:
        said = str(exc)
        own = exc.__class__ is type(exc) and exc.__cause__ is _member["__cause__"].__get__(exc)
        return type(said) is str and said == message and own and not hasattr(exc, "_headway_has_no_such_thing")
    except BaseException:  # whatever the error's own methods raise
        return False


def add_note(exc: BaseException, text: str) -> None:
    """`exc.add_note(text)`, also for an error that lets nothing be put on it."""
    attributes(exc)["__notes__"] = [*_notes(exc), text]


# --- recording -------------------------------------------------------------------------------------------------------


def record_error(exc: BaseException, inside: tuple[BaseException, ...] = (), depth: int = 0) -> Error:
    """An exception as data. `inside` are the errors that this one is a part of, outermost first."""
    cls = type(exc)
    kept = get_record(exc) if is_stand_in(cls) else None
    args, lost = _encode_parts(exc, (*inside, exc), depth)
    record = Error(
        type=kept.type if kept else full_tag(cls),
        message=kept.message if kept else text_of(exc),
        args=args,
        trace="" if inside else _trace(exc),
        fault=issubclass(cls, UsageError),
        bases=kept.bases if kept else [] if cls in _PYTHONS_OWN else real_bases(cls),
        lost=[*(kept.lost if kept else ()), *lost],
        pinned=kept is not None and kept.pinned,
        remote=kept is not None and kept.remote,
    )
    if kept is None and not _is_plain(exc):
        return _pin_if_needed(record, cls)
    return record


def _pin_if_needed(record: Error, cls: type[BaseException]) -> Error:
    """Mark the record as pinned if the rebuilt error can't produce its own text."""
    cleans_up = any("__del__" in vars(base) for base in cls.__mro__)  # what was never set up
    again = None if cleans_up else _instance(cls, record, *_parts(record, Reader())[:2])
    plain = again is not None and _is_sound(again, record.message)
    return record if plain else msgspec.structs.replace(record, pinned=True)


def _is_plain(exc: BaseException) -> bool:
    """Whether this is an error of Python's own that holds a short text or two, as most do: it is made again as it is."""
    if type(exc) not in _PYTHONS_OWN or attributes(exc) or _member["__cause__"].__get__(exc) is not None:
        return False
    args = _member["args"].__get__(exc)
    return all(type(arg) in _SHORT and (type(arg) is not str or (len(arg) < 1000 and arg.isprintable())) for arg in args)


_SHORT = frozenset({str, int, float, bool, type(None)})


def _encode_parts(exc: BaseException, path: tuple[BaseException, ...], depth: int) -> tuple[bytes | None, list[str]]:
    """Arguments, attributes, notes, cause and which of the arguments are kept as text; and the attributes that are left out."""
    lost: list[str] = []
    try:
        args, state = _args_and_state(exc)
        w = _ErrorWriter(inline=True, careful=True)
        w.path = path
        kept = {}
        for name, value in state.items():
            if (part := w.lower_or_none(value, depth + 1)) is not None:
                kept[name] = part
            else:
                lost.append(name)
        spoken: list[int] = []
        if (maker := MAKERS.get(full_tag(type(exc)))) is not None:
            lowered = maker.lower(args, w, depth + 1)
        else:
            found = [w.lower_or_none(arg, depth + 1) for arg in args]
            spoken = [place for place, part in enumerate(found) if part is None]
            lowered = [w.text(arg) if part is None else part[0] for part, arg in zip(found, args, strict=True)]
        head = pack([lowered, kept, _notes(exc), w.cause(exc, depth), spoken])
    except Exception:  # an error must be recordable whatever its arguments do
        return None, lost
    return (head, lost) if len(head) <= _ARGS_BYTES else (None, sorted(state))


def _args_and_state(exc: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that make this error again, and its attributes, from the nearest builtin base."""
    cls = type(exc)
    maker = MAKERS.get(full_tag(cls))
    args, state = _reduce(exc, maker.take if maker is not None else _builtin_bases(cls)[0].__reduce__)
    hidden = ("__notes__", RECORDED) if is_stand_in(cls) else ("__notes__",)
    return args, {name: value for name, value in state.items() if type(name) is str and name not in hidden}


def _reduce(exc: BaseException, reduce: Callable[[BaseException], Any]) -> tuple[tuple[Any, ...], dict[Any, Any]]:
    try:
        reduced = reduce(exc)
        args, state = reduced[1], dict(reduced[2]) if len(reduced) > 2 and reduced[2] else {}
    except Exception:  # what it would be copied by is broken: what every error has
        args, state = _member["args"].__get__(exc), dict(attributes(exc))
    return args, state | dict(_slots(exc))


def take_apart(exc: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of an error, and those of its attributes that every record of it keeps: numbers and texts."""
    args, state = _reduce(exc, _builtin_bases(type(exc))[0].__reduce__)
    return args, {name: each for name, each in state.items() if type(name) is str and each is not None and type(each) in _SHORT}


def _notes(exc: BaseException) -> list[str]:
    notes = attributes(exc).get("__notes__")
    return [str(note) for note in notes] if isinstance(notes, list | tuple) else []


def _slots(exc: BaseException) -> Iterator[tuple[str, Any]]:
    """What a class of the program keeps beside the dictionary."""
    for base in type(exc).__mro__:
        if base in _PYTHONS_OWN or base is object or "__slots__" not in vars(base):
            continue
        for name, member in vars(base).items():
            if type(member) is types.MemberDescriptorType:
                try:
                    yield name, member.__get__(exc)
                except AttributeError:  # never set
                    continue


class _ErrorWriter(Writer):
    """A writer for whom nothing is an obstacle."""

    __slots__ = ("path",)
    path: tuple[BaseException, ...]  # the error being written, after those that it is a part of

    def lower_or_none(self, value: Any, depth: int) -> list[object] | None:
        try:
            part = self.lower(value, depth)
            return [part] if len(pack(part)) <= _ARGS_BYTES else None
        except Exception:  # it has no encoding; the error is kept without it
            return None

    def lower_or_text(self, value: Any, depth: int) -> object:
        kept = self.lower_or_none(value, depth)
        return kept[0] if kept is not None else self.text(value)

    def text(self, value: Any) -> object:
        try:
            return self.lower(f"{value!r:.500}")
        except Exception:  # its __repr__ fails
            return f"<{type(value).__qualname__}>"

    def buffer(self, data: Buffer) -> object:
        if len(data) > _ARGS_BYTES:
            raise Refused("is too large for the record of an error")
        return super().buffer(data)

    def cause(self, exc: BaseException, depth: int) -> object:
        cause = _member["__cause__"].__get__(exc)
        if cause is None or len(self.path) > _PARTS or any(cause is outer for outer in self.path):
            return None
        return _lower_error(cause, self.path, depth)


def _lower_error(exc: BaseException, path: tuple[BaseException, ...], depth: int) -> object:
    error = record_error(exc, path, depth + 1)
    return ext(
        Code.ERROR,
        [error.type, error.message, error.args, error.fault, error.bases, error.lost, error.pinned, error.remote],
    )


def text_of(exc: BaseException) -> str:
    """The text of an error, even if its class misbehaves."""
    try:
        text = str.__str__(str(exc))
    except BaseException:  # it may raise anything, and asking it must not end the run
        text = f"<{type(exc).__qualname__} whose str() failed>"
    if len(text) > _TEXT_CHARS:
        text = f"{text[: _TEXT_CHARS - 100]}… ({len(text)} characters in all)"
    return text.encode("utf-8", "backslashreplace").decode()


def _trace(exc: BaseException) -> str:
    """The end of the traceback, which is where the error was raised."""
    try:
        whole = traceback.TracebackException.from_exception(exc)
        parts = [whole]
        while parts:
            part = parts.pop()
            for frame in part.stack:
                frame.colno = None  # marks under a line cost more than all the rest: the line would be parsed
            parts += [other for other in (part.__cause__, part.__context__, *(part.exceptions or ())) if other is not None]
        text = "".join(whole.format())
    except Exception:  # an error is recorded even if its trace can't be printed
        return ""
    if len(text) > TRACE_CHARS:
        text = "…" + text[-TRACE_CHARS:]
    return text.encode("utf-8", "backslashreplace").decode()


# --- rebuilding ------------------------------------------------------------------------------------------------------


def rebuild_error(error: Error, reader: Reader | None = None, *, remote: bool = False) -> BaseException:
    """The exception that was recorded, or one that stands for it. `remote` where the record is another process's word: what is not
    loaded here is then a RemoteError, now and whenever it is read again. Never fails."""
    cls = None if error.remote else find_exception(error.type)
    if cls is None and remote:
        error = msgspec.structs.replace(error, remote=True)
    return _make_error(error, cls, reader)


def _make_error(error: Error, cls: type[BaseException] | None, reader: Reader | None) -> BaseException:
    args, state, notes, cause = _parts(error, reader or Reader())
    exc = _instance(cls, error, args, state) if cls is not None and not error.pinned else None
    if exc is None:
        exc = next(found for shape in stand_ins(error) if (found := _instance(shape, error, args, state)) is not None)
    if error.lost:
        notes = [*(note for note in notes if not note.startswith(_LOST)), f"{_LOST} {', '.join(error.lost)}"]
    if notes:
        attributes(exc)["__notes__"] = notes
    if cause is not None:
        _member["__cause__"].__set__(exc, cause)
    return exc


def _parts(error: Error, r: Reader) -> tuple[tuple[Any, ...], dict[str, Any], list[str], BaseException | None]:
    if error.args is None:
        return (error.message,), {}, [], None
    try:
        args, state, notes, cause, *more = r.read(error.args)
    except Exception:  # an argument of a type that is gone; the text still speaks
        return (error.message,), {}, [], None
    for place in more[0] if more else ():
        args[place] = _Spoken(args[place])
    return tuple(args), state, notes, cause if isinstance(cause, BaseException) else None


class _Spoken(str):
    """An argument that was kept as text: printed among others as what it was, and not as a string."""

    __slots__ = ()
    __repr__ = str.__str__


def _instance(cls: type[BaseException], error: Error, args: tuple[Any, ...], state: dict[str, Any]) -> BaseException | None:
    """An object of the class with these arguments and attributes; None where none can be made."""
    exc = _object(cls, args) or _object(cls, (error.message,))
    if exc is None:
        return None
    for name, boxed in state.items():
        _put(exc, name, boxed[0])
    if is_stand_in(cls):
        attributes(exc)[RECORDED] = error
    return exc


def _object(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException | None:
    if (maker := MAKERS.get(full_tag(cls))) is not None and not is_stand_in(cls):
        try:
            return maker.make(cls, args)
        except Exception:  # another version of the library
            return None
    for base in _builtin_bases(cls):
        try:
            exc = base.__new__(cls, *args)
            base.__init__(exc, *args)
        except Exception:  # not this base's layout, or arguments that it does not take
            continue
        return exc if isinstance(exc, BaseException) else None
    return None


def _put(exc: BaseException, name: str, value: Any) -> None:
    """Set an attribute without running a property of the class."""
    for base in type(exc).__mro__:
        member = base.__dict__.get(name)
        if member is not None and hasattr(type(member), "__set__"):
            if type(member) in _MEMBERS:
                try:
                    member.__set__(exc, value)
                except (AttributeError, TypeError):  # read-only in C; the arguments have set it
                    return
                return
            break
    attributes(exc)[name] = value


def _builtin_bases(cls: type) -> list[Any]:
    return [base for base in cls.__mro__ if base in _PYTHONS_OWN]


# --- exceptions as values --------------------------------------------------------------------------------------------


def _write_error(w: Writer, value: BaseException, depth: int) -> object:
    path = w.path if isinstance(w, _ErrorWriter) else ()
    if len(path) > _PARTS or any(value is outer for outer in path):
        raise Refused("is an error within itself")
    return _lower_error(value, path, depth)


@reader(Code.ERROR)
def _read_error(r: Reader, data: memoryview) -> BaseException:
    kind, message, args, fault, *more = r.read(data)
    error = Error(kind, message, args, "", fault, *more)
    try:
        return rebuild_error(error, r)
    except (HeadwayError, NotDecodable):
        return rebuild_error(Error(kind, message))


@FAMILIES.append
def _error_family(cls: type) -> Write | None:
    return _write_error if issubclass(cls, BaseException) else None
