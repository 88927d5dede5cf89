"""Coroutines side by side in one call that make equal calls: each is told again what it was told, and no name costs any work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from notes import RAN

import headway as hw

LIFE: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _clear() -> None:
    LIFE.clear()


@hw.task
async def sample(prompt: str) -> float:
    RAN.append(prompt)
    await asyncio.sleep(1)
    return hw.random().random()


@hw.task
async def judge(who: str, answer: float) -> str:
    RAN.append(f"judge {who}")
    return f"{who} {answer}"


async def branch(who: str, wait_s: float, prompt: str = "the same") -> str:
    """A helper: some wait that is not recorded, then a call that others make too, then one that depends on the answer."""
    await asyncio.sleep(wait_s)
    return await judge(who, await sample(prompt))


def stop() -> None:
    if LIFE["stop"]:
        raise RuntimeError("stop")


def lives(go: Callable[..., Any], program: Any, *waits: Any) -> list[Any]:
    """What the program was told in each life; all but the last end with an error."""
    told: list[Any] = []
    LIFE["told"] = told
    for number, wait in enumerate(waits):
        LIFE.update(waits=wait, stop=number < len(waits) - 1)
        if LIFE["stop"]:
            with pytest.raises((RuntimeError, ExceptionGroup)):
                go(program)
        else:
            go(program)
    return told


async def _gather(a: Any, b: Any) -> Any:
    return list(await hw.gather(a, b))


async def _settle(a: Any, b: Any) -> Any:
    return [end.value for end in await hw.settle(a, b)]


async def _nested(a: Any, b: Any) -> Any:
    return [found for (found,) in await hw.gather(hw.gather(a), hw.gather(b))]


async def _deeper(a: Any, b: Any) -> Any:
    async def inner(awaitable: Any) -> Any:
        return (await hw.settle(awaitable))[0].value

    return list(await hw.gather(inner(a), inner(b)))


async def _race_for_nobody(a: Any, b: Any) -> Any:
    """A race that takes no result, so that both come to their end."""
    seen: list[Any] = []
    await hw.race(a, b, accept=lambda found: bool(seen.append(found)), default=None)
    return sorted(seen)


@pytest.mark.parametrize("join", [_gather, _settle, _nested, _deeper, _race_for_nobody])
def test_each_branch_is_told_again_what_it_was_told_whoever_comes_first(go, join):
    @hw.task(name="branching")
    async def program() -> None:
        early, late = LIFE["waits"]
        LIFE["told"].append(await join(branch("A", early), branch("B", late)))
        stop()

    told = lives(go, program, (1, 5), (5, 1), (3, 3), (5, 1))
    assert len(told) == 4
    assert all(each == told[0] for each in told)
    assert sorted(RAN) == ["judge A", "judge B", "the same", "the same"]


def test_branches_that_a_thread_waits_for_are_told_apart_too(go):
    async def after(turns: int, who: str) -> str:
        for _ in range(turns):  # the clock stands still while a thread works
            await asyncio.sleep(0)
        return await judge(who, await drawn("the same"))

    @hw.task
    async def drawn(prompt: str) -> float:
        RAN.append(prompt)
        return hw.random().random()

    @hw.task(name="threaded", pool="thread")
    def program() -> None:
        early, late = LIFE["waits"]
        LIFE["told"].append(list(hw.wait(hw.gather(after(early, "A"), after(late, "B")))))
        stop()

    told = lives(go, program, (1, 5), (5, 1))
    assert told[0] == told[1]
    assert len(RAN) == 4


def test_a_branch_without_a_record_does_not_take_that_of_another(go):
    """A had its answer, B had not asked yet. Now B asks first."""

    @hw.task(name="unasked")
    async def program() -> None:
        async def ends() -> None:
            await asyncio.sleep(20)
            stop()

        early, late = LIFE["waits"]

        async def noted(who: str, wait_s: float) -> str:
            told = await branch(who, wait_s)
            LIFE["told"].append(told)
            return told

        await hw.gather(noted("A", early), noted("B", late), ends())

    told = lives(go, program, (1, 50), (5, 1))
    first = told[0]
    assert first.startswith("A ")
    assert sorted(told[1:])[0] == first
    assert sorted(RAN) == ["judge A", "judge B", "the same", "the same"]


def test_equal_calls_of_one_branch_keep_their_order(go):
    async def twice(who: str, wait_s: float) -> list[float]:
        await asyncio.sleep(wait_s)
        return [await sample("p"), await sample("p")]

    @hw.task(name="twice")
    async def program() -> None:
        early, late = LIFE["waits"]
        LIFE["told"].append(await hw.gather(twice("A", early), twice("B", late)))
        stop()

    told = lives(go, program, (1, 1.5), (1.5, 1))
    assert told[0] == told[1]
    assert len({*told[0][0], *told[0][1]}) == len(RAN) == 4


def test_the_call_s_own_code_and_its_branches_do_not_take_from_each_other(go):
    @hw.task(name="mixed")
    async def program() -> None:
        early, late = LIFE["waits"]
        before = await sample("the same")
        both = await hw.gather(branch("A", early), branch("B", late))
        LIFE["told"].append([before, *both, await sample("the same")])
        stop()

    told = lives(go, program, (1, 5), (5, 1))
    assert told[0] == told[1]
    assert len(RAN) == 6


def test_the_next_attempt_tells_each_branch_what_the_last_one_told_it(go):
    attempts: list[Any] = []

    @hw.task
    async def flaky() -> None:
        if len(attempts) < 2:
            raise OSError("down")

    @hw.task(name="tried again", retry=hw.Retry(attempts=2, delay_s=1))
    async def inner() -> None:
        waits = (1, 5) if not attempts else (5, 1)
        attempts.append(await hw.gather(*(branch(who, wait_s) for who, wait_s in zip("AB", waits, strict=True))))
        await flaky()

    @hw.task(name="retrying")
    async def program() -> None:
        await inner()

    go(program)
    assert attempts[0] == attempts[1]
    assert len(RAN) == 4


def test_a_call_cancelled_beside_one_that_failed_is_told_the_same_in_the_next_attempt(go):
    """It is another handle then, so what its branches were given is kept with the attempts of the call above."""
    attempts: list[Any] = []

    @hw.task(name="cut short")
    async def inner() -> None:
        waits = (1, 5) if not attempts else (5, 1)
        attempts.append(await hw.gather(*(branch(who, wait_s) for who, wait_s in zip("AB", waits, strict=True))))
        await asyncio.sleep(100 if len(attempts) == 1 else 0)

    @hw.task
    async def flaky() -> None:
        await asyncio.sleep(20)
        if len(attempts) < 2:
            raise OSError("down")

    @hw.task(name="above", retry=hw.Retry(attempts=2, delay_s=1))
    async def program() -> None:
        await hw.gather(inner(), flaky())

    go(program)
    assert attempts[0] == attempts[1]
    assert len(RAN) == 4


# --- edits: names must not cost work ---------------------------------------------------------------------------------


async def helper(prompt: str) -> float:
    return await sample(prompt)


async def _own(*prompts: str) -> list[float]:
    return [await sample(prompt) for prompt in prompts]


async def _handles(*prompts: str) -> list[float]:
    return list(await hw.gather(*(sample(prompt) for prompt in prompts)))


async def _branches(*prompts: str) -> list[float]:
    return list(await hw.gather(*(helper(prompt) for prompt in prompts)))


async def _reversed(*prompts: str) -> list[float]:
    return (await _branches(*reversed(prompts)))[::-1]


async def _wider(*prompts: str) -> list[float]:
    return (await _branches(*prompts, "new"))[:-1]


async def _deep(*prompts: str) -> list[float]:
    return [found for (found,) in await hw.gather(*(hw.gather(helper(prompt)) for prompt in prompts))]


async def _later(*prompts: str) -> list[float]:
    await hw.gather(asyncio.sleep(1), asyncio.sleep(2), asyncio.sleep(3))
    return await _branches(*prompts)


async def _in_asyncio(*prompts: str) -> list[float]:
    return list(await asyncio.gather(*(helper(prompt) for prompt in prompts)))


async def _in_a_race(*prompts: str) -> list[float]:
    return [await hw.race(helper(prompt)) for prompt in prompts]


WAYS = [_own, _handles, _branches, _reversed, _wider, _deep, _later, _in_asyncio, _in_a_race]


@pytest.mark.parametrize("before", WAYS)
@pytest.mark.parametrize("after", WAYS)
def test_a_call_is_found_again_wherever_an_edit_has_moved_it(go, before, after):
    """Into a gather and out of it, to another branch, deeper, beside others: what three calls gave is used again, as is."""
    prompts = ("a", "b", "c")

    @hw.task(name="moved")
    async def program() -> None:
        LIFE["told"].append(await LIFE["waits"](*prompts))
        stop()

    told = lives(go, program, before, after)
    assert told[0] == told[1]
    new = {"new"} & set(RAN)
    assert sorted(RAN) == sorted([*prompts, *new])


def test_workers_that_share_a_queue_find_again_what_any_of_them_did(go):
    """In the second life others get the items than in the first."""

    @hw.task(name="workers")
    async def program() -> None:
        queue = [f"item {number}" for number in range(12)]

        async def worker(wait_s: float) -> None:
            while queue:
                item = queue.pop(0)
                await sample(item)
                await asyncio.sleep(wait_s)

        await hw.gather(*(worker(wait_s) for wait_s in LIFE["waits"]))
        stop()

    lives(go, program, (1, 2, 3), (3, 2, 1), (0, 0, 0))
    assert sorted(RAN) == sorted(f"item {number}" for number in range(12))


def test_what_a_branch_was_given_of_another_it_gets_again(go):
    """An edit gave the answers of the calls to branches; from then on each keeps its own, whoever comes first."""

    @hw.task(name="taken over")
    async def program() -> None:
        if LIFE["waits"] is None:
            LIFE["told"].append([await sample("p"), await sample("p")])
        else:
            early, late = LIFE["waits"]
            LIFE["told"].append(await hw.gather(branch("A", early, "p"), branch("B", late, "p")))
        stop()

    told = lives(go, program, None, (1, 5), (5, 1), (1, 5))
    assert [float(text.split()[1]) for text in told[1]] == list(told[0])
    assert told[1] == told[2] == told[3]
    assert sorted(RAN) == ["judge A", "judge B", "p", "p"]


@pytest.mark.parametrize("who", ["A", "B", "C", "D"])
def test_a_fork_at_one_of_equal_calls_leaves_the_others_to_their_branches(go, tmp_path, who):
    @hw.task(name="to be forked")
    async def program() -> list[str]:
        early, late = LIFE["waits"]
        first = await hw.gather(branch("A", early), branch("B", late))
        return [*first, *await hw.gather(branch("C", early), branch("D", late))]

    LIFE["waits"] = (1, 5)
    told = dict(text.split() for text in go(program))
    assert len(set(told.values())) == 4
    sampled = [call for call in hw.view("run", store=tmp_path / "store").calls if call.task.endswith("sample")]
    at = next(call.key for call in sampled if str(call.value) == told[who])
    RAN.clear()
    LIFE["waits"] = (5, 1)  # the other one comes first
    hw.fork("run", at=at, store=tmp_path / "store", new_id="fork")
    assert dict(text.split() for text in go(program, run_id="fork")) == told
    assert RAN == ["the same"]
