"""Signals are told to one wait that uses them: what a loser, a failed attempt or a stopped call was told goes back to the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from notes import RAN, SWITCH
from signalled import Told, ask, in_every_life, rest, soon

import headway as hw
from headway.sim.store import Crash


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


@pytest.mark.on_postgres
def test_a_wait_that_is_stopped_as_it_is_handed_a_signal_leaves_it_to_the_next(go):
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
