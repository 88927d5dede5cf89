"""A wall clock that is set, whatever waits for a time by it.

Set back, nothing waits longer than it was to wait; set ahead, what the clock has passed is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import headway as hw
from headway.engine.scopes.desk import PLACES_S
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

HOUR, YEAR = 3600.0, 365 * 86_400.0
LENGTH_S = 60.0
NOW: list[Callable[[], float]] = []  # the wall clock of the universe


async def rests() -> str:
    await hw.sleep(LENGTH_S)
    return "over"


@hw.task(retry=hw.Retry(attempts=2, delay_s=LENGTH_S, jitter=0.0))
async def fails_once() -> str:
    if hw.call().attempt == 1:
        raise OSError("not yet")
    return "over"


async def tries_again() -> str:
    return await fails_once()


async def waits_for_a_signal() -> str:
    try:
        await hw.wait_event("never", timeout=LENGTH_S)
    except TimeoutError:
        return "over"
    return "told"


@hw.task
async def endless() -> None:
    await asyncio.Event().wait()


async def bounded() -> str:
    with hw.deadline(LENGTH_S, raises=False):
        await endless()
    return "over"


async def bounded_twice() -> str:
    with hw.deadline(LENGTH_S, raises=False), hw.deadline(LENGTH_S + 50):
        await endless()
    return "over"


async def bounded_at_a_time() -> str:
    with hw.deadline(at=NOW[-1]() + LENGTH_S, raises=False):
        await endless()
    return "over"


async def bounded_as_a_whole() -> str:
    await endless()
    return "endless"


@hw.task
async def starts() -> None:
    pass


async def rated() -> str:
    with hw.limit(rate=1, per_s=LENGTH_S, name="door"):
        await hw.gather(starts(), starts())
    return "over"


@hw.task(pool="process")
def asks_what_is_left() -> float:
    return hw.time_left()


async def bounded_elsewhere() -> float:
    with hw.deadline(LENGTH_S):
        await hw.sleep(1.0)
        return await asks_what_is_left()


# program, the record after which the first driver dies
WAITS: dict[str, tuple[Any, int]] = {
    "a rest": (rests, 1),
    "a retry": (tries_again, 1),
    "a wait for a signal": (waits_for_a_signal, 2),
    "a deadline": (bounded, 1),
    "a deadline in another": (bounded_twice, 2),
    "a deadline at a time": (bounded_at_a_time, 1),
    "a run's own deadline": (bounded_as_a_whole, 1),
    "a shared rate": (rated, 1),
}


@pytest.fixture
def history():
    made = History(1, STEADY)
    NOW.append(lambda: made.universe.start + made.universe.now)
    yield made
    NOW.clear()


def options(what: str) -> dict[str, Any]:
    return {"deadline_s": LENGTH_S} if what == "a run's own deadline" else {}


def is_over(life: Any) -> bool:
    return life.value == "over" or isinstance(life.error, hw.DeadlineExceeded)


@pytest.mark.parametrize("set_by", [-HOUR, -YEAR, HOUR, YEAR], ids=["an hour back", "a year back", "an hour ahead", "a year ahead"])
@pytest.mark.parametrize("what", WAITS)
def test_a_wait_recorded_before_the_clock_was_set_lasts_no_longer_than_it_was_to(history, what, set_by):
    program, rows = WAITS[what]
    assert history.live(program, crash=Crash(rows, "after"), **options(what)).how == "died"
    began = history.universe.now
    assert began < LENGTH_S / 2
    history.universe.start += set_by
    life = history.live(program, **options(what))
    assert is_over(life), (life.value, life.error, life.stuck)
    took = history.universe.now - began
    if set_by < 0:
        # a start that was promised to the first driver counts at the latest time at which it might have begun
        assert took < (2 if what == "a shared rate" else 1) * LENGTH_S + 30
    else:
        assert took < LENGTH_S / 2, "the time passes also while nothing runs"


@pytest.mark.parametrize("set_by", [-HOUR, -YEAR], ids=["an hour back", "a year back"])
@pytest.mark.parametrize("what", WAITS)
def test_a_wait_lasts_no_longer_where_the_clock_is_set_back_meanwhile(history, what, set_by):
    program, _ = WAITS[what]

    def turn() -> None:
        history.universe.start += set_by

    history.universe.at(LENGTH_S / 3, turn)
    assert is_over(history.live(program, **options(what)))
    assert history.universe.now < LENGTH_S + 40


@pytest.mark.parametrize("set_by", [-HOUR, -YEAR], ids=["an hour back", "a year back"])
def test_a_call_in_another_process_is_told_no_more_time_than_its_deadline_was_to_last(history, set_by):
    assert history.live(bounded_elsewhere, crash=Crash(2, "after")).how == "died"
    history.universe.start += set_by
    assert 0 < history.live(bounded_elsewhere).value <= LENGTH_S


@hw.task
async def works() -> None:
    await asyncio.sleep(LENGTH_S)


async def holds_a_place() -> str:
    with hw.limit(1, name="desk"):
        await works()
    return "over"


@pytest.mark.parametrize("set_by", [-HOUR, -YEAR, HOUR, YEAR], ids=["an hour back", "a year back", "an hour ahead", "a year ahead"])
def test_a_place_that_is_held_when_the_clock_is_set_is_held_by_the_new_time_soon_after(history, set_by):
    def turn() -> None:
        history.universe.start += set_by

    def look() -> None:
        (place,) = history.store._boards["desk"].places.values()
        left.append(place.until - NOW[-1]())

    left: list[float] = []
    history.universe.at(15.0, turn)
    history.universe.at(30.0, look)
    assert is_over(history.live(holds_a_place))
    assert 0 < left[0] <= PLACES_S
