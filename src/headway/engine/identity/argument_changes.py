"""Detects that the arguments of a call have changed.

A call is identified by its arguments, and a replay returns its recorded result without running its code. If the code changed a list
it was given, the replay does not repeat that change. If the caller went on filling the list, the code computed something other than
its key says. Either way a resumed run would end differently. So when the code of an attempt has ended, its arguments must equal
what they were when the call was made. If not, the call fails and says which of them changed. A change is never hidden, undone or
repeated.

Only code that shares objects with the program is looked at: inline and in threads. Other processes have copies.

- Arguments are compared by their canonical form, with the one that the key was made of. What is no part of a value (an unkeyed
  parameter, a field with `compare=False`, what `__headway_key__` leaves out) may change.
- With `key=` there is no such form, and making one is what `key=` saves. There the items of lists, dictionaries and sets that are
  arguments must be the same objects.
- Results that came by handle are compared with what they were when they were first handed to a call. That is done for each call
  that gets them, so it is bounded: of an array over `ARRAY_BYTES` samples are compared, and of a value whose form is longer
  than `FORM_BYTES` only the items, as above; of a long list every n-th.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import operator
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from headway.engine.call import MISSING, Call
from headway.engine.handle import Handle
from headway.engine.identity.canonical import glance
from headway.engine.identity.inputs import handles_in
from headway.engine.tasks.callables import describe_error
from headway.engine.transitions import RUNNING
from headway.errors import ArgumentChanged, CallTimeout
from headway.journal.codec.models import dataclass_fields, user_kind
from headway.journal.codec.wire import a_or_an

FORM_BYTES = 256 * 1024
ITEMS = 4096  # of a list, set or dictionary whose form is too long
UNCHANGING = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Types of values that can't change."""

_FIXED = UNCHANGING | {Handle}  # of a handle the result may change: its call says whether that was looked at

_SETS = (set, collections.deque)
_DICTS = (dict, collections.defaultdict, collections.OrderedDict, collections.Counter)


def cannot_change(call: Call) -> bool:
    """Whether all arguments are of types that can't change. Asked of every call, so that most cost no more than this."""
    if not _FIXED.issuperset(map(type, call.args)) or (call.kwargs and not _FIXED.issuperset(map(type, call.kwargs.values()))):
        return False
    return not call.inputs or not any(given.x is not None and given.x.seen is not MISSING for given in call.inputs)


def unless_changed(call: Call, value: Any, error: BaseException | None) -> BaseException | None:
    """What an attempt whose code has ended with this value or error fails with: its error, or ArgumentChanged."""
    if not _is_looked_at(call, error):
        return error
    spec = call.spec
    found = list(_find_changed_arguments(call))
    if call.inputs:
        found += _find_changed_inputs(call)
    if not found:
        return error
    also = (
        f" (The attempt also failed, with {describe_error(error)})"
        if error is not None and issubclass(type(error), Exception)
        else ""
    )
    changed = ArgumentChanged(
        f"{spec.name}: argument {' and '.join(found)} was changed before the call had ended, by the task or by other code that has "
        "it. A replay gives back the recorded result and can't repeat that. Change a copy (copy.deepcopy) and return what is to be "
        f"seen; mark a parameter that does not change the result with Annotated[T, hw.unkeyed].{also}"
    )
    changed.value = value
    changed.unseen = _is_stopped_by_others(call)
    changed.__cause__ = error
    return changed


def is_unseen(call: Call) -> bool:
    """Whether a failed call changed an argument and whoever stopped it does not look at its error, be it an earlier life's."""
    return issubclass(type(call.error), ArgumentChanged) and call.error.unseen  # type: ignore[union-attr]


def _is_stopped_by_others(call: Call) -> bool:
    stop = call.x.stop if call.x is not None else None
    return stop is not None and not issubclass(type(stop), CallTimeout)


def _is_looked_at(call: Call, error: BaseException | None) -> bool:
    if call.state != RUNNING or call.engine.pools.copies(call.spec.pool) or issubclass(type(error), ArgumentChanged):
        return False
    if issubclass(type(error), asyncio.CancelledError):  # with what is stopped as a whole, nobody sees what it has changed
        parent = call.parent
        return parent is not None and (parent.x is None or parent.x.stop is None)
    return True


