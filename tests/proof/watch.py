"""What a random program itself looks out for while it runs: things that no journal and no event tells.

A breach is noted in `COMPLAINTS`, for an exception would only be one more failure that the program handles. The notes outlive a
simulated process, as the world outside of it does.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import told
from nodes import AWAY, Node, drawn, value

import headway as hw
from headway.engine.call import Call, Frame, current
from headway.relay import wire
from headway.relay.client import _place as place_here
from headway.relay.client import asking
from headway.relay.handles import RemoteHandle

T = TypeVar("T")
Branch = tuple[str, int, str]
"""Of which call, in which epoch of its children, by what name."""
Spot = tuple[object, ...]
"""A call, and in which attempts of those around it. A life may begin before an attempt that an earlier life had come to."""

COMPLAINTS: list[str] = []
MUST_FAIL: dict[str, str] = {}  # calls that must not succeed, by key
DUE: Counter[str] = Counter()  # what calls with a price owe since their code began, by key
_IDEMPOTENT: dict[str, str] = {}  # the idempotency key of each effect
_DISLIKED: dict[Spot, set[str]] = {}  # children of a call that failed by itself
_KEPT: dict[Spot, tuple[int, dict[tuple[str, int], set[str]]]] = {}  # attempt that failed because of a child, its children
_OWED: dict[Spot, tuple[int, set[str]]] = {}  # attempt of a call that failed, names of signals that the next is told
_NAMED: dict[str, Gauge] = {}

_DOWN: Counter[str] = Counter()  # how often each service was asked
_REFUSED: set[tuple[int, bytes]] = set()  # names of children of a shared call that failed by itself, in which engine
_RUNS: Counter[str] = Counter()  # how often the code of a fickle stream began
BUDGETS: defaultdict[str, set[bytes]] = defaultdict(set)  # around a call, by its key: several where an edit has moved it
GIVEN: list[tuple[Any, Branch, str]] = []  # by which engine, which branch was given the answer of which call

drivers = 1  # that may run at a time; two tell different stories of one call
edited = False  # the program was, so that what a call met before may not be around it now

BOUNDS = (hw.BudgetExceeded, hw.DeadlineExceeded)
FAULTS = (TypeError, AttributeError, AssertionError, KeyError)
SHARED = ("forever", "service", "stubborn_service", "common", "common_stubborn", "fussy")
RETRIED = ("retried", "stubborn", "common_stubborn")


@dataclass
class Attempt:
    """One attempt of one body."""

    key: str
    number: int
    place: tuple[object, ...]  # this attempt and those of the bodies around it
    retried: bool  # it or a call above it may be tried again
    spot: Spot
    over: bool = False  # its body has failed
    made: dict[tuple[str, object], set[str]] = field(default_factory=dict)  # the keys of its children; equal ones are several
    words: dict[str, int] = field(default_factory=dict)  # what signals said, by place
    names: set[str] = field(default_factory=set)  # of the signals that it was told
    noted: Counter[str] = field(default_factory=Counter)
    runs: dict[str, int] = field(default_factory=dict)  # of a stream's code, from which items came
    shared: list[tuple[object, bytes]] = field(default_factory=list)  # names of its children, in which engine


@dataclass
class Gauge:
    """How many leaves run under one limit."""

    most: int
    running: int = 0


class Carried(Generic[T]):
    """A context variable that simulated workers see too: what is carried is the number of a value, and all are in one process."""

    def __init__(self, name: str, default: T) -> None:
        self._number = contextvars.ContextVar(name, default=0)
        self._values = [default]
        hw.carry(self._number)

    def get(self) -> T:
        return self._values[self._number.get()]

    def set(self, value: T) -> contextvars.Token[int]:
        self._values.append(value)
        return self._number.set(len(self._values) - 1)

    def reset(self, token: contextvars.Token[int]) -> None:
        self._number.reset(token)

    def forget(self) -> None:
        del self._values[1:]


_attempt: Carried[Attempt | None] = Carried("attempt", None)
_gauges: Carried[tuple[Gauge, ...]] = Carried("gauges", ())


def _host() -> Any:
    """What answers this code on the driver, where it runs in a simulated worker."""
    client = asking()
    if client is None:
        return None
    found = inspect.getclosurevars(client._line._job.on_ask).nonlocals["hosts"]
    if not found:  # it is made for the first question
        with contextlib.suppress(KeyError):
            client.ask(wire.LookAtCall(0))
    return found[0]


def call_of(handle: hw.Handle[Any]) -> Call:
    """The call itself, also where this code only has its number."""
    return _host().handle(handle._number)._call if isinstance(handle, RemoteHandle) else handle._call


def frame_here() -> Frame | None:
    """Where this code stands."""
    host = _host()
    return current.get() if host is None else host._places[place_here.get()][current]


def forget() -> None:
    global drivers, edited
    drivers, edited = 1, False
    COMPLAINTS.clear()
    for notes in (MUST_FAIL, DUE, _IDEMPOTENT, _DISLIKED, _KEPT, _OWED, _NAMED, _DOWN, _REFUSED, _RUNS, BUDGETS, GIVEN):
        notes.clear()
    told.forget()
    _attempt.forget()
    _gauges.forget()


def complain(what: str) -> None:
    COMPLAINTS.append(what)


# --- bodies and their children ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def body(source: Node) -> Iterator[None]:
    """Around the body of a node: what it leaves behind when it fails has to stop."""
    call, outer = hw.call(), _attempt.get()
    retried = source.task in RETRIED
    place = (*(outer.place if outer is not None else ()), call.key, call.attempt)
    around = dict(zip(place[:-2:2], place[1:-2:2], strict=True))  # the last attempt of each
    around.pop(call.key, None)
    spot = (call.key, *around.items())
    attempt = Attempt(call.key, call.attempt, place, retried or (outer is not None and outer.retried), spot)
    if attempt.number == 1:
        _DISLIKED.pop(spot, None)
    for notes in (_KEPT, _OWED):
        if spot in notes and notes[spot][0] >= attempt.number:  # by an earlier life, of an attempt that is made again
            del notes[spot]
    _attempt.set(attempt)
    try:
        yield
    except BaseException as error:
        attempt.over = source.task not in ("waiter", *AWAY)  # what is not on the driver's loop is heard of later
        if retried and type(error) in (ValueError, OSError):  # a child's, for a body raises nothing of its own
            _KEPT[spot] = (attempt.number, attempt.made)
        if retried:
            _OWED[spot] = (attempt.number, attempt.names)
        raise
    for place, word in attempt.words.items():  # a body that is stopped gives its words back
        noted(f"word for {place}", word)


def number() -> int:
    """The attempt of the body that made this call."""
    attempt = _attempt.get()
    return attempt.number if attempt is not None else 1


def made(child: Node, x: int, handle: hw.Handle[int]) -> None:
    """A body has made a call: after an own failure a new one, after a child's failure the same."""
    attempt = _attempt.get()
    if attempt is None:
        return
    call = call_of(handle)
    call.add_callback(functools.partial(_ended, child, attempt.place))
    BUDGETS[handle.key].add(call.scope.account.key if call.scope.account is not None else b"")
    if call.share is not None and child.task not in SHARED:
        attempt.shared.append((call.engine, call.share.key))
        if (id(call.engine), call.share.key) in _REFUSED:
            complain(f"{child.name} was kept although a call equal to the one that asks had failed by itself")
    asked = (child.task, call.asked) if child.task in WORTH else (child.name, x)  # several leaves may ask the same
    key, equals = handle.key, attempt.made.setdefault(asked, set())
    equals.add(key)
    if len(equals) > 1 or drivers > 1:
        return
    if key in _DISLIKED.get(attempt.spot, ()):
        complain(f"{child.name} was kept although the call that got it had failed by itself")
    failed, before = _KEPT.get(attempt.spot, (0, {}))
    if failed == attempt.number - 1 and key not in before.get(asked, (key,)):  # which of its equals comes first is open
        complain(f"{child.name} is asked afresh although it was a child that had failed")


