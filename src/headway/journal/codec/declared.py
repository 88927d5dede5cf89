"""How a user's type is named in records, and which types a program has declared.

A record names a type by text, and text from a disk must never make this program import a module or call something. So
decoding looks a name up among the types that the program itself declared, by annotating a task with them or with `register`, and
then among the classes of modules that are loaded already. A live subclass of a declared class counts as declared.

A name is "module:qualname". `python prog.py`, `headway run prog.py:f` and a spawned worker call the same file
`__main__`, `prog` and `__mp_main__`, so a name is looked up as it is written first, and then by its last module
component alone. A class that moved is found under its old names where the program gives them as aliases.

This file must never import by name, and never construct a user's object.
"""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from types import ModuleType
from typing import Any, TypeVar, overload

from headway.errors import NotDecodable, UsageError

C = TypeVar("C", bound=type)

_MAIN = ("__main__", "__mp_main__")
_PLAIN_MODULES = frozenset(
    {"builtins", "typing", "typing_extensions", "abc", "collections", "types", "numpy", "torch", "pydantic", "msgspec"}
)

_declared: dict[str, type] = {}  # full tag -> the newest class of this name
_by_short: dict[str, list[str]] = {}  # short tag -> full tags
_aliases: dict[str, type] = {}  # an old name -> the class that had it
_first_names: dict[type, str] = {}  # of a class that moved: its first name, which keys of calls use
_known: set[type] = set()  # every declared class, and live subclasses met so far


# --- names -----------------------------------------------------------------------------------------------------------


def stable_module(name: str) -> str:
    """The part of a module's name that stays the same however the program is started.

    >>> stable_module("package.steps")
    'steps'
    """
    return _full_module(name).rpartition(".")[2]


def stable_tag(obj: Any) -> str:
    """The short name of a class or function: last module component and qualified name; of a class that moved, its first."""
    if _first_names and isinstance(obj, type) and obj in _first_names:
        return shorten(_first_names[obj])
    return f"{stable_module(obj.__module__ or 'builtins')}:{obj.__qualname__}"


def full_tag(cls: type) -> str:
    """The name of a class as records hold it: whole module (a file's stem for the main program) and qualified name."""
    return f"{_full_module(cls.__module__)}:{cls.__qualname__}"


def shorten(tag: str) -> str:
    module, _, qualname = tag.partition(":")
    return f"{module.rpartition('.')[2]}:{qualname}"


def _full_module(name: str) -> str:
    return _main_stem(name) if name in _MAIN else name


def _main_stem(name: str) -> str:
    path = getattr(sys.modules.get(name), "__file__", None)
    return PurePath(path).stem if path else "__main__"


# --- declaring -------------------------------------------------------------------------------------------------------


@overload
def register(cls: C, /, *, aliases: Iterable[str] = ()) -> C: ...
@overload
def register(cls: None = None, /, *, aliases: Iterable[str] = ()) -> Callable[[C], C]: ...
def register(cls: Any = None, /, *, aliases: Iterable[str] = ()) -> Any:
    """Declare a class, so that its values can be stored and read back.

    Types in the signature of a task are declared with it. What needs this is a class that a program only reads.

    Args:
        cls: the class. Left out, a decorator is returned.
        aliases: the names that it had before it was moved or renamed, "module:Class" as records have them, the oldest first. Values
            that were recorded under them are read as this class, and calls that got one keep their results.

    Returns:
        The class itself.

    Raises:
        UsageError: an alias is no such name, or is the name of another class of this program.

    Example:
        >>> @hw.register(aliases=["shapes:Dot"])
        ... class Point: ...
        >>> resolve("shapes:Dot").__name__
        'Point'
    """
    old = [aliases] if isinstance(aliases, str) else list(aliases)
    if cls is None:
        return lambda later: register(later, aliases=old)
    for alias in old:
        _check_alias(alias, cls)
    _declare(cls)
    for alias in old:
        _aliases[alias] = cls
        _first_names.setdefault(cls, alias)
    return cls


def alias_of(tag: str) -> type | None:
    """The class that had this name before it was moved."""
    return _aliases.get(tag)


def _check_alias(alias: object, cls: type) -> None:
    module, colon, name = alias.partition(":") if isinstance(alias, str) else ("", "", "")
    parts = [*module.split("."), *name.split(".")]
    if not colon or not all(part.isidentifier() for part in parts if part != "<locals>"):
        raise UsageError(f"hw.register({cls.__qualname__}): the alias {alias!r} is no name of a class; write module:Class")
    tag = str(alias)
    other = _aliases.get(tag) or _declared.get(tag) or find_loaded_class(tag)
    if other is not None and full_tag(other) != full_tag(cls):
        raise UsageError(
            f"hw.register({cls.__qualname__}): the alias {tag} is the name of {full_tag(other)} in this program: "
            "a recorded value could be either"
        )


def _declare(cls: type) -> type:
    tag = full_tag(cls)
    _declared[tag] = cls
    names = _by_short.setdefault(shorten(tag), [])
    if tag not in names:
        names.append(tag)
    _known.add(cls)
    return cls


def declare(annotation: Any, namespace: Mapping[str, Any] | None = None) -> None:
    """Declare every user type that a type annotation mentions, down into the fields of those types.

    `namespace` is where names in string annotations are looked up; a name that cannot be found is passed over.
    """
    _walk(annotation, namespace or {}, set())


def is_declared(cls: type) -> bool:
    """Whether values of this very class may be stored: it is declared, or a later process will find it by its name."""
    if cls in _known:
        return True
    if any(base in _known for base in cls.__mro__[1:]):
        _known.add(cls)
        return True
    if find_loaded_class(full_tag(cls)) is cls:
        _declare(cls)
        return True
    return False


