"""A run that only waits is given back, and goes on elsewhere as if nothing had happened."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from serving import drive, put

import headway as hw
from headway import testing
from headway.context import encode_signal
from headway.engine.transitions import FINISHING, READY, RESTING, RUNNING, STARTING, WAITING
from headway.engine.waiting.parking import WORTH_S, Live, Standing, decide_parking
from headway.journal.shared.queues import JobState

did: list[str] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    did.clear()


@pytest.fixture
def store() -> hw.MemoryStore:
    return hw.MemoryStore()


@hw.task(effect=True)
async def act(what: str) -> str:
    did.append(what)
    return what


@hw.task
async def step(what: str) -> str:
    did.append(what)
    return what


@hw.task
async def rests(seconds: float) -> list[str]:
    before = await act("before")
    await hw.sleep(seconds)
    return [before, await act("after")]


def tell(store: hw.MemoryStore, clock: testing.VirtualClock, answer: str) -> None:
    store.send_signal("run", "answer", encode_signal(answer), clock.now)


def job(store: hw.MemoryStore, clock: testing.VirtualClock, run_id: str = "run") -> JobState | None:
    found = store.job(run_id, clock.now)
    return None if found is None else found.state


# --- the rule --------------------------------------------------------------------------------------------------------

SLEEPS = Live("sleeper", RUNNING, waits=1)


@pytest.mark.parametrize(
    ("calls", "waiting", "busy", "answer"),
    [
        ([SLEEPS], 1, "", math.inf),
        ([SLEEPS, Live("parent", RUNNING, waits=1)], 2, "", math.inf),
        ([Live("tried again", RESTING)], 0, "", math.inf),
        ([SLEEPS, Live("with an input", WAITING, follows=True), Live("left", FINISHING, follows=True)], 1, "", math.inf),
        ([Live("works", RUNNING)], 0, "", "works is running"),
        ([SLEEPS, Live("works", RUNNING)], 1, "", "works is running"),
        ([Live("for room", READY)], 0, "", "for room is ready"),
        ([Live("for the disk", STARTING)], 0, "", "for the disk is starting"),
        ([Live("for the store", WAITING)], 0, "", "for the store is waiting"),
        ([Live("pays", RUNNING, waits=1, keeps="is an effect that has begun")], 1, "", "pays is an effect that has begun"),
        ([SLEEPS], 2, "", "code of it waits for something that is not durable"),
        ([SLEEPS], 1, "a body runs", "a body runs"),
        ([], 0, "", "it ends"),
    ],
)
def test_a_run_is_parked_where_every_call_waits_for_what_is_durable(
    calls: list[Live], waiting: int, busy: str, answer: float | str
) -> None:
    assert decide_parking(Standing(calls, waiting, busy)) == answer


def test_a_run_is_parked_until_the_first_thing_that_happens_in_it_if_that_is_worth_it() -> None:
    assert decide_parking(Standing([SLEEPS], 1, "", [60.0, WORTH_S, 9.0])) == WORTH_S
    assert decide_parking(Standing([SLEEPS], 1, "", [60.0, WORTH_S / 2])) == f"it goes on in {WORTH_S / 2:g} s"


# --- runs ------------------------------------------------------------------------------------------------------------


def test_a_run_that_sleeps_is_given_back_until_it_wakes(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    put(store, clock, rests, 3600.0)
    began = clock.now
    ended = drive(store, clock)
    assert ended is not None
    assert (ended.how, did) == ("parked", ["before"])
    assert ended.until == pytest.approx(began + 3600, abs=1)
    assert clock.now < began + 10
    assert job(store, clock) == JobState.PARKED
    assert drive(store, clock) is None
    clock.advance(began + 3600 - clock.now + 0.1)
    ended = drive(store, clock)
    assert ended is not None
    assert (ended.how, did) == ("done", ["before", "after"])
    assert hw.result_of("run", store=store) == ["before", "after"]
    assert job(store, clock) is None


@hw.task
async def asks() -> str:
    await step("asked")
    return f"told {await hw.wait_event('answer')}"


def test_a_signal_wakes_a_parked_run(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    put(store, clock, asks)
    ended = drive(store, clock)
    assert ended is not None
    assert (ended.how, ended.until) == ("parked", None)
    clock.advance(86_400)
    assert drive(store, clock) is None
    tell(store, clock, "yes")
    ended = drive(store, clock)
    assert ended is not None
    assert ended.how == "done"
    assert hw.result_of("run", store=store) == "told yes"
    assert did == ["asked"]


class Interposed(hw.MemoryStore):
    """A store to which something happens just before a run is given back."""

    def __init__(self, before: Callable[[hw.MemoryStore], None]) -> None:
        super().__init__()
        self._before: Callable[[hw.MemoryStore], None] | None = before

    def _strike(self, after: Any) -> None:
        if self._before is not None and after is not None and after.parked:
            before, self._before = self._before, None
            before(self)

    def commit(self, *args: Any, **kwargs: Any) -> None:
        ending = kwargs.get("ending")
        self._strike(ending.after if ending is not None else None)
        super().commit(*args, **kwargs)

    def release(self, *args: Any, **kwargs: Any) -> None:
        self._strike(kwargs.get("after"))
        super().release(*args, **kwargs)


def test_a_signal_that_is_sent_while_a_run_is_being_parked_wakes_it(clock: testing.VirtualClock) -> None:
    store = Interposed(lambda store: tell(store, clock, "in between"))
    put(store, clock, asks)
    ended = drive(store, clock)
    assert ended is not None
    assert ended.how == "parked"
    assert job(store, clock) == JobState.WAITING
    ended = drive(store, clock)
    assert ended is not None
    assert (ended.how, hw.result_of("run", store=store)) == ("done", "told in between")


def test_a_cancel_that_is_asked_for_while_a_run_is_being_parked_ends_it(clock: testing.VirtualClock) -> None:
    store = Interposed(lambda store: store.request_cancel("run", clock.now))
    put(store, clock, asks)
    drive(store, clock)
    ended = drive(store, clock)
    assert ended is not None
    assert ended.how == "cancelled"
    with pytest.raises(hw.RunCancelled):
        hw.result_of("run", store=store)


def test_a_parked_run_that_is_cancelled_ends(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    put(store, clock, asks)
    drive(store, clock)
    store.request_cancel("run", clock.now)
    ended = drive(store, clock)
    assert ended is not None
    assert ended.how == "cancelled"
    assert job(store, clock) is None


@hw.task
async def asks_in_time() -> str:
    try:
        return f"told {await hw.wait_event('answer', timeout=600)}"
    except TimeoutError:
        return await act("nobody answered")


def test_a_wait_for_a_signal_keeps_its_time_limit_while_its_run_is_parked(
    store: hw.MemoryStore, clock: testing.VirtualClock
) -> None:
    began = clock.now
    put(store, clock, asks_in_time)
    ended = drive(store, clock)
    assert ended is not None
    assert ended.until == pytest.approx(began + 600, abs=1)
    clock.advance(601)
    ended = drive(store, clock)
    assert ended is not None
    assert (ended.how, did) == ("done", ["nobody answered"])


@hw.task
async def within(seconds: float) -> str:
    with hw.deadline(seconds=seconds):
        await hw.wait_event("answer")
    return "answered"


def test_a_deadline_passes_at_its_time_although_the_run_is_parked(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    began = clock.now
    put(store, clock, within, 100.0)
    ended = drive(store, clock)
    assert ended is not None
    assert ended.until == pytest.approx(began + 100, abs=1)
    clock.advance(began + 100 - clock.now + 0.5)
    ended = drive(store, clock)
    assert ended is not None
    assert ended.how == "failed"
    with pytest.raises(hw.DeadlineExceeded):
        hw.result_of("run", store=store)


class Down(ConnectionError):
    pass


@hw.task(retry=hw.Retry(attempts=3, delay_s=50.0, factor=1.0, jitter=0.0))
async def flaky() -> int:
    did.append("tried")
    if len(did) < 3:
        raise Down("not yet")
    return len(did)


@hw.task
async def tries() -> int:
    return await flaky()


def test_a_run_whose_call_waits_for_its_next_attempt_is_parked_and_attempts_are_counted_on(
    store: hw.MemoryStore, clock: testing.VirtualClock
) -> None:
    put(store, clock, tries)
    for _ in range(2):
        ended = drive(store, clock)
        assert ended is not None
        assert ended.how == "parked"
        assert ended.until is not None
        assert drive(store, clock) is None
        clock.advance(ended.until - clock.now + 0.01)
    ended = drive(store, clock)
    assert ended is not None
    assert ended.how == "done"
    assert hw.result_of("run", store=store) == 3


@hw.task
async def counts() -> list[str]:
    async def one(name: str) -> str:
        await hw.sleep(100.0)
        return await step(name)

    with hw.budget(calls=4):
        done = list(await hw.gather(one("a"), one("b")))
        done.append(await slept("c"))
        left = hw.remaining()["calls"]
    return [*done, f"{left:g}"]


@hw.task
async def slept(name: str) -> str:
    await hw.sleep(100.0)
    return await step(name)


def test_a_budget_counts_a_call_once_however_often_its_run_was_parked(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    put(store, clock, counts)
    hows = []
    while (ended := drive(store, clock)) is not None:
        hows.append(ended.how)
        if ended.until is not None:
            clock.advance(ended.until - clock.now + 0.01)
    assert hows == ["parked", "parked", "done"]
    assert hw.result_of("run", store=store) == ["a", "b", "c", "0"]
    assert did == ["a", "b", "c"]


@hw.task
async def first_of_two() -> str:
    return str(await hw.race(asks_in_time(), rests(200.0)))


def test_a_race_of_two_that_wait_goes_on_with_the_winner(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    put(store, clock, first_of_two)
    ended = drive(store, clock)
    assert ended is not None
    assert ended.how == "parked"
    clock.advance(201)
    ended = drive(store, clock)
    assert ended is not None
    assert ended.how == "done"
    assert hw.result_of("run", store=store) == "['before', 'after']"
    assert did == ["before", "after"]


# --- runs that stay --------------------------------------------------------------------------------------------------


@hw.task
async def computes() -> str:
    await asyncio.sleep(60)  # a body that waits for the world
    return "computed"


@hw.task(effect=True)
async def acts_slowly() -> str:
    did.append("began")
    await hw.sleep(60)
    return "acted"


@hw.task(timeout=50)
async def with_a_timeout() -> str:
    await hw.wait_event("never")
    return "unreachable"


@hw.task
async def with_a_timer_of_its_own() -> str:
    try:
        async with asyncio.timeout(60):
            await hw.wait_event("never")
    except TimeoutError:
        return "timed out"
    return "unreachable"


@hw.task
async def beside_code_of_its_own() -> str:
    slow = asyncio.create_task(asyncio.sleep(60, "slow"))
    with hw.deadline(seconds=1000):
        await hw.sleep(30)
    return await slow


@hw.task(limit=hw.limit(1, name="licence"))
async def with_a_licence() -> str:
    await hw.sleep(60)
    return "licensed"


@hw.task(cost={"usd": 2.0})
async def costs_money() -> str:
    await hw.sleep(60)
    return "paid"


@hw.task
async def all_of(names: list[str]) -> list[str]:
    tasks = {
        "computes": computes,
        "acts": acts_slowly,
        "its own timer": with_a_timer_of_its_own,
        "its own code": beside_code_of_its_own,
        "licence": with_a_licence,
        "money": costs_money,
    }
    return list(await hw.gather(*(tasks[name]() for name in names), slept("beside")))


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("computes", "computed"),
        ("acts", "acted"),
        ("its own timer", "timed out"),
        ("its own code", "slow"),
        ("licence", "licensed"),
        ("money", "paid"),
    ],
)
def test_a_run_stays_while_something_goes_on_in_it_that_another_process_would_not_have(
    name: str, result: str, store: hw.MemoryStore, clock: testing.VirtualClock
) -> None:
    put(store, clock, all_of, [name])
    hows, began = [], clock.now
    while (ended := drive(store, clock)) is not None:
        hows.append((ended.how, clock.now - began >= 59))
        if ended.until is not None:
            clock.advance(ended.until - clock.now + 0.01)
    assert hows[-1] == ("done", True)
    assert all(late for _, late in hows), hows
    assert hw.result_of("run", store=store) == [result, "beside"]
    assert did.count("began") == (name == "acts")


def test_a_timeout_of_a_call_passes_although_the_call_only_waits(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    put(store, clock, with_a_timeout)
    ended = drive(store, clock)
    assert ended is not None
    assert ended.how == "failed"
    with pytest.raises(hw.CallTimeout):
        hw.result_of("run", store=store)


def test_a_short_sleep_is_slept_here(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    put(store, clock, rests, 4.0)
    ended = drive(store, clock)
    assert ended is not None
    assert ended.how == "done"


def test_a_driver_that_does_not_park_waits_itself(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    put(store, clock, rests, 600.0)
    ended = drive(store, clock, parks=False)
    assert ended is not None
    assert ended.how == "done"
