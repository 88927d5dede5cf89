"""Runs that start runs: to the run that starts it, a started run is a call."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from drivers_here import drivers, play

import headway as hw
from headway.journal.decisions import StartedEnded, decode_decision
from headway.journal.records import Kind, RunStatus
from headway.service.starting import CANCELLED_HERE

DONE: Counter[str] = Counter()  # how often code ran that must run once
BROKEN: set[str] = set()  # what fails


@pytest.fixture(autouse=True)
def afresh() -> None:
    DONE.clear()
    BROKEN.clear()


@hw.task
async def leaf(i: int) -> int:
    DONE[f"leaf {i}"] += 1
    return i


@hw.task
async def part(n: int) -> int:
    return sum(await hw.gather(*[leaf(10 * n + i) for i in range(n)]))


@hw.task
async def parts(n: int) -> int:
    return sum(await hw.gather(*[hw.start(part, i) for i in range(1, n + 1)]))


@hw.task
async def nested(depth: int) -> int:
    return depth + (await hw.start(nested, depth - 1) if depth else 0)


@hw.task
async def breaks(what: str) -> str:
    await leaf(1)
    if what in BROKEN:
        raise ValueError(f"{what} is broken")
    return what


@hw.task
async def starts_what_breaks(what: str) -> str:
    return await hw.start(breaks, what)


@hw.task(retry=hw.Retry(attempts=3, delay_s=60.0))
async def tries_again(what: str) -> str:
    started = hw.start(breaks, what)
    try:
        return await started
    finally:
        BROKEN.clear()


@hw.task
async def sleeps(seconds: float) -> str:
    await hw.sleep(seconds)
    DONE["slept"] += 1
    return "slept"


@hw.task
async def quick() -> str:
    await hw.sleep(1)
    return "quick"


@hw.task
async def parts_that_sleep(*seconds: float) -> list[str]:
    return await hw.gather(*[hw.start(sleeps, each) for each in seconds])


@hw.task
async def waits() -> str:
    await leaf(1)
    told: str = await hw.wait_event("go")
    DONE["told"] += 1
    return told


@hw.task
async def races() -> str:
    return await hw.race(hw.start(waits), quick())


@hw.task
async def waits_elsewhere() -> str:
    return await hw.start(waits)


@hw.task
async def charges(tokens: int) -> int:
    hw.charge(tokens=tokens)
    return tokens


@hw.task
async def spends(each: int, times: int) -> int:
    spent = 0
    for _ in range(times):
        spent += await charges.options(cost={"tokens": each}, key=spent)(each)
    return spent


@hw.task
async def within_budget(each: int, times: int, given: int) -> tuple[Any, float]:
    with hw.budget(tokens=1000) as budget:
        (found,) = await hw.settle(hw.start(spends, each, times, budget={"tokens": given}))
        return found.value if found.ok else type(found.error).__name__, budget.spent["tokens"]


@hw.task
async def too_much_at_once() -> list[str]:
    with hw.budget(tokens=1000):
        handles = [hw.start(spends, 1, n, budget={"tokens": 600}) for n in (1, 2)]
        return [type(each.error).__name__ if not each.ok else "ok" for each in await hw.settle(*handles)]


@hw.task
async def streams():
    yield 1


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what other threads do, while the clock goes on."""
    for _ in range(2000):
        if await asyncio.to_thread(is_so):
            return
        await asyncio.to_thread(threading.Event().wait, 0.01)
        await asyncio.sleep(0.5)
    raise AssertionError("it never happens")


def outcomes_of(store: hw.Store) -> dict[str, RunStatus]:
    return {info.spec.run_id: info.status for info in store.runs()}


def test_started_runs_are_calls_whose_results_are_joined():
    async def main(store: hw.Store) -> None:
        async with drivers(store):
            assert await hw.arun(parts, 3, store=store, run_id="all") == 10 + 20 + 21 + 30 + 31 + 32
        started = [info.spec for info in store.runs() if info.spec.run_id != "all"]
        assert [spec.started_by for spec in started] == ["all"] * 3
        assert all(spec.run_id.startswith("all/") for spec in started)
        assert set(DONE.values()) == {1}

    play(main(hw.MemoryStore()))


