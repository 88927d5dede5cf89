"""Budgets that wait: who waits, who goes first, who is refused, and what a wait holds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from spending import HANDLES, ORDER, priced, spends

import headway as hw
from headway import events


@pytest.fixture(autouse=True)
def _forget() -> None:
    ORDER.clear()
    HANDLES.clear()


@pytest.mark.on_postgres
def test_a_call_waits_until_its_siblings_have_settled(go):
    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True) as budget:
            names = await hw.gather(*(spends(str(n)) for n in range(6)))
        return names, budget.spent["tokens"]

    assert go(program) == ([*"012345"], 60)


def test_a_call_goes_on_when_one_that_had_charged_for_itself_gives_back_the_rest(go):
    @hw.task(cost={"tokens": 70})
    async def charges_first() -> None:
        hw.charge(tokens=1)
        await asyncio.sleep(1)

    @hw.task
    async def program() -> None:
        with hw.deadline(seconds=100), hw.budget(tokens=100, wait=True):
            await hw.gather(charges_first(), priced(60)("late"))

    go(program)
    assert ORDER == ["late"]


def test_it_is_refused_when_more_is_spent_than_it_would_leave(go, clock):
    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            hurried, slow, late = spends("a", 1, 70), spends("b", 50), spends("c")
            end = (await hw.settle(late))[0]
            return str(end.error), hurried.done(), slow.done()

    said, hurried, slow = go(program)
    assert "40 tokens asked, but of 100 tokens 70 are spent and 40 reserved" in said
    assert (hurried, slow) == (True, False)


def test_it_is_refused_at_once_also_behind_another_one_and_while_who_spent_it_goes_on(go):
    @hw.task(cost={"tokens": 40})
    async def goes_on() -> str:
        await asyncio.sleep(1)
        hw.charge(tokens=45)
        await asyncio.sleep(50)
        return "done"

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            running, beside, head, behind = goes_on(), priced(40)("beside", 50), priced(30)("head"), priced(56)("behind")
            refused = (await hw.settle(behind))[0]
            return str(refused.error), running.done(), head.done(), await beside

    said, running, head, _ = go(program)
    assert "56 tokens asked, but of 100 tokens 45 are spent" in said
    assert (running, head) == (False, False)


def test_what_wants_more_than_there_is_does_not_wait(go):
    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            running = spends("a", 50)
            end = (await hw.settle(priced(101)("b")))[0]
            return str(end.error), running.done()

    said, done = go(program)
    assert "101 tokens asked" in said
    assert not done


def test_the_number_of_calls_is_never_waited_for(go):
    """An attempt that has begun counts, however it ends."""

    @hw.task
    async def program() -> Any:
        with hw.budget(calls=2, wait=True):
            running = [spends("a", 50), spends("b", 50)]
            end = (await hw.settle(spends("c")))[0]
            return str(end.error), running[0].done()

    said, done = go(program)
    assert "of 2 calls" in said
    assert not done


def test_a_child_of_the_only_call_that_holds_something_back_is_refused(go):
    @hw.task(cost={"tokens": 70})
    async def parent() -> str:
        return str((await hw.settle(spends("child")))[0].error)

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            return await parent()

    assert "all of those wait for it: neither could ever end" in go(program)


def test_it_is_refused_too_where_the_holder_waits_for_it_by_other_calls(go):
    """By way of a call that gets its handle. One beside it that came later is in no circle, and gets its turn."""

    @hw.task
    async def copy(name: str) -> str:
        return name

    @hw.task(cost={"tokens": 70})
    async def holder() -> Any:
        hw.charge(tokens=1)
        await asyncio.sleep(5)
        return [str(end.error) for end in await hw.settle(copy(hw.ref(HANDLES[0])))]

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=105, wait=True):
            with hw.budget(tokens=100, wait=True):
                first = holder()
                HANDLES.append(spends("late"))
            return await hw.settle(first, HANDLES[0], priced(45)("beside"))

    first, late, beside = go(program)
    assert "all of those wait for it" in str(late.error)
    assert first.ok, first
    assert beside.ok, beside


def test_of_two_that_wait_for_each_other_the_last_is_refused_and_the_first_goes_on(go):
    @hw.task(cost={"tokens": 40})
    async def parent(name: str) -> list[str]:
        hw.charge(tokens=1)
        await asyncio.sleep(1 if name == "a" else 2)
        return [str(end.error or end.value) for end in await hw.settle(priced(30)(name + " child"))]

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            return await hw.gather(parent("a"), parent("b"))

    a, b = go(program)
    assert a == ["a child"]
    assert "wait for it" in b[0]


# --- accounts in accounts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inner", "outer"), [(True, False), (False, True)])
def test_each_budget_decides_for_its_own_bound(go, inner, outer):
    """`narrow` does not fit inside, `wide` does not fit outside."""

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=outer):
            beside = priced(30)("beside", 1)
            with hw.budget(tokens=60, wait=inner):
                first = spends("first", 2)
                narrow = priced(30)("narrow")
                with hw.budget(tokens=50):
                    end = (await hw.settle(narrow))[0]
            others = await hw.settle(beside, first)
            with hw.budget(tokens=1000, wait=inner):
                blocker = priced(60)("blocker", 1)
                await asyncio.sleep(0)
                wide = (await hw.settle(priced(50)("wide")))[0]
            return end.ok, wide.ok, [each.ok for each in others], await blocker

    narrow_ok, wide_ok, others, _ = go(program)
    assert others == [True, True]
    assert (narrow_ok, wide_ok) == ((True, False) if inner else (False, True))


def test_a_wait_inside_moves_to_the_outer_budget_and_keeps_its_turn(go):
    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            outer = priced(60)("outer", 5)
            with hw.budget(tokens=60, wait=True):
                calls = [spends("a", 1), priced(38)("b"), priced(5)("c")]
            late = priced(10)("late")
            return await hw.gather(outer, *calls, late)

    go(program)
    assert ORDER == ["outer", "a", "b", "c", "late"]


# --- how a wait ends -------------------------------------------------------------------------------------------------


def test_a_wait_ends_with_its_deadline_and_its_race_and_its_timeout(go, clock):
    @hw.task(timeout=7)
    async def hurried() -> str:
        return await spends("in a call with a timeout")

    @hw.task
    async def quick() -> str:
        await asyncio.sleep(3)
        return "quick"

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True) as budget:
            running = priced(90)("running", 100)
            began = hw.now()
            with hw.deadline(seconds=5, raises=False) as deadline:
                await spends("late")
            times = [hw.now() - began]
            won = await hw.race(quick(), spends("loser"))
            times.append(hw.now() - began)
            timed_out = (await hw.settle(hurried()))[0].error
            times.append(hw.now() - began)
            return deadline.expired, won, type(timed_out).__name__, times, running.done(), budget.remaining["tokens"]

    expired, won, kind, times, done, left = go(program, store=None)
    assert (expired, won, kind, done, left) == (True, "quick", "CallTimeout", False, 10)
    assert times == pytest.approx([5, 8, 15], abs=0.5)


def test_a_call_holds_no_limit_and_no_resource_while_it_waits(go):
    @hw.task(resources={"gpu": 1}, cost={"tokens": 40})
    async def on_gpu(name: str) -> str:
        ORDER.append(name)
        return name

    @hw.task(resources={"gpu": 1})
    async def free_on_gpu() -> str:
        ORDER.append("free")
        return "free"

    @hw.task
    async def program() -> Any:
        with hw.limit(2):
            with hw.budget(tokens=100, wait=True):
                running, waits = priced(70)("running", 50), on_gpu("waits")
                await asyncio.sleep(1)
            free = await free_on_gpu()
            return free, running.done(), await hw.gather(running, waits)

    free, done, _ = go(program, resources={"gpu": 1})
    assert (free, done) == ("free", False)
    assert ORDER == ["running", "free", "waits"]


def test_who_waits_for_room_holds_no_money_meanwhile(go):
    """The holder of the only GPU needs a call that needs money; who is let go before it needs the GPU. Neither blocks the other."""

    @hw.task(resources={"gpu": 1})
    async def holder() -> str:
        await asyncio.sleep(1)
        return await spends("inner")

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            first = priced(70)("first", 5)
            gpu, late = holder(), spends.options(resources={"gpu": 1}, cost={"tokens": 60})("needs both")
            return await hw.gather(first, gpu, late)

    go(program, resources={"gpu": 1})
    assert ORDER == ["first", "inner", "needs both"]


def test_a_resource_that_a_holder_waits_for_counts_too(go):
    """The holder of money waits for the GPU, and the holder of the GPU for a call that needs money."""

    @hw.task(resources={"gpu": 1})
    async def on_gpu() -> str:
        return "on gpu"

    @hw.task(cost={"tokens": 70})
    async def has_money() -> str:
        await asyncio.sleep(2)
        return await on_gpu()

    @hw.task(resources={"gpu": 1})
    async def has_gpu() -> str:
        await asyncio.sleep(1)
        return str((await hw.settle(spends("inner")))[0].error)

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            return await hw.gather(has_money(), has_gpu())

    money, gpu = go(program, resources={"gpu": 1})
    assert money == "on gpu"
    assert "all of those wait for it" in gpu


# --- every kind of call ----------------------------------------------------------------------------------------------


def test_each_attempt_waits_again(go):
    @hw.task(cost={"tokens": 60}, retry=hw.Retry(attempts=2, delay_s=1, jitter=0))
    async def flaky() -> int:
        ORDER.append("flaky")
        hw.charge(tokens=5)
        if hw.call().attempt == 1:
            raise ConnectionError("not yet")
        return hw.call().attempt

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            first = flaky()
            await asyncio.sleep(0.5)  # it rests, and holds nothing
            return await hw.gather(first, priced(90)("between", 5))

    assert go(program) == [2, "between"]
    assert ORDER == ["flaky", "between", "flaky"]


@hw.task(pool="thread", cost={"tokens": 60})
def in_a_thread(name: str) -> str:
    ORDER.append(name)
    hw.charge(tokens=10)
    return name


@hw.task(pool="thread")
def waits_in_a_thread(name: str) -> str:
    return hw.wait(in_a_thread(name))


@hw.task(batch=4, linger_s=0.005, cost={"tokens": 60})
async def batched(items: list[str]) -> list[str]:
    ORDER.append(f"batch of {len(items)}")
    return items


@hw.task(effect=True, cost={"tokens": 60})
async def effect(name: str) -> str:
    ORDER.append(name)
    hw.charge(tokens=1)
    return hw.call().idempotency_key


def test_threads_wait(go):
    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            return await hw.gather(*(waits_in_a_thread(name) for name in "abc"))

    assert go(program) == ["a", "b", "c"]


def test_a_batch_has_those_that_fit_and_the_others_form_the_next(go):
    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=200, wait=True):
            return [end.ok for end in await hw.settle(*(batched(name) for name in "abcd"))]

    assert go(program) == [True, True, True, False]
    assert ORDER == ["batch of 3"]


def test_an_effect_is_recorded_as_started_only_when_it_has_its_reservation(go, tmp_path):
    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            running, waits = priced(60)("running", 50, 20), effect("waits")
            await asyncio.sleep(1)
            assert not running.done()
            held = hw.remaining("tokens")
            keys = await hw.gather(running, waits)
            return held, len(set(keys))

    assert go(program) == (40, 2)
    assert ORDER == ["running", "waits"]


def test_equal_calls_wait_as_one(go):
    @hw.task(cache="forever", cost={"tokens": 60})
    async def shared(name: str) -> str:
        ORDER.append(name)
        hw.charge(tokens=1)
        return name

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True) as budget:
            names = await hw.gather(priced(60)("running", 5), shared("same"), shared("same"))
            return names, budget.spent["tokens"]

    assert go(program) == (["running", "same", "same"], 11)
    assert ORDER == ["running", "same"]


# --- after a crash ---------------------------------------------------------------------------------------------------


@pytest.mark.on_postgres
def test_a_resumed_run_with_more_money_lets_go_what_it_had_refused(go):
    amount = [100]

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=amount[0], wait=True):
            return await hw.gather(spends("a", 1, 40), spends("b", 1, 40), spends("c", 1, 40))

    with pytest.raises(hw.BudgetExceeded):
        go(program)
    assert ORDER == ["a", "b"]
    amount[0] = 120
    assert go(program) == ["a", "b", "c"]
    assert ORDER == ["a", "b", "c"]


# --- what is said ----------------------------------------------------------------------------------------------------


def test_events_say_what_waits_and_that_it_does_no_longer(go):
    told: list[Any] = []

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            late = [priced(60)("a"), priced(60)("b"), priced(60)("c")]
            await asyncio.sleep(0)
            late[2].cancel()
            return await hw.settle(*late)

    go(program, events=told.append)
    waits = [event for event in told if isinstance(event, events.CallWaits)]
    assert all(event.budget and event.name == "tokens" for event in waits)
    assert sorted(event.over for event in waits) == [False, False, True, True]


@pytest.mark.parametrize("wait", [5, 1, None, "yes"])
def test_wait_is_no_unit(wait):
    with pytest.raises(hw.UsageError, match="wait is an option"):
        hw.budget(tokens=3, wait=wait)


def test_a_run_has_no_unit_called_wait_either(go):
    with pytest.raises(hw.UsageError, match="wait is an option"):
        go(spends, "a", budget={"wait": 3})
