"""Signals are told to one wait that uses them: what a loser, a failed attempt or a stopped call was told goes back to the queue."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

import headway as hw
from headway import events
from headway.context import encode_signal
from headway.journal.codec.codec import decode
from headway.journal.records import COSTED, Kind, Signal
from headway.journal.recovery.given import Given
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

RAN: list[Any] = []
SWITCH: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _clear() -> None:
    RAN.clear()
    SWITCH.clear()


class Told:
    """A program in a simulated world, and signals sent to it: `(after, name, value)`, seconds from its first start."""

    def __init__(self, *sent: tuple[float, str, object]) -> None:
        self.history = History(1, STEADY)
        for after, name, value in sent:
            self.history.universe.at(after, lambda name=name, value=value: self.send(name, value))

    def send(self, name: str, value: object) -> None:
        universe = self.history.universe
        self.history.store.send_signal(self.history.run_id, name, encode_signal(value), universe.start + universe.now)

    def run(self, program: Any, *args: Any, **options: Any) -> Any:
        life = self.history.live(program, *args, **options)
        if life.ended:
            self.history.check()
        return life.value if life.error is None else life.error


def in_every_life(program: Any, *args: Any, sent: list[tuple[float, str, object]]) -> list[Any]:
    """What the program returns undisturbed, and when it died after each of its rows and was taken up again; each value once."""
    told, values = Told(*sent), []
    values.append(told.run(program, *args))
    for rows in range(1, len(told.history.rows())):
        RAN.clear()
        told = Told(*sent)
        told.run(program, *args, crash=Crash(rows, "after"))
        assert told.history.lives[-1].how == "died"
        if (value := told.run(program, *args)) not in values:
            values.append(value)
    return values


async def soon(name: str) -> Any:
    """What is in the queue; None where nothing is."""
    try:
        return await hw.wait_event(name, timeout=0.5)
    except TimeoutError:
        return None


@hw.task
async def ask(name: str) -> Any:
    return await hw.wait_event(name)


@hw.task
async def rest(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


# --- races and other joins -------------------------------------------------------------------------------------------


async def of_waits(*names: str) -> tuple[int, Any]:
    return await hw.race(*(hw.wait_event(name) for name in names), with_index=True)


async def of_calls(*names: str) -> tuple[int, Any]:
    return await hw.race(*(ask(name) for name in names), with_index=True)


async def of_coroutines(*names: str) -> tuple[int, Any]:
    async def asks(name: str) -> Any:
        return await ask(name)

    return await hw.race(*(asks(name) for name in names), with_index=True)


async def of_races(*names: str) -> tuple[int, Any]:
    async def inner(name: str) -> Any:
        return await hw.race(hw.wait_event(name), rest(100))

    return await hw.race(*(inner(name) for name in names), with_index=True)


async def of_both(*names: str) -> tuple[int, Any]:
    return await hw.race(hw.wait_event(names[0]), *(ask(name) for name in names[1:]), with_index=True)


RACES = {race.__name__: race for race in (of_waits, of_calls, of_coroutines, of_races, of_both)}


@hw.task
async def both(race: str) -> list[Any]:
    await hw.sleep(2)
    index, first = await RACES[race]("yes", "no")
    return [first, await soon(("no", "yes")[index])]


@pytest.mark.parametrize("race", RACES)
def test_the_signal_of_a_loser_that_was_told_in_the_same_moment_goes_back(race):
    values = in_every_life(both, race, sent=[(1.0, "yes", 1), (1.1, "no", 2)])
    assert all(sorted(value) == [1, 2] for value in values)


@hw.task
async def told_and_stopped() -> list[Any]:
    async def slow() -> Any:
        value = await hw.wait_event("a")
        await rest(100)
        return value

    first = await hw.race(slow(), rest(5))
    return [first, await soon("a"), await soon("a")]


def test_a_loser_that_was_stopped_after_it_was_told_gives_its_signal_back_once():
    assert in_every_life(told_and_stopped, sent=[(1.0, "a", "A")]) == [[5, "A", None]]


@hw.task
async def looked_at_and_refused() -> list[Any]:
    await hw.sleep(2)
    first = await hw.race(ask("a"), ask("b"), accept=lambda value: value == "good")
    return [first, await soon("a")]


def test_a_signal_that_was_looked_at_and_refused_is_used():
    assert in_every_life(looked_at_and_refused, sent=[(1.0, "a", "bad"), (1.1, "b", "good")]) == [["good", None]]


async def gathered() -> None:
    await hw.gather(hw.wait_event("a"), fails(3))


async def settled_too_late() -> None:
    with hw.deadline(seconds=3):
        await hw.settle(hw.wait_event("a"), hw.wait_event("never"))


async def gathered_too_late() -> None:
    with hw.deadline(seconds=3):
        await hw.gather(hw.wait_event("a"), hw.wait_event("never"))


async def called_too_late() -> None:
    with hw.deadline(seconds=3):
        await asks_and_works()


async def timed_out() -> None:
    await asks_and_works.options(timeout=3)()


async def cancelled() -> None:
    handle = asks_and_works()
    await rest(3)
    handle.cancel()
    await handle


async def failed() -> None:
    await asks_and_fails()


async def raced_without_a_winner() -> None:
    await hw.race(asks_and_fails(), fails(1))


async def failed_in_a_coroutine() -> None:
    async def one() -> None:
        await hw.wait_event("a")
        raise ValueError("one")

    (end,) = await hw.settle(one())
    raise end.error or AssertionError


@hw.task
async def fails(after: float) -> None:
    await asyncio.sleep(after)
    raise ValueError("fails")


@hw.task
async def asks_and_works() -> None:
    await hw.wait_event("a")
    await asyncio.sleep(100)


@hw.task
async def asks_and_fails() -> None:
    await hw.wait_event("a")
    raise ValueError("asked")


ENDS: dict[str, Callable[[], Any]] = {
    end.__name__: end
    for end in (
        gathered,
        settled_too_late,
        gathered_too_late,
        called_too_late,
        timed_out,
        cancelled,
        failed,
        raced_without_a_winner,
        failed_in_a_coroutine,
    )
}


@hw.task
async def loses(end: str) -> list[Any]:
    try:
        await ENDS[end]()
    except (ValueError, hw.CallError, ExceptionGroup):
        return [await soon("a"), await soon("a")]
    return ["did not fail"]


@pytest.mark.parametrize("end", ENDS)
def test_what_nobody_got_the_result_of_goes_back(end):
    assert in_every_life(loses, end, sent=[(1.0, "a", "A")]) == [["A", None]]


@hw.task
async def keeps_what_it_got() -> list[Any]:
    ends = await hw.settle(hw.wait_event("a"), ask("b"), fails(1))
    value = None
    with hw.deadline(seconds=3, raises=False):
        value = await hw.wait_event("c")
        await rest(100)
    return [ends[0].value, ends[1].value, value, await soon("a"), await soon("b"), await soon("c")]


def test_what_a_program_has_got_is_not_given_to_it_again():
    sent = [(1.0, "a", "A"), (1.1, "b", "B"), (1.2, "c", "C")]
    assert in_every_life(keeps_what_it_got, sent=sent) == [["A", "B", "C", None, None, None]]


@hw.task
async def fails_or_not() -> list[Any]:
    async def maybe() -> str:
        await asyncio.sleep(3)
        if SWITCH["fails"]:
            raise ValueError("this time")
        return "well"

    got: list[Any] = []
    try:
        got = await hw.gather(hw.wait_event("a"), maybe())
    except ValueError:
        await rest(1)
    return [*got, await soon("a")]


def test_a_coroutine_that_gave_its_signal_back_and_is_of_use_after_a_crash_has_it_again():
    SWITCH["fails"] = True
    told = Told((1.0, "a", "A"))
    told.run(fails_or_not, crash=Crash(2, "after"))
    SWITCH["fails"] = False
    assert told.run(fails_or_not) == ["A", "well", None]


# --- order -----------------------------------------------------------------------------------------------------------


@hw.task
async def in_order() -> list[Any]:
    waits = [ask.options(key=number)("a") for number in range(3)]
    await rest(2)
    waits[0].cancel()
    await hw.settle(waits[0])
    await rest(2)
    return [[end.value for end in await hw.settle(*waits[1:])], await soon("a")]


def test_who_waits_longest_is_told_first_and_who_has_gone_is_passed_over():
    told = Told((3.0, "a", 1), (3.1, "a", 2), (3.2, "a", 3))
    assert told.run(in_order) == [[1, 2], 3]


@hw.task
async def back_in_its_place() -> list[Any]:
    await hw.settle(asks_and_fails())
    return [await hw.wait_event("a"), await hw.wait_event("a"), await hw.wait_event("a")]


def test_a_signal_goes_back_to_its_old_place():
    sent = [(0.1, "a", 1), (0.2, "a", 2), (0.3, "a", 3)]
    assert in_every_life(back_in_its_place, sent=sent) == [[1, 2, 3]]


def test_a_wait_that_is_stopped_in_the_moment_in_which_it_is_handed_a_signal_leaves_it_to_the_next(go):
    store = hw.MemoryStore()

    @hw.task
    async def program() -> list[Any]:
        first, second = ask.options(key=1)("a"), ask.options(key=2, timeout=50)("a")
        await rest(1)
        signals = first._call.engine.signals
        hw.signal("run", "a", "A", store=store)
        signals.arrive(store.signals(1))  # the first has been handed it and does not run again before it is stopped
        first.cancel()
        ends = await hw.settle(first, second)
        return [ends[0].cancelled, ends[1].value]

    assert go(program, store=store) == [True, "A"]


# --- attempts --------------------------------------------------------------------------------------------------------


@hw.task
async def looks_up() -> int:
    RAN.append("looked up")
    return len(RAN)


ERRORS = {"by itself": ValueError, "for the world outside": ConnectionError}


@hw.task(retry=hw.Retry(attempts=3, delay_s=1, jitter=0))
async def publishes(why: str, by_call: bool) -> list[Any]:
    seen = await looks_up()
    who = await (ask("approve") if by_call else hw.wait_event("approve", timeout=20))
    if hw.call().attempt < 3:
        raise ERRORS[why]("not yet")
    return [who, seen]


@hw.task
async def published(why: str, by_call: bool) -> list[Any]:
    publishing = publishes(why, by_call)
    await rest(3)
    other = ask.options(key="other")("approve")  # waits while the call rests
    result = await publishing
    await rest(1)
    other.cancel()
    (end,) = await hw.settle(other)
    return [*result, end.value, await soon("approve")]


@pytest.mark.parametrize("by_call", [False, True])
@pytest.mark.parametrize("why", ERRORS)
def test_an_attempt_is_told_again_what_the_one_before_was_told_and_nobody_else_is(why, by_call):
    kept = why == "for the world outside"
    values = in_every_life(published, why, by_call, sent=[(2.0, "approve", "Ann")])
    assert values[0] == ["Ann", 1 if kept else 3, None, None]
    assert all(value[::2] == ["Ann", None] for value in values)


@hw.task(retry=hw.Retry(attempts=2, delay_s=1, jitter=0))
async def changes_its_mind() -> str:
    if hw.call().attempt == 1:
        await hw.wait_event("a")
        raise ConnectionError("again")
    return "did not ask"


@hw.task
async def asks_after_it() -> list[Any]:
    return [await changes_its_mind(), await soon("a")]


def test_what_no_further_attempt_asks_for_goes_back():
    assert in_every_life(asks_after_it, sent=[(1.0, "a", "A")]) == [["did not ask", "A"]]


@hw.task(retry=hw.Retry(attempts=2, delay_s=1, jitter=0))
async def waits_again() -> Any:
    return await hw.wait_event("a", timeout=5)


def test_a_wait_that_took_too_long_is_begun_anew_by_the_next_attempt():
    assert in_every_life(waits_again, sent=[(8.0, "a", "A")]) == ["A"]


@hw.task(retry=hw.Retry(attempts=2, delay_s=1, jitter=0))
async def leaves_a_task_behind() -> Any:
    if hw.call().attempt == 1:
        SWITCH["left"] = asyncio.create_task(_quietly(hw.wait_event("a")))
        await asyncio.sleep(1)
        raise ValueError("again")
    return await hw.wait_event("a")


async def _quietly(wait: Any) -> None:
    with pytest.raises(asyncio.CancelledError):
        await wait


@hw.task
async def tidies_up() -> Any:
    try:
        return await leaves_a_task_behind()
    finally:
        SWITCH["left"].cancel()


def test_what_an_attempt_left_behind_takes_nothing_from_the_next():
    assert Told((5.0, "a", "A")).run(tidies_up) == "A"


@hw.task(pool="thread", timeout=2)
def waits_in_a_thread() -> Any:
    return hw.wait(hw.wait_event("a"))


@hw.task
async def asks_after_the_thread() -> list[Any]:
    (end,) = await hw.settle(waits_in_a_thread())
    await rest(3)
    return [type(end.error).__name__, await soon("a")]


def test_a_thread_that_was_left_behind_takes_no_signal():
    assert Told((4.0, "a", "A")).run(asks_after_the_thread) == ["CallTimeout", "A"]
    assert Told((1.0, "a", "A")).run(waits_in_a_thread) == "A"


# --- time limits -----------------------------------------------------------------------------------------------------


@hw.task
async def approval() -> Any:
    try:
        return await hw.wait_event("approve", timeout=10)
    except TimeoutError:
        return "too late"


@pytest.mark.parametrize(("after", "said"), [(9.0, "Ann"), (11.0, "too late")])
def test_what_was_sent_in_time_while_nothing_ran_counts_and_what_was_not_does_not(after, said):
    told = Told()
    history = told.history
    history.live(approval, crash=Crash(1, "after"))
    assert history.lives[-1].how == "died"
    history.universe.now = after
    told.send("approve", "Ann")
    history.universe.now = 100.0
    assert told.run(approval) == said


def test_what_was_sent_in_the_last_moment_counts_though_nobody_has_seen_it_yet(go, clock):
    store = hw.MemoryStore()

    @hw.task
    async def program() -> Any:
        engine = (handle := rest(0))._call.engine
        await handle
        engine.loop.call_later(9.999, lambda: store.send_signal("run", "approve", encode_signal("Ann"), clock.now))
        return await approval()

    assert go(program, store=store) == "Ann"


@hw.task
async def strict() -> Any:
    return await hw.wait_event("approve", timeout=10)


def test_a_run_that_failed_because_nobody_answered_goes_on_with_a_late_answer():
    told = Told()
    assert isinstance(told.run(strict), TimeoutError)
    assert isinstance(told.run(strict), TimeoutError)  # it waited anew, and again in vain
    assert told.history.universe.now > 20
    told.send("approve", "Bob")
    assert told.run(strict) == "Bob"


def test_the_time_limit_of_a_wait_that_has_not_ended_is_kept():
    told = Told()
    told.history.live(strict, crash=Crash(1, "after"))
    told.history.universe.now = 8.0
    assert isinstance(told.run(strict), TimeoutError)
    assert told.history.universe.now < 12


# --- runs that fail, and forks ---------------------------------------------------------------------------------------


@hw.task
async def fails_once() -> list[Any]:
    got = [await hw.wait_event("a"), await ask("b")]
    if SWITCH.get("stop", True):
        raise ValueError("stop")
    return [*got, await soon("a"), await soon("b")]


def test_a_run_that_failed_is_told_the_same_when_it_goes_on():
    told = Told((1.0, "a", "A"), (1.1, "b", "B"))
    assert isinstance(told.run(fails_once), ValueError)
    SWITCH["stop"] = False
    assert told.run(fails_once) == ["A", "B", None, None]


@hw.task
async def approved(text: str) -> list[Any]:
    return [text, await hw.wait_event("approve")]


@hw.task
async def letters() -> list[Any]:
    return [await approved("first"), await approved("second"), await hw.wait_event("approve", timeout=5)]


def test_a_fork_has_the_signals_that_nothing_in_it_was_told():
    told = Told((1.0, "approve", "Ann"), (2.0, "approve", "Bob"), (2.5, "approve", "Cid"))
    expected = [["first", "Ann"], ["second", "Bob"], "Cid"]
    assert told.run(letters) == expected
    history = told.history
    rows = [row for row in history.rows() if row.kind & ~COSTED == Kind.OUTCOME]
    source = history.store.run(history.run_id)
    from headway.journal.recovery.forking import fork_rows

    fork_rows(history.store, source, rows[1].key.hex(), "fork", history.universe.start)
    fork = History(1, STEADY, store=history.store, run_id="fork")
    assert fork.live(letters).value == expected
    fork.check()


# --- real processes --------------------------------------------------------------------------------------------------

CHILD = """
import sys
import headway as hw