def test_a_started_run_starts_runs_itself():
    async def main(store: hw.Store) -> None:
        async with drivers(store):
            assert await hw.arun(nested, 4, store=store, run_id="all") == 10
        assert set(outcomes_of(store).values()) == {RunStatus.DONE}

    play(main(hw.MemoryStore()))


def test_a_starter_that_goes_on_finds_the_runs_that_it_has_started():
    async def main(store: hw.Store) -> None:
        first = asyncio.create_task(hw.arun(parts, 3, store=store, run_id="all"))
        await asyncio.sleep(5)  # nobody drives the parts
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        before = outcomes_of(store)
        assert len(before) == 4
        async with drivers(store):
            assert await hw.arun(parts, 3, store=store, run_id="all") == 144
        assert outcomes_of(store).keys() == before.keys()
        assert set(DONE.values()) == {1}

    play(main(hw.MemoryStore()))


def test_a_started_run_that_loses_its_driver_goes_on_elsewhere():
    async def main(store: hw.Store) -> None:
        started = asyncio.create_task(hw.arun(races_not, store=store, run_id="all"))
        async with drivers(store, parks=False) as first:
            await asyncio.sleep(5)
            (run_id,) = outcomes_of(store).keys() - {"all"}
            await first.stop(run_id)
            assert first.how(run_id) == ["handed over"]
        async with drivers(store):
            assert await started == "slept"
        assert DONE["slept"] == 1

    play(main(hw.MemoryStore()))


@hw.task
async def races_not() -> str:
    return await hw.start(sleeps, 600)


def test_a_starter_that_only_waits_is_parked_and_woken_by_the_end_of_what_it_started():
    async def main(store: hw.Store) -> None:
        hw.enqueue(parts_that_sleep, 60.0, 200.0, run_id="all", store=store)
        async with drivers(store) as found:
            await until(lambda: outcomes_of(store)["all"] == RunStatus.DONE)
            assert found.how("all")[0] == "parked"
            assert found.how("all")[-1] == "done"
        assert hw.result_of("all", store=store) == ["slept", "slept"]
        assert len(outcomes_of(store)) == 3
        assert DONE == {"slept": 2}

    play(main(hw.MemoryStore()))


def test_an_error_of_a_started_run_is_that_of_the_call():
    async def main(store: hw.Store) -> None:
        BROKEN.add("glass")
        async with drivers(store):
            with pytest.raises(ValueError, match="glass is broken"):
                await hw.arun(starts_what_breaks, "glass", store=store, run_id="all")

    play(main(hw.MemoryStore()))


def test_a_started_run_that_failed_goes_on_when_it_is_asked_for_again_and_keeps_what_had_succeeded():
    async def main(store: hw.Store) -> None:
        BROKEN.add("glass")
        async with drivers(store):
            with pytest.raises(ValueError, match="glass is broken"):
                await hw.arun(starts_what_breaks, "glass", store=store, run_id="all")
            with pytest.raises(ValueError, match="glass is broken"):
                await hw.aresume("all", store=store)
            BROKEN.clear()
            assert await hw.aresume("all", store=store) == "glass"
        assert DONE == {"leaf 1": 1}
        assert len(outcomes_of(store)) == 2

    play(main(hw.MemoryStore()))


def test_a_retry_has_the_started_run_go_on():
    async def main(store: hw.Store) -> None:
        BROKEN.add("glass")
        async with drivers(store):
            assert await hw.arun(tries_again, "glass", store=store, run_id="all") == "glass"
        assert DONE == {"leaf 1": 1}
        assert len(outcomes_of(store)) == 2

    play(main(hw.MemoryStore()))


def test_a_cancelled_call_has_its_run_cancelled():
    async def main(store: hw.Store) -> None:
        async with drivers(store) as found:
            assert await hw.arun(races, store=store, run_id="all") == "quick"
            (run_id,) = outcomes_of(store).keys() - {"all"}
            await until(lambda: outcomes_of(store)[run_id] == RunStatus.CANCELLED)
            assert found.how(run_id)[-1] == "cancelled"
        assert not DONE["told"]

    play(main(hw.MemoryStore()))


