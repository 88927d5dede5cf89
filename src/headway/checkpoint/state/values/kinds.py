"""Plain values keep their type: a loaded value has the type that was saved, or the load is refused before anything changes.

JSON knows few types, and `tree` marks values whose type it would change. Enum members would still come back as plain numbers or
strings, so they are marked with the name of their class. Only a member of that class takes them, because no class is ever looked up
by a name that was read (inside the state of an object, see `alike`). Other subclasses of `int`, `str` and so on would lose their
class, and are refused when they are saved.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from headway.checkpoint.files.manifest import Json
from headway.checkpoint.state.inventory_builder import InventoryBuilder
from headway.checkpoint.state.values.tree import decode, encode
from headway.errors import CheckpointMismatch

_MARK = "$enum"


def put_enum(leaf: Any, builder: InventoryBuilder, name: str, load: Callable[[Any], None]) -> bool:
    """Put a member of an enum there; when loading, take one. False if neither the state nor the checkpoint has one."""
    if builder.saved is None:
        if isinstance(leaf, Enum):
            builder.value(name, {_MARK: [type(leaf).__qualname__, encode(leaf.value, name, lambda path, each: None)]})
        return isinstance(leaf, Enum)
    saved = builder.saved.values.get(name)
    if not isinstance(leaf, Enum) and not _is_marked(saved):
        return False
    builder.value(name, None)
    if name in builder.saved.values and builder.select(name):
        member = _member(leaf, saved, name)
        builder.then(lambda values: load(member), name)
    return True


def _is_marked(saved: Json) -> bool:
    return isinstance(saved, dict) and list(saved) == [_MARK]


def _member(leaf: Any, saved: Json, name: str) -> Any:
    """Return the member that was saved. Checkpoints of earlier versions have only its value."""
    value: Any = decode(saved, lambda mark, at: None)
    if isinstance(saved, dict) and _is_marked(saved):
        marked: Any = saved[_MARK]
        if not isinstance(leaf, Enum) or type(leaf).__qualname__ != marked[0]:
            raise CheckpointMismatch(
                f"{name} was saved as a member of the enum {marked[0]} ({value!r}), and is a {type(leaf).__qualname__} in the "
                "state. Nothing was changed"
            )
    try:
        return type(leaf)(value)
    except ValueError:
        raise CheckpointMismatch(
            f"{name} is a {type(leaf).__qualname__} in the state, which has no member for the {value!r} that was saved. "
            "Nothing was changed"
        ) from None
