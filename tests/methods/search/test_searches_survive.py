"""A search that is killed finds again all that it had, and ends as if it had not been killed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
import solvers
from solvers import METHODS, RACES, find, find_all

import headway as hw
from headway.journal.records import COSTED, Kind, Row, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.methods.search import Found
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

QUESTION = "q6|"
SIDE_BY_SIDE = 7  # a world of long stalls holds one step in 2,000 up for longer than a deadline waits for its block to end
every_method = pytest.mark.parametrize("method", METHODS)


def successes(rows: Iterable[Row]) -> Counter[str]:
    """How often the success of each call is recorded."""
    ends = [(row.key, decode_outcome(row.body)) for row in rows if row.kind & ~COSTED == Kind.OUTCOME]
    return Counter(key.hex() for key, end in ends if end.status == Status.OK)


def check_nothing_recorded_ran_again(history: History) -> None:
    for life in history.lives:
        begun = {event.key for event in life.event_log if isinstance(event, hw.events.CallStarted)}
        assert not begun & successes(life.before).keys()
    assert set(successes(history.rows()).values()) == {1}


@every_method
def test_no_recorded_call_runs_again_after_a_crash(method):
    whole = History(1, STEADY)
    undisturbed = whole.live(find, method, QUESTION)
    total = len(whole.rows())
    history = History(1, STEADY)
    for share in (0.2, 0.5, 0.7, 0.95):
        assert history.live(find, method, QUESTION, crash=Crash(int(total * share), "after")).how == "died"
    last = history.live(find, method, QUESTION)
    history.check(None if method in RACES else undisturbed.outcome)
    check_nothing_recorded_ran_again(history)
    if method not in RACES:  # what ran when decides who is first
        assert last.value == undisturbed.value
        assert successes(history.rows()) == successes(whole.rows())


def test_searches_ask_for_the_same_calls_under_every_schedule(headway_check):
    """Replays, other orders of completion, kills at drawn records: `headway_check` fails with what would lose or repeat work."""
    headway_check(find_all, QUESTION, schedules=4)


@pytest.mark.long
@every_method
def test_each_asks_for_the_same_calls_under_many_schedules(headway_check, method):
    headway_check(find, method, QUESTION, schedules=40)


@hw.task
async def bounded(method: str) -> Found:
    with hw.budget(tokens=12), hw.deadline(seconds=3.4):
        return await METHODS[method](QUESTION)


@every_method
def test_a_bounded_search_goes_on_under_the_bounds_it_had(method):
    """What was spent before the crash is spent, and the deadline passes while nothing runs."""
    whole = History(1, STEADY)
    whole.live(bounded, method)
    history = History(1, STEADY)
    assert history.live(bounded, method, crash=Crash(int(len(whole.rows()) * 0.6), "after")).how == "died"
    at = history.universe.now
    last = history.live(bounded, method)
    assert last.value.stopped in ("done", "budget", "deadline")
    assert history.universe.now - at < 3.5
    history.check()
    check_nothing_recorded_ran_again(history)


@every_method
def test_a_search_whose_deadline_passed_while_nothing_ran_returns_what_it_had(method):
    whole = History(1, STEADY)
    before = whole.live(bounded, method).value
    history = History(1, STEADY)
    rows = len(whole.rows())
    assert history.live(bounded, method, crash=Crash(rows - 1, "after")).how == "died"  # it lacks its own end
    history.universe.now += 1000
    last = history.live(bounded, method)
    started = [event.task for event in last.event_log if isinstance(event, hw.events.CallStarted)]
    assert started == ["test_searches_survive.bounded"]
    found = {candidate.value: candidate for candidate in last.value.candidates}
    for candidate in before.candidates:
        assert candidate.value in found
    history.check()


@hw.task
async def timed(method: str) -> Found:
    with hw.deadline(seconds=3.4):
        return await METHODS[method](QUESTION)


@hw.task
async def timed_as_a_call(method: str) -> Found:
    with hw.deadline(seconds=3.4):
        return await find(method, QUESTION)


@every_method
@pytest.mark.parametrize("program", [timed, timed_as_a_call], ids=["here", "as a call"])
def test_a_search_that_died_returns_what_is_recorded_though_its_deadline_has_passed(method, program):
    whole = History(1, STEADY)
    whole.live(program, method)
    for share in (0.3, 0.8):
        history = History(1, STEADY)
        assert history.live(program, method, crash=Crash(int(len(whole.rows()) * share), "after")).how == "died"
        history.universe.now += 1000
        if program is timed_as_a_call and not successes(history.rows()):
            continue  # a call of which nothing is recorded has nothing to return
        answers = [seq for seq in successes(history.rows()) if _task_of(history, seq) == "solvers.generate"]
        last = history.live(program, method)
        assert last.how == "returned", last.error
        assert last.value.stopped in ("done", "deadline")
        if method not in RACES:
            assert len(last.value.candidates) >= len(answers)
        begun = {event.task for event in last.event_log if isinstance(event, hw.events.CallStarted)}
        assert not begun & {"solvers.generate", "solvers.step", "solvers.score", "solvers.embed"}
        history.check()


def _task_of(history: History, key: str) -> str:
    ends = [row for row in history.rows() if row.kind & ~COSTED == Kind.OUTCOME and row.key.hex() == key]
    return decode_outcome(ends[-1].body).task


@every_method
@pytest.mark.parametrize("program", [timed, timed_as_a_call], ids=["here", "as a call"])
def test_a_part_that_blocks_the_loop_beyond_the_deadline_leaves_the_search_what_it_has(go, clock, monkeypatch, method, program):
    done = 0
    work = solvers.work

    async def blocking(name: str, *what: object) -> None:
        nonlocal done
        await work(name, *what)
        done += 1
        if done == 5:
            clock.advance(1000)

    monkeypatch.setattr(solvers, "work", blocking)
    found = go(program, method)
    assert found.stopped in ("done", "deadline")


@hw.task
async def bounded_by(method: str, tokens: float, seconds: float) -> Found:
    with hw.budget(tokens=tokens), hw.deadline(seconds=seconds):
        return await METHODS[method](QUESTION)


@hw.task
async def all_bounded(methods: list[str], tokens: float, seconds: float) -> list[Found]:
    return await hw.gather(*(bounded_by(method, tokens, seconds) for method in methods))


@pytest.mark.parametrize("first", range(0, len(METHODS), SIDE_BY_SIDE))
@pytest.mark.parametrize(("tokens", "seconds"), [(12, 1e6), (1e6, 3.4), (12, 3.4)])
def test_bounds_of_a_search_are_no_faults_of_a_program(headway_check, tokens, seconds, first):
    headway_check(all_bounded, list(METHODS)[first : first + SIDE_BY_SIDE], tokens, seconds, schedules=2)


def start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    program = Path(__file__).parent / "searching.py"
    files = [str(folder / f"{name}.{end}") for end in ("store", "result", "began")]
    with (folder / f"{name}.err").open("ab") as err:
        return subprocess.Popen([sys.executable, str(program), *files], stdout=err, stderr=err)


def test_a_program_of_searches_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    whole = start(tmp_path, "whole")
    assert whole.wait(120) == 0, (tmp_path / "whole.err").read_text()
    drawn = random.Random(3)
    for kills in range(9):
        recorded = _recorded(tmp_path / "killed.store")
        seen = len(_lines(tmp_path / "killed.began"))
        process = start(tmp_path, "killed")
        try:
            while process.poll() is None and len(_lines(tmp_path / "killed.began")) == seen:  # it begins to work
                process_ended(process, 0.01)
            process_ended(process, drawn.uniform(0.0, 0.6) if kills < 5 else 120)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        again = recorded & set(_lines(tmp_path / "killed.began")[seen:])
        assert not again, f"recorded calls ran again after kill {kills}"
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, (tmp_path / "killed.err").read_text()
    assert process.returncode == 0
    assert kills > 1
    ends = [(tmp_path / f"{name}.result").read_text() for name in ("whole", "killed")]
    same = [a == b for a, b, method in zip(*map(eval, ends), METHODS, strict=True) if method not in RACES]
    assert all(same), ends


def process_ended(process: subprocess.Popen[bytes], within_s: float) -> None:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _recorded(store: Path) -> set[str]:
    if not (store / "journal.db").exists():
        return set()
    with hw.SqliteStore(store) as opened:
        try:
            return set(successes(row for _, row in opened.rows(opened.run("run").uid)))
        except hw.UnknownRun:
            return set()