def dislike(*, for_good: bool = False) -> None:
    """The body will fail by itself, for what its children gave it, and in its last attempt (`for_good`) that is how it ends."""
    attempt = _attempt.get()
    assert attempt is not None
    _DISLIKED[attempt.spot] = set().union(*attempt.made.values())
    _KEPT.pop(attempt.spot, None)
    if for_good:
        _REFUSED.update((id(engine), name) for engine, name in attempt.shared)


def must_fail(why: str) -> None:
    """The current call must not succeed."""
    attempt = _attempt.get()
    assert attempt is not None
    MUST_FAIL[attempt.key] = why


def plans() -> bool:
    """Whether the current code decides which calls to make, so that it must be told again what it was told."""
    frame = frame_here()
    return frame is not None and frame.plans


def noted(what: str, value: object) -> None:
    """The program was told something."""
    attempt, frame = _attempt.get(), frame_here()
    assert attempt is not None
    assert frame is not None
    attempt.noted[what] += 1
    told.decided((*attempt.place, f"{what} ({attempt.noted[what]})"), frame.call.engine, value)


def _ended(child: Node, place: tuple[object, ...], call: Call) -> None:
    """A call that a body made has ended."""
    told.ended(place, child, call)
    if not edited and (bound := told.unbounded(child, call)):
        complain(f"{child.name} ended with {call.error!r}, but there is no {bound} that it could have met")