class Asked(hw.MemoryStore):
    """A store that sees whether its run has on record that it cancels another, when it does."""

    def __init__(self) -> None:
        super().__init__()
        self.was_noted: list[bool] = []

    def request_cancel(self, run_id: str, now: float) -> None:
        rows = [row for _, row in self.rows(self.run("all").uid) if row.kind == Kind.DECISION]
        self.was_noted.append(any(decode_decision(row.body).told == StartedEnded(CANCELLED_HERE) for row in rows))
        super().request_cancel(run_id, now)


def test_that_a_call_cancels_its_run_is_on_record_before_it_does():
    async def main(store: Asked) -> None:
        async with drivers(store):
            assert await hw.arun(races, store=store, run_id="all") == "quick"
        assert store.was_noted == [True]

    play(main(Asked()))


def test_a_run_that_was_cancelled_with_its_starter_goes_on_with_it():
    async def main(store: hw.Store) -> None:
        started = asyncio.create_task(hw.arun(waits_elsewhere, store=store, run_id="all"))
        async with drivers(store):
            await until(lambda: len(outcomes_of(store)) == 2)
            await asyncio.to_thread(hw.cancel, "all", store=store)
            with pytest.raises(hw.RunCancelled):
                await started
            await until(lambda: set(outcomes_of(store).values()) == {RunStatus.CANCELLED})
            (run_id,) = outcomes_of(store).keys() - {"all"}
            await asyncio.to_thread(hw.signal, run_id, "go", "now", store=store)
            assert await hw.aresume("all", store=store) == "now"
        assert DONE == {"leaf 1": 1, "told": 1}
        assert len(outcomes_of(store)) == 2

    play(main(hw.MemoryStore()))


def test_a_started_run_spends_what_was_reserved_for_it_and_the_rest_is_given_back():
    async def main(store: hw.Store) -> None:
        async with drivers(store):
            assert await hw.arun(within_budget, 70, 3, 300, store=store, run_id="all") == (210, 210)

    play(main(hw.MemoryStore()))


def test_a_started_run_can_not_spend_more_than_was_reserved_for_it():
    async def main(store: hw.Store) -> None:
        async with drivers(store):
            assert await hw.arun(within_budget, 70, 5, 300, store=store, run_id="all") == ("BudgetExceeded", 280)

    play(main(hw.MemoryStore()))


def test_a_started_run_whose_budget_is_not_there_is_refused_before_it_starts():
    async def main(store: hw.Store) -> None:
        async with drivers(store):
            assert await hw.arun(too_much_at_once, store=store, run_id="all") == ["ok", "BudgetExceeded"]
        assert len(outcomes_of(store)) == 2

    play(main(hw.MemoryStore()))


@hw.task
async def refused(what: str) -> str:
    tries: dict[str, Any] = {
        "budget": lambda: hw.start(part, 1),
        "stream": lambda: hw.start(streams),  # type: ignore[arg-type]
        "lambda": lambda: hw.start(hw.task(lambda: 1)),  # type: ignore[arg-type]
        "no task": lambda: hw.start(len),  # type: ignore[arg-type]
        "weight": lambda: hw.start(part, 1, weight=0.0),
    }
    try:
        if what == "budget":
            with hw.budget(tokens=1):
                await tries[what]()
        await tries[what]()
    except hw.UsageError as error:
        return str(error)
    return "nothing was refused"


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("budget", "inside of a budget needs budget="),
        ("stream", "hands items out, which another run can't"),
        ("lambda", "a lambda can't be found again by a worker"),
        ("no task", "is not a task. Decorate the function"),
        ("weight", "a weight is a number above 0"),
    ],
)
def test_what_can_not_be_started_is_refused_with_the_reason(what: str, says: str):
    async def main(store: hw.Store) -> None:
        assert says in await hw.arun(refused, what, store=store, run_id="all")
        assert list(outcomes_of(store)) == ["all"]

    play(main(hw.MemoryStore()))


def test_a_run_is_started_only_inside_of_a_run_that_has_a_store():
    with pytest.raises(hw.UsageError, match=r"outside of a run: use hw\.enqueue"):
        hw.start(part, 1)
    with pytest.raises(hw.UsageError, match="needs a store that workers share"):
        hw.run(parts, 1, store=None)
