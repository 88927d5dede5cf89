"""Exceptions as data: what a journal keeps of an error, and the same error made of it again.

An error is always recordable: what cannot be encoded of its arguments is kept as text. It comes back as its own class
when that class is a builtin, one of Headway's, or one that the program has loaded; otherwise as a `RemoteError` with
its name and text. Rebuilding calls no user code: the nearest builtin base makes the object, and arguments and
attributes are put on it.
"""

from __future__ import annotations

import builtins
import traceback
from typing import Any

from headway.errors import HeadwayError, NotDecodable, RemoteError, UsageError
from headway.journal.declared import full_tag, shorten, subclasses
from headway.journal.records import Error
from headway.journal.wire import FAMILIES, Code, Reader, Refused, Write, Writer, ext, pack, reader

TRACE_CHARS = 4096
_TEXT_CHARS = 16 * 1024
_ARGS_BYTES = 64 * 1024  # of arguments and attributes; longer ones are dropped, the text stays
_PARTS = 8  # errors within errors (groups, causes)

_classes: dict[str, type[BaseException]] = {}


def record_error(exc: BaseException, inside: tuple[BaseException, ...] = (), depth: int = 0) -> Error:
    """An exception as data. Never fails. `inside` are the errors that this one is a part of, outermost first."""
    kept = exc.__dict__.get("recorded")
    if isinstance(exc, RemoteError) and isinstance(kept, Error):
        return kept
    parts = _encoded_parts(exc, (*inside, exc), depth)
    return Error(
        type=full_tag(type(exc)),
        message=_text(exc),
        args=parts,
        trace="" if inside else _trace(exc),
        fault=isinstance(exc, UsageError),
    )


def _encoded_parts(exc: BaseException, path: tuple[BaseException, ...], depth: int) -> bytes | None:
    args, state = _args_and_state(exc)
    w = _ErrorWriter(inline=True, careful=True)
    w.path = path
    notes = [str(note) for note in getattr(exc, "__notes__", None) or ()]
    try:
        lowered = [w.lower_or_text(arg, depth + 1) for arg in args]
        kept = {name: part for name, value in state.items() if (part := w.lower_or_none(value, depth + 1)) is not None}
        head = pack([lowered, kept, notes, w.cause(exc, depth)])
    except Exception:  # an error must be recordable whatever its arguments do
        return None
    return head if len(head) <= _ARGS_BYTES else None


