"""Wherever a run is killed, no recorded tool runs again, no effect is done twice, and none without the yes of a person."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import headway as hw
from headway import models, tools
from headway.journal.records import COSTED, Kind, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

BEGUN: list[tuple[str, str]] = []
"""The world outside: the name and the idempotency key of each effect that was begun."""


def begin(what: str) -> str:
    BEGUN.append((what, hw.call().idempotency_key))
    return what


@tools.tool(effect=True)
async def pay(amount: int) -> str:
    """Pay."""
    begin(f"pay {amount}")
    await hw.sleep(0.2)
    if amount == 13:
        raise ConnectionError("the bank said nothing")
    return f"paid {amount}"


@tools.tool(effect=True, needs_approval=True)
async def send(to: str) -> str:
    """Send."""
    return begin(f"send {to}")


@tools.tool
async def look(where: str) -> str:
    """Look."""
    return f"looked at {where}"


TURNS = (
    [
        ("pay", '{"amount": 5}'),
        ("pay", '{"amount": 5}'),
        ("pay", '{"amount": 13}'),
        ("send", '{"to": "ada"}'),
        ("send", '{"to": "eve"}'),
        ("look", "{}"),
    ],
    [("pay", '{"amount": 5}'), ("look", '{"where": "Rome"}')],
)
TOLD = [
    "paid 5",
    "paid 5",
    "pay failed: ConnectionError: the bank said nothing",
    "send ada",
    "Not run: a person was asked and did not approve send: not eve",
    "look: Object missing required field `where`. It takes where (string)",
    "paid 5",
    "looked at Rome",
]


@hw.task
async def talk() -> list[str]:
    told: list[str] = []
    for number, turn in enumerate(TURNS):
        calls = [models.ToolCall(f"{number} {place}", *asked) for place, asked in enumerate(turn)]
        told += [str(result.content) for result in await tools.run_calls([pay, send, look], calls)]
    return told


def answer(history: History) -> None:
    """A person answers every question, but not the first time that they hear of a run."""
    for question in tools.questions(history.run_id, store=history.store) if history.begun else ():
        hw.signal(history.run_id, question.signal, "yes" if "ada" in question.arguments else "not eve", store=history.store)


def live_to_the_end(history: History) -> Any:
    for _ in range(6):
        answer(history)
        life = history.live(talk)
        if life.how == "returned":
            broken = [each for each in history.violations() if each.promise != "no deadlock"]  # a life that waits for a person
            assert broken == []
            return life
    raise AssertionError(f"it does not end: {life.how} {life.error!r} {life.stuck}")


def recorded(history: History) -> Counter[str]:
    """The outcomes of effects that are in the journal, by task and status."""
    rows = [decode_outcome(row.body) for row in history.rows() if row.kind & (COSTED - 1) == Kind.OUTCOME]
    return Counter(f"{row.task.rpartition('.')[2]} {Status(row.status).name}" for row in rows if "question" not in row.task)


def check(history: History, value: Any) -> None:
    assert value == TOLD
    keys = Counter(key for _, key in BEGUN)
    assert len(keys) == 5, "four payments and a letter, however often the run was killed"
    assert {what for what, _ in BEGUN} == {"pay 5", "pay 13", "send ada"}
    found = recorded(history)
    assert (found["pay OK"], found["pay ERROR"], found["send OK"]) == (3, 1, 1)


def test_an_undisturbed_run_does_each_effect_once():
    BEGUN.clear()
    history = History(1, STEADY)
    check(history, live_to_the_end(history).value)
    assert len(BEGUN) == 5


@pytest.mark.parametrize("how", ["after", "before", "torn"])
def test_a_run_that_is_killed_at_any_record_tells_the_same_and_does_no_effect_twice(how):
    BEGUN.clear()
    whole = History(1, STEADY)
    live_to_the_end(whole)
    size = len(whole.rows())
    assert size > 20
    for after in range(1, size):
        BEGUN.clear()
        history = History(1, STEADY)
        history.live(talk, crash=Crash(after, how))
        answer(history)
        done = recorded(history)
        begun = Counter(key for _, key in BEGUN)
        history.live(talk, crash=Crash(after, how))
        again = Counter(key for _, key in BEGUN) - begun
        assert sum(again.values()) <= 5 - done["pay OK"] - done["pay ERROR"] - done["send OK"], f"killed {how} row {after}"
        check(history, live_to_the_end(history).value)


@pytest.mark.parametrize("seed", range(40))
def test_so_does_one_that_is_killed_at_any_step_of_any_schedule(seed):
    BEGUN.clear()
    history = History(seed)
    step = 20 + 23 * (seed % 20)
    for _ in range(4):
        life = history.live(talk, kill_in=step)
        answer(history)
        if life.how == "returned":
            break
        step += 57
    check(history, live_to_the_end(history).value)
