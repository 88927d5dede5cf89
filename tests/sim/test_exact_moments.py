"""Promises that hang on one exact moment, which a drawn schedule seldom meets."""

from __future__ import annotations

import asyncio
import dataclasses

import headway as hw
from headway.journal.records import Kind
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash, SimStore

GATES: dict[str, asyncio.Future[None]] = {}


@hw.task
async def runner(name: str) -> str:
    await GATES[name]
    return name


@hw.task
async def photo_finish() -> str:
    """Both end in one turn of the loop, the second contestant first."""
    loop = asyncio.get_running_loop()
    GATES.update(a=loop.create_future(), b=loop.create_future())

    def end() -> None:
        for name in ("b", "a"):
            if not GATES[name].done():
                GATES[name].set_result(None)

    loop.call_later(1, end)
    return await hw.race(runner("a"), runner("b"))


def test_a_race_that_both_have_ended_has_the_winner_that_was_recorded():
    history = History(1, STEADY)
    assert history.live(photo_finish).value == "b"
    ends = [row for row in history.rows() if row.kind == Kind.OUTCOME]
    assert len(ends) == 3
    again = History(1, STEADY, store=history.store.cut("run", len(history.rows()) - 1))
    assert again.live(photo_finish).value == "b"
    again.check()


@hw.task
async def rest(seconds: float) -> None:
    await asyncio.sleep(seconds)


