"""Limits that processes share, kept by the store so that no server is needed: who holds how many places, and what began when.

A process leases places for all its calls together and starts promised to it for the next moment, and says again when something has
changed: there is no transaction for a call. `share_out` is the whole rule, from data to data; a store reads the boards, applies it
and writes them back in one transaction.

What it promises:

- All that processes hold of a limit together is never more than its capacity. The places of a process that is gone are free at
  once, those of one that can't be seen from here when their time is up.
- No window holds more than the rate of starts. A start is promised before it happens and counted at the latest moment at which it
  may happen, until the process says when it did; so one that dies in between has used up what was promised to it.
- Who waits is known. A process that waits gets its fair share as others end their calls, and unused places at once; where there are
  fewer places than processes, they take turns.
- No time here is waited for longer than it was meant to last: when the clock is found set back, all of them are.

This file must never hold a lock between two calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from headway.journal.clocks import SET_BACK_S
from headway.journal.owner import is_alive
from headway.journal.shared.rates import Marks, add_mark, drop_marks, next_room

TURN_S = 0.5  # how long a process may keep a place for which another one waits, where there are not enough for all


class Rate(NamedTuple):
    """At most `most` starts in any `length_s` seconds."""

    most: int
    length_s: float


class Ask(NamedTuple):
    """What a process reports about one limit."""

    name: str
    capacity: int | None = None
    used: int = 0  # places in use now
    keep: int = 0  # how many it would like in all, while nobody else wants them
    rate: Rate | None = None
    begun: tuple[float, ...] = ()  # how many seconds ago the starts began that it has not reported yet
    pending: int = 0  # starts that were promised to calls which have not begun
    ahead: int = 0  # starts that it will want soon, beyond those that wait


class Want(NamedTuple):
    """Calls that wait for a place in each of these limits, all at once."""

    names: tuple[str, ...]
    calls: int
    starts: bool = True  # whether they begin, or go on after a wait, which costs no start


class Grant(NamedTuple):
    """What a process has of one limit now."""

    amount: int = 0  # places leased
    room: int = 0  # how many of them it may use: fewer than leased where it has to give some back as its calls end
    contended: bool = False  # somebody else waits for a place
    starts: int = 0  # how many may begin
    begin_in_s: float = 0.0  # from then on
    end_in_s: float = 0.0  # until then


class Place(msgspec.Struct, array_like=True):
    """What one process holds of a limit."""

    amount: int
    wants: int  # how many more it waits for
    since: float  # when it got its first, or began to wait for one
    until: float

    def is_over(self, holder: str, now: float, lives: Callable[[str], bool | None]) -> bool:
        """Whether the holder has it no more: it is gone, or can't be seen from here and has not been heard of in time."""
        alive = lives(holder)
        return alive is False or (alive is None and self.until <= now)


class Promise(msgspec.Struct, array_like=True):
    """Starts that a process may make."""

    count: int
    end: float


class Board(msgspec.Struct, array_like=True):
    """All that is known of one limit."""

    at: float = -math.inf  # the newest time that anybody said
    places: dict[str, Place] = msgspec.field(default_factory=dict)
    marks: Marks = msgspec.field(default_factory=list)
    promises: dict[str, Promise] = msgspec.field(default_factory=dict)
    length_s: float = 0.0

    def look(self, now: float) -> float:
        """The time here, which never goes back; where the clock was set back, all times are."""
        if self.at - now > SET_BACK_S:
            shift = now - self.at
            for place in self.places.values():
                place.since += shift
                place.until += shift
            for promise in self.promises.values():
                promise.end += shift
            self.marks[:] = [(when + shift, count) for when, count in self.marks]
            self.at = now
        self.at = max(self.at, now)
        return self.at

    def forget(self, holder: str, lives: Callable[[str], bool | None]) -> None:
        """Drop what is over: places of others that are gone, starts whose window has passed."""
        for other, place in list(self.places.items()):
            if other != holder and place.is_over(other, self.at, lives):
                del self.places[other]
        drop_marks(self.marks, self.at, self.length_s)
        for other, promise in list(self.promises.items()):
            if promise.end + self.length_s <= self.at:
                del self.promises[other]

    def ends(self) -> float:
        """When nothing of it matters any more; -inf where nothing does."""
        times = [place.until for place in self.places.values()]
        times += [when + self.length_s for when, _ in self.marks[-1:]]
        times += [promise.end + self.length_s for promise in self.promises.values()]
        return max(times, default=-math.inf)


Boards = Mapping[str, Board]


