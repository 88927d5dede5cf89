"""Tries a program: once undisturbed, then replayed, then under other schedules and with crashes."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from headway.errors import HeadwayError, UsageError
from headway.journal.codec.codec import value_digest
from headway.journal.decisions import (
    Afforded,
    Arrival,
    BlockEnded,
    Chosen,
    DeadlineOpened,
    Event,
    NextCall,
    Now,
    Remaining,
    TimeLeft,
    Winner,
    is_told,
)
from headway.journal.records import COSTED, Row, RunInfo, Status
from headway.journal.records import Kind as RowKind
from headway.journal.recovery.recovered import decode_outcome
from headway.run import _root
from headway.sim.check.findings import Finding, Kind, Report
from headway.sim.check.primitives import Primitives
from headway.sim.check.replay import SHIFT_S, ChangedCall, Recording, ReplayResult, ordinary, replay, replay_elsewhere
from headway.sim.check.watch import Watch
from headway.sim.config import STEADY, SimConfig
from headway.sim.history import History, Incarnation, Violation
from headway.sim.store import Crash, SimStore
from headway.sim.universe import START, Abandoned
from headway.task import Task

TIMING = (Winner, Arrival, NextCall, Afforded, BlockEnded, Now, Event, DeadlineOpened, Remaining, TimeLeft, Chosen)
IDENTITY = "check"  # all its worlds have equal keys, so that their calls can be compared
BASE = 0  # the seed of what every schedule is compared with
PASSES = "schedule {0!r}"
BOUNDED = ("headway.errors:BudgetExceeded", "headway.errors:CallTimeout", "headway.errors:DeadlineExceeded")
NEW_EACH_TIME = (
    "are new in each execution",
    "They hold the real time of datetime.now(), a uuid, os.urandom, an id or an address, a process id, or a global that counts: "
    "make such things in a task of their own, or take them from hw.now() and hw.random().",
)
FROM_THE_TIME = ("change with the time", "Take the time from hw.now(): it is recorded, and told again.")
FROM_RANDOM = ("change with `random`", "Draw from hw.random(): it gives a body that runs again the same numbers.")
FROM_SET_ORDER = (
    "change with the order of a set",
    "Sort what comes out of a set before you make calls from it: its order differs from process to process.",
)
FROM_ELSEWHERE = (
    "depend on something that is not recorded",
    "A global, a file, the environment: read it in a task, whose result is kept. "
    "Or what a task with key= changed inside an argument: let it return the new value.",
)
Tell = Callable[[str, int, int], None]


def check(
    program: Callable[..., Any],
    *args: Any,
    schedules: int = 20,
    seed: int = 0,
    seconds: float = 60.0,
    answers: tuple[RunInfo, Sequence[Row], dict[bytes, bytes]] | None = None,
    tell: Tell | None = None,
    **options: Any,
) -> Report:
    """Try a program under many schedules and crashes, and report what would lose or repeat work.

    Each schedule is also killed at a record and resumed. It finds results that differ after a crash, arguments that change
    when a body runs again (from the time, randomness, addresses, the order of sets), effects that are not marked, code that blocks
    the loop, and failures that only some schedules show.

    Args:
        program: the task or function.
        *args: its arguments.
        schedules: how many schedules.
        seed: from which they are drawn.
        seconds: of real time, after which the check ends: what goes on then is left in the middle of it, and named in the report. A
            function that computes comes to its end, or to its next `await`, first.
        answers: a recorded run (its info, rows and blobs) whose leaves answer instead of running, for programs that need a network.
        tell: called as `tell(what, done, of)` for progress.
        **options: those of `hw.run` that a simulation has: `resources`, `pools`, `budget`, `max_active`.

    Returns:
        What was found.

    Raises:
        UsageError: the program is no task or function.

    Example:
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> hw.testing.check(double, 4, schedules=2).ok
        True
    """
    spec, args, kwargs = _root(program, args, {})
    return _Check(Task(spec), args, kwargs, schedules, seed, seconds, answers, tell, options).report()


class _Check:
    """One check. `clock` tells the real time in seconds."""

    def __init__(
        self,
        program: Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        schedules: int,
        seed: int,
        seconds: float,
        answers: tuple[RunInfo, Sequence[Row], dict[bytes, bytes]] | None,
        tell: Tell | None,
        options: dict[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._program = program
        self._args = args
        self._kwargs = kwargs
        self._schedules = schedules
        self._seed = seed
        self._seconds = seconds
        self._clock = clock
        self._until = clock() + seconds
        self._answers = answers
        self._tell = tell or (lambda what, done, of: None)
        self._options = options
        self._report = Report(program.name)
        self._base: Incarnation
        self._values: dict[bytes, bytes] = {}
        self._primitives = Primitives(program.fn)

    def report(self) -> Report:
        """Do it all."""
        report = self._report
        self._tell("undisturbed", 0, 1)
        try:
            base = self._undisturbed()
        except Abandoned:
            report.add(_report_endless(self._program.name, self._seconds))
            return report
        if base is None or self._base.how == "stuck" or self._base.error is not None:
            return report
        report.calls = sum(row.kind & ~COSTED == RowKind.OUTCOME for row in base.rows)
        report.rows = len(base.rows)
        try:
            self._replays(base)
        except Abandoned:
            report.skipped.append("whether bodies ask again for the same calls: the time was up")
        for number in range(self._schedules):
            left = f"{self._schedules - number} of {self._schedules} schedules"
            if self._is_late():
                report.skipped.append(f"{left}: the time was up")
                break
            self._tell("schedules", number, self._schedules)
            try:
                self._schedule(self._seed + number)
            except Abandoned:
                report.skipped.append(f"{left}, the first of which was left in the middle: the time was up")
                break
        return report

    def _is_late(self) -> bool:
        return self._clock() > self._until

    # --- parts -------------------------------------------------------------------------------------------------------

    def _history(self, seed: object, config: SimConfig) -> History:
        store = None
        if self._answers is not None:
            info, rows, blobs = self._answers
            record = Recording(seed, info, list(rows), blobs, START)
            store = SimStore.holding(info, record.leaves(), blobs)
        run_id = self._answers[0].spec.run_id if self._answers is not None else "check"
        history = History(seed, config, run_id=run_id, store=store, **self._options)
        history.universe.identity = IDENTITY
        history.universe.is_abandoned = self._is_late
        return history

    def _live(self, history: History, crash: Crash | None = None) -> Incarnation:
        with Watch(self._report.add).watching(history.universe), ordinary(history, 0):
            self._primitives.renew()
            args, kwargs = copy.deepcopy((self._args, self._kwargs))
            return history.live(self._program, *args, kwargs=kwargs, crash=crash)

    def _undisturbed(self) -> Recording | None:
        """What a life without trouble leaves; None where it did not even begin."""
        history = self._history(BASE, STEADY)
        life = self._base = self._live(history)
        self._promises(history, "undisturbed")
        if life.error is not None:
            self._report.add(_report_failure(self._program.name, life.error, "undisturbed", ""))
        self._values = _values(history.rows())
        return Recording.of(history) if history.begun else None

    def _replays(self, record: Recording) -> None:
        """Whether bodies that run again make the same calls, and if not, what that depends on."""
        self._tell("replays", 0, 1)
        again, once_more = self._replay(record), self._replay(record)
        later = None if record.has_deadlines else self._replay(record, shift_s=SHIFT_S)
        reseeded = self._replay(record, seed=1)
        self._report.replays += 3 + (later is not None)
        if later is None:
            self._report.skipped.append("another clock on resume: the program opens deadlines, which would have passed")
        for other in filter(None, (again, later, reseeded)):
            for each in other.changed:
                if again.differs(once_more, each.task):
                    why = NEW_EACH_TIME
                elif later is not None and again.differs(later, each.task):
                    why = FROM_THE_TIME
                elif again.differs(reseeded, each.task):
                    why = FROM_RANDOM
                else:
                    why = FROM_ELSEWHERE
                self._report.add(_report_change(each, *why))
        self._set_order(record)

    def _replay(self, record: Recording, **otherwise: Any) -> ReplayResult:
        return replay(self._program, self._args, self._kwargs, record, is_abandoned=self._is_late, **otherwise)

    def _set_order(self, record: Recording) -> None:
        """Whether a process in which sets have another order asks for other calls; one with the same order is the control."""
        try:
            first, same, other = (self._replay_elsewhere(record, seed) for seed in (1, 1, 2))
            self._report.replays += 3
            for each in (*first.changed, *other.changed):
                why = NEW_EACH_TIME if first.differs(same, each.task) else FROM_SET_ORDER
                self._report.add(_report_change(each, *why))
        except UsageError as error:
            self._report.skipped.append(f"the order of sets: {error}")

    def _replay_elsewhere(self, record: Recording, hash_seed: int) -> ReplayResult:
        left_s = self._until - self._clock()
        if left_s <= 0:
            raise UsageError("the time was up")
        return replay_elsewhere(self._program.fn, self._args, self._kwargs, record, hash_seed, most_s=left_s)

    def _schedule(self, seed: int) -> None:
        """One schedule undisturbed, and the same one killed at a drawn record and resumed."""
        choice = random.Random(f"check {seed}")
        config = SimConfig.draw(choice)
        whole = self._history(seed, config)
        life = self._live(whole)
        self._report.schedules += 1
        self._promises(whole, PASSES.format(seed))
        if life.error is not None:
            self._report.add(_report_failure(self._program.name, life.error, PASSES.format(seed), self._again(seed)))
            return
        rows = len(whole.rows())
        crash = Crash(choice.randint(0, rows), choice.choice(("before", "torn", "after", "full")))
        history = self._history(seed, config)
        if self._live(history, crash).how == "returned":  # it ended before the disk was full, or in the moment of the crash
            self._promises(history, PASSES.format(seed))
            return
        self._report.crashes += 1
        life = self._live(history)
        where = f"{PASSES.format(seed)}, killed {crash.how} row {crash.after}"
        self._promises(history, where)
        self._compare(history, life, where, seed)

    def _compare(self, history: History, life: Incarnation, where: str, seed: int) -> None:
        """Whether the end after a crash is that of the undisturbed run, and if not, why."""
        rows = history.rows()
        parents = {row.parent for row in rows}
        differing = {key for key, value in _values(rows).items() if key not in parents and self._values.get(key, value) != value}
        for row in rows:
            if row.key in differing and row.kind & ~COSTED == RowKind.OUTCOME:
                outcome = decode_outcome(row.body)
                self._report.add(_another_value(outcome.task, outcome.label, self._again(seed)))
        if life.error is not None:
            self._report.add(_report_failure(self._program.name, life.error, where, self._again(seed)))
        elif _depends_on_timing(history.rows()):
            skipped = "whether results differ after a crash: the program decides from timing, so they may"
            if skipped not in self._report.skipped:
                self._report.skipped.append(skipped)
        elif life.outcome != self._base.outcome and not differing and not self._arguments_change():
            self._report.add(
                Finding(
                    Kind.RESULT_DIFFERS,
                    self._program.name,
                    self._program.name,
                    f"returned something else ({where}), although every call gave what it had given before.",
                    "A body computes its result from something that is not recorded: the time, randomness, a global, a file, "
                    "or what a task with key= changed inside an argument.",
                    self._again(seed),
                )
            )

    def _arguments_change(self) -> bool:
        """Whether that is known already: then results differ, too."""
        return any(found.kind is Kind.ARGUMENTS_CHANGE for found in self._report.findings)

    def _promises(self, history: History, where: str) -> None:
        for violation in history.violations():
            self._report.add(_report_violation(violation, where, history))

    def _again(self, seed: int) -> str:
        return f"--seed {seed} --schedules 1"


# --- in words --------------------------------------------------------------------------------------------------------


def _values(rows: Sequence[Row]) -> dict[bytes, bytes]:
    """The digest of each call's result."""
    found: dict[bytes, bytes] = {}
    for row in rows:
        if row.kind & ~COSTED == RowKind.OUTCOME:
            outcome = decode_outcome(row.body)
            if outcome.status == Status.OK:
                found[row.key] = value_digest(outcome.value, outcome.blobs)
    return found