@hw.task
async def approval() -> str:
    try:
        return f"approved by {await hw.wait_event('approve', timeout=1.5)}"
    except TimeoutError:
        return "timeout"

print("ready", flush=True)
print(hw.run(approval, store=sys.argv[1], run_id="r", progress=False))
"""


@pytest.mark.long
def test_an_answer_that_came_while_the_process_was_down_is_an_answer(tmp_path):
    file = tmp_path / "child.py"
    file.write_text(CHILD)
    command = [sys.executable, str(file), str(tmp_path / "store")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as first:
        store = _opened(tmp_path / "store")
        began = _wait_began(store)
        first.kill()
    hw.signal("r", "approve", "Ann", store=store)
    while time.time() < began + 2:
        time.sleep(0.1)
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.splitlines()[-1] == "approved by Ann"


def _opened(path: Any) -> hw.SqliteStore:
    for _ in range(600):
        if (path / "journal.db").exists():
            return hw.SqliteStore(path)
        time.sleep(0.05)
    raise AssertionError("the child made no store")


def _wait_began(store: hw.SqliteStore) -> float:
    """When the row of the time limit was written."""
    for _ in range(600):
        if store.runs() and list(store.rows(store.run("r").uid)):
            return time.time()
        time.sleep(0.05)
    raise AssertionError("the child waits for nothing")


def test_every_wait_is_shown_with_what_it_was_told(go):
    seen: list[events.Event] = []
    store = hw.MemoryStore()

    @hw.task
    async def program() -> Any:
        hw.signal("run", "a", {"by": "Ann"}, store=store)
        return await hw.wait_event("a")

    assert go(program, store=store, events=seen.append) == {"by": "Ann"}
    assert go(program, store=store) == {"by": "Ann"}


@pytest.mark.parametrize("ended", [("call",), ("call", "parent"), ("call", "parent", "root")])
def test_a_call_that_ended_well_and_fails_when_it_is_asked_again_gives_its_signal_back(ended):
    """As it is asked again when the source of a task below it has changed."""
    given, sent = Given(), Signal(number=1, name="a", value=b"", at=0.0)
    above = {"call": b"parent", "parent": b"root", "root": b""}
    given.tell(b"wait", b"call", sent, 1)
    for name in ended:
        assert given.end(name.encode(), above[name], ok=True, afresh=False) == []
    assert given.free() == []
    assert given.end(b"call", b"parent", ok=False, afresh=False) == [1]
    assert given.end(b"parent", b"root", ok=False, afresh=True) == []
    assert given.free() == [sent]


@hw.task(retry=hw.Retry(attempts=2, delay_s=1, jitter=0))
async def owed(name: str) -> Any:
    value = await hw.wait_event("a")
    if hw.call().attempt == 1:
        raise ConnectionError(name)
    return value


@hw.task
async def edited() -> list[Any]:
    if SWITCH["edition"] == 1:
        return [await owed("first")]
    if SWITCH["edition"] == 2:
        return [await hw.wait_event("a")]
    return [await soon("b"), "asked for nothing"]


@pytest.mark.parametrize(("edition", "left"), [(2, []), (3, ["A"])])
def test_what_is_owed_to_a_call_that_an_edited_program_does_not_ask_for_is_free(edition, left):
    SWITCH["edition"] = 1
    whole = Told((0.5, "a", "A"))
    assert whole.run(edited) == ["A"]
    failed = [seq for seq, row in enumerate(whole.history.rows(), 1) if row.kind & ~COSTED == Kind.ATTEMPT]
    told = Told((0.5, "a", "A"))
    told.run(edited, crash=Crash(failed[0], "after"))
    assert told.history.lives[-1].how == "died"
    SWITCH["edition"] = edition
    told.history.edited = True
    value = told.run(edited)
    assert value == (["A"] if edition == 2 else [None, "asked for nothing"])
    engine = told.history.lives[-1].engine
    assert engine is not None
    assert [decode(each.value) for each in engine.signals.queue.get("a", ())] == left
