"""What happened to one run over its lives: drivers that end, die, freeze or are cancelled, on one store, in one universe.

    history = History(seed=7)
    first = history.live(program, 3, crash=Crash(after=5, how="torn"))    # dies when row 5 is durable
    second = history.live(program, 3)                                    # goes on
    history.check()                                                      # raises Violated, naming the promise and the seed

A life sees only what an engine tells everybody (its events) and what the store holds. `invariants` says what must be true of it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from headway import events
from headway.engine.engine import Engine
from headway.engine.tasks.spec import TASKS
from headway.errors import HeadwayError
from headway.journal.codec.codec import encode, value_digest
from headway.journal.log import Log
from headway.journal.records import COSTED, Kind, Row
from headway.journal.store import every_run
from headway.run import arun
from headway.sim.config import SimConfig
from headway.sim.far.lies import Lies
from headway.sim.far.remote import RemoteStore
from headway.sim.loop import SimLoop
from headway.sim.store import Crash, SimStore
from headway.sim.universe import Deadlock, Endless, Universe

How = Literal["returned", "raised", "died", "stuck"]


@dataclass(eq=False)
class Incarnation:
    """One driver of the run, from its start to its end."""

    process: SimLoop
    before: list[Row]  # what the journal held when it began
    crash: Crash | None = None
    how: How = "stuck"
    value: Any = None
    error: BaseException | None = None
    event_log: list[events.Event] = field(default_factory=list)
    after: list[Row] = field(default_factory=list)
    engine: Engine | None = None
    unfinished: list[str] = field(default_factory=list)  # asyncio tasks that were left
    hasty: list[str] = field(default_factory=list)  # effects that began before what they needed was durable
    strange: list[str] = field(default_factory=list)  # effects that began on the word of another driver's start
    slots: list[str] = field(default_factory=list)  # shared limits that it still holds
    lost: list[str] = field(default_factory=list)  # errors of asyncio tasks that nobody asked for
    stuck: str = ""
    remote: RemoteStore | None = None  # its connection to the store, where that is on another machine

    @property
    def ended(self) -> bool:
        """Whether the program itself came to an end, so that nothing of it may be left."""
        return self.how in ("returned", "raised")

    @property
    def outcome(self) -> str:
        """How it ended, in a form that equal endings share."""
        if self.how == "returned":
            return f"value {value_digest(*_parts(self.value)).hex()[:16]}"
        if self.how == "raised" and self.error is not None:
            return _describe_error(self.error)
        return self.how


class History:
    """The lives of run `run_id`. `options` are those of `hw.run`."""

    def __init__(
        self,
        seed: object,
        config: SimConfig | None = None,
        *,
        run_id: str = "run",
        store: SimStore | None = None,
        lies: Lies | None = None,
        universe: Universe | None = None,
        **options: Any,
    ) -> None:
        self.seed = seed
        self.universe = universe or Universe(seed, config if config is not None else SimConfig.draw(random.Random(repr(seed))))
        self.store = store or SimStore()
        self.store.universe = self.universe
        self.store.is_remote |= lies is not None
        self.lies = lies  # how the connections of its drivers lie, where the store is on another machine
        self.struck: Counter[str] = Counter()  # how often they did, by kind
        self.run_id = run_id
        self.options = options
        self.lives: list[Incarnation] = []
        self.taken_over = False  # a driver was told to take it from one that lives
        self.edited = False  # the program's source was changed between lives, so calls may be made again
        self.budgets_moved = False  # by an edit: a budget is found again by its place, there or inside of others than before
        self.overcharged = False  # the program charges more than it reserved, so budgets may be overdrawn

    # --- lives -------------------------------------------------------------------------------------------------------

    def live(
        self, program: Callable[..., Any], *args: Any, crash: Crash | None = None, kill_in: int = 0, **options: Any
    ) -> Incarnation:
        """One driver from start to end. It dies at `crash`, or after `kill_in` more steps."""
        life = self.start(program, *args, crash=crash, **options)
        self.universe.kill_at = self.universe.steps + kill_in if kill_in else None
        return self.finish(life)

    def start(self, program: Callable[..., Any], *args: Any, crash: Crash | None = None, **options: Any) -> Incarnation:
        """A driver that runs as soon as the universe does."""
        process = self.universe.process(f"driver {len(self.lives) + 1}")
        life = Incarnation(process, list(self.rows()), crash)
        self.lives.append(life)
        self.taken_over |= bool(options.get("take_over"))
        self.store.crash = crash
        if self.lies is not None:
            process.world.is_far = True
            life.remote = RemoteStore(self.store, process, self.lies, self.struck)
        merged = {"store": life.remote or self.store, "run_id": self.run_id, "progress": False, "events": self._listener(life)}
        process.start(arun(program, *args, **{**merged, **self.options, **options}))
        return life

    def finish(self, life: Incarnation) -> Incarnation:
        """Let the universe go on until this driver has ended or died, and take it out."""
        try:
            self.universe.run(self.universe.end_of(life.process))
            self.universe.settle(life.process)
        except (Deadlock, Endless) as error:
            life.stuck = str(error)
        finally:
            self.universe.kill_at = None
            self.store.crash = None
            self._close(life)
        return life

    def _close(self, life: Incarnation) -> None:
        process, main = life.process, life.process.main
        assert main is not None
        life.engine = process.world.engines[0] if process.world.engines else None
        life.after = list(self.rows())
        if process.dead:
            life.how = "died"
        elif main.done():
            life.error = asyncio.CancelledError() if main.cancelled() else main.exception()
            life.how = "raised" if life.error is not None else "returned"
            life.value = main.result() if life.error is None else None
            life.lost += process.unheard()
            life.unfinished = [repr(task.get_coro()) for task in process.unfinished()]
        elif not life.stuck:
            life.stuck = "it was left while it still ran"
        if life.remote is not None:
            life.remote.close()
            life.before = life.after[: max(len(life.before), life.remote.found)]  # taking it up took time
        owner = process.world.owner()
        life.slots = [name for name, holder in self.store.slots_held() if holder.startswith(owner)]
        if process in self.universe.processes:
            self.universe.remove(process)

    # --- what is seen ------------------------------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether the store has the run."""
        return any(run.spec.run_id == self.run_id for run in every_run(self.store))

    @property
    def uid(self) -> int:
        return self.store.run(self.run_id).uid

    def rows(self) -> list[Row]:
        """The journal of the run as it is now."""
        try:
            return self.store.history(self.uid)
        except HeadwayError:
            return []

    def _listener(self, life: Incarnation) -> events.Sink:
        def keep(event: events.Event) -> None:
            if life.process.dead:
                return
            life.event_log.append(event)
            if type(event) is events.CallStarted and (spec := TASKS.get(event.task)) is not None and spec.effect:
                self._look_at_effect(life, event)

        return keep

    def _look_at_effect(self, life: Incarnation, event: events.CallStarted) -> None:
        """An effect begins: its start, and all that had ended before it was made, must be durable now."""
        kept = self._forgotten(life)
        rows = [*self.rows(), *(row for _, row in kept)]
        if not any(_is_start(row, event.key) for row in rows):
            life.hasty.append(f"{event.task} {event.key[:8]} began before its own start was durable")
        own = life.process.world.engines[0].journal
        fence = own.lease.fence if isinstance(own, Log) else 0
        if (
            fence
            and not any(each == fence and _is_start(row, event.key) for each, row in kept)
            and not self._has_start(event.key, fence)
        ):
            life.strange.append(f"{event.task} {event.key[:8]} began under fence {fence}, which has recorded no start of it")
        durable = {row.key.hex() for row in rows if row.kind & ~COSTED == Kind.OUTCOME}
        for earlier in life.event_log:
            if type(earlier) is events.CallSpawned and earlier.key == event.key:
                break
            if type(earlier) is events.CallEnded and earlier.key not in durable:
                life.hasty.append(f"{event.task} {event.key[:8]} began before the end of {earlier.task} was durable")

    def _forgotten(self, life: Incarnation) -> list[tuple[int, Row]]:
        """What this driver was told is durable, with its fence, where the store may have gone back since: it can't know."""
        if life.remote is None or not self.store.timeline:
            return []
        return [(group.lease.fence, row) for group in life.remote.groups if group.told == "durable" for row in group.rows]

    def _has_start(self, key: str, fence: int) -> bool:
        """Whether the store took the start of a call under this fence."""
        if not self.begun:  # it went back to before the run
            return False
        rows, uid = self.rows(), self.uid
        for commit in self.store.commits:
            if (commit.uid, commit.fence) == (uid, fence):
                group = rows[commit.first_seq - 1 : commit.first_seq - 1 + commit.rows]
                if any(_is_start(row, key) for row in group):
                    return True
        return False

    # --- the verdict -------------------------------------------------------------------------------------------------

    def violations(self, expected: str | None = None) -> Sequence[Violation]:
        """Find what is not as it must be. `expected` is the outcome of an undisturbed run."""
        from headway.sim.promises.invariants import violations

        return violations(self, expected)

    def check(self, expected: str | None = None) -> None:
        """Raises Violated at the first promise that was not kept."""
        found = self.violations(expected)
        if found:
            raise Violated(self, found)