def word(place: str, name: str, word: int) -> None:
    """A body was told a signal of a name; without one, one of several."""
    attempt = _attempt.get()
    assert attempt is not None
    attempt.words[place] = word
    attempt.names.add(name)


def no_word(name: str) -> None:
    """A body waited for a signal of a name and was told none in time."""
    attempt = _attempt.get()
    assert attempt is not None
    failed, names = _OWED.get(attempt.spot, (0, set()))
    if drivers == 1 and failed == attempt.number - 1 and name in names - attempt.names and name:
        complain(f"attempt {attempt.number} is not told the signal {name!r} that the attempt before it was told")


def some_time(name: str) -> float:
    """Seconds that something outside takes: others each time."""
    return random.Random(f"{name} {len(GIVEN)}").random() * 2


def next_join() -> int:
    """The number of the next join of branches in a body."""
    attempt = _attempt.get()
    assert attempt is not None
    attempt.noted["join"] += 1
    return attempt.noted["join"]


def given(branch: str, handle: hw.Handle[int]) -> None:
    """A branch of a body is given the answer of this call."""
    call = call_of(handle)
    parent = call.parent
    assert parent is not None
    GIVEN.append((call.engine, (parent.key.hex(), parent.epoch, branch), handle.key))


def asked_otherwise() -> set[tuple[str, int]]:
    """Bodies, each in an epoch, whose branches asked for other things in one attempt than in another."""
    asked: dict[tuple[str, int, str], str] = {}
    found = set()
    for _, (parent, epoch, name), _ in GIVEN:
        place, _, what = name.rpartition(" asking ")
        if asked.setdefault((parent, epoch, place), what) != what:
            found.add((parent, epoch))
    return found


def leave_out_changed_branches(before: set[Branch]) -> bool:
    """Ask nothing of the branches of a body that asked for something before it was edited that it never asked for after. What was
    recorded for such a branch tells later lives that its join has gone astray, and then what is recorded goes to whoever asks.
    Returns whether there are any."""
    gone = before - {branch for _, branch, _ in GIVEN}
    changed = {(parent, epoch) for parent, epoch, _ in gone}
    left = [note for note in GIVEN if note[1][:2] not in changed]
    some = len(left) < len(GIVEN)
    GIVEN[:] = left
    return some


def booked(calls: float, children: Sequence[Node], handles: Sequence[hw.Handle[int]]) -> None:
    """How many calls a budget has booked that these were made in. One that was made in another budget before the program was edited
    may have ended there: that one has booked it, and nobody pays for a recorded result again."""
    alone = [
        handle
        for child, handle in zip(children, handles, strict=True)
        if child.task not in SHARED and call_of(handle).share is None and len(BUDGETS[handle.key]) < 2
    ]
    ran = {handle.key for handle in alone if not handle.exception()}  # one that has equals may have been answered
    if len(ran) > calls:
        complain(f"{len(ran)} calls ran in a budget that has booked {calls:g}")


async def joined(join: Awaitable[T], handles: Sequence[hw.Handle[Any]]) -> T:
    """A join that leaves nothing running, whether it succeeds or fails."""
    try:
        result = await join
    except Exception:
        all_ended(handles)
        raise
    all_ended(handles)
    return result


def all_ended(handles: Sequence[hw.Handle[Any]]) -> None:
    """A join has ended, and left nothing running."""
    if left := [handle for handle in handles if not handle.done()]:
        complain(f"a join ended and left {left[0]!r}")


# --- streams ---------------------------------------------------------------------------------------------------------


def item(stream: str, x: int, place: int, item: int, wanted: int | None = None) -> None:
    """A reader was handed an item: the one that is due, and the same one in every life."""
    if wanted is not None and item != wanted:
        complain(f"item {place} of stream {stream} is {item}, not {wanted}")
    noted(f"item {place} of stream {stream} of {x}", item)


def runs(name: str) -> int:
    """How often code has run that goes by nothing that is recorded."""
    _RUNS[name] += 1
    return _RUNS[name]


def of_one_run(stream: str, place: int, run: int) -> None:
    """All items that a reader was handed come from one run of the code."""
    attempt = _attempt.get()
    assert attempt is not None
    if place == 0:
        attempt.runs[stream] = run
    elif attempt.runs[stream] != run:
        complain(f"item {place} of stream {stream} comes from run {run} of its code, those before from run {attempt.runs[stream]}")