def share_out(
    boards: Boards,
    holder: str,
    asks: Sequence[Ask],
    wants: Sequence[Want],
    now: float,
    ttl_s: float,
    lives: Callable[[str], bool | None] = is_alive,
) -> tuple[dict[str, Grant], dict[str, Board]]:
    """What the process gets, and the boards as they are then, in which its earlier word is replaced by this one.

    Arguments:
        wants: oldest first. Each is given places in all of its limits or in none, so that nobody waits with a place in his hand.
        ttl_s: for how many seconds places are leased, where nobody can see whether their holder lives.
        lives: whether the process of a holder still runs; None where that is unknown.
    """
    after = {ask.name: msgspec.msgpack.decode(msgspec.msgpack.encode(boards.get(ask.name, Board())), type=Board) for ask in asks}
    free: dict[str, int] = {}
    for ask in asks:
        board = after[ask.name]
        board.look(now)
        if ask.rate is not None:
            board.length_s = ask.rate.length_s
        board.forget(holder, lives)
        if ask.capacity is not None:
            wanted = sum(want.calls for want in wants if ask.name in want.names)
            free[ask.name] = _fair_share(board, holder, ask, ask.used + wanted) - ask.used
    got, left, starts = dict.fromkeys(after, 0), dict.fromkeys(after, 0), dict.fromkeys(after, 0)
    short: set[str] = set()  # of which nothing is kept for later, because calls wait for it and something else
    for want in wants:
        count = max(0, min([want.calls, *(free[name] for name in want.names if name in free)]))
        if count < want.calls:
            short.update(want.names)
        for name in want.names:
            got[name] += count
            if name in free:  # only what this limit lacks is waited for here: others may use what another limit keeps from use
                left[name] += max(0, want.calls - max(count, free[name]))
                free[name] -= count
            if want.starts:
                starts[name] += count
    grants = {}
    for ask in asks:
        board, grant = after[ask.name], Grant()
        if ask.capacity is not None:
            kept = ask if ask.name not in short else ask._replace(keep=0)
            grant = _lease(board, holder, kept, got[ask.name], left[ask.name], free[ask.name], ttl_s)
        if ask.rate is not None:
            grant = _promise(board, holder, ask, starts[ask.name], now, grant)
        grants[ask.name] = grant
    return grants, after


def _fair_share(board: Board, holder: str, ask: Ask, demand: int) -> int:
    """How many places the process may have: what is free, and no more than its share where others wait."""
    assert ask.capacity is not None
    others = {other: place for other, place in board.places.items() if other != holder}
    free = max(0, ask.capacity - sum(place.amount for place in others.values()))
    if not any(place.wants for place in others.values()):
        return free
    mine = board.places.get(holder) or Place(0, 0, board.at, 0.0)
    seats = sorted(((*_turn(place, board.at), other, place.amount + place.wants) for other, place in others.items()))
    seats = sorted([*seats, (*_turn(mine, board.at), holder, demand)])
    shares = _split(ask.capacity, [demand for *_, demand in seats])
    return min(free, shares[[name for _, _, name, _ in seats].index(holder)])


def _turn(place: Place, now: float) -> tuple[int, float]:
    """Whose turn it is where places are few: whoever has just got one, then whoever waits, then whoever has had one."""
    if not place.amount:
        return 1, place.since
    return (0 if now - place.since < TURN_S else 2), place.since


def _split(places: int, demands: Sequence[int]) -> list[int]:
    """Shares as equal as demands allow; what can't be split goes to the first.

    >>> _split(10, [2, 9, 9]), _split(1, [4, 4])
    ([2, 4, 4], [1, 0])
    """
    shares = [0] * len(demands)
    while places > 0 and (hungry := [seat for seat, demand in enumerate(demands) if shares[seat] < demand]):
        each = max(1, places // len(hungry))
        for seat in hungry[:places]:
            given = min(each, demands[seat] - shares[seat], places)
            shares[seat] += given
            places -= given
    return shares


def _lease(board: Board, holder: str, ask: Ask, got: int, left: int, free: int, ttl_s: float) -> Grant:
    """Write down what the process holds from now on."""
    before = board.places.get(holder)
    contended = any(place.wants for other, place in board.places.items() if other != holder)
    room = ask.used + got + min(0, free)  # over its share it gives places back as its calls end
    room += max(0, min(free, ask.keep - room))
    amount = max(ask.used, room)
    if not amount and not left:
        board.places.pop(holder, None)
        return Grant(contended=contended)
    since = before.since if before is not None and bool(before.amount) == bool(amount) else board.at
    until = before.until if before is not None and before.until - board.at > ttl_s * 2 / 3 else board.at + ttl_s
    board.places[holder] = Place(amount, left, since, min(until, board.at + ttl_s))
    return Grant(amount=amount, room=room, contended=contended)


def _promise(board: Board, holder: str, ask: Ask, wanted: int, now: float, grant: Grant) -> Grant:
    """Note what began, and promise the next starts: now, or from the moment on at which there is room."""
    rate, marks = ask.rate, board.marks
    assert rate is not None
    slice_s = min(1.0, max(0.05, rate.length_s / 20))
    board.promises.pop(holder, None)
    for ago in ask.begun:
        add_mark(marks, board.at - max(0.0, ago), 1, rate.most, rate.length_s)
    drop_marks(marks, board.at, rate.length_s)
    held = [*marks, *((promise.end, promise.count) for promise in board.promises.values())]
    if ask.pending:
        held.append((board.at + slice_s, ask.pending))
    begin, count = next_room(sorted(held), rate.most, rate.length_s, slack_s=min(rate.length_s / 50, slice_s))
    ahead = ask.ahead if begin <= board.at else 0
    begin = max(begin, board.at)
    count = min(wanted + ahead, count) if wanted else 0
    if count or ask.pending:
        board.promises[holder] = Promise(count + ask.pending, (begin if count else board.at) + slice_s)
    if not count:
        return grant
    return grant._replace(starts=count, begin_in_s=begin - now, end_in_s=begin + slice_s - now)


def is_changed(before: Board | None, after: Board, ask: Ask) -> bool:
    """Whether a board says something else than before, besides what is over by now."""
    known = before or Board()
    return (known.places, known.promises) != (after.places, after.promises) or bool(ask.begun) or after.at < known.at


def any_wants(boards: Iterable[Board], holder: str, now: float, lives: Callable[[str], bool | None] = is_alive) -> bool:
    """Whether anybody but the holder still waits."""
    places = ((other, place) for board in boards for other, place in board.places.items())
    return any(place.wants and other != holder and not place.is_over(other, now, lives) for other, place in places)