@hw.task
async def two_limits() -> float:
    with hw.limit(1, name="b"):
        long = rest(100)
    with hw.limit(1, name="a"), hw.limit(1, name="b"):
        both = rest(1)
    await asyncio.sleep(1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with hw.limit(1, name="a"):
        await rest(1)
    waited = loop.time() - began
    await hw.gather(long, both)
    return waited


def test_a_call_that_waits_for_one_limit_keeps_no_place_in_another():
    history = History(1, STEADY)
    assert history.live(two_limits).value < 5
    history.check()


FAULTS: list[OSError] = []


@hw.task
async def moody() -> int:
    if FAULTS:
        raise FAULTS.pop()
    return 7


LOOKED: list[int] = []


@hw.task(cache="forever")
async def survey(name: str) -> int:
    total = await look_at(1)
    await asyncio.sleep(10)
    return total + await look_at(2)


@hw.task
async def look_at(n: int) -> int:
    LOOKED.append(n)
    return n


@hw.task
async def impatient() -> None:
    asked = survey("s")
    await asyncio.sleep(1)
    asked.cancel()
    await hw.settle(asked)


@hw.task
async def asked_again_elsewhere() -> float:
    """One call asks for a shared result and gives up; another asks for the same."""
    with hw.budget(calls=100) as budget:
        await impatient()
        assert await survey("s") == 3
        return budget.spent["calls"]


def test_a_shared_call_that_another_one_asks_again_keeps_its_costs_and_what_it_did():
    LOOKED.clear()
    history = History(1, STEADY)
    assert history.live(asked_again_elsewhere).value == 5  # impatient, survey twice, look_at twice
    assert LOOKED == [1, 2]
    history.check()


@hw.task(on_change="rerun")
async def of_an_edition() -> int:
    if of_an_edition.spec._version == [b"second"]:
        raise ValueError("out of print")
    return 1


@hw.task
async def after_it(x: int) -> int:
    return x + 1


@hw.task(cache="forever")
async def shelf() -> None:
    await hw.settle(after_it(hw.ref(of_an_edition())))
    await rest(1)


@hw.task
async def pays_for_editions() -> float:
    with hw.budget(calls=10) as budget:
        await shelf()
        return budget.spent["calls"]


def test_a_call_that_is_not_run_again_because_its_input_fails_keeps_what_it_has_cost():
    history = History(1, STEADY)
    try:
        of_an_edition.spec._version[:] = [b"first"]
        assert history.live(pays_for_editions, crash=Crash(5, "after")).how == "died"
        of_an_edition.spec._version[:] = [b"second"]
        history.edited = True
        assert history.live(pays_for_editions).value == 6  # the shelf and the edition twice
        history.check()  # that the rows say the same
    finally:
        of_an_edition.spec._version.clear()


@hw.task(retry=hw.Retry(attempts=2, delay_s=0.1))
async def asks() -> int:
    return await moody()


def test_the_next_attempt_is_not_answered_with_the_errors_of_the_last_one():
    FAULTS[:] = [OSError("once")]
    history = History(1, STEADY)
    assert history.live(asks, crash=Crash(2, "after")).how == "died"  # the error, and that there is another attempt
    assert history.live(asks).value == 7
    history.check()


@hw.task
async def rests() -> float:
    await hw.sleep(60)
    return 1.0


def test_a_rest_that_was_recorded_before_the_clock_was_set_back_lasts_no_longer():
    history = History(1, STEADY)
    assert history.live(rests, crash=Crash(1, "after")).how == "died"  # when to wake is recorded
    history.universe.start -= 5 * 3600
    assert history.live(rests).value == 1.0
    assert history.universe.now < 130


@hw.task(retry=hw.Retry(attempts=2, delay_s=60.0, jitter=0.0))
async def fails_once() -> str:
    if hw.call().attempt == 1:
        raise OSError("once")
    return "answered"


async def asks_one_that_fails_once() -> str:
    return await fails_once()


def test_a_call_that_rested_when_its_process_died_rests_out_its_time():
    history = History(1, STEADY)
    assert history.live(asks_one_that_fails_once, crash=Crash(1, "after")).how == "died"  # when it is tried again is recorded
    failed_at = history.universe.now
    assert history.live(asks_one_that_fails_once).value == "answered"
    history.check()
    assert history.universe.now >= 60
    assert failed_at < 30, "and it had not rested before"


@hw.task
async def forgets() -> int:
    asyncio.get_running_loop().create_task(_fails())
    await asyncio.sleep(1)
    return 1


async def _fails() -> None:
    raise KeyError("lost")


def test_an_error_of_a_coroutine_that_nobody_awaits_is_no_secret():
    history = History(1, STEADY)
    history.live(forgets)
    found = [violation for violation in history.violations() if violation.promise == "nothing swallowed"]
    assert "KeyError('lost')" in found[0].what


def test_a_writer_that_loses_rows_is_seen(monkeypatch):
    append = SimStore.commit

    def lossy(self, lease, first_seq, rows, now, **more):
        kept = [row for row in rows if row.kind != Kind.DECISION]
        append(self, lease, len(self.history(lease.uid)) + 1, kept, now, **more)

    monkeypatch.setattr(SimStore, "commit", lossy)
    history = History(1, STEADY)
    assert history.live(rests).value == 1.0
    assert "all that was appended is there" in {violation.promise for violation in history.violations()}


@hw.task
async def strike(name: str) -> None:
    await asyncio.sleep(1)
    GATES[name].set_result(None)


@hw.task
async def of_two_minds(turns: int) -> int:
    """One of its coroutines begins to wait just about when the other may go on."""
    gate = GATES["struck"] = asyncio.get_running_loop().create_future()

    async def late() -> None:
        await gate
        for _ in range(turns):
            await asyncio.sleep(0)
        await rest(3)

    async def early() -> None:
        await first
        await second

    first, second = rest(1), strike("struck")
    await asyncio.gather(early(), late())
    return turns


@hw.task
async def one_at_a_time() -> int:
    with hw.limit(1):
        return sum([await of_two_minds(turns) for turns in range(12)])


def test_a_call_that_begins_to_wait_as_it_may_go_on_keeps_no_place():
    for seed in range(60):
        history = History(seed, dataclasses.replace(STEADY, shuffle=0.3))
        assert history.live(one_at_a_time).value == 66
        history.check()


@hw.task
async def alone(seconds: float) -> float:
    with hw.limit(1, name="of all"):
        await rest(seconds)
    return seconds


def test_a_driver_that_died_is_not_taken_for_one_of_another_universe():
    first = History("first", STEADY)
    assert first.live(alone, 1e6, kill_in=20).how == "died"
    assert [name for name, _ in first.store.slots_held()] == []
    beside = History("beside", STEADY, store=first.store, run_id="beside")
    assert beside.live(alone, 1.0).value == 1.0  # the dead one keeps no place
    beside.check()


async def _said(call: hw.Handle[float]) -> str:
    try:
        return f"rested {await call}"
    except hw.DeadlineExceeded as error:
        return str(error)


@hw.task
async def in_time(seconds: float, together: bool) -> str:
    with hw.deadline(seconds=1, raises=False):
        return str(await hw.gather(rest(seconds), rest(0.1))) if together else await _said(rest(seconds))
    return "too late"


@hw.task
async def late_and_in_time() -> list[str]:
    ends = [await in_time(5, False), await in_time(5, True), await in_time(0.5, False)]
    await rest(0.1)
    return ends


def test_a_block_that_heard_of_its_deadline_hears_of_it_again_and_not_the_code_inside():
    whole = History(1, STEADY)
    assert whole.live(late_and_in_time).value == (ends := ["too late", "too late", "rested None"])
    for rows in range(len(whole.rows())):
        again = History(2, STEADY, store=whole.store.cut(whole.run_id, rows))
        again.universe.now = whole.universe.now
        assert again.live(late_and_in_time).value[:2] == ends[:2], f"after a crash at row {rows}"
        again.check()


ABOVE: list[int] = []


@hw.task
async def number_of_its_own() -> float:
    return hw.random().random()


@hw.task
async def fails_below_a_first_attempt() -> None:
    if ABOVE == [1]:
        raise ValueError("not yet")


@hw.task(retry=hw.Retry(attempts=2, delay_s=0.1))
async def picky() -> float:
    number = await number_of_its_own()
    if hw.call().attempt == 1:
        raise ValueError(f"{number} is not liked")
    await fails_below_a_first_attempt()
    return number


@hw.task(retry=hw.Retry(attempts=2, delay_s=0.1))
async def asks_twice() -> float:
    ABOVE[:] = [hw.call().attempt]
    return await picky()


def test_a_call_asked_again_after_its_last_attempt_makes_the_same_calls_after_a_crash():
    whole = History(1, STEADY)
    value = whole.live(asks_twice).value
    calls = {row.key for row in whole.rows()}
    assert len(calls) == 7  # the two bodies, three numbers, and what failed in one epoch and succeeded in the next
    for rows in range(1, len(whole.rows())):
        history = History(1, STEADY)
        assert history.live(asks_twice, crash=Crash(rows, "after")).how == "died"
        assert history.live(asks_twice).value == value
        assert {row.key for row in history.rows()} == calls
        history.check()
