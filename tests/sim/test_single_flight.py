"""Two runs of one store that ask for the same at the same time: one computes it, and nobody hangs, whoever dies."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import headway as hw
from headway.events import CallStarted
from headway.journal.records import Kind
from headway.journal.recovery.recovered import decode_outcome
from headway.sim.config import STEADY, SimConfig
from headway.sim.history import History, Incarnation

RAN: list[Any] = []
DOWN: Counter[str] = Counter()  # how often a service is still down
DONE: dict[str, str] = {}  # effects that have happened
HANDLES: dict[tuple[str, str], hw.Handle[str]] = {}


@pytest.fixture(autouse=True)
def _fresh_world() -> Iterator[None]:
    for notes in (RAN, DOWN, DONE, HANDLES):
        notes.clear()  # type: ignore[attr-defined]
    return


class Beside:
    """Runs that go on at the same time, in one universe and on one store."""

    def __init__(self, seed: object, config: SimConfig | None = STEADY, names: tuple[str, ...] = ("one", "two")) -> None:
        first = History(seed, config, run_id=names[0])
        self.universe, self.store = first.universe, first.store
        self.runs = {names[0]: first}
        for name in names[1:]:
            self.runs[name] = History(seed, config, run_id=name, store=self.store)
            self.runs[name].universe = self.store.universe = self.universe

    def start(self, name: str, program: Callable[..., Any], *args: Any, **options: Any) -> Incarnation:
        return self.runs[name].start(program, *args, **options)

    def finish(self, **lives: Incarnation) -> dict[str, Any]:
        """What each run returned, or the class and the text of its error."""
        said = {}
        for name, life in lives.items():
            self.runs[name].finish(life)
            self.runs[name].check()
            assert not life.stuck, life.stuck
            said[name] = life.value if life.error is None else f"{type(life.error).__name__}: {life.error}"
        return said

    def both(self, program: Callable[..., Any], *args: Any) -> dict[str, Any]:
        """All runs of one program, started at once; nothing is claimed any more when they have ended."""
        said = self.finish(**{name: self.start(name, program, *args) for name in self.runs})
        assert self.store.claims() == {}
        return said

    def until(self, condition: Callable[[], bool], life: Incarnation) -> bool:
        """Go on until it holds; False where the program has ended before."""
        over = self.universe.end_of(life.process)
        self.universe.run(lambda: condition() or over())
        return not over()

    def pass_time(self, seconds: float) -> None:
        until = self.universe.now + seconds
        self.universe.at(until, lambda: None)
        self.universe.run(lambda: self.universe.now >= until)


async def told(call: hw.Handle[Any]) -> str:
    try:
        return f"value {await call}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@hw.task(cache="forever")
async def fetch(what: str) -> int:
    RAN.append(what)
    await asyncio.sleep(5)
    if DOWN[what] > 0:
        DOWN[what] -= 1
        raise ConnectionError(f"{what} is down")
    return len(what)


@hw.task
async def asks(*what: str) -> list[str]:
    return [await told(call) for call in [fetch(each) for each in what]]


# --- one computes, the others wait -----------------------------------------------------------------------------------


def test_equal_calls_of_two_runs_run_once():
    assert Beside(1).both(asks, "sky") == {"one": ["value 3"], "two": ["value 3"]}
    assert RAN == ["sky"]


@pytest.mark.parametrize("seed", range(12))
def test_of_many_names_each_is_computed_once_on_any_schedule(seed):
    names = tuple(f"name {n}" for n in range(7))
    beside = Beside(seed, None, ("one", "two", "three"))
    lives = {name: beside.start(name, asks, *names[n:], *names[:n]) for n, name in enumerate(beside.runs)}
    said = beside.finish(**lives)
    assert all(sorted(ends) == ["value 6"] * 7 for ends in said.values())
    assert sorted(RAN) == sorted(names)
    assert beside.store.claims() == {}


def test_a_failure_belongs_to_the_call_that_got_it_and_the_next_one_runs():
    DOWN["sky"] = 1
    said = Beside(1).both(asks, "sky")
    assert sorted(said.values()) == [["ConnectionError: sky is down"], ["value 3"]]
    assert RAN == ["sky", "sky"]


@hw.task
async def gives_up() -> str:
    call = fetch("sky")
    await asyncio.sleep(1)
    call.cancel("not needed")
    return await told(call)


def test_when_the_one_that_computes_is_cancelled_the_other_one_does_it():
    beside = Beside(1)
    first = beside.start("one", gives_up)
    assert beside.until(lambda: bool(RAN), first)
    said = beside.finish(one=first, two=beside.start("two", asks, "sky"))
    assert said["one"].startswith("CallCancelled")
    assert said["two"] == ["value 3"]
    assert RAN == ["sky", "sky"]


@hw.task
async def fails_and_stays() -> str:
    end = await told(fetch("sky"))
    await asyncio.sleep(1000)
    return end


def test_a_run_that_goes_on_after_its_call_has_failed_keeps_nobody_waiting():
    DOWN["sky"] = 1
    beside = Beside(1)
    first = beside.start("one", fails_and_stays)
    assert beside.until(lambda: bool(RAN), first)
    assert beside.finish(two=beside.start("two", asks, "sky")) == {"two": ["value 3"]}
    assert beside.universe.now < 20
    assert beside.finish(one=first)["one"].startswith("ConnectionError")


@hw.task
async def gives_up_after(steps: int) -> str:
    call = fetch("sky")
    for _ in range(steps):
        await asyncio.sleep(0)
    call.cancel("not needed")
    end = await told(call)
    await asyncio.sleep(1000)
    return end


@pytest.mark.parametrize("steps", range(8))
def test_a_call_that_is_cancelled_while_it_asks_leaves_no_claim(steps):
    beside = Beside(1)
    first = beside.start("one", gives_up_after, steps)
    assert beside.until(lambda: beside.universe.now > 1, first)
    assert beside.store.claims() == {}
    assert beside.finish(one=first)["one"].startswith("CallCancelled")


@hw.task(cache="forever", cost={"tokens": 10})
async def priced(x: int) -> int:
    RAN.append(x)
    await asyncio.sleep(5)
    return x


@hw.task
async def pays() -> list[Any]:
    with hw.budget(tokens=10) as budget:
        call = priced(1)
        await asyncio.sleep(1)
        left = hw.remaining("tokens")
        return [left, await call, budget.spent.get("tokens", 0.0)]


def test_a_call_that_waits_for_another_run_reserves_and_costs_nothing():
    said = Beside(1).both(pays)
    assert sorted(said.values()) == [[0.0, 1, 10.0], [10.0, 1, 0.0]]


@hw.task
async def tick(n: int) -> int:
    return n


@hw.task
async def goes_on_beside() -> list[Any]:
    with hw.limit(1):
        call, ticks = fetch("sky"), [tick(n) for n in range(3)]
        done = await hw.gather(*ticks)
        began = hw.now()
        return [done, (await call), hw.now() - began > 1]


def test_a_call_that_waits_for_another_run_keeps_nobody_from_running():
    beside = Beside(1)
    first = beside.start("one", asks, "sky")
    assert beside.until(lambda: bool(RAN), first)
    second = beside.start("two", goes_on_beside, max_active=1)
    assert beside.finish(one=first, two=second)["two"] == [[0, 1, 2], 3, True]
    assert RAN == ["sky"]


@hw.task
async def hurried() -> str:
    with hw.deadline(seconds=1, raises=False):
        return f"value {await fetch('sky')}"
    return "too late"


def test_a_deadline_ends_a_call_that_waits_for_another_run_at_once():
    beside = Beside(1)
    first = beside.start("one", asks, "sky")
    assert beside.until(lambda: bool(RAN), first)
    began, second = beside.universe.now, beside.start("two", hurried)
    assert not beside.until(lambda: False, second)
    assert beside.universe.now - began < 1.5
    assert beside.finish(two=second, one=first) == {"one": ["value 3"], "two": "too late"}
    assert RAN == ["sky"]
    assert beside.store.claims() == {}


def test_a_wait_ends_soon_after_the_result_is_there():
    beside = Beside(1)
    lives = {name: beside.start(name, asks, "sky") for name in beside.runs}
    beside.finish(**lives)
    assert beside.universe.now < 6


# --- deaths ----------------------------------------------------------------------------------------------------------


@hw.task(cache="forever")
async def word(n: int) -> str:
    RAN.append(n)
    await asyncio.sleep(0.5)
    return f"word {n}"


@hw.task(cache="forever")
async def line(n: int) -> str:
    RAN.append(f"line {n}")
    return ", ".join(await hw.gather(*(word(k) for k in range(n))))


@hw.task
async def page() -> list[str]:
    return list(await hw.gather(line(2), line(3), line(1)))


WHOLE = [", ".join(f"word {k}" for k in range(n)) for n in (2, 3, 1)]


@pytest.mark.parametrize("seed", range(15))
def test_shared_calls_below_shared_calls_are_computed_once_on_any_schedule(seed):
    assert Beside(seed, None, ("one", "two", "three")).both(page) == dict.fromkeys(("one", "two", "three"), WHOLE)
    assert max(Counter(RAN).values()) == 1


def test_when_the_one_that_computes_dies_at_any_record_the_other_one_takes_over():
    whole = Beside(1)
    whole.both(page)
    size = len(whole.runs["one"].rows())
    assert size > 6
    for rows in range(size):
        RAN.clear()
        beside = Beside(1)
        one, two = beside.start("one", page), beside.start("two", page)
        assert beside.until(lambda: len(beside.runs["one"].rows()) >= rows and len(RAN) > 1, one)  # noqa: B023
        one.process.kill()
        beside.runs["one"].finish(one)
        assert beside.finish(two=two)["two"] == WHOLE, f"killed at row {rows} of {size}"
        ran = len(RAN)
        assert beside.finish(one=beside.start("one", page))["one"] == WHOLE
        assert len(RAN) == ran, "all of it was there"
        assert beside.store.claims() == {}


@pytest.mark.parametrize("seed", range(10))
def test_killed_at_any_step_of_any_schedule_both_runs_end_with_all_of_it(seed):
    beside = Beside(seed, None)
    lives = {name: beside.start(name, page) for name in beside.runs}
    for number in range(6):
        name = ("one", "two")[number % 2]
        stop = beside.universe.steps + 30 + 23 * seed
        if beside.until(lambda: beside.universe.steps >= stop, lives[name]):  # noqa: B023 - asked before the next round
            lives[name].process.kill()
            beside.runs[name].finish(lives[name])
            lives[name] = beside.start(name, page)
    assert beside.finish(**lives) == {"one": WHOLE, "two": WHOLE}
    assert beside.store.claims() == {}


def test_a_process_that_stands_still_for_longer_than_its_lease_loses_its_claims():
    beside = Beside(1)
    first = beside.start("one", asks, "sky")
    assert beside.until(lambda: bool(RAN), first)
    beside.universe.freeze(first.process, 100)
    began = beside.universe.now
    assert beside.finish(two=beside.start("two", asks, "sky")) == {"two": ["value 3"]}
    assert 15 < beside.universe.now - began < 50
    assert beside.finish(one=first) == {"one": ["value 3"]}
    assert RAN == ["sky", "sky"]


def test_a_computation_that_takes_longer_than_a_lease_keeps_its_claim():
    assert Beside(1).both(slow) == {"one": 7, "two": 7}
    assert RAN == ["slow"]


@hw.task(cache="forever")
async def takes_minutes() -> int:
    RAN.append("slow")
    await asyncio.sleep(400)
    return 7


@hw.task
async def slow() -> int:
    return await takes_minutes()


# --- effects ---------------------------------------------------------------------------------------------------------


def happened(whom: str) -> hw.Happened | None:
    RAN.append("verify")
    return hw.Happened(DONE[whom]) if whom in DONE else None


@hw.task(cache="forever", effect=True, verify=happened)
async def pay(whom: str) -> str:
    RAN.append("pay")
    await asyncio.sleep(1)
    DONE[whom] = f"paid {whom} once"
    await asyncio.sleep(1)
    return DONE[whom]


@hw.task
async def pays_her() -> str:
    return await pay("her")


def test_an_effect_that_two_runs_ask_for_happens_once():
    assert Beside(1).both(pays_her) == {"one": "paid her once", "two": "paid her once"}
    assert RAN == ["pay"]


@pytest.mark.parametrize("paid", [True, False])
def test_an_effect_that_may_have_happened_under_a_dead_claim_is_verified_first(paid):
    beside = Beside(1)
    one, two = beside.start("one", pays_her), beside.start("two", pays_her)
    assert beside.until(lambda: bool(DONE) if paid else "pay" in RAN, one)
    payer = next(
        life for life in (one, two) if any(type(event) is CallStarted and event.task.endswith("pay") for event in life.event_log)
    )
    payer.process.kill()
    name, other = ("one", "two") if payer is one else ("two", "one")
    beside.runs[name].finish(payer)
    assert beside.finish(**{other: two if payer is one else one}) == {other: "paid her once"}
    assert (["pay", "verify"] if paid else ["pay", "verify", "pay"]) == RAN


# --- circles ---------------------------------------------------------------------------------------------------------


@hw.task(cache="forever")
async def needs_the_other(n: int, of: int) -> int:
    await asyncio.sleep(1)
    return await needs_the_other((n + 1) % of, of)


@hw.task
async def goes_in_circles(n: int, of: int) -> str:
    return await told(needs_the_other(n, of))


@pytest.mark.parametrize("of", [2, 3])
def test_runs_that_need_each_others_results_are_refused_instead_of_waiting_for_ever(of):
    beside = Beside(1, STEADY, ("one", "two", "three")[:of])
    lives = {name: beside.start(name, goes_in_circles, n, of) for n, name in enumerate(beside.runs)}
    assert all(end.startswith("CycleError") for end in beside.finish(**lives).values())


@hw.task(cache="forever")
async def side(which: str) -> str:
    RAN.append(which)
    await asyncio.sleep(3)
    run = hw.call().run_id
    if (run, which) in (("one", "left"), ("two", "right")):
        return await HANDLES[run, "right" if which == "left" else "left"] + which
    return which


@hw.task
async def two_sides(*order: str) -> list[str]:
    run = hw.call().run_id
    for which in order:
        HANDLES[run, which] = side(which)
        await asyncio.sleep(1)
    return [await HANDLES[run, which] for which in order]


@pytest.mark.parametrize("seed", range(8))
def test_runs_whose_calls_come_to_wait_for_each_other_later_go_on(seed):
    beside = Beside(seed, STEADY if not seed else None)
    lives = {"one": beside.start("one", two_sides, "left", "right"), "two": beside.start("two", two_sides, "right", "left")}
    said = beside.finish(**lives)
    assert all(isinstance(ends, list) for ends in said.values()), said
    assert len(RAN) <= 4
    assert beside.store.claims() == {}


def test_each_run_that_waited_has_a_row_of_its_own_that_says_who_shared():
    beside = Beside(1)
    beside.both(asks, "sky")
    ends = [
        decode_outcome(row.body)
        for history in beside.runs.values()
        for row in history.rows()
        if row.kind & 15 == Kind.OUTCOME and decode_outcome(row.body).shared
    ]
    assert len(ends) == 2
    assert len({end.shared for end in ends}) == 1
    assert sum(end.started > 0 for end in ends) == 1
