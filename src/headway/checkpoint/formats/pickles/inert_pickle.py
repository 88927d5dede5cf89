"""Reads a pickle as data. Nothing in it is imported, called or built.

Other programs keep the description of their checkpoints as a pickle, and unpickling runs whatever the file says. This is not an
unpickler with a list of allowed classes: it is a reader of the pickle's own small language that only ever makes numbers, strings,
bytes, tuples, lists, dicts and notes. A class or function is a `Name`; where the pickle would call it, there is a `Made` that says
what would have been called with what. The caller names the few that it knows what to make of; any other is an error that names
it, raised when it is mentioned, not when it would be called. Instructions that only old or hostile pickles use are errors as well.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from headway.errors import CheckpointDamaged, UsageError

_MARK = object()


class Name(NamedTuple):
    """A class or function that a pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Made:
    """What a pickle would have made: by calling `what` with `args`, then `state` set on it and `entries` put into it."""

    what: str
    args: tuple[Any, ...]
    state: Any = None
    entries: dict[Any, Any] | None = None

    def field(self, name: str) -> Any:
        """Return a field of the state; None if there is none."""
        return self.state.get(name) if isinstance(self.state, dict) else None


@dataclass(slots=True, eq=False)
class Reference:
    """What a pickle keeps elsewhere (a persistent id): torch's storages."""

    key: Any


class _Machine:
    def __init__(self, known: Collection[str], where: str) -> None:
        self.known = known
        self.where = where
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def name(self, module: str, name: str) -> Name:
        named = Name(module, name)
        if str(named) not in self.known:
            raise UsageError(
                f"{self.where}: names {named}, which is not part of a plain checkpoint. Nothing of it was run. Save it again "
                "without that object, as tensors, numbers, strings, lists and dicts"
            )
        return named

    def make(self) -> None:
        args, what = self.stack.pop(), self.stack.pop()
        if not isinstance(what, Name) or not isinstance(args, tuple):
            raise TypeError("a call of something that is no name")
        self.stack.append(Made(str(what), args))

    def put_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Made):
            target.entries = target.entries if target.entries is not None else {}
            target = target.entries
        if not isinstance(target, dict):
            raise TypeError("items of something that is no dict")
        target.update(zip(pairs[::2], pairs[1::2], strict=True))

    def append(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError("elements of something that is no list")
        self.stack[-1].extend(items)

    def build(self, state: Any) -> None:
        if not isinstance(self.stack[-1], Made):
            raise TypeError("a state of something that is no object")
        self.stack[-1].state = state


def _push_name(machine: _Machine, arg: Any) -> None:
    machine.stack.append(machine.name(*arg.split(" ", 1)))


def _push_stack_name(machine: _Machine, arg: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise TypeError("a name that is no string")
    machine.stack.append(machine.name(module, name))


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    def run(machine: _Machine, arg: Any) -> None:
        items = tuple(machine.stack[-count:])
        if len(items) != count:
            raise IndexError("too few items for a tuple")
        machine.stack[-count:] = [items]

    return run


def _push(value: Callable[[], Any]) -> Callable[[_Machine, Any], None]:
    return lambda machine, arg: machine.stack.append(value())


def _pairs(flat: list[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _remember(machine: _Machine, arg: Any) -> None:
    machine.memo[len(machine.memo) if arg is None else int(arg)] = machine.stack[-1]


_LITERALS = (
    *("BINFLOAT", "BININT", "BININT1", "BININT2", "LONG1", "LONG4"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
)
_RUN: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(_LITERALS, lambda machine, arg: machine.stack.append(arg)),
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, arg: None),
    **dict.fromkeys(("MEMOIZE", "BINPUT", "LONG_BINPUT"), _remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, arg: machine.stack.append(machine.memo[arg])),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda machine, arg: machine.make()),
    "MARK": _push(lambda: _MARK),
    "NONE": _push(lambda: None),
    "NEWTRUE": _push(lambda: True),
    "NEWFALSE": _push(lambda: False),
    "EMPTY_TUPLE": _push(tuple),
    "EMPTY_LIST": _push(list),
    "EMPTY_DICT": _push(dict),
    "TUPLE": lambda machine, arg: machine.stack.append(tuple(machine.to_mark())),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "LIST": lambda machine, arg: machine.stack.append(machine.to_mark()),
    "DICT": lambda machine, arg: machine.stack.append(_pairs(machine.to_mark())),
    "APPEND": lambda machine, arg: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, arg: machine.append(machine.to_mark()),
    "SETITEM": lambda machine, arg: machine.put_items([machine.stack.pop(), machine.stack.pop()][::-1]),
    "SETITEMS": lambda machine, arg: machine.put_items(machine.to_mark()),
    "GLOBAL": _push_name,
    "STACK_GLOBAL": _push_stack_name,
    "BUILD": lambda machine, arg: machine.build(machine.stack.pop()),
    "BINPERSID": lambda machine, arg: machine.stack.append(Reference(machine.stack.pop())),
}  # fmt: skip


def read_pickle(data: bytes, known: Collection[str], where: str) -> Any:
    """Read a pickle as numbers, strings, bytes, tuples, lists, dicts, `Name`, `Made` and `Reference`.

    Args:
        data: the pickle.
        known: the classes and functions that it may name, as `module.name`.
        where: what it is, for errors.

    Raises:
        UsageError: it names something else, or uses an instruction that no plain checkpoint has.
        CheckpointDamaged: it is no whole pickle.
    """
    machine = _Machine(known, where)
    try:
        for op, arg, position in pickletools.genops(data):
            if op.name == "STOP":
                (result,) = machine.stack
                return result
            run = _RUN.get(op.name)
            if run is None:
                raise UsageError(f"{where}: byte {position} of its pickle is {op.name}, which no plain checkpoint uses: not read")
            run(machine, arg)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, Warning) as error:  # a bad escape warns
        raise CheckpointDamaged(f"{where}: not a whole pickle ({error})") from None
    raise CheckpointDamaged(f"{where}: its pickle has no end")
