"""What bounds a call: the scope it was made in. Scopes are values; opening one derives a new value that children inherit.

A scope has at most one innermost budget account (whose parents reach outwards), at most one deadline (an inner one is never
later than an outer one) and any number of limits. Limits and resources are taken all together or not at all, so calls can't
hold one while waiting for another; a call that waits for other calls gives its limits back for that time, so that its
children, who inherit them, can never starve behind it. A resource (a GPU) stays with its holder.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from headway.engine.scopes.account import Account
from headway.engine.scopes.patience import Patience, Turns
from headway.engine.stopping.halt import Shield
from headway.errors import DeadlineExceeded, ResourceUnavailable
from headway.journal.shared.rates import Window


class Bounded(Protocol):
    """A call, as its bounds see it."""

    @property
    def parent(self) -> Bounded | None: ...
    @property
    def scope(self) -> Scope: ...
    @property
    def error(self) -> BaseException | None: ...
    @property
    def engine(self) -> Any: ...
    def describe(self) -> str: ...
    def amount_held(self, source: Limit | Resource) -> int:
        """How much of a limit or resource the call holds."""


class Scope(NamedTuple):
    account: Account | None = None
    deadline: Deadline | None = None
    limits: tuple[Limit, ...] = ()
    shield: Shield | None = None


UNBOUNDED = Scope()


class LimitNumbers(NamedTuple):
    """What a limit allows, and the name that it is shared under."""

    concurrency: int | None = None
    rate: float | None = None
    per_s: float = 1.0
    name: str = ""

    @property
    def window(self) -> tuple[float, float] | None:
        """The rate and the seconds it counts in."""
        return None if self.rate is None else (self.rate, self.per_s)


MOMENT_S = 0.1  # that code has to hand on what a block inside it ended with
REPLAY_S = 0.5  # without a recorded answer, after which a program that was taken up again does something new
HELD_BACK_S = 30.0  # the same, in a block that an earlier life left before its deadline broke in
PATIENCE_S = 15.0  # how long a block waits for what it stopped: longer than code that ignores being stopped is listened to
PATIENCE_AGAIN_S = 30.0  # the same, where an earlier life has left the block


class Deadline:
    """An absolute time (wall clock) after which nothing under it may run. One timer serves all its calls.

    When it passes, what is inside stops from the inside out: first the calls, then the blocks that were opened under it (they end
    with what they have), then the calls that those blocks were part of, and its own block last. So whoever leaves the block finds
    what it stopped settled and booked. No step waits for ever: after `PATIENCE_S` all that is left is stopped at once.

    In a run that was taken up again it does not pass while the journal still answers: a program that is told again what it was
    told before gets all of it, and only what is new is refused. Where an earlier life left its block in time, it holds back for
    longer: the code is on its way to the same end, however long it takes from one answer to the next.
    """

    def __init__(self, at: float, outer: Deadline | None, wall: Callable[[], float], key: bytes = b"") -> None:
        self.at = at
        self.key = key  # of the decision that opened it
        self.kept: set[Bounded] = set()  # calls that may not begin, and are stopped when it passes or its block is left
        self.was_left = False  # an earlier life has left its block
        self.holds_back = False  # an earlier life left its block before it broke in, and this one has not left it yet
        self.outer = outer
        self.call: Bounded | None = None  # whose code opened it; None for the run's own
        self.expired = False
        self.stopping = False  # it has expired, and something under it has not ended yet
        self.calls: dict[Bounded, None] = {}
        self.inner: dict[Deadline, None] = {}  # opened directly under it: their block is open, or calls run under them
        self.open = False  # its block has not been left
        self.on_expiry: Callable[[], None] | None = None
        self.ends_rests = False  # its block is a thread's, which can't be interrupted but where it waits
        self.rests: set[asyncio.Future[None]] = set()  # what the code of its block waits for, other than calls
        self._hands_on = False  # there were blocks inside when it expired: what they end with is on its way outwards
        self._wall = wall
        self._timer: asyncio.TimerHandle | None = None
        self._patience: Patience | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns: Turns
        self._cancel: Callable[[Any, str, BaseException], None]
        self._replayed_at: Callable[[], float]
        self._ends = math.inf  # by the loop's clock, which nobody sets

    def arm(
        self,
        turns: Turns,
        left_s: float,
        cancel: Callable[[Any, str, BaseException], None],
        replayed_at: Callable[[], float],
    ) -> None:
        """Start the timer. `left_s`: for how long it may still be waited for, whatever the wall clock says. `replayed_at` says when
        the journal last answered, by the loop's clock."""
        self._turns, self._cancel, self._replayed_at = turns, cancel, replayed_at
        self._loop = loop = turns.loop
        self._ends = loop.time() + left_s
        self._timer = loop.call_at(max(loop.time(), self._ends), self._expire)
        if self.outer is not None:
            self.outer.inner[self] = None

    def _expire(self, *, is_quiet: bool = False) -> None:
        """Its time has come. `is_quiet`: the journal has stopped answering, too."""
        assert self._loop is not None
        if self.left_s > 0:  # the timer came early
            self._timer = self._loop.call_at(self._ends, self._expire)
            return
        self._timer = None
        if not is_quiet and (left_s := self._quiet_in()) > 0:
            seconds = HELD_BACK_S if self.holds_back else REPLAY_S
            ended = functools.partial(self._expire, is_quiet=True)
            self._patience = Patience(self._turns, seconds, ended, self._replayed_at, left_s=left_s)
            return
        self.expired = self.stopping = True
        self._hands_on = bool(self.inner)
        self._patience = self.begin_patience(self._stop_all)
        self._stop_what_can_stop()

    def _quiet_in(self) -> float:
        """For how long it has to be waited for another recorded answer. Where it holds back, what passed before it was due does not
        count: nobody knows whether the loop ran."""
        assert self._loop is not None
        return HELD_BACK_S if self.holds_back else self._replayed_at() + REPLAY_S - self._loop.time()

    def _stop_what_can_stop(self) -> None:
        """Stop all calls but those with an open block inside, which has the first word; when none is left, the block."""
        if not self.stopping:
            return
        spared = self._around_blocks()
        for call in list(self.calls):
            if call not in spared:
                self._cancel(call, "deadline passed", self.error(call.describe()))
        if not self.calls and not self.inner:
            self._end_stop()

    def _around_blocks(self) -> set[Bounded]:
        found: set[Bounded] = set()
        for inner in self.inner:
            call = inner.call if inner.open else None
            while call is not None and call not in found:
                found.add(call)
                call = call.parent
        return found

    def begin_patience(self, function: Callable[[], None], more_s: float = 0.0) -> Patience:
        """Call a function when what was stopped has had long enough to end, after the `more_s` seconds for which it is shielded."""
        seconds = PATIENCE_AGAIN_S if self.was_left else PATIENCE_S
        return Patience(self._turns, seconds, function, self._replayed_at, left_s=seconds + max(0.0, more_s))

    def _stop_all(self) -> None:
        for call in list(self.calls):
            self._cancel(call, "deadline passed", self.error(call.describe()))
        self._end_stop()

    def _end_stop(self) -> None:
        """Nothing runs under it any more, or nothing that listens."""
        self.stopping = False
        if self._patience is not None:
            self._patience.cancel()
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()
        for future in self.rests:
            if not future.done():
                future.set_exception(self.error("work under a deadline"))
        if self.on_expiry is not None:
            self.on_expiry()

    def is_about_to_stop(self, call: Bounded) -> bool:
        """Whether it has stopped this call in an earlier life of the run, and its own time is still to come in this one. Where an
        even later life left the block before that time, its code was told of the call's end at once."""
        if self.expired or self.holds_back or self.on_expiry is None or call.scope.deadline is not self or self.left_s > 0:
            return False
        return isinstance(call.error, DeadlineExceeded) and str(call.error) == str(self.error(call.describe()))

    def stopped(self) -> asyncio.Future[None]:
        """Done when everything under it has ended; for a deadline that is `stopping` or about to."""
        assert self._loop is not None
        self._waiting.append(future := self._loop.create_future())
        return future

    def ended(self, call: Bounded) -> None:
        """A call under it has ended."""
        self.calls.pop(call, None)
        if not self.calls:
            self._look_up()

    def leave(self) -> None:
        """Leave its block."""
        self.open = False
        self.on_expiry = None
        if self.holds_back:
            self.holds_back = False
            self.look()
        self._look_up()

    def _look_up(self) -> None:
        """Whether this was the last thing that anything waited for."""
        outer = self.outer
        if self.stopping and self._loop is not None:
            self._loop.call_later(MOMENT_S if self._hands_on else 0.0, self._stop_what_can_stop)
        if outer is not None and not (self.open or self.calls or self.inner) and self in outer.inner:
            del outer.inner[self]
            outer._look_up()

    def look(self) -> None:
        """The wall clock was set: expire if the time has come."""
        is_armed = self._timer is not None or self._patience is not None
        if not self.expired and is_armed and self.left_s <= 0:
            self.disarm()
            self._expire()

    def disarm(self) -> None:
        for timer in (self._timer, self._patience):
            if timer is not None:
                timer.cancel()
        self._timer = self._patience = None

    def error(self, what: str) -> DeadlineExceeded:
        return DeadlineExceeded(f"{what} was stopped: its deadline has passed")

    @property
    def left_s(self) -> float:
        """Until the wall clock says so, or so many seconds have passed as there were when it opened here."""
        by_clock = self._ends - self._loop.time() if self._loop is not None else math.inf
        return min(self.at - self._wall(), by_clock)

    @property
    def due(self) -> float:
        """When it passes, by the wall clock as it is now."""
        return min(self.at, self._wall() + self.left_s)