def _depends_on_timing(rows: Sequence[Row]) -> bool:
    """Whether an answer to the program depended on timing, so that it may end in more than one way."""
    if any(is_told(row.body, *TIMING) for row in rows if row.kind & ~COSTED == RowKind.DECISION):
        return True
    ends = [decode_outcome(row.body) for row in rows if row.kind & ~COSTED == RowKind.OUTCOME]
    return any(end.status == Status.CANCELLED or (end.error is not None and end.error.type in BOUNDED) for end in ends)


def _report_failure(task: str, error: BaseException, where: str, again: str) -> Finding:
    said = f"{type(error).__name__}: {error}"
    advice = (
        "Run it once as it is, to see its own error."
        if where == "undisturbed"
        else "It does not fail undisturbed: look for an assumption about order or time."
    )
    if isinstance(error, HeadwayError):
        advice = "The message says what to do."
    return Finding(Kind.FAILS, task, task, f"raised {said} ({where}).", advice, again)


def _report_endless(task: str, seconds: float) -> Finding:
    return Finding(
        Kind.FAILS,
        task,
        task,
        f"had not ended after {seconds:g} s of real time (undisturbed), so nothing was checked.",
        "Give the check more time (--seconds, or seconds=), or the program less to do.",
    )


def _report_change(each: ChangedCall, what: str, advice: str) -> Finding:
    before = f", recorded was {each.task}({each.before})" if each.before else ""
    text = (
        f"its arguments {what}: a body that ran again asked for {each.task}({each.label}){before}. After a crash it is done again."
    )
    return Finding(Kind.ARGUMENTS_CHANGE, each.task, f"{each.task}({each.label})", text, advice)


def _another_value(task: str, label: str, again: str) -> Finding:
    return Finding(
        Kind.VALUE_DIFFERS,
        task,
        f"{task}({label})",
        "gave another value when a crash made it run again.",
        "Nothing is wrong where that is so by nature (a model, the network): once recorded, its value stays.",
        again,
    )


def _report_violation(violation: Violation, where: str, history: History) -> Finding:
    if violation.promise == "nothing swallowed":
        advice = "Await what is started with asyncio, or let a task do it: then its error has an owner."
        return Finding(Kind.SWALLOWED, "", "", f"{violation.what} ({where}).", advice)
    if violation.promise == "nothing left running" and "coroutine" in violation.what:
        advice = "Await what is started with asyncio before the call that started it returns."
        return Finding(Kind.SWALLOWED, "", "", f"{violation.what} ({where}).", advice)
    if violation.promise == "no deadlock":
        return Finding(
            Kind.FAILS, "", "", f"{violation.what} ({where}).", "Something waits for a result, a lock or a signal that never comes."
        )
    what = f"{violation.promise}: {violation.what} ({where})."
    return Finding(Kind.BROKEN_PROMISE, "", "", what, f"Please report this, with seed {history.seed!r} and the program.")
