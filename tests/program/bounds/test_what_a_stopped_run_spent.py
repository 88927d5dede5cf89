"""What was spent in a run that is stopped (Ctrl-C, SIGTERM) is booked: what its calls charged on their way out, not what they had
reserved, and what a call that says nothing had reserved."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

import headway as hw
from headway.observe.reading import read_run


def books(store: Path) -> tuple[dict[str, float], dict[str, float]]:
    """What the run's budget has spent, and what is held by calls that left no outcome."""
    with hw.SqliteStore(store) as opened:
        (budget,) = read_run(opened, "run").budgets
    return budget.spent, {unit: amount for unit, amount in budget.held.items() if amount}


def stop_at_once() -> None:
    """Ctrl-C, twice."""
    signal.raise_signal(signal.SIGINT)
    asyncio.get_running_loop().call_later(1, signal.raise_signal, signal.SIGINT)


@pytest.mark.parametrize(
    ("charged", "assumed"),
    [({"tokens": 12}, {"money": 1.0}), ({"tokens": 12, "money": 0.5}, {}), ({}, {"tokens": 30, "money": 1.0})],
)
def test_a_stopped_run_books_what_its_calls_charged_on_their_way_out(go, tmp_path, charged, assumed):
    lives: list[int] = []

    @hw.task(cost={"tokens": 30, "money": 1})
    async def ask() -> None:
        if len(lives) > 1:
            hw.charge(tokens=3, money=0.25)
            return
        try:
            stop_at_once()
            await asyncio.sleep(100)
        finally:
            if charged:
                hw.charge(**charged)

    @hw.task
    async def program() -> dict[str, float]:
        lives.append(1)
        with hw.budget(tokens=100, money=10) as budget:
            await ask()
        return budget.spent

    with pytest.raises(hw.Interrupted):
        go(program)
    before = charged | assumed
    assert books(tmp_path / "store") == (before, {})
    assert go(program) == {"tokens": before["tokens"] + 3, "money": before["money"] + 0.25}


def test_what_a_call_without_a_reservation_charges_while_its_run_stops_is_booked(go, tmp_path):
    @hw.task
    async def ask() -> None:
        with hw.budget(tokens=50):
            try:
                stop_at_once()
                await asyncio.sleep(100)
            finally:
                hw.charge(tokens=7)

    @hw.task
    async def program() -> None:
        await ask()

    with pytest.raises(hw.Interrupted):
        go(program)
    assert books(tmp_path / "store") == ({"tokens": 7}, {})


def test_calls_that_had_not_begun_cost_nothing_in_a_stopped_run(go, tmp_path):
    @hw.task(cost={"tokens": 30})
    async def ask(number: int) -> None:
        stop_at_once()  # the first one, which alone has begun
        await asyncio.sleep(100)

    @hw.task
    async def program() -> None:
        with hw.budget(tokens=100), hw.limit(1):
            await hw.gather(*(ask(number) for number in range(3)))

    with pytest.raises(hw.Interrupted):
        go(program)
    assert books(tmp_path / "store") == ({"tokens": 30}, {})
