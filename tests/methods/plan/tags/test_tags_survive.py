"""Wherever a program of threads is killed, no finished call runs again, and it ends as if it had not been."""

from __future__ import annotations

from typing import Any

import pytest
from threads import Continues, adds

import headway as hw
from headway.journal.records import COSTED, Kind, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.methods.plan import Marked, apr, multiverse, unified
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

PAID: list[str] = []
GOAL = "<Parallel><Goal><Outline>1: a</Outline><Outline>2: b</Outline></Goal>"


def forks(prompt: str) -> str:
    if prompt.endswith("<Conclusion>"):
        return "so</Conclusion></Parallel>"
    return " part" if prompt.endswith(":") else " end" if "</Parallel>" in prompt else GOAL


@hw.task(name="tags.tests.pay")
async def pay(marked: Marked) -> str:
    PAID.append(hw.call().idempotency_key)
    return f"paid {marked.text}"


@hw.task(name="tags.tests.program")
async def program() -> list[Any]:
    thread = await apr(Continues(adds, "adds", rest_s=0.1), "1 2 3 4 5", depth=2)
    woven = await multiverse(Continues(forks, "forks", rest_s=0.1), "Q")
    routed = await unified(Continues(lambda _: "<pay>1</pay> and <pay>2</pay>", "pays", rest_s=0.1), "Pay.", {"pay": pay})
    return [thread.message, thread.spent, woven.text, [each.value for each in routed.routed]]


def live_on(history: History) -> Any:
    for _ in range(8):
        life = history.live(program)
        if life.how == "returned":
            assert history.violations() == []
            return life.value
    raise AssertionError(f"it does not end: {life.how} {life.error!r}")


@pytest.mark.parametrize("how", ["after", "before", "torn"])
def test_a_program_that_is_killed_at_any_record_goes_on_where_it_was(how):
    whole = History(1, STEADY)
    PAID.clear()
    value = live_on(whole)
    assert value[0] == "15"
    assert value[3] == ["paid 1", "paid 2"]
    assert len(PAID) == 2
    for at in range(1, len(whole.rows()), 7 if how == "after" else 20):
        PAID.clear()
        history = History(1, STEADY)
        history.live(program, crash=Crash(at, how))
        assert live_on(history) == value
        assert len(set(PAID)) == 2, "an expert has one identity, however often the run was killed"
        for life in history.lives:
            done = {
                row.key.hex()
                for row in life.before
                if row.kind & ~COSTED == Kind.OUTCOME and decode_outcome(row.body).status == Status.OK
            }
            begun = {event.key for event in life.event_log if isinstance(event, hw.events.CallStarted)}
            assert not begun & done, "what was recorded ran again"
