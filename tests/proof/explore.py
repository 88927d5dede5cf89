"""What is done to a random program to find out whether Headway keeps its promises.

A case is a program and a schedule, both drawn from a seed. Each function puts it through one kind of trouble and raises `Violated`,
which names the broken promise and the seed, or returns how many (program, schedule, trouble) triples it has looked at.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Callable
from typing import Any

import programs
from programs import CALM, WILD, Node, install, main, write

from headway.errors import RunOwned, UnknownRun
from headway.inside import encode_signal
from headway.journal.forking import fork_rows
from headway.journal.known import decode_outcome
from headway.journal.records import COSTED, NO_PARENT, Kind, Row, Status
from headway.sim.history import History, Violated, Violation
from headway.sim.nature import Nature
from headway.sim.store import Crash

MOST_LIVES = 8


class Case:
    """One program under one schedule. `choice` draws what is done to it."""

    def __init__(self, seed: object, kinds: tuple[str, ...], trouble: str = "", program: Node | None = None) -> None:
        self.seed = seed
        self.kinds = kinds
        self.choice = random.Random(f"{trouble} {seed!r}")
        self.program = program if program is not None else write(random.Random(repr(seed)), kinds)
        nature = Nature.drawn(random.Random(f"nature {seed!r}"))
        self.nature = dataclasses.replace(nature, worker_dies=self.choice.choice((0.0, 0.0, 0.3)))
        self.options: dict[str, Any] = {
            "max_active": self.choice.choice((1, 2, 99)),
            "pools": {"thread": self.choice.choice((1, 8)), "process": self.choice.choice((1, 3))},
        }

    @property
    def is_calm(self) -> bool:
        return "race" not in self.kinds

    def history(self) -> History:
        """A fresh world with this program in it."""
        install(self.program)
        history = History(self.seed, self.nature, **self.options)
        if not self.is_calm:
            self._send_words(history)
        return history

    def _send_words(self, history: History) -> None:
        """Somebody outside sends signals now and then."""
        times = random.Random(f"words {self.seed!r}")
        for number in range(4):
            word, at = f"word{number % 2}", times.random() * 15

            def send(word: str = word, number: int = number) -> None:
                with contextlib.suppress(UnknownRun):
                    history.store.send_signal(history.run_id, word, encode_signal(number), 0.0)

            history.universe.at(at, send, waking=False)

    def undisturbed(self) -> History:
        history = self.history()
        history.live(main, "p", 1)
        history.check()
        return history

    def expected(self, whole: History) -> str | None:
        """The outcome that every life must have, where the program does not decide from timing."""
        return whole.lives[-1].outcome if self.is_calm else None


def live_on(history: History, choice: random.Random, *, dying: float = 0.3) -> None:
    """Lives after a crash, of which some die as well, until one ends."""
    for number in range(MOST_LIVES):
        last = number == MOST_LIVES - 1
        kill_in = choice.randint(1, 300) if choice.random() < dying and not last else 0
        if history.live(main, "p", 1, kill_in=kill_in).ended:
            return


def crashes(case: Case, most: int) -> int:
    """Stop after a drawn journal record (all of them where there are few), in a drawn way, and go on."""
    whole = case.undisturbed()
    expected = case.expected(whole)
    rows = len(whole.rows())
    points = range(rows + 1) if rows < most else sorted(case.choice.sample(range(rows + 1), most))
    for after in points:
        history = case.history()
        history.live(main, "p", 1, crash=Crash(after, case.choice.choice(("before", "torn", "after", "full"))))
        if history.lives[-1].how != "returned":
            live_on(history, case.choice)
        history.check(expected)
        if not case.is_calm:
            told_again(history)
    return len(points)


def kills(case: Case, times: int) -> int:
    """Kill the driver at any step, again and again."""
    expected = case.expected(case.undisturbed())
    for _ in range(times):
        history = case.history()
        live_on(history, case.choice, dying=0.8)
        history.check(expected)
    return times


def told_again(history: History) -> None:
    """Without its last row, a run must come to the same end: everything it decided is in the rows before."""
    last, rows = history.lives[-1], history.rows()
    if last.how != "returned" or not rows:
        return
    again = History(f"{history.seed!r} told again", history.universe.nature, store=history.store.cut(history.run_id, len(rows) - 1))
    again.live(main, "p", 1)
    again.check(last.outcome)
    ran = [event for event in again.lives[0].told if type(event).__name__ == "CallStarted"]
    root = again.lives[0].after[-1].key.hex()
    if extra := [event for event in ran if event.key != root and not _unanswered(event.key, rows)]:
        raise Violated(again, [Violation("no work twice", f"told again, it ran {extra[0].task} {extra[0].key[:8]}")])


def _unanswered(key: str, rows: list[Row]) -> bool:
    """Whether a call has no recorded answer (it was cancelled, or never ended)."""
    ends = [decode_outcome(row.body).status for row in rows if row.kind & ~COSTED == Kind.OUTCOME and row.key.hex() == key]
    return not ends or Status.OK not in ends


def cancellations(case: Case) -> int:
    """Somebody cancels the run from outside; it is taken up again. A call whose attempt was cancelled has all its attempts again,
    and what `hw.random` says hangs on the attempt: programs that use it are left out."""
    if case.is_calm:
        case = Case(case.seed, tuple(kind for kind in case.kinds if kind != "random"), "cancelled from outside")
    expected = case.expected(case.undisturbed())
    history = case.history()
    at = case.choice.random() * case.choice.choice((0.5, 5, 50))

    def cancel() -> None:
        with contextlib.suppress(UnknownRun):
            history.store.request_cancel(history.run_id, 0.0)

    history.universe.at(at, cancel, waking=False)
    history.live(main, "p", 1)
    live_on(history, case.choice)
    history.check(expected)
    return 1


def two_drivers(case: Case) -> int:
    """A driver is stopped for longer than its lease, or just overtaken; another takes the run over; the first wakes up."""
    expected = case.expected(case.undisturbed())
    history = case.history()
    first = history.start(main, "p", 1)
    stop = history.universe.steps + case.choice.randint(1, 120)
    history.universe.run(lambda: history.universe.steps >= stop or history.universe.end_of(first.process)())
    over = history.universe.end_of(first.process)()
    if over:
        history.finish(first)
        return 1
    frozen = case.choice.random() < 0.7
    if frozen:
        history.universe.freeze(first.process, case.choice.uniform(31, 120))
        _pass_time(history, 30.5 + 10)
    second = history.start(main, "p", 1, take_over=not frozen or case.choice.random() < 0.5)
    for life in (second, first):
        history.finish(life)
    if isinstance(second.error, RunOwned):  # the first woke up and renewed its lease in time
        history.lives.remove(second)
    live_on(history, case.choice, dying=0.0)
    history.check(expected)
    return 1


def _pass_time(history: History, seconds: float) -> None:
    passed: list[bool] = []
    history.universe.at(history.universe.now + seconds, lambda: passed.append(True))
    history.universe.run(lambda: bool(passed))


def forks(case: Case) -> int:
    """Fork a finished run at any call: the fork finds that call out again and comes to the same end."""
    whole = case.undisturbed()
    rows = [row for row in whole.rows() if row.kind & ~COSTED == Kind.OUTCOME]
    if not case.is_calm or whole.lives[-1].how != "returned":
        return 0
    at = case.choice.choice(rows)
    info = whole.store.run(whole.run_id)
    fork = History(f"{case.seed!r} forked", case.nature, store=whole.store, run_id="fork", **case.options)
    fork_rows(whole.store, info, at.key, "fork", fork.universe.start)
    kept = {row.key for row in fork.rows() if row.kind & ~COSTED == Kind.OUTCOME}
    fork.live(main, "p", 1, crash=Crash(len(fork.rows()) + case.choice.randint(0, 5), "before"))
    if fork.lives[-1].how == "died":
        live_on(fork, case.choice)
    fork.check(whole.lives[-1].outcome)
    assert at.key not in kept
    return 1


def edits(case: Case) -> int:
    """Change the body of the root between a crash and a resume: the end is that of the changed program."""
    changed = edited(case.program, case.choice)
    expected = Case(case.seed, case.kinds, "edited", changed).undisturbed().lives[-1].outcome if case.is_calm else None
    rows = len(case.undisturbed().rows())
    history = case.history()
    history.live(main, "p", 1, crash=Crash(case.choice.randint(0, max(0, rows - 2)), case.choice.choice(("before", "after"))))
    if any(row.parent == NO_PARENT for row in history.rows() if row.kind & ~COSTED == Kind.OUTCOME):
        return 0  # the program had ended, so that nothing of it is asked again
    outside = programs.OUTSIDE.copy()
    install(changed)
    programs.OUTSIDE.update(outside)
    live_on(history, case.choice)
    history.check(expected)
    return 1


def edited(program: Node, choice: random.Random) -> Node:
    """The program with a root that does other things, or the same in another order."""
    parts = list(zip(program.kinds, program.steps, strict=True))
    what = choice.randrange(3)
    if what == 0:
        choice.shuffle(parts)
    elif what == 1:
        new = (Node("new.a", "leaf", "leaf", 1), Node("new.b", "slow", "leaf", 2))
        parts.insert(choice.randint(0, len(parts)), ("gather", new))
    elif len(parts) > 1:
        parts.pop(choice.randrange(len(parts)))
    return Node(program.name, program.task, program.kind, program.number, tuple(p[1] for p in parts), tuple(p[0] for p in parts))


TROUBLES: dict[str, Callable[[Case], int]] = {
    "crash at a record": lambda case: crashes(case, 6),
    "killed again and again": lambda case: kills(case, 2),
    "cancelled from outside": cancellations,
    "two drivers": two_drivers,
    "forked": forks,
    "edited": edits,
}


def explore(trouble: str, seed: object, kinds: tuple[str, ...] | None = None, program: Node | None = None) -> int:
    """Put the program of a seed through one trouble. Half of the numbered seeds are calm, half are wild."""
    if kinds is None:
        kinds = CALM if hash(seed) % 2 else WILD
    return TROUBLES[trouble](Case(seed, kinds, trouble, program))