@dataclass(frozen=True, slots=True)
class Violation:
    promise: str  # its name in `invariants`
    what: str


class Violated(AssertionError):
    """A promise was not kept. The seed makes it happen again."""

    def __init__(self, history: History, found: Sequence[Violation]) -> None:
        lives = "; ".join(_describe_event(life) for life in history.lives)
        lines = "\n".join(f"  {violation.promise}: {violation.what}" for violation in found[:10])
        super().__init__(f"seed {history.seed!r}: {len(found)} of Headway's promises broken\n{lines}\n  lives: {lives}")
        self.found = found


def _is_start(row: Row, key: str) -> bool:
    """Whether it is the start of a call."""
    return row.kind & ~COSTED == Kind.START and row.key.hex() == key


def _describe_event(life: Incarnation) -> str:
    crash = f" ({life.crash.how} row {life.crash.after})" if life.crash is not None and life.how == "died" else ""
    ending = f": {life.outcome}" if life.ended else ""
    return f"{life.process.name} {life.how}{crash}{ending}, {len(life.after)} rows"


def _parts(value: Any) -> tuple[bytes, Sequence[bytes]]:
    from headway.journal.codec.codec import digest

    encoded = encode(value, where="the result")
    return encoded.head, tuple(digest(buffer) for buffer in encoded.buffers)


def _describe_error(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}({', '.join(sorted(_describe_error(part) for part in error.exceptions))})"
    return f"{type(error).__name__}: {error}"
