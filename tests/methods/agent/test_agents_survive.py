"""Wherever an agent is killed, no recorded turn or tool runs again, no effect is done twice, and it ends as if it had not been."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from scripted import Scripted, Turn, double, fail, rest, turns

import headway as hw
from headway import tools
from headway.journal.records import COSTED, Kind, Row, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.methods.agent import agent, delegate
from headway.models import Message
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

BEGUN: list[tuple[str, str]] = []
"""The world outside: the name and the idempotency key of each effect that was begun."""


@tools.tool(effect=True)
async def pay(amount: int) -> str:
    """Pay."""
    BEGUN.append((f"pay {amount}", hw.call().idempotency_key))
    await hw.sleep(0.2)
    return f"paid {amount}"


@tools.tool(effect=True, needs_approval=True)
async def send(to: str) -> str:
    """Send a letter."""
    BEGUN.append((f"send {to}", hw.call().idempotency_key))
    return f"sent to {to}"


def help_out(messages: list[Message]) -> Turn:
    part = next(message.text for message in messages if message.role == "user")
    if any(message.role == "tool" for message in messages):
        return f"{part} is done."
    return [("pay", {"amount": len(part)}), ("double", {"number": len(part)})]


HELPER = Scripted(help_out, "helper", rest_s=0.1)
BOSS = Scripted(
    turns(
        [("pay", {"amount": 5}), ("pay", {"amount": 5}), ("rest", {"name": "a"}), ("fail", {"why": "it rains"}), ("nothing", {})],
        [("send", {"to": "ada"}), ("send", {"to": "eve"}), ("double", {"number": 2})],
        [("delegate", {"tasks": ["sweeping", "the dishes"]}), ("double", {"number": 3})],
        "Done.",
    ),
    rest_s=0.1,
)
TOLD = [
    "paid 5",
    "paid 5",
    "a",
    "fail failed: ValueError: it rains",
    "There is no tool 'nothing'; there are 'delegate', 'double', 'fail', 'pay', 'rest' and 'send'",
    "sent to ada",
    "Not run: a person was asked and did not approve send: not eve",
    "4",
    '["sweeping is done. ","the dishes is done. "]',
    "6",
]
DONE = {"pay 5": 2, "send ada": 1, "pay 8": 1, "pay 10": 1}


@hw.task(name="agent.tests.household")
async def household() -> list[str]:
    with hw.budget(tokens=100_000):
        offered = [pay, rest, fail, double, send, delegate(HELPER, [pay, double])]
        answer = await agent(BOSS, offered, "Clean the house.")
    assert (answer.value, answer.why, answer.turns) == ("Done. ", "answered", 4)
    return [message.text for message in answer.messages if message.role == "tool"]


def answer_questions(history: History) -> None:
    """A person answers what they are asked."""
    for question in tools.questions(history.run_id, store=history.store) if history.begun else ():
        hw.signal(history.run_id, question.signal, "yes" if "ada" in question.arguments else "not eve", store=history.store)


def live_to_the_end(history: History, program: Any = household) -> Any:
    for _ in range(8):
        answer_questions(history)
        life = history.live(program)
        if life.how == "returned":
            assert [each for each in history.violations() if each.promise != "no deadlock"] == []  # a life that waits for a person
            return life
    raise AssertionError(f"it does not end: {life.how} {life.error!r} {life.stuck}")


def successes(rows: Iterable[Row]) -> Counter[str]:
    """How often the success of each call is recorded."""
    ends = [(row.key, decode_outcome(row.body)) for row in rows if row.kind & ~COSTED == Kind.OUTCOME]
    return Counter(key.hex() for key, end in ends if end.status == Status.OK)


def check(history: History, value: Any) -> None:
    assert value == TOLD
    keys = {key: what for what, key in BEGUN}
    assert Counter(keys.values()) == DONE, "however often the run was killed"
    for life in history.lives:
        begun = {event.key for event in life.event_log if isinstance(event, hw.events.CallStarted)}
        assert not begun & successes(life.before).keys(), "what was recorded ran again"
    assert set(successes(history.rows()).values()) == {1}


@pytest.fixture(autouse=True)
def _empty() -> None:
    BEGUN.clear()


def test_an_undisturbed_agent_does_each_effect_once():
    history = History(1, STEADY)
    check(history, live_to_the_end(history).value)
    assert len(BEGUN) == sum(DONE.values())


@pytest.mark.parametrize("how", ["after", "before", "torn"])
def test_an_agent_that_is_killed_at_any_record_goes_on_where_it_was(how):
    whole = History(1, STEADY)
    live_to_the_end(whole)
    size = len(whole.rows())
    assert size > 40
    for at in range(1, size, 2 if how == "after" else 5):
        BEGUN.clear()
        history = History(1, STEADY)
        history.live(household, crash=Crash(at, how))
        answer_questions(history)
        history.live(household, crash=Crash(at + 5, how))
        check(history, live_to_the_end(history).value)


@pytest.mark.parametrize("seed", range(12))
def test_so_does_one_that_is_killed_at_any_step_of_any_schedule(seed):
    history = History(seed)
    step = 30 + 41 * seed
    for _ in range(4):
        life = history.live(household, kill_in=step)
        answer_questions(history)
        if life.how == "returned":
            break
        step += 57
    check(history, live_to_the_end(history).value)


@hw.task(name="agent.tests.errands")
async def errands(tokens: float, seconds: float) -> tuple[str | None, str]:
    offered = [rest, double, fail, delegate(HELPER, [pay, double], depth=2)]
    try:
        with hw.budget(tokens=tokens), hw.deadline(seconds=seconds):
            answer = await agent(ERRANDS, offered, "Go.", room=60, turns=5)
    except hw.DeadlineExceeded:
        return None, "deadline"
    return answer.value, answer.why


def run_errands(messages: list[Message]) -> Turn:
    if messages[0].text.startswith("Sum up"):
        return "There were doubles."
    said = sum(message.role == "assistant" for message in messages)
    summed_up = any("summed up" in message.text for message in messages)
    if summed_up and said > 2:
        return "Enough."
    if said % 2:
        return [("rest", {"name": f"a{said}"}), ("rest", {"name": "b"}), ("double", {"number": said})]
    return [("delegate", {"tasks": ["sweeping", "the dishes"]}), ("fail", {"why": "it rains"})]


ERRANDS = Scripted(run_errands, "errands", rest_s=0.1)


def test_an_agent_asks_for_the_same_under_every_schedule(headway_check):
    """Replays, other orders of completion, kills at drawn records: `headway_check` fails with what would lose or repeat work."""
    headway_check(errands, 2_500, 1e6, schedules=1)


@pytest.mark.long
@pytest.mark.parametrize(("tokens", "seconds"), [(1e6, 1e6), (2_500, 1e6), (1e6, 3.4)])
def test_agents_ask_for_the_same_under_many_schedules(headway_check, tokens, seconds):
    headway_check(errands, tokens, seconds, schedules=20)


def test_an_agent_that_a_budget_ended_is_cut_off_at_the_same_place_after_a_crash():
    whole = History(1, STEADY)
    before = whole.live(errands, 2_500, 1e6).value
    assert before[1] == "budget"
    for share in (0.3, 0.6, 0.9):
        history = History(1, STEADY)
        assert history.live(errands, 2_500, 1e6, crash=Crash(int(len(whole.rows()) * share), "after")).how == "died"
        assert history.live(errands, 2_500, 1e6).value == before
        history.check()
