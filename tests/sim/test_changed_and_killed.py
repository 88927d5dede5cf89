"""Programs whose tasks change arguments end alike, killed after whatever record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import headway as hw
from headway.journal.records import Kind
from headway.journal.recovery.recovered import decode_outcome
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


@hw.task
async def step(history: list[str], turn: int) -> str:
    await asyncio.sleep(1)
    history.append(f"turn {turn}")
    return "ok"


@hw.task(pool="thread")
def step_in_thread(history: list[str], turn: int) -> str:
    history.append(f"turn {turn}")
    return "ok"


@hw.task(pool="process")
def step_in_process(history: list[str], turn: int) -> str:
    history.append(f"turn {turn}")
    return "ok"


@hw.task(batch=2, linger_s=0.001)
async def step_in_batch(histories: list[list[str]]) -> list[str]:
    for history in histories:
        history.append("turn")
    return ["ok"] * len(histories)


@hw.task(retry=hw.Retry(attempts=3, delay_s=5))
async def step_that_fails(history: list[str], turn: int) -> str:
    if turn == 1:
        history.append(f"turn {turn}")
        raise ConnectionError("down")
    return "ok"


@hw.task(key=lambda history, turn: turn)
async def step_with_a_key(history: list[str], turn: int) -> str:
    history.append(f"turn {turn}")
    return "ok"


@hw.task
async def step_on_a_copy(history: list[str], turn: int) -> list[str]:
    history = list(history)
    history.append(f"turn {turn}")
    return history


@hw.task
async def note(what: object) -> int:
    return len(str(what))


def agent(step: Any) -> Callable[..., Any]:
    @hw.task(name="agent")
    async def agent() -> list[str]:
        history: list[str] = []
        for turn in range(3):
            await note(turn)
            await step(history, turn)
            await note(list(history))
        return history

    return agent


async def _shared_by_handle() -> list[Any]:
    made = step_on_a_copy([], 0)
    return [await step(hw.ref(made), 1), await note(hw.ref(made)), await made]


async def _filled_by_the_caller() -> list[int]:
    history: list[str] = []
    calls = []
    for turn in range(3):
        history.append(f"turn {turn}")
        calls.append(note(history))
    return await hw.gather(*calls)


async def _goes_on_after_the_error() -> list[str]:
    said = []
    for turn in range(2):
        try:
            said.append(await step(["a"], turn))
        except hw.ArgumentChanged as error:
            said.append(f"{error} {error.value}")
        await note(said)
    return said


async def _goes_on_with_what_is_returned() -> list[str]:
    history: list[str] = []
    for turn in range(3):
        history = await step_on_a_copy(history, turn)
        await note(history)
    return history


PROGRAMS = {
    "a task": (agent(step), True),
    "a thread": (agent(step_in_thread), True),
    "a process, which has copies": (agent(step_in_process), False),
    "a key of its own": (agent(step_with_a_key), True),
    "an attempt that fails": (agent(step_that_fails), True),
    "a result by handle": (hw.task(_shared_by_handle, name="shared"), True),
    "the caller": (hw.task(_filled_by_the_caller, name="filled"), True),
    "a caller that goes on": (hw.task(_goes_on_after_the_error, name="goes_on"), False),
    "nobody": (hw.task(_goes_on_with_what_is_returned, name="returned"), False),
}


def end_of(history: History, program: Any) -> tuple[Any, str]:
    life = history.live(program)
    history.check()
    return life.value, f"{type(life.error).__name__}: {life.error!r}"


def end_after_a_crash(program: Any, rows: int) -> tuple[Any, str]:
    """How the run ends that was killed when it had written this many rows."""
    history = History(1, STEADY)
    assert history.live(program, crash=Crash(rows, "before")).how == "died"
    assert len(history.rows()) == rows
    return end_of(history, program)


@pytest.mark.parametrize("who", PROGRAMS)
def test_a_program_ends_alike_wherever_it_is_killed(who):
    program, fails = PROGRAMS[who]
    whole = History(1, STEADY)
    end = end_of(whole, program)
    assert fails == ("ArgumentChanged" in end[1] and "was changed before the call had ended" in end[1]), end
    for rows in range(len(whole.rows())):
        assert end_after_a_crash(program, rows) == end, f"after a crash at row {rows}"


def test_a_batch_ends_alike_wherever_it_is_killed():
    @hw.task(name="program")
    async def program() -> list[str]:
        ends = await hw.settle(step_in_batch(["a"]), step_in_batch(["b"]))
        return [str(end.error) for end in ends]

    whole = History(1, STEADY)
    value, _ = end_of(whole, program)
    assert all("step_in_batch: argument histories (a list) was changed" in said for said in value)
    for rows in range(len(whole.rows())):
        assert end_after_a_crash(program, rows)[0] == value, f"after a crash at row {rows}"


@hw.task
async def loser(history: list[str]) -> None:
    history.append("begun")
    await asyncio.sleep(100)


@hw.task
async def races() -> int:
    history: list[str] = []
    await hw.race(loser(history), step_on_a_copy([], 0))
    return await note(history)


def test_what_a_loser_has_changed_fails_the_caller_of_the_race():
    """Killed when the race was decided and the end of the loser not recorded, it goes on without the loser, and nothing changes."""
    said = "loser: argument history (a list) was changed"
    whole = History(1, STEADY)
    assert said in end_of(whole, races)[1]
    ends = [decode_outcome(row.body).task if row.kind & 15 == Kind.OUTCOME else "" for row in whole.rows()]
    lost = next(row for row, task in enumerate(ends, 1) if task.endswith("loser"))
    for rows in range(len(whole.rows())):
        value, error = end_after_a_crash(races, rows)
        if rows in range(1, lost):
            assert (value, error) == (len("[]"), "NoneType: None"), rows
        else:
            assert said in error, rows