def resolve(tag: str) -> type:
    """The declared class of this name. Raises NotDecodable, saying how to declare it."""
    found = _declared.get(tag) or _aliases.get(tag) or _by_short_tag(tag) or _live_subclass(tag) or find_loaded_class(tag)
    if found is None:
        raise NotDecodable(
            f"a recorded value is a {tag}, which this program has not loaded: import its module before the run,"
            f" annotate the task that returns it, or decorate the class with @hw.register"
        )
    return found


def find_loaded_class(tag: str) -> type | None:
    """Find the class of this name in a module that is loaded already. Nothing is imported for it, and no code of the module
    runs."""
    module, _, qualname = tag.partition(":")
    for name in (module, *(main for main in _MAIN if _main_stem(main) == module)):
        found: Any = sys.modules.get(name)
        for part in qualname.split("."):
            found = vars(found).get(part) if isinstance(found, type | ModuleType) else None
        if isinstance(found, type) and full_tag(found) == tag:
            return found
    return None


def _by_short_tag(tag: str) -> type | None:
    tags = _by_short.get(shorten(tag), ())
    if len(tags) > 1:
        raise NotDecodable(
            f"a recorded value is a {tag}, and this program declares several types of that name: {', '.join(tags)}."
            f" Start the program the way it was started before, or rename one of them"
        )
    return _declared[tags[0]] if tags else None


def _live_subclass(tag: str) -> type | None:
    short = shorten(tag)
    close = None
    for base in list(_declared.values()):
        for cls in subclasses(base):
            if full_tag(cls) == tag:
                return _declare(cls)
            if shorten(full_tag(cls)) == short:
                close = cls
    return close


def subclasses(base: type) -> Iterator[type]:
    """Every live class below `base`, each once."""
    seen: set[type] = set()
    todo: list[Any] = [base]
    while todo:
        for cls in type.__subclasses__(todo.pop()):
            if cls not in seen:
                seen.add(cls)
                todo.append(cls)
                yield cls


# --- walking an annotation -------------------------------------------------------------------------------------------


def _walk(annotation: Any, namespace: Mapping[str, Any], seen: set[Any]) -> None:
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        annotation = evaluate(annotation, namespace)
    if isinstance(annotation, (list, tuple)):  # the arguments of a Callable
        for part in annotation:
            _walk(part, namespace, seen)
        return
    if inspect.isclass(annotation) and typing.get_origin(annotation) is None:
        _walk_class(annotation, seen)
        return
    for part in _parts(annotation):
        _walk(part, namespace, seen)


def _parts(annotation: Any) -> tuple[Any, ...]:
    if isinstance(annotation, typing.TypeVar):
        bound = annotation.__bound__
        return (*annotation.__constraints__, *([] if bound is None else [bound]))
    if isinstance(annotation, typing.NewType):
        return (annotation.__supertype__,)
    alias = getattr(annotation, "__value__", None)  # a `type X = ...` statement
    if alias is not None and type(annotation).__name__ == "TypeAliasType":
        return (alias,)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return tuple(type(value) for value in typing.get_args(annotation))
    if origin is typing.Annotated:
        return (typing.get_args(annotation)[0],)
    return (*([] if origin is None else [origin]), *typing.get_args(annotation))


def _walk_class(cls: type, seen: set[Any]) -> None:
    if cls in seen or _is_plain(cls):
        return
    seen.add(cls)
    _declare(cls)
    if not _has_fields(cls):
        return
    namespace: dict[str, Any] = {cls.__name__: cls}
    for base in reversed([base for base in cls.__mro__ if not _is_plain(base)]):
        namespace.update(vars(sys.modules.get(base.__module__, builtins)))
        for annotation in vars(base).get("__annotations__", {}).values():
            _walk(annotation, namespace, seen)
    _walk_pydantic(cls, namespace, seen)


def _is_plain(cls: type) -> bool:
    """Whether a class is a library's base, which declares nothing: a subclass of `int` or `BaseModel` is no `int` or so."""
    return cls.__module__.partition(".")[0] in _PLAIN_MODULES


def _walk_pydantic(cls: type, namespace: Mapping[str, Any], seen: set[Any]) -> None:
    for field in getattr(cls, "__pydantic_fields__", {}).values():  # resolved, also for generic models
        _walk(field.annotation, namespace, seen)


def _has_fields(cls: type) -> bool:
    return (
        dataclasses.is_dataclass(cls)
        or hasattr(cls, "__struct_fields__")
        or hasattr(cls, "__pydantic_fields__")
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    )


# --- evaluating a string annotation ----------------------------------------------------------------------------------


class _Unknown:
    """Stands for a name that is not there at run time (imported under TYPE_CHECKING, say); takes any operation."""

    def __getattr__(self, name: str) -> _Unknown:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, item: Any) -> Any:
        return typing.Union[_as_tuple(item)]  # noqa: UP007 - its members are known only now

    def __call__(self, *args: Any, **kwargs: Any) -> _Unknown:
        return self

    def __or__(self, other: Any) -> Any:
        return other

    __ror__ = __or__

    def __hash__(self) -> int:
        return id(type(self))


def _as_tuple(item: Any) -> tuple[Any, ...]:
    return item if isinstance(item, tuple) else (item,)


class _Lenient(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, _Unknown())


def evaluate(annotation: str, namespace: Mapping[str, Any]) -> Any:
    """What a string annotation means among these names; names that are not there count as unknown, never as an error.

    The text is the program's own source, never text from a record.
    """
    try:
        return eval(annotation, {}, _Lenient(namespace))
    except Exception:  # an annotation that cannot be evaluated declares nothing
        return None