def read_whole(stream: str, taken: int, wanted: int) -> None:
    """A reader came to the end of a stream, or as far as it wanted."""
    if taken != wanted:
        complain(f"stream {stream} gave {taken} items of {wanted}")


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Around a body's reading of streams, whose tasks yield the same in every life."""
    try:
        yield
    except hw.ItemChanged as changed:
        if "fickle" not in str(changed):
            complain(f"a stream whose task yields the same each time is refused: {changed}")
        raise


# --- leaves ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def limited(most: int, name: str = "") -> Iterator[None]:
    """Around a block whose calls run at most `most` at a time."""
    gauge = _NAMED.setdefault(name, Gauge(most)) if name else Gauge(most)
    outer = _gauges.get()
    token = _gauges.set(outer if any(other is gauge for other in outer) else (*outer, gauge))  # a limit inside itself is one
    try:
        yield
    finally:
        _gauges.reset(token)


@contextlib.contextmanager
def running(name: str) -> Iterator[None]:
    """Around the code of a leaf."""
    gauges = _gauges.get()
    for gauge in gauges:
        gauge.running += 1
        if gauge.running > gauge.most:
            complain(f"{name} runs as number {gauge.running} where {gauge.most} may")
    try:
        yield
    finally:
        for gauge in gauges:
            gauge.running -= 1
    attempt = _attempt.get()
    # code that is run to hear of a stop, for what it may have to undo, may have a moment
    if attempt is not None and attempt.over and not hw.stopping():
        complain(f"{name} went on after the call that had made it failed")


def owes(tokens: int) -> None:
    """The code of a call with a price has begun, or knows better what it costs."""
    DUE[hw.call().key] += tokens


def happens(name: str) -> str:
    """An effect is about to happen; its idempotency key."""
    call = hw.call()
    if _IDEMPOTENT.setdefault(call.key, call.idempotency_key) != call.idempotency_key:
        complain(f"{name} has another idempotency key than before")
    return call.idempotency_key


def down(service: str) -> str | None:
    """What a service says while it is down: at first, to whoever asks."""
    _DOWN[service] += 1
    return f"{service} is down for the {_DOWN[service]}. time" if _DOWN[service] <= drawn(service) % 4 else None


WORTH = {
    "forever": lambda name, x: x % 3 * 7 % 1000,
    "alike": lambda name, x: value("alike", x % 2),
    "service": lambda name, x: value("service", x % 3),
    "stubborn_service": lambda name, x: value("stubborn service", x % 2),
}
SPENT = 3.0


def ends_as_it_must(child: Node, x: int, handle: hw.Handle[int]) -> None:
    """Whether a leaf that nobody cancelled has ended as leaves of its task do."""
    error = handle.exception()
    if call_of(handle).engine.closing:  # the run stops here, and nobody tries again
        return
    if isinstance(error, (*BOUNDS, hw.StoreError)) or (child.task == "large" and isinstance(error, hw.InputFailed)):
        return
    wanted: type[BaseException] | None = None
    if isinstance(error, FAULTS):
        complain(f"{child.name} failed with {error!r}")
    if child.task == "bad":
        wanted = ValueError
    elif child.task == "too_slow" and child.number >= 7:
        wanted = hw.CallTimeout
    elif error is not None and (child.task in ("service", "stubborn_service") or (child.task == "moody" and number() == 1)):
        wanted = OSError
    elif child.kind != "leaf":
        return
    if wanted is not None and type(error) is not wanted:
        complain(f"{child.name} ended with {error!r}, not with {wanted.__name__}")
    elif wanted is None and error is not None:
        complain(f"{child.name} failed with {error!r}")
    elif wanted is None and child.task != "edition":
        expected = WORTH.get(child.task, value)(child.name, x)
        if handle.result() != expected:
            complain(f"{child.name} gave {handle.result()}, not {expected}")
    attempt = _attempt.get()
    if child.task == "costly" and child.number > 6 and error is None and handle.cost.get("tokens", 3) % 5 != 3:
        complain(f"{child.name} charges 3 tokens instead of the 5 that it reserved, and is booked at {handle.cost}")
    if child.task == "spender" and attempt is not None and not attempt.retried and handle.cost.get("tokens", 0.0) > SPENT:
        complain(f"{child.name} spends {SPENT:g} tokens and is booked at {handle.cost}")


EDITIONS: Counter[str] = Counter()  # of a task whose source was changed
