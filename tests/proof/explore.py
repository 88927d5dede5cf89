"""What is done to a random program to find out whether Headway keeps its promises.

A case is a program and a schedule, both drawn from a seed. Each function puts it through one kind of trouble and raises `Violated`,
which names the broken promise and the seed, or returns how many (program, schedule, trouble) triples it has looked at.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import told
import watch
from leaves import left_booked, publish
from nodes import CALM_STREAMS, CODE, GROUP_STREAMS, WILD_STREAMS
from programs import CALM, OUTSIDE, WILD, Node, install, main, write

from headway import events
from headway.context import encode_signal
from headway.engine.tasks.spec import TASKS
from headway.errors import HeadwayError, RunCancelled, RunOwned, UnknownRun
from headway.journal.records import COSTED, NO_PARENT, Kind, Row, RunStatus, Status
from headway.journal.recovery.forking import fork_rows
from headway.journal.recovery.recovered import decode_outcome
from headway.sim.config import SimConfig
from headway.sim.history import History, Incarnation, Violated, Violation
from headway.sim.store import Crash

MOST_LIVES = 8
MOST_STEPS = 100_000  # ten times what the longest takes
AT_ONCE_S = 5.0
LEASE_S = 30.0
ANY_ORDER = ("gather", "settle", "limit", "wide_budget")  # steps that add up what their calls give


class Case:
    """One program under one schedule. `choice` draws what is done to it."""

    def __init__(
        self, seed: object, kinds: tuple[str, ...], trouble: str = "", program: Node | None = None, edition: int = 1
    ) -> None:
        self.seed = seed
        self.edition = edition  # of the task whose source changes
        self.kinds = kinds
        self.choice = random.Random(f"{trouble} {seed!r}")
        self.program = program if program is not None else write(random.Random(repr(seed)), kinds)
        config = SimConfig.draw(random.Random(f"nature {seed!r}"))
        self.config = dataclasses.replace(config, worker_dies=self.choice.choice((0.0, 0.0, 0.3)))
        self.options: dict[str, Any] = {
            "max_active": self.choice.choice((1, 2, 99)),
            "pools": {"thread": self.choice.choice((1, 8)), "process": self.choice.choice((1, 3))},
        }

    @property
    def is_calm(self) -> bool:
        return "race" not in self.kinds

    @property
    def is_sure(self) -> bool:
        """Whether the program makes the same calls under every schedule."""
        return self.is_calm and not _draws_by_chance(self.program)

    @property
    def works_alike(self) -> bool:
        """Whether the program makes the same calls in every life. What is below a stream has no name that runs share: where equal
        calls share a body that reads one, and another of them runs it after a crash, the stream runs again."""
        return self.is_sure and not _has_shared(self.program, lambda kind: "stream" in kind or kind == "twice_read")

    def history(self, **how: Any) -> History:
        """A fresh world with this program in it."""
        install(self.program, self.edition)
        history = History(self.seed, self.config, **how, **self.options)
        history.universe.most_steps = MOST_STEPS
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
        judge(history)
        paid_as_run(history)
        return history

    def expected(self, whole: History) -> str | None:
        """The outcome that every life must have, where the program does not decide from timing."""
        last = whole.lives[-1]  # which of several failures ends a program hangs on timing
        return last.outcome if self.is_sure and last.how == "returned" else None


def _draws_by_chance(node: Node, tried_again: bool = False) -> bool:
    """Whether what is drawn hangs on timing: what `hw.random` says hangs on the attempt and on the caller. Where a body is tried
    again because of a child, it stops the others in whichever attempt they are, and they have all their attempts again. Of those
    that share a body, the first runs it."""
    again = node.task in watch.RETRIED
    if ((again and tried_again) or node.task in watch.SHARED) and told.kinds_of(node) & {"random", "branches"}:
        return True
    return any(_draws_by_chance(child, tried_again or again) for children in node.steps for child in children)


def judge(history: History, expected: str | None = None) -> None:
    """Raises Violated at the first promise that was not kept, to the world or to the program."""
    history.check(expected)
    found = [Violation("as the program sees it", what) for what in watch.COMPLAINTS]
    found += branches_told_the_same(history)
    found += [Violation("what is stopped is undone", what) for what in left_booked(history)]
    found += [Violation("no fault", life.outcome) for life in history.lives if isinstance(life.error, watch.FAULTS)]
    found += told_the_same([(life, len(life.after)) for life in history.lives], history)
    for row in history.rows():
        if row.kind & ~COSTED == Kind.OUTCOME and (why := watch.MUST_FAIL.get(row.key.hex())):
            if decode_outcome(row.body).status == Status.OK:
                found.append(Violation("no error lost", f"call {row.key.hex()[:8]} succeeded although {why}"))
    if found:
        raise Violated(history, found)


def told_the_same(lives: Sequence[tuple[Incarnation, int]], history: History) -> list[Violation]:
    """Whoever asks again is told what he was told before, where it was recorded. `lives`: each with the number of rows it left."""
    if history.edited or watch.drivers > 1:
        return []
    known = [told.Life(life.engine, rows, life.how == "raised" or _is_recorded_end(life)) for life, rows in lives]
    return [Violation("the same is told again", what) for what in told.otherwise(known)]


def _is_recorded_end(life: Incarnation) -> bool:
    """Whether the end of the run was recorded in a life that died afterwards: the next one asks again what has failed."""
    new = life.after[len(life.before) :]
    return any(row.parent == NO_PARENT and row.kind & ~COSTED == Kind.OUTCOME for row in new)


def branches_told_the_same(history: History) -> list[Violation]:
    """Where a branch that was given the answer of a call was not given it again although it is recorded. When a source has changed,
    or in another attempt of a body, branches ask for other things than before, and what is left over goes to whoever asks."""
    if watch.drivers > 1 or history.edited:
        return []
    found = []
    changed = watch.asked_otherwise()
    given: dict[watch.Branch, str] = {}  # the call that a branch was given last
    holder: dict[str, watch.Branch] = {}  # the branch that a call was given to last
    for life in history.lives:
        recorded = {row.key.hex() for row in life.before if row.kind & ~COSTED == Kind.OUTCOME}
        kept = {branch for branch, key in given.items() if key in recorded and holder[key] == branch}
        for engine, branch, key in watch.GIVEN:
            if engine is life.engine:
                if branch in kept and key != given[branch] and branch[:2] not in changed:
                    what = f"{branch} was given {given[branch][:8]} and then {key[:8]}"
                    found.append(Violation("the same branch is told the same", what))
                given[branch], holder[key] = key, branch
                kept.add(branch)
    return found


def paid_as_run(history: History) -> None:
    """In one life a price is paid as often as the code of its call began, and not where it was stopped before."""
    ends = {row.key.hex(): decode_outcome(row.body) for row in history.rows() if row.kind & ~COSTED == Kind.OUTCOME}
    for key, outcome in ends.items():
        due, booked = watch.DUE[key], outcome.cost.get("tokens", 0.0)
        if outcome.task in ("leaves.costly", "programs.counted") and booked != due:
            what = f"{outcome.task} {key[:8]} owes {due} tokens for what ran and is booked at {booked:g}"
            raise Violated(history, [Violation("counted once", what)])


def same_work(history: History, whole: History) -> None:
    """A calm program asks the same calls whatever happens to it, each once, unless it stopped some of them in the middle."""
    before, after = _results(whole), _results(history)
    if before is None or after is None or not history.lives[-1].ended:
        return
    if extra := after - before:
        key, task = next(iter(extra))
        raise Violated(history, [Violation("the same calls", f"{task} {key.hex()[:8]} was made, which nobody makes undisturbed")])
    if lost := before - after:
        key, task = next(iter(lost))
        raise Violated(history, [Violation("the same calls", f"{task} {key.hex()[:8]} was never made")])


def _results(history: History) -> Counter[tuple[bytes, str]] | None:
    """The calls of a run that succeeded; None where some were stopped while they may have made others."""
    found: Counter[tuple[bytes, str]] = Counter()
    for row in history.rows():
        if row.kind & ~COSTED == Kind.OUTCOME:
            outcome = decode_outcome(row.body)
            if outcome.status == Status.OK and (spec := TASKS.get(outcome.task)) is not None and spec.forever:
                found[outcome.shared, outcome.task] = (
                    1  # which of equal calls runs hangs on the schedule, and so does what is below
                )
            elif outcome.status == Status.OK and not outcome.shared:
                found[row.key, outcome.task] = 1
            elif outcome.status == Status.CANCELLED and outcome.reason != "cancelled by the program":
                return None
    return found


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
    told_again(whole)
    rows = len(whole.rows())
    points = range(rows + 1) if rows < most else sorted(case.choice.sample(range(rows + 1), most))
    for after in points:
        history = case.history()
        history.live(main, "p", 1, crash=Crash(after, case.choice.choice(("before", "torn", "after", "full"))))
        if history.lives[-1].how != "returned":
            live_on(history, case.choice)
        judge(history, expected)
        if case.works_alike:
            same_work(history, whole)
        elif not case.is_calm:
            told_again(history)
    return len(points)


def kills(case: Case, times: int) -> int:
    """Kill the driver at any step, again and again."""
    whole = case.undisturbed()
    expected = case.expected(whole)
    for _ in range(times):
        history = case.history()
        live_on(history, case.choice, dying=0.8)
        judge(history, expected)
        if case.works_alike:
            same_work(history, whole)
        asked_again(history)
    return times


def asked_again(history: History) -> None:
    """A run that failed is asked again by the next driver, and not answered with its failure."""
    last = history.lives[-1]
    if last.how != "raised" or isinstance(last.error, HeadwayError):
        return
    again = history.live(main, "p", 1)
    root = again.after[-1].key.hex()
    if not any(isinstance(event, events.CallStarted) and event.key == root for event in again.event_log):
        raise Violated(history, [Violation("a failure is asked again", "the run was answered with its failure")])
    judge(history)


def told_again(history: History) -> None:
    """Without its last row, a run must come to the same end, and at once: everything it decided, every time that it waited for and
    all that it made are in the rows before."""
    last, rows = history.lives[-1], history.rows()
    if last.how != "returned" or not rows:
        return
    again = History(f"{history.seed!r} told again", history.universe.config, store=history.store.cut(history.run_id, len(rows) - 1))
    again.universe.now = history.universe.now + 60  # clocks differ
    again.live(main, "p", 1)
    judge(again, last.outcome)
    before = [(life, len(life.after) - (life is last)) for life in history.lives]
    if found := told_the_same([*before, (again.lives[0], len(again.lives[0].after))], history):
        raise Violated(again, found)
    told = again.lives[0].event_log
    config = history.universe.config
    slow_s = 100 * config.stall_s + 20 * (config.job_s + config.commit_s + config.linger_s) + 2 * config.clock_jumps_s
    own_s = 4 * sum(node.kinds.count("branches") for node in CODE.values())  # what coroutines take that no call is made for
    if told[-1].at - told[0].at > AT_ONCE_S + slow_s + own_s:
        raise Violated(again, [Violation("no time twice", f"told again, it took {told[-1].at - told[0].at:.0f} s")])
    ran = [event for event in told if isinstance(event, events.CallStarted)]
    root = again.lives[0].after[-1].key.hex()
    if extra := [event for event in ran if event.key != root and not _unanswered(event.key, rows)]:
        raise Violated(again, [Violation("no work twice", f"told again, it ran {extra[0].task} {extra[0].key[:8]}")])


def _unanswered(key: str, rows: list[Row]) -> bool:
    """Whether a call has no recorded answer (it was cancelled, or never ended)."""
    ends = [decode_outcome(row.body).status for row in rows if row.kind & ~COSTED == Kind.OUTCOME and row.key.hex() == key]
    return not ends or Status.OK not in ends


def cancellations(case: Case) -> int:
    """Somebody cancels the run from outside; it is taken up again. A call whose attempt was cancelled has all its attempts again,
    and what `hw.random` says hangs on the attempt, as does the mood of some leaves: steps and leaves that use it are left out."""
    if case.is_calm:
        case = Case(case.seed, tuple(kind for kind in case.kinds if kind not in ("random", "branches")), "cancelled from outside")
        case.program = with_leaves(case.program, lambda leaf: "leaf" if leaf.task == "moody" else leaf.task)
    expected = case.expected(case.undisturbed())
    history = case.history()
    at = case.choice.random() * case.choice.choice((0.5, 5, 50))

    def cancel() -> None:
        with contextlib.suppress(UnknownRun):
            history.store.request_cancel(history.run_id, 0.0)

    history.universe.at(at, cancel, waking=False)
    first = history.live(main, "p", 1)
    ends = [event.at for event in first.event_log if isinstance(event, events.CallEnded)]
    took = max(ends, default=0.0) - (history.universe.start + first.process.skew_s + at)
    at_once = "trip" not in told.kinds_of(case.program)  # what undoes something may wait for limits
    if at_once and isinstance(first.error, RunCancelled) and took > AT_ONCE_S + 100 * case.config.stall_s + 20 * case.config.job_s:
        raise Violated(history, [Violation("cancelled means stopped", f"the run went on for {took:.0f} s after it was cancelled")])
    live_on(history, case.choice)
    judge(history, expected)
    return 1


def two_drivers(case: Case) -> int:
    """A driver is stopped for longer than its lease, or just overtaken; another takes the run over; the first wakes up."""
    expected = case.expected(case.undisturbed())
    history = case.history()
    watch.drivers = 2
    first = history.start(main, "p", 1)
    stop = history.universe.steps + case.choice.randint(1, 120)
    over = history.universe.end_of(first.process)
    drives = first.process.world.engines  # once it has taken the run up, beside its loop
    history.universe.run(lambda: (history.universe.steps >= stop and bool(drives)) or over())
    if over():
        history.finish(first)
        return 1
    frozen = case.choice.random() < 0.7
    if case.choice.random() < 0.4:
        refused(history, first, case.choice.choice((0.0, 1.5 * LEASE_S)))
        return 1
    if frozen:
        history.universe.freeze(first.process, case.choice.uniform(31, 120))
        _pass_time(history, 30.5 + 10)
    second = history.start(main, "p", 1, take_over=not frozen or case.choice.random() < 0.5)
    for life in (second, first):
        history.finish(life)
    if isinstance(second.error, RunOwned):  # the first woke up and renewed its lease in time
        history.lives.remove(second)
    live_on(history, case.choice, dying=0.0)
    judge(history, expected)
    return 1


def refused(history: History, first: Incarnation, seconds: float) -> None:
    """While a driver lives, another is refused the run, however long the first one takes."""
    over = history.universe.end_of(first.process)
    _pass_time(history, seconds)
    fence = history.store.run(history.run_id).fence
    second = history.start(main, "p", 1)
    history.universe.run(lambda: over() or history.universe.end_of(second.process)())
    if not over():
        second = history.finish(second)
        after = history.store.run(history.run_id)
        if after.status == RunStatus.DONE and after.fence == fence:
            history.finish(first)  # it had given the run back, and what is recorded answered the second one
            judge(history)
            return
        if not isinstance(second.error, RunOwned):
            raise Violated(history, [Violation("one driver", "a second driver was given the run while the first one lived")])
        history.lives.remove(second)
        history.finish(first)
    else:
        for life in (first, second):
            history.finish(life)
        if isinstance(second.error, RunOwned):
            history.lives.remove(second)
    judge(history)


def _pass_time(history: History, seconds: float) -> None:
    passed: list[bool] = []
    history.universe.at(history.universe.now + seconds, lambda: passed.append(True))
    history.universe.run(lambda: bool(passed))


def forks(case: Case) -> int:
    """Fork a finished run at any call: the fork finds that call out again and comes to the same end."""
    whole = case.undisturbed()
    rows = [row for row in whole.rows() if row.kind & ~COSTED == Kind.OUTCOME]
    if not case.is_sure or whole.lives[-1].how != "returned":
        return 0
    at = case.choice.choice(rows)
    info = whole.store.run(whole.run_id)
    fork = History(f"{case.seed!r} forked", case.config, store=whole.store, run_id="fork", **case.options)
    fork_rows(whole.store, info, at.key.hex(), "fork", fork.universe.start)
    watch.forget()
    ends = [row for row in fork.rows() if row.kind & ~COSTED == Kind.OUTCOME]
    kept = {row.key for row in ends if decode_outcome(row.body).status != Status.CANCELLED}
    fork.live(main, "p", 1, crash=Crash(len(fork.rows()) + case.choice.randint(0, 5), "before"))
    if fork.lives[-1].how == "died":
        live_on(fork, case.choice)
    judge(fork, whole.lives[-1].outcome)
    assert at.key not in kept
    beside = History(f"{case.seed!r} beside", case.config, store=whole.store, run_id="beside", **case.options)
    watch.forget()
    beside.live(main, "p", 1)  # shares what is shared between runs
    judge(beside)
    return 2


def edits(case: Case) -> int:
    """Change the body of the root between a crash and a resume: the end is that of the changed program."""
    changed = edited(case.program, case.choice)
    after = Case(case.seed, case.kinds, "edited", changed).undisturbed()
    expected = case.expected(after)
    rows = len(case.undisturbed().rows())
    history = case.history()
    history.live(main, "p", 1, crash=Crash(case.choice.randint(0, max(0, rows - 2)), case.choice.choice(("before", "after"))))
    if any(row.parent == NO_PARENT for row in history.rows() if row.kind & ~COSTED == Kind.OUTCOME):
        return 0  # the program had ended, so that nothing of it is asked again
    history.budgets_moved = True
    outside, budgets = OUTSIDE.copy(), watch.BUDGETS.copy()
    before = {branch for _, branch, _ in watch.GIVEN}
    install(changed)
    watch.edited = True
    watch.GIVEN.clear()
    OUTSIDE.update(outside)
    watch.BUDGETS.update(budgets)
    live_on(history, case.choice)
    if watch.leave_out_changed_branches(before):
        expected = None  # one that draws a number may be given what another drew whose question nobody asks any more
    judge(history, expected)
    if case.works_alike and _only_reordered(case.program, changed):
        same_work(history, after)
    return 1


def _only_reordered(program: Node, changed: Node) -> bool:
    """Whether each step makes the calls that it made before, in any order."""
    return program.kinds == changed.kinds and all(
        sorted(child.name for child in before) == sorted(child.name for child in after)
        for before, after in zip(program.steps, changed.steps, strict=True)
    )


def edited(program: Node, choice: random.Random) -> Node:
    """The program with a root that does other things, or the same in another order."""
    parts = list(zip(program.kinds, program.steps, strict=True))
    what = choice.randrange(4)
    if what == 0:
        choice.shuffle(parts)
    elif what == 1:
        new = (Node("new.a", "leaf", "leaf", 1), Node("new.b", "slow", "leaf", 2))
        parts.insert(choice.randint(0, len(parts)), ("gather", new))
    elif what == 2:
        parts = [(kind, tuple(choice.sample(made, len(made))) if kind in ANY_ORDER else made) for kind, made in parts]
    elif len(parts) > 1:
        parts.pop(choice.randrange(len(parts)))
    return Node(program.name, program.task, program.kind, program.number, tuple(p[1] for p in parts), tuple(p[0] for p in parts))


def source_changes(case: Case) -> int:
    """Change the source of a task that says on_change="rerun" between a crash and a resume: the end is that of the new source."""
    draw = case.choice.random
    program = with_leaves(case.program, lambda leaf: "edition" if draw() < 0.4 else leaf.task)  # many calls whose source changes
    case = Case(case.seed, case.kinds, "source changed", program)
    expected = case.expected(Case(case.seed, case.kinds, "source changed", case.program, edition=2).undisturbed())
    rows = len(case.undisturbed().rows())
    history = case.history()
    history.live(main, "p", 1, crash=Crash(case.choice.randint(0, max(0, rows - 2)), "before"))
    if any(row.parent == NO_PARENT for row in history.rows() if row.kind & ~COSTED == Kind.OUTCOME):
        return 0
    publish(2)
    watch.GIVEN.clear()
    history.edited = True
    live_on(history, case.choice)
    judge(history, expected)
    return 1


def _has_shared(node: Node, wanted: Callable[[str], bool]) -> bool:
    """Whether there are such steps in bodies that several places share."""
    if node.task in watch.SHARED and any(map(wanted, told.kinds_of(node))):
        return True
    return any(_has_shared(child, wanted) for children in node.steps for child in children)


def with_leaves(node: Node, task: Callable[[Node], str]) -> Node:
    """The program with another task for each leaf."""
    made: dict[str, Node] = {}  # a body that is called in several places is one body

    def changed(node: Node) -> Node:
        if node.name not in made:
            if node.kind == "leaf":
                made[node.name] = msgspec.structs.replace(node, task=task(node))
            else:
                made[node.name] = msgspec.structs.replace(node, steps=tuple(tuple(map(changed, each)) for each in node.steps))
        return made[node.name]

    return changed(node)


TROUBLES: dict[str, Callable[[Case], int]] = {
    "crash at a record": lambda case: crashes(case, 6),
    "killed again and again": lambda case: kills(case, 2),
    "cancelled from outside": cancellations,
    "two drivers": two_drivers,
    "forked": forks,
    "edited": edits,
    "source changed": source_changes,
}


def kinds_of(seed: int) -> tuple[str, ...]:
    """What the program of a seed may do where many are looked at: of five, one reads streams."""
    calm = seed % 2 == 1
    if seed // 2 % 5 == 0:
        return CALM_STREAMS if calm else GROUP_STREAMS if seed // 2 % 25 in (10, 20) else WILD_STREAMS
    return CALM if calm else WILD


def explore(trouble: str, seed: object, kinds: tuple[str, ...] | None = None, program: Node | None = None) -> int:
    """Put the program of a seed through one trouble. Half of the numbered seeds are calm, half are wild."""
    from far import FAR  # which uses what is here

    if kinds is None:
        kinds = CALM if hash(seed) % 2 else WILD
    return {**TROUBLES, **FAR}[trouble](Case(seed, kinds, trouble, program))
