"""Classes that stand for the class of an error: where that is not loaded here, or can't make the error again.

A stand-in has the name of the class it stands for and derives from the nearest of its bases that are loaded, so the same `except`
clauses catch it. It says the text that was recorded. It runs nothing of the user's: what its bases define for printing, comparing,
looking up attributes or ending is replaced by what Python's own exceptions do.

This file finds classes among those that are loaded and must never import one.
"""

from __future__ import annotations

import builtins
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any, cast

from headway.errors import RemoteError
from headway.journal.codec.declared import alias_of, full_tag, shorten, stable_module, subclasses
from headway.journal.records import Error

RECORDED = "recorded"  # where a stand-in keeps the record that it was made of

BUILTIN: dict[str, type[BaseException]] = {
    name: found for name, found in vars(builtins).items() if isinstance(found, type) and issubclass(found, BaseException)
}
_PYTHONS_OWN = frozenset(BUILTIN.values())
_found: dict[str, weakref.ref[type[BaseException]]] = {}
_made: dict[tuple[str, tuple[type, ...]], type[BaseException]] = {}


# --- the class of this name ------------------------------------------------------------------------------------------


def find_exception(tag: str) -> type[BaseException] | None:
    """The loaded exception class of this name: a builtin, one of Headway's, or one of the program's."""
    module, _, qualname = tag.partition(":")
    if module == "builtins" and qualname in BUILTIN:
        return BUILTIN[qualname]
    moved = alias_of(tag)
    if moved is not None and _is_real(moved):
        return cast("type[BaseException]", moved)
    return _in_module(module, qualname, tag) or _newest(tag) or _search(tag)


def _in_module(module: str, qualname: str, tag: str) -> type[BaseException] | None:
    """The class that a loaded module has under this name. Asks dictionaries only: a module may import when it is asked."""
    place = sys.modules.get(module)
    if place is None and stable_module("__main__") == module:
        place = sys.modules.get("__main__")
    if place is None or not issubclass(type(place), types.ModuleType):
        return None
    found: Any = None
    names: Any = object.__getattribute__(place, "__dict__")
    for name in qualname.split("."):
        found = names.get(name)
        if not issubclass(type(found), type):
            return None
        names = type.__getattribute__(found, "__dict__")
    return found if _is_real(found) and full_tag(found) == tag else None


def _newest(tag: str) -> type[BaseException] | None:
    """The class that was found before, unless its program has made it anew, as a function does with a class of its own."""
    kept = _found.get(tag)
    cls = kept() if kept is not None else None
    if cls is None:
        return None
    for base in cls.__bases__:
        for other in list[type[BaseException]](type.__subclasses__(base)):
            if other.__qualname__ == cls.__qualname__ and _is_real(other) and full_tag(other) == tag:
                cls = other
    return cls


def _search(tag: str) -> type[BaseException] | None:
    """The newest loaded class of exactly this name, or else the only one that a program started in another way calls so."""
    module, _, name = tag.partition(":")
    exact, close = None, []
    for cls in subclasses(BaseException):
        if cls.__qualname__ != name or not _is_real(cls):
            continue
        other = full_tag(cls)
        if other == tag:
            exact = cls
        elif shorten(other) == shorten(tag) and ("." not in module or "." not in other.partition(":")[0]):
            close.append(cls)
    found: type[BaseException] | None = exact or (close[0] if len(close) == 1 else None)
    if found is not None:
        _found[tag] = weakref.ref(found)
    return found


def _is_real(cls: type) -> bool:
    return issubclass(cls, BaseException) and not is_stand_in(cls)


def is_stand_in(cls: type) -> bool:
    return "__headway_stand_in__" in vars(cls)


def real_bases(cls: type) -> list[str]:
    """The names of what a class is a kind of, nearest first, up to the first classes of Python's own."""
    names, above = [], set[type]()
    for base in cls.__mro__[1:]:
        if base in above or is_stand_in(base):
            continue
        names.append(full_tag(base))
        if base in _PYTHONS_OWN:
            above.update(base.__mro__)
    return [name for name in names if name != "builtins:object"]


# --- making one ------------------------------------------------------------------------------------------------------


def stand_ins(error: Error) -> Iterator[type[BaseException]]:
    """Classes that could stand for the class of a recorded error, the closest first; the last can always be made."""
    named = error.bases if error.remote else [error.type, *error.bases]
    loaded = [base for tag in named if (base := find_exception(tag)) is not None and _inheritable(base)]
    first: list[type[BaseException]] = [RemoteError] if error.remote or not loaded else []
    for skipped in range(len(loaded) + 1):
        bases = list(first)
        for base in loaded[skipped:]:
            if not any(issubclass(taken, base) for taken in bases):
                bases.append(base)
        made = _derive_class(error.type, tuple(bases) or (RemoteError,))
        if made is not None:
            yield made


def _derive_class(tag: str, bases: tuple[type[BaseException], ...]) -> type[BaseException] | None:
    made = _made.get((tag, bases))
    if made is None:
        module, _, qualname = tag.partition(":")
        body: dict[str, Any] = {**_BODY, "__module__": module, "__qualname__": qualname}
        try:
            made = type(qualname.rpartition(".")[2], bases, body)
        except (TypeError, ValueError):  # these bases don't go together
            return None
        _made[tag, bases] = made
    return made


def _inheritable(cls: type) -> bool:
    """Whether a class can be derived from without running anything of the user's."""
    runs_code = any("__init_subclass__" in vars(base) for base in cls.__mro__ if base is not object)
    return type(cls) is type and bool(cls.__flags__ & _MAY_BE_BASE) and not runs_code


def _say(exc: BaseException) -> str:
    return get_record(exc).message


def _show(exc: BaseException) -> str:
    return f"{type(exc).__name__}({get_record(exc).message!r:.500})"


def _miss(exc: BaseException, name: str) -> Any:
    if name in get_record(exc).lost:
        raise AttributeError(
            f"{type(exc).__name__} was made again from its record, which could not keep its attribute {name!r}: "
            "put what is needed later into the error's text, or into an attribute of plain data"
        )
    raise AttributeError(f"{type(exc).__name__!r} object has no attribute {name!r}")


def get_record(exc: BaseException) -> Error:
    """Get the record that a stand-in was made from."""
    kept = attributes(exc).get(RECORDED)
    return kept if type(kept) is Error else Error(full_tag(type(exc)), "")


def attributes(exc: BaseException) -> dict[Any, Any]:
    """The attributes of any exception, without asking it."""
    found: dict[Any, Any] = _GET_DICT(exc)
    return found


_MAY_BE_BASE = 1 << 10  # Py_TPFLAGS_BASETYPE
_GET_DICT: Any = vars(BaseException)["__dict__"].__get__
_KEPT = ("__cause__", "__context__", "__suppress_context__", "__traceback__", "args", "with_traceback", "add_note")
_BODY = {
    "__headway_stand_in__": True,
    **{name: vars(BaseException)[name] for name in _KEPT},
    "__class__": vars(object)["__class__"],
    "__str__": _say,
    "__repr__": _show,
    "__getattr__": _miss,
    "__getattribute__": BaseException.__getattribute__,
    "__setattr__": BaseException.__setattr__,
    "__delattr__": BaseException.__delattr__,
    "__eq__": object.__eq__,
    "__hash__": object.__hash__,
    "__bool__": lambda exc: True,
    "__del__": lambda exc: None,
    "__doc__": None,
}
