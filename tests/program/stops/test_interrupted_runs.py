"""Runs that are interrupted or told to end: they drain, and go on later."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from notes import RAN
from steps import rest

import headway as hw


def test_an_interrupted_run_waits_for_a_batch_on_the_loop(go):
    @hw.task(batch=2, linger_s=0.005)
    async def work(items: list[int]) -> list[int]:
        RAN.append(items)
        if len(RAN) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.2)
        return items

    @hw.task
    async def program() -> list[int]:
        first = await hw.gather(work(1), work(2))
        return first + await hw.gather(work(3), work(4))

    with pytest.raises(hw.Interrupted):
        go(program)
    assert go(program) == [1, 2, 3, 4]
    assert RAN == [[1, 2], [3, 4]]


@pytest.mark.parametrize(("seconds", "ran"), [(9, [9, 1]), (11, [11, 11, 1])], ids=["drained", "stopped"])
@pytest.mark.on_postgres
def test_a_run_that_is_told_to_end_drains_for_ten_seconds(go, capsys, seconds, ran):
    @hw.task
    async def work(seconds: float) -> float:
        RAN.append(seconds)
        if len(RAN) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(seconds)
        return seconds

    @hw.task
    async def program() -> float:
        return await work(seconds) + await work(1)

    with pytest.raises(hw.Interrupted, match="Go on with: headway resume"):
        go(program)
    assert "told to end; no new calls, waiting for 1 running call to end and be journaled (10 s at most)" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert go(program) == seconds + 1
    assert ran == RAN


def test_a_program_s_own_handler_of_sigterm_is_left_alone(go):
    @hw.task
    async def program() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(1)
        return await rest(1)

    def mine(number: int, _: object) -> None:
        RAN.append(number)

    before = signal.signal(signal.SIGTERM, mine)
    try:
        assert go(program) == 1
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
    assert RAN == [signal.SIGTERM, 1]