def _may_change(value: Any) -> bool:
    kind: Any = type(value)
    if kind in UNCHANGING or kind is Handle:
        return False
    if kind is tuple or kind is frozenset:
        return any(map(_may_change, value))
    fields = _list_frozen_fields(kind)
    return fields is None or any(_may_change(getattr(value, name, None)) for name in fields)


@functools.cache
def _list_frozen_fields(kind: Any) -> tuple[str, ...] | None:
    """The fields of a frozen type, of which only the values may change; None of any other."""
    if hasattr(kind, "__headway_key__"):
        return None
    match user_kind(kind):
        case "enum":
            return ()
        case "namedtuple":
            return kind._fields  # type: ignore[no-any-return]  # as user_kind says
        case "struct" if kind.__struct_config__.frozen:
            return kind.__struct_fields__  # type: ignore[no-any-return]  # as user_kind says
        case "dataclass" if kind.__dataclass_params__.frozen:
            return dataclass_fields(kind)
    return None


# --- arguments -------------------------------------------------------------------------------------------------------


def note_members(call: Call) -> None:
    """Of a call with `key=`: remember what its lists, dictionaries and sets hold."""
    found = {place: members for place, value in _iterate_keyed(call) if (members := _members(value)) is not None}
    if found:
        call.extra().members = found


def _iterate_keyed(call: Call) -> Iterator[tuple[int | str, Any]]:
    """The arguments that count, with their places."""
    args, kwargs = call.spec.signature.keyed(call.args, call.kwargs)
    yield from enumerate(args)
    yield from kwargs.items()


def _find_changed_arguments(call: Call) -> Iterator[str]:
    spec = call.spec
    if spec.key is not None:
        before = call.x.members if call.x is not None else {}
        places = [place for place, value in _iterate_keyed(call) if place in before and not _same(before[place], _members(value))]
    else:
        try:
            if not any(map(_may_change, (*call.args, *call.kwargs.values()))):
                return
            if spec.signature.canonical(call.args, call.kwargs) == call.asked:
                return
        except BaseException:  # it has no canonical form any more, or an object of the program failed
            pass
        places = spec.signature.changed_places(call.asked, call.args, call.kwargs)
    values = dict(_iterate_keyed(call))
    for place in places:
        yield f"{spec.signature.name_of(place)} ({a_or_an(type(values[place]).__qualname__)})"


class _Members(NamedTuple):
    """The very objects that a list, set or dictionary holds; of a long one some of them."""

    number: int
    items: tuple[Any, ...]


def _members(value: Any) -> _Members | None:
    """What a list, set or dictionary holds; None for anything else."""
    kind = type(value)
    if kind is list:
        return _Members(len(value), tuple(value[:: max(1, len(value) // ITEMS)]))
    if kind in _SETS:
        return _Members(len(value), tuple(islice(value, ITEMS)))
    if kind in _DICTS:
        return _Members(len(value), (*islice(value, ITEMS), *islice(value.values(), ITEMS)))
    return None


def _same(before: _Members, now: _Members | None) -> bool:
    return now is not None and before.number == now.number and all(map(operator.is_, before.items, now.items))


# --- results that came by handle -------------------------------------------------------------------------------------


def note_input(handle: Call, value: Any) -> None:
    """Remember what a result is that is handed to a call."""
    if type(value) not in UNCHANGING:
        x = handle.extra()
        if x.seen is MISSING:
            x.seen = _look(value)


def _find_changed_inputs(call: Call) -> Iterator[str]:
    for handle in call.inputs:
        seen = handle.x.seen if handle.x is not None else MISSING
        if seen is MISSING or seen is None or _is_still(seen, handle.value):
            continue
        for place, value in _iterate_keyed(call):
            if handle in handles_in((value,), {}):
                yield f"{call.spec.signature.name_of(place)} (the result of {handle.describe()})"
                break


def _is_still(seen: bytes | _Members, value: Any) -> bool:
    if isinstance(seen, _Members):
        return _same(seen, _members(value))
    try:
        return glance(value) == seen
    except BaseException:  # it has no canonical form any more
        return False


def _look(value: Any) -> bytes | _Members | None:
    """The current form of a value; None if it has none."""
    try:
        form = glance(value)
        if len(form) <= FORM_BYTES:
            return form
    except BaseException:  # no canonical form
        pass
    return _members(value)
