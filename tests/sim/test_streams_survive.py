"""Streams in the simulator: wherever a run is killed, no item that was handed out is lost or handed out differently."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import headway as hw
from headway.journal.codec.codec import decode
from headway.journal.decisions import Item, decode_decision, is_told
from headway.journal.records import COSTED, Kind
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

lives: list[int] = []


@hw.task
async def think(n: int) -> int:
    await hw.sleep(1)
    return 10 * n


@hw.task(retry=hw.Retry(attempts=3, delay_s=1), window=2)
async def thoughts(count: int) -> AsyncIterator[tuple[int, str]]:
    for n in range(count):
        if n == 3 and hw.call().attempt < 2:
            raise ValueError("by itself")
        yield await think(n), "x" * (20_000 if n == 2 else 1)


@hw.task(window=2)
async def guesses() -> AsyncIterator[int]:
    """What it yields hangs on the life of the run."""
    n = 0
    while True:
        n += 1
        yield 1000 * len(lives) + n


async def read(stream: hw.Stream[Any], rest_s: float = 0, most: int = 100) -> list[Any]:
    seen: list[Any] = []
    async for item in stream:
        seen.append(item)
        await hw.sleep(rest_s)
        if len(seen) == most:
            break
    return seen


@hw.task
async def program() -> tuple[list[Any], list[Any], int]:
    stream = thoughts(5)
    fast, slow = await hw.gather(read(stream), read(stream, 3))
    return fast, slow, await stream


@hw.task
async def guessing() -> list[int]:
    lives.append(1)
    return await read(guesses(), 1, 3)


def live(history: History, root: Any = program, **options: Any) -> Any:
    life = history.live(root, **options)
    history.check()
    return life


ALL = [(10 * n, "x" * (20_000 if n == 2 else 1)) for n in range(5)]
WHOLE = (ALL, ALL, 5)


def recorded(history: History) -> dict[bytes, Item]:
    """What the journal says of each item. Nothing in it is said twice: the history checks that."""
    rows = [row for row in history.rows() if row.kind & ~COSTED == Kind.DECISION and is_told(row.body, Item)]
    return {row.key: decode_decision(row.body).told for row in rows}


@pytest.mark.parametrize("how", ["before", "torn", "after"])
def test_a_run_that_is_killed_after_any_record_hands_out_what_it_had_handed_out(how):
    whole = History(1, STEADY)
    assert live(whole).value == WHOLE
    size = len(whole.rows())
    for after in range(1, size):
        again = History(1, STEADY)
        live(again, crash=Crash(after, how))
        known = recorded(again)
        life = live(again)
        assert life.value == WHOLE, f"killed {how} row {after} of {size}"
        assert known.items() <= recorded(again).items()
        assert len(recorded(again)) == 5


def test_what_was_handed_out_is_handed_out_again_or_the_run_fails_and_says_so():
    lives.clear()
    whole = History(1, STEADY)
    assert live(whole, guessing).value == [1001, 1002, 1003]
    ends = set()
    for after in range(1, len(whole.rows())):
        lives.clear()
        again = History(1, STEADY)
        live(again, guessing, crash=Crash(after, "after"))
        known = [decode(item.value, ()) for item in recorded(again).values()]
        life = live(again, guessing)
        if len(known) in (1, 2):  # the others must come from code that yields other things now
            assert isinstance(life.error, hw.ItemChanged)
        else:
            assert life.value == (known[:3] or [2001, 2002, 2003])
        ends.add(len(known))
    assert ends >= {1, 2, 3}


@pytest.mark.parametrize("seed", range(20))
def test_a_run_that_is_killed_at_any_step_of_any_schedule_ends_with_every_item(seed):
    history = History(seed)
    step = 30 + 29 * seed
    for life in range(12):
        ended = live(history, kill_in=step) if life < 11 else live(history)
        if ended.how == "returned":
            break
        step += 40
    assert ended.value == WHOLE
    assert len(recorded(history)) == 5
