"""Troubles of a store on another machine: connections that lie, clocks that are hours apart, drivers that are stopped or cut off
past their lease, a store that goes back to an earlier state, and several drivers of several runs.

Each case draws how the store lies. `STRUCK` counts which lies were told: a batch in which one never was has not tested it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import queued as queues
import watch
import worked
from explore import LEASE_S, MOST_LIVES, MOST_STEPS, Case, judge, with_leaves
from programs import Node, install, main, write
from told import kinds_of as kinds_in

from headway import events
from headway.context import encode_signal
from headway.errors import RunOwned, StoreError, UnknownRun
from headway.journal.records import COSTED, Kind
from headway.journal.recovery.recovered import decode_outcome
from headway.sim.far import lies as told
from headway.sim.far.lies import Lies
from headway.sim.history import History, Incarnation, Violated, Violation
from headway.sim.universe import Universe

STRUCK: Counter[str] = Counter()
STOPPED = "a driver was stopped past its lease"
CUT_OFF = "a driver was cut off past its lease"
KILLED = "a driver was killed"
REFUSED = "a driver was refused a run that another one drives"
SHARED = "runs of several drivers shared limits and results"
OF_QUEUES = (
    *("a worker was killed", "a worker was stopped", "a worker was cut off", "a job was swept", "a job is stuck"),
    *("a driver was fenced", "a run was parked", "a schedule fired"),
)
OF_WORKERS = (
    *(f"a working worker was {how}" for how in dict.fromkeys(worked.HOWS)),
    *(f"a worker's run was {how}" for how in ("done", "parked", "handed over", "lost")),
    *("a worker took back what a dead one had", "a worker handed its runs over"),
)
KINDS = (*told.KINDS, told.BACK, STOPPED, CUT_OFF, KILLED, REFUSED, SHARED, *OF_QUEUES, *OF_WORKERS)
OVER_S = LEASE_S + 1.0


def _far(case: Case) -> Lies:
    """Put the store of a case on another machine: its clocks are hours apart, and its connections lie."""
    choice = case.choice
    case.config = dataclasses.replace(
        case.config, clock_jumps_s=choice.choice((0.0, 5.0, 3600.0)), clock_drift=choice.choice((0.0, 1e-4, 0.01))
    )
    return Lies.draw(choice)


def _expected(case: Case) -> str | None:
    """The outcome of every run; None where it hangs on timing, or on the run: one that the store has lost is begun as another."""
    whole = case.undisturbed()
    return None if kinds_in(case.program) & {"random", "branches"} else case.expected(whole)


def _history(case: Case, lies: Lies) -> History:
    history = case.history(lies=lies)
    history.universe.most_steps = MOST_STEPS
    return history


def _pass_time(universe: Universe, seconds: float) -> None:
    passed: list[bool] = []
    universe.at(universe.now + seconds, lambda: passed.append(True))
    universe.run(lambda: bool(passed))


def _is_broken_off(life: Incarnation) -> bool:
    """Whether a driver came to no end of its own, so that the run goes on with another."""
    return not life.ended or isinstance(life.error, StoreError)


def _live_on(history: History, choice: random.Random, *, dying: float = 0.3) -> None:
    """Lives, of which some die, until one ends. Each waits until the lease of the one before is over."""
    for number in range(MOST_LIVES):
        last = number >= MOST_LIVES - 2
        if last and history.lies is not None:
            history.lies = dataclasses.replace(history.lies, away=0.0)
        kill_in = choice.randint(1, 600) if choice.random() < dying and not last else 0
        life = history.live(main, "p", 1, kill_in=kill_in)
        STRUCK[KILLED] += life.how == "died"
        if isinstance(life.error, RunOwned):
            history.lives.remove(life)
        elif not _is_broken_off(life):
            return
        _pass_time(history.universe, OVER_S)


def lying(case: Case) -> int:
    """Drivers, some of which die, on a store whose connections lie. One at a time."""
    expected = _expected(case)
    history = _history(case, _far(case))
    _live_on(history, case.choice)
    STRUCK.update(history.struck)
    judge(history, expected)
    return 1


def overtaken(case: Case) -> int:
    """A driver is stopped or cut off for longer than its lease, or just overtaken; another goes on; the first comes back."""
    choice = case.choice
    expected = _expected(case)
    history = _history(case, _far(case))
    universe = history.universe
    watch.drivers = 2
    first = history.start(main, "p", 1)
    over, stop = universe.end_of(first.process), universe.steps + choice.randint(1, 300)
    drives = first.process.world.engines
    universe.run(lambda: (universe.steps >= stop and bool(drives)) or over())
    how = choice.choice(("stopped", "cut off", "taken over"))
    if not over():
        if how == "stopped":
            STRUCK[STOPPED] += 1
            universe.freeze(first.process, choice.uniform(31, 120))
            if first.remote is not None:
                first.remote.was_away = True  # as it seems to whoever was stopped
        elif how == "cut off":
            STRUCK[CUT_OFF] += 1
            assert first.remote is not None
            first.remote.cut_off(choice.uniform(31, 120))
        if how != "taken over":
            _pass_time(universe, 30.5 + 10)
        second = history.start(main, "p", 1, take_over=how == "taken over")
        history.finish(second)
        if isinstance(second.error, RunOwned):  # the first went on in time
            STRUCK[REFUSED] += 1
            history.lives.remove(second)
    history.finish(first)
    if _is_broken_off(history.lives[-1]) or _is_broken_off(first):
        _pass_time(universe, OVER_S)
        _live_on(history, choice, dying=0.0)
    STRUCK.update(history.struck)
    judge(history, expected)
    return 1


def went_back(case: Case) -> int:
    """The store goes back to an earlier state, as where a standby takes over that lacks the last commits."""
    choice = case.choice
    expected = _expected(case)
    history = _history(case, _far(case))
    universe = history.universe
    first = history.start(main, "p", 1)
    over = universe.end_of(first.process)
    stop = universe.steps + choice.randint(1, 400)
    universe.run(lambda: universe.steps >= stop or over())
    state, had = history.store.remember(), history.rows()[:]
    stop = universe.steps + choice.choice((1, 20, 200))
    universe.run(lambda: universe.steps >= stop or over())
    lost = history.rows()[len(had) :]
    history.store.go_back(state)
    STRUCK[told.BACK] += bool(lost)
    history.finish(first)
    if not history.begun or _is_broken_off(first) or len(first.after) < len(first.before):
        _pass_time(universe, OVER_S)
    watch.COMPLAINTS.clear()  # of effects that happened and whose start is forgotten
    _live_on(history, choice, dying=0.0)
    STRUCK.update(history.struck)
    history.check(expected)
    return 1


def many(case: Case) -> int:
    """Several drivers, each with a run of its own, in one store: they share limits and results. One may be killed, and two may want
    one run."""
    choice = case.choice
    if choice.random() < 0.6:  # most of what they do goes by what they share
        case.program = _sharing(case)
    expected = _expected(case)
    lies = _far(case)
    if choice.random() < 0.7:
        lies = dataclasses.replace(lies, away=0.0)
    install(case.program, case.edition)
    watch.drivers = 2
    universe = Universe(case.seed, case.config)
    universe.most_steps = 20 * MOST_STEPS  # who waits for a shared place asks for it many times a second, and calls may last 500 s
    fleet = [History(case.seed, lies=lies, universe=universe, run_id="run0", **case.options)]
    for number in range(1, choice.choice((2, 2, 3))):
        fleet.append(History(case.seed, lies=lies, universe=universe, run_id=f"run{number}", store=fleet[0].store, **case.options))
    if not case.is_calm:
        for history in fleet:
            _send_words(history, choice)
    lives = [(history, history.start(main, "p", 1)) for history in fleet]
    if choice.random() < 0.4:
        lives.append((fleet[0], fleet[0].start(main, "p", 1)))
    if choice.random() < 0.4:
        universe.kill_at = universe.steps + choice.randint(1, 1000)
        ends = [universe.end_of(life.process) for _, life in lives]
        universe.run(lambda: any(life.process.dead for _, life in lives) or all(is_over() for is_over in ends))
        lives.sort(key=lambda one: not one[1].process.dead)  # what a dead process left goes at once
    for history, life in lives:
        history.finish(life)
        STRUCK[KILLED] += life.how == "died"
        if isinstance(life.error, RunOwned):
            STRUCK[REFUSED] += 1
            history.lives.remove(life)
    for history in fleet:
        if not history.lives or all(map(_is_broken_off, history.lives)):
            _pass_time(universe, OVER_S)
            _live_on(history, choice, dying=0.0)
    STRUCK[SHARED] += 1
    for history in fleet:
        STRUCK.update(history.struck)
    _judge_all(fleet, expected, lies)
    return len(fleet)


def _sharing(case: Case) -> Node:
    """A program whose calls want places in shared limits, or results that runs share."""
    program = write(random.Random(f"sharing {case.seed!r}"), ("named", "named", "both", "settle"), most=24)
    return with_leaves(program, lambda leaf: "forever" if leaf.number < 3 else "slow" if leaf.number < 8 else "costly")


def _send_words(history: History, choice: random.Random) -> None:
    for number in range(3):

        def send(number: int = number) -> None:
            with contextlib.suppress(UnknownRun):
                history.store.send_signal(history.run_id, f"word{number % 2}", encode_signal(number), 0.0)

        history.universe.at(choice.random() * 15, send, waking=False)


def _judge_all(fleet: Sequence[History], expected: str | None, lies: Lies) -> None:
    for history in fleet:
        history.check(expected)
    # Who is cut off for longer than its places last, still runs what it had begun.
    found = [Violation("one computes what several share", what) for what in _computed_twice(fleet)]
    found += [
        Violation("as the program sees it", what) for what in watch.COMPLAINTS if not (lies.away and " runs as number " in what)
    ]
    if found:
        raise Violated(fleet[0], found)


def _computed_twice(fleet: Sequence[History]) -> Iterator[str]:
    """Of drivers that were heard of in time, no two compute one shared result at a time."""
    spans: dict[bytes, list[tuple[float, float, str]]] = {}
    for history in fleet:
        ends = [row for row in history.rows() if row.kind & ~COSTED == Kind.OUTCOME]
        names = {row.key.hex(): decode_outcome(row.body).shared for row in ends}
        for life in history.lives:
            if life.how == "died" or life.remote is None or life.remote.was_away:
                continue
            began: dict[str, float] = {}
            for event in life.event_log:
                if isinstance(event, events.CallStarted) and event.task == "leaves.forever":
                    began[event.key] = _true_time(life, event.at)
                elif isinstance(event, events.CallEnded) and event.key in began and names.get(event.key):
                    span = (began.pop(event.key), _true_time(life, event.at), f"{life.process.name} of {history.run_id}")
                    spans.setdefault(names[event.key], []).append(span)
    for name, found in spans.items():
        for first, second in pairwise(sorted(found)):
            if second[0] < first[1] - 1e-3:
                yield f"{first[2]} and {second[2]} computed the shared result {name.hex()[:8]} at a time"


def _true_time(life: Incarnation, at: float) -> float:
    """Virtual seconds at which a clock that is ahead or behind said this."""
    process = life.process
    return (at - process.universe.start - process.skew_s) / (1 + process.drift)


def queued(case: Case) -> int:
    """Workers and a queue: what is enqueued ends, within its limits, whoever dies or is cut off."""
    service = queues.look(case.seed, case.choice)
    STRUCK.update(service.struck)
    if service.found:
        raise Violated(service, service.found)
    return 1


def served(case: Case) -> int:
    """Workers of the service as they are: their runs end as they should, whoever dies, is cut off or is told to leave."""
    place = worked.look(case.seed, case.choice)
    STRUCK.update(place.struck)
    if place.found:
        raise Violated(place, place.found)
    return 1


FAR: dict[str, Callable[[Case], int]] = {
    "a store that lies": lying,
    "overtaken far away": overtaken,
    "the store goes back": went_back,
    "many drivers": many,
    "workers and a queue": queued,
    "workers of the service": served,
}