class Held(NamedTuple):
    """Something a call took and must give back."""

    source: Limit | Resource
    amount: int


class Limit:
    """At most `concurrency` calls at a time, at most `rate` starts in any `per_s` seconds.

    What is kept in the store (`key`) is leased by the desk: `room` is then how many places this process may use, and `starts` how
    many may begin from `begin` to `end`. What it counts itself holds beside that, and on a clock that nobody sets.
    """

    def __init__(
        self, concurrency: int | None, rate: float | None, per_s: float, *, key: str = "", shares_places: bool = False
    ) -> None:
        self.key = key
        self.shares_places = shares_places
        self.concurrency = concurrency
        self.rate = (rate, per_s) if rate is not None else None
        self.window = Window(rate, per_s) if rate is not None else None
        self.used = 0
        self.room = 0.0 if shares_places else math.inf if concurrency is None else concurrency
        self.leased = 0
        self.contended = False  # another process waits for a place
        self.idle_since = math.inf
        self.retry_at = -math.inf  # when to ask again for what it lacks
        self.starts = 0
        self.begin = self.end = 0.0
        self.begun: list[float] = []  # starts not yet reported to the store
        self.recent = 0  # starts since the desk was last asked
        self.held_up = False  # a call waits until a promised start has happened

    @property
    def shares_starts(self) -> bool:
        return self.window is not None and bool(self.key)

    def set(self, concurrency: int | None, rate: float | None, per_s: float) -> None:
        """A newer block of this name: its numbers count from now on."""
        if (concurrency is None) != (self.concurrency is None):
            self.shares_places = bool(self.key) and concurrency is not None
            self.room = 0.0 if self.shares_places else math.inf if concurrency is None else concurrency
        elif not self.shares_places and concurrency is not None:
            self.room = concurrency
        elif concurrency is not None:
            self.room = min(self.room, concurrency)
        self.concurrency = concurrency
        self.rate = (rate, per_s) if rate is not None else None
        if rate is None:
            self.window = None
        elif self.window is None:
            self.window = Window(rate, per_s)
        else:
            self.window.set(rate, per_s)

    @property
    def most(self) -> float:
        """How many calls may run at a time, in all processes together."""
        return math.inf if self.concurrency is None else self.concurrency

    def ready_in(self, now: float) -> float:
        """Seconds until one more call may start: 0 now, inf when it depends on another call or process. Takes nothing."""
        if self.used >= self.room:
            return math.inf
        if (window := self.window) is not None:
            if (wait := window.wait_s(now)) > 0.0:
                self.held_up = wait == math.inf
                return wait
            if self.key:
                if not self.starts or now > self.end:
                    return math.inf
                return max(0.0, self.begin - now)
        return 0.0

    def take(self) -> None:
        """A call that may start takes its place. It has not begun before `begin` says so."""
        self.used += 1
        self.retry_at = -math.inf
        if self.window is not None:
            self.window.pending += 1
            if self.key:
                self.starts -= 1

    def begins(self, now: float) -> bool:
        """The code of a call begins; whether somebody waited for that."""
        if self.window is None:
            return False
        self.window.begun(now)
        if self.key:
            self.begun.append(now)
            self.recent += 1
        held_up, self.held_up = self.held_up, False
        return held_up

    def never_began(self) -> None:
        """A call that had taken its place ended before its code began: nothing has started."""
        if self.window is not None:
            self.window.drop_promise()

    def give(self) -> None:
        self.used -= 1


class Wanted(NamedTuple):
    """Calls that wait for a place in each of these limits, which are kept in the store."""

    limits: tuple[Limit, ...]
    calls: int
    starts: bool  # whether they begin, or go on after a wait, which costs no start


class Resource:
    """A named quantity of the run, such as 2 GPUs. Held from start to end of a call's attempt."""

    def __init__(self, name: str, total: int) -> None:
        self.name = name
        self.total = total
        self.used = 0

    def check(self, call: Bounded, amount: int) -> None:
        """Refuse a call that could never start: it asks for more than there is, or than its waiting ancestors leave free."""
        if amount > self.total:
            raise ResourceUnavailable(
                f"{call.describe()} needs {amount} {self.name}, but the run has {self.total}: "
                f"give it more with hw.run(…, resources={{{self.name!r}: {amount}}})"
            )
        held, above = 0, call.parent
        while above is not None:
            held += above.amount_held(self)
            above = above.parent
        if amount > self.total - held:
            raise ResourceUnavailable(
                f"{call.describe()} needs {amount} {self.name}, but the calls it is part of hold {held} of {self.total} "
                "and wait for it: let only the innermost task ask for the resource"
            )
