"""Forks: what they know of their source, and what they ask again."""

from __future__ import annotations

import pytest
from notes import RAN

import headway as hw


@pytest.mark.on_postgres
def test_a_fork_knows_all_but_the_call_and_what_it_is_part_of(go, place):
    @hw.task(name="fork_step")
    async def step(x: int) -> int:
        RAN.append(x)
        return x

    @hw.task(name="fork_program")
    async def program() -> list[str]:
        handles = [step(1), step(2), step(3)]
        await hw.gather(*handles)
        return [handle.key for handle in handles]

    keys = go(program)
    new = hw.fork("run", at=keys[1][:10], store=place, new_id="other")
    assert go(program, run_id=new) == keys
    assert RAN == [1, 2, 3, 2]
    assert go(program) == keys
    assert RAN == [1, 2, 3, 2]


@pytest.mark.parametrize(("at", "runs_again"), [(0, [1, 2]), (1, [2])])
@pytest.mark.on_postgres
def test_a_fork_goes_on_with_the_attempts_of_the_calls_above(go, place, at, runs_again):
    """The first attempt fails by itself, the second succeeds; later an attempt of the call above fails, because of another call."""
    keys: list[str] = []
    attempts: list[int] = []
    down = [True]

    @hw.task(name="fork_drawn")
    async def drawn() -> float:
        RAN.append("drawn")
        return hw.random().random()

    @hw.task(name="fork_picky", retry=hw.Retry(attempts=3, delay_s=0.1))
    async def picky() -> float:
        attempts.append(hw.call().attempt)
        handle = drawn()
        keys.append(handle.key)
        value = await handle
        if hw.call().attempt == 1:
            raise ValueError("not this one")
        return value

    @hw.task(name="fork_moody")
    async def moody() -> None:
        if down:
            down.clear()
            raise OSError("down")

    @hw.task(name="fork_above", retry=hw.Retry(attempts=3, delay_s=0.1))
    async def above() -> float:
        value = await picky()
        await moody()
        return value

    @hw.task(name="fork_all")
    async def program() -> float:
        return await above()

    value = go(program)
    assert attempts == [1, 2]
    attempts.clear()
    new = hw.fork("run", at=keys[at], store=place, new_id="other")
    assert go(program, run_id=new) == value
    assert attempts == runs_again
    assert RAN == ["drawn"] * 3