def _args_and_state(exc: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that make this error again, and its attributes, from the nearest builtin base."""
    base = _builtin_bases(type(exc))[0]
    try:
        reduced: Any = base.__reduce__(exc)  # C code of the builtin; knows of file names and the like
        args = reduced[1]
        state = dict(reduced[2]) if len(reduced) > 2 else {}
    except Exception:
        args, state = exc.args, dict(exc.__dict__)
    return args, {name: value for name, value in state.items() if isinstance(name, str) and name != "__notes__"}


class _ErrorWriter(Writer):
    """A writer for whom nothing is an obstacle."""

    __slots__ = ("path",)
    path: tuple[BaseException, ...]  # the error being written, after those that it is a part of

    def lower_or_none(self, value: Any, depth: int) -> object:
        try:
            part = self.lower(value, depth)
            return [part] if len(pack(part)) <= _ARGS_BYTES else None
        except Exception:
            return None

    def lower_or_text(self, value: Any, depth: int) -> object:
        kept = self.lower_or_none(value, depth)
        if isinstance(kept, list):
            return kept[0]
        try:
            return self.lower(f"{value!r:.500}")
        except Exception:
            return f"<{type(value).__qualname__}>"

    def cause(self, exc: BaseException, depth: int) -> object:
        cause = exc.__cause__
        if cause is None or len(self.path) > _PARTS or any(cause is outer for outer in self.path):
            return None
        return _lower_error(cause, self.path, depth)


def _lower_error(exc: BaseException, path: tuple[BaseException, ...], depth: int) -> object:
    error = record_error(exc, path, depth + 1)
    return ext(Code.ERROR, [error.type, error.message, error.args, error.fault])


def _text(exc: BaseException) -> str:
    try:
        text = str(exc)
    except Exception:
        text = f"<{type(exc).__qualname__} whose str() failed>"
    return text[:_TEXT_CHARS].encode("utf-8", "backslashreplace").decode()


def _trace(exc: BaseException) -> str:
    """The end of the traceback, which is where the error was raised."""
    try:
        text = "".join(traceback.format_exception(exc))
    except Exception:
        return ""
    if len(text) > TRACE_CHARS:
        text = "…" + text[-TRACE_CHARS:]
    return text.encode("utf-8", "backslashreplace").decode()


# --- rebuilding ------------------------------------------------------------------------------------------------------


def rebuild_error(error: Error, reader: Reader | None = None) -> BaseException:
    """The exception that was recorded, or a RemoteError that speaks for it."""
    args, state, notes, cause = _parts(error, reader or Reader())
    exc = _instance(error.type, args)
    if exc is None:
        name = error.type.rpartition(":")[2]
        exc = RemoteError(f"{name}: {error.message}" if error.message else name)
        exc.__dict__["recorded"] = error
    for name, boxed in state.items():
        _put(exc, name, boxed[0])
    if notes:
        exc.__notes__ = notes
    if cause is not None:
        exc.__cause__ = cause
    return exc


def _parts(error: Error, r: Reader) -> tuple[tuple[Any, ...], dict[str, Any], list[str], BaseException | None]:
    if error.args is None:
        return (error.message,), {}, [], None
    try:
        args, state, notes, cause = r.read(error.args)
    except Exception:  # an argument of a type that is gone; the text still speaks
        return (error.message,), {}, [], None
    return tuple(args), state, notes, cause if isinstance(cause, BaseException) else None


def _instance(tag: str, args: tuple[Any, ...]) -> BaseException | None:
    cls = find_exception(tag)
    if cls is None:
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
            if type(member).__name__ in ("member_descriptor", "getset_descriptor"):
                member.__set__(exc, value)
                return
            break
    exc.__dict__[name] = value


def _builtin_bases(cls: type) -> list[Any]:
    return [base for base in cls.__mro__ if base.__module__ == "builtins" and issubclass(base, BaseException)]


def find_exception(tag: str) -> type[BaseException] | None:
    """The loaded exception class of this name: a builtin, one of Headway's, or one of the program's."""
    found = _classes.get(tag)
    if found is not None:
        return found
    module, _, qualname = tag.partition(":")
    builtin = getattr(builtins, qualname, None) if module == "builtins" else None
    if isinstance(builtin, type) and issubclass(builtin, BaseException):
        return _classes.setdefault(tag, builtin)
    exact, close = _search(tag)
    found = exact or (close[0] if len(close) == 1 else None)
    if found is not None:
        _classes[tag] = found
    return found


def _search(tag: str) -> tuple[type[BaseException] | None, list[type[BaseException]]]:
    """The newest loaded class of exactly this name, and those with the same last module component."""
    short, exact, close = shorten(tag), None, []
    for cls in subclasses(BaseException):
        name = full_tag(cls)
        if name == tag:
            exact = cls
        elif shorten(name) == short:
            close.append(cls)
    return exact, close


# --- exceptions as values --------------------------------------------------------------------------------------------


def _write_error(w: Writer, value: BaseException, depth: int) -> object:
    path = w.path if isinstance(w, _ErrorWriter) else ()
    if len(path) > _PARTS or any(value is outer for outer in path):
        raise Refused("is an error within itself")
    return _lower_error(value, path, depth)


@reader(Code.ERROR)
def _read_error(r: Reader, data: memoryview) -> BaseException:
    kind, message, args, fault = r.read(data)
    error = Error(kind, message, args, fault=fault)
    try:
        return rebuild_error(error, r)
    except (HeadwayError, NotDecodable):
        return rebuild_error(Error(kind, message))


@FAMILIES.append
def _error_family(cls: type) -> Write | None:
    return _write_error if issubclass(cls, BaseException) else None
