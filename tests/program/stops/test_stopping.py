"""`hw.stopping`: code that nobody waits for any more hears of it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from pathlib import Path

from notes import RAN, SWITCH
from steps import until_set, wait_until_set

import headway as hw
from headway.pools.workers import worker_process as remote


def test_a_thread_hears_that_nobody_waits_for_it_any_more(go):
    began, cancelled, ended = threading.Event(), threading.Event(), threading.Event()

    @hw.task
    def work() -> None:
        RAN.append(hw.stopping())
        began.set()
        wait_until_set(cancelled)
        RAN.append(hw.stopping())
        ended.set()

    @hw.task
    async def program() -> bool:
        call = work()
        await until_set(began)
        call.cancel()
        was_cancelled = (await hw.settle(call))[0].cancelled
        cancelled.set()
        return was_cancelled

    assert go(program)
    wait_until_set(ended)
    assert RAN == [False, True]
    assert not hw.stopping()  # outside of a run


def test_a_batch_hears_which_of_its_items_are_not_wanted_any_more(soon):
    began, cancelled = threading.Event(), threading.Event()

    @hw.task(batch=3, linger_s=0.005)
    def work(items: list[int]) -> list[int]:
        RAN.append(hw.stopping(1))
        began.set()
        wait_until_set(cancelled)
        RAN.append([hw.stopping(0), hw.stopping(1), hw.stopping(2), hw.stopping()])
        return items

    @hw.task
    async def program() -> list[bool]:
        calls = [work(i) for i in range(3)]
        await until_set(began)
        calls[1].cancel()
        await hw.settle(calls[1])
        cancelled.set()
        return [end.ok for end in await hw.settle(*calls)]

    assert soon(program) == [True, False, True]
    assert RAN == [False, [False, True, False, False]]


def test_a_batch_that_everybody_left_hears_that_nobody_waits_for_it(soon):
    began, cancelled, ended = threading.Event(), threading.Event(), threading.Event()

    @hw.task(batch=2, linger_s=0.005)
    def work(items: list[int]) -> list[int]:
        RAN.append(hw.stopping())
        began.set()
        wait_until_set(cancelled)
        RAN.append(hw.stopping())
        ended.set()
        return items

    @hw.task
    async def program() -> list[bool]:
        calls = [work(1), work(2)]
        await until_set(began)
        for call in calls:
            call.cancel()
        ends = [end.cancelled for end in await hw.settle(*calls)]
        cancelled.set()
        await until_set(ended)
        return ends

    assert soon(program) == [True, True]
    assert RAN == [False, True]


@hw.task(batch=2, linger_s=0.05, pool="process")
def sleep_in_process(items: list[str]) -> list[str]:
    Path(items[0]).write_text("asleep")
    try:
        time.sleep(1000)
    finally:
        Path(items[0]).write_text("interrupted")
    return items


def test_a_batch_in_a_process_is_interrupted_when_everybody_left(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "INTERRUPT_GRACE_S", 30.0)  # on a busy machine it may not get a processor for half a second
    said = tmp_path / "said"

    async def says(what: str) -> bool:  # looked at from outside: another process writes it
        for _ in range(3000):
            if said.exists() and said.read_text() == what:
                return True
            await asyncio.sleep(0.01)
        return False

    @hw.task
    async def program() -> list[bool]:
        calls = [sleep_in_process(str(said)), sleep_in_process(str(said))]
        begun = await says("asleep")
        calls[0].cancel()
        calls[1].cancel()
        return [begun, await says("interrupted"), *(end.cancelled for end in await hw.settle(*calls))]

    assert hw.run(program, store=None) == [True, True, True, True]


def test_what_a_call_left_behind_hears_that_the_call_has_ended(go):
    @hw.task
    def leave() -> bool:
        SWITCH["left behind"] = contextvars.copy_context()
        return hw.stopping()

    @hw.task
    async def program() -> tuple[bool, bool]:
        return await leave(), SWITCH["left behind"].run(hw.stopping)

    assert go(program) == (False, True)


def test_an_attempt_that_was_given_up_hears_of_it_though_the_call_goes_on():
    second_began, first_ended = threading.Event(), threading.Event()

    @hw.task(timeout=1, retry=hw.Retry(attempts=2, delay_s=0.01))
    def first_hangs() -> str:
        if hw.call().attempt == 1:
            wait_until_set(second_began)
            RAN.append(hw.stopping())
            first_ended.set()
            return "late"
        second_began.set()
        wait_until_set(first_ended)
        RAN.append(hw.stopping())
        return "second"

    assert hw.run(first_hangs, store=None) == "second"
    assert RAN == [True, False]
