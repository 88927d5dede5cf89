"""Parts of a task that are given away: what they may spend, what stays, and what of a helper that fails."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted, Turn, double, turns

import headway as hw
from headway import tools
from headway.engine.identity.canonical import canonical
from headway.errors import UsageError
from headway.methods.agent import Answer, agent, delegate
from headway.models import Message
from headway.tools import ToolArgumentsError

AMOUNT = 60_000


@tools.tool
async def look_at_purse(who: str) -> int:
    """What is left."""
    return round(hw.remaining("tokens"))


def run(boss: Scripted, offered: list[Any], tokens: int | None = AMOUNT, **options: Any) -> tuple[Answer[str], float]:
    @hw.task(name="agent.tests.delegating")
    async def program() -> tuple[Answer[str], float]:
        if tokens is None:
            return await agent(boss, offered, "Go.", **options), 0.0
        with hw.budget(tokens=tokens):
            return await agent(boss, offered, "Go.", **options), hw.remaining("tokens")

    return hw.run(program, store=None, progress=False)


def told(answer: Answer[Any]) -> list[str]:
    return [message.text for message in answer.messages if message.role == "tool"]


def numbers_in(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d{3,}", text)]


def give_away(*parts: str) -> Scripted:
    return Scripted(turns([("delegate", {"tasks": list(parts)})], "Done."), "boss")


def look(messages: list[Message]) -> Turn:
    seen = [message.text for message in messages if message.role == "tool"]
    return f"I had {seen[0]}" if seen else [("look_at_purse", {"who": messages[-1].text[:1]})]


def test_each_of_n_parts_gets_one_share_of_n_plus_one_and_one_stays():
    helper = Scripted(look, "helper")
    answer, left = run(give_away("a", "b", "c"), [delegate(helper, [look_at_purse], tell_budget=False)])
    had = numbers_in(told(answer)[0])
    assert len(had) == 3
    assert all(AMOUNT / 4 * 0.97 < each <= AMOUNT / 4 for each in had), had
    assert left > AMOUNT / 4


def test_helpers_of_a_depth_can_delegate_in_turn_and_no_deeper():
    def work(messages: list[Message]) -> Turn:
        seen = [message.text for message in messages if message.role == "tool"]
        task = next(message.text for message in messages if message.role == "user")
        if seen:
            return f"{task}: {seen[0]}"
        return [("delegate", {"tasks": [task + "x", task + "y"]})] if len(task) < 3 else [("look_at_purse", {"who": task})]

    answer, left = run(give_away("a"), [delegate(Scripted(work, "helper"), [look_at_purse], depth=3, tell_budget=False)])
    (said,) = told(answer)
    deepest = numbers_in(said)
    assert len(deepest) == 4
    assert all(AMOUNT / 2 / 3 / 3 * 0.9 < each <= AMOUNT / 2 / 3 / 3 for each in deepest), deepest
    assert left > AMOUNT / 2

    shallow, _ = run(give_away("a"), [delegate(Scripted(work, "helper"), [look_at_purse], depth=1)])
    assert "There is no tool 'delegate'" in told(shallow)[0]


def test_a_helper_that_fails_takes_nobody_with_it():
    def work(messages: list[Message]) -> Turn:
        if messages[0].text == "b":
            raise ValueError("I am lost")
        return "Well done."

    answer, _ = run(give_away("a", "b", "c"), [delegate(Scripted(work, "helper"), [], tell_budget=False)])
    assert told(answer) == ['["Well done. ","This helper failed: ValueError: I am lost","Well done. "]']


def test_a_helper_whose_share_is_used_up_says_what_it_has():
    helper = Scripted(lambda messages: [("double", {"number": len(messages)})], "helper")
    boss = give_away("a", "b")
    answer, left = run(boss, [delegate(helper, [double], turns=100)], tokens=9_000)
    assert told(answer)[0].count("This helper's share of the budget was used up. It last said: nothing") == 2
    assert (answer.value, answer.why) == ("Done. ", "answered")
    assert left > 0


def test_of_two_delegations_in_one_turn_one_is_run_and_the_model_is_told():
    asked = [("delegate", {"tasks": ["a"]}), ("double", {"number": 2}), ("delegate", {"tasks": ["b"]})]
    boss = Scripted(turns(asked, "Done."))
    answer, _ = run(boss, [delegate(Scripted(turns("Yes."), "helper"), []), double])
    assert told(answer) == [
        '["Yes. "]',
        "4",
        "Not run: another call of this turn gives parts away, too. Put all parts into one call.",
    ]


def test_parts_can_be_given_away_without_any_budget():
    answer, _ = run(give_away("a", "b"), [delegate(Scripted(turns("Yes."), "helper"), [])], tokens=None)
    assert told(answer) == ['["Yes. ","Yes. "]']


@pytest.mark.parametrize("arguments", ["{", "{}", '{"tasks": []}', '{"tasks": [1]}', '{"tasks": ["a"], "b": 1}', '{"tasks": "a"}'])
def test_what_is_no_delegation_is_told_to_the_model(arguments):
    tool = delegate(Scripted(turns("Yes.")), [], most=2)
    with pytest.raises(ToolArgumentsError):
        tool.parse(arguments)
    with pytest.raises(ToolArgumentsError, match="at most 2 at a time"):
        tool.parse('{"tasks": ["a", "b", "c"]}')


def test_settings_that_make_no_sense_are_refused_before_anything_is_asked():
    with pytest.raises(UsageError, match="depth=0"):
        delegate(Scripted(turns("Yes.")), [], depth=0)
    with pytest.raises(UsageError, match="most=0"):
        delegate(Scripted(turns("Yes.")), [], most=0)
    with pytest.raises(UsageError, match="turns=0"):
        delegate(Scripted(turns("Yes.")), [], turns=0)
    with pytest.raises(UsageError, match="no turnz"):
        delegate(Scripted(turns("Yes.")), [], turnz=1)  # type: ignore[call-arg]  # that is what is wrong
    with pytest.raises(UsageError, match="two tools are called 'double'"):
        delegate(Scripted(turns("Yes.")), [double, double.task])


def test_a_delegation_says_what_its_tools_do():
    @tools.tool(effect=True)
    async def send(to: str) -> str:
        """Send."""
        return to

    @tools.tool(reads_untrusted=True)
    async def read(page: str) -> str:
        """Read."""
        return page

    model = Scripted(turns("Yes."))
    labels = delegate(model, [send, read, double], depth=2).labels
    assert (labels.effect, labels.reads_untrusted) == (True, True)
    assert not delegate(model, [double]).labels.effect


@settings(max_examples=25)
@given(tokens=st.integers(500, 30_000), width=st.integers(1, 3), depth=st.integers(1, 2), money=st.floats(0.0005, 0.02))
def test_no_bound_is_ever_passed(tokens, width, depth, money):
    """A word is a token and 1,000,000 tokens are a dollar, so both bounds bite."""

    def work(messages: list[Message]) -> Turn:
        said = sum(message.role == "assistant" for message in messages)
        if depth > 1 and said == 0 and len(messages[0].text) < 3:
            return [("delegate", {"tasks": ["helper"] * width})]
        return [("double", {"number": said})] * 2

    boss = Scripted(turns([("delegate", {"tasks": ["a"] * width})], [("double", {"number": 1})], "Done."), "boss")
    spent: dict[str, float] = {}

    @hw.task(name="agent.tests.bounded")
    async def program() -> None:
        with hw.budget(tokens=tokens, money=money):
            await agent(boss, [double, delegate(Scripted(work, "helper"), [double], depth=depth, turns=4)], "Go.")
            spent.update(tokens=tokens - hw.remaining("tokens"), money=money - hw.remaining("money"))

    hw.run(program, store=None, progress=False)
    assert 0 <= spent["tokens"] <= tokens
    assert 0 <= spent["money"] <= money


def test_delegations_with_other_tools_or_settings_are_other_calls():
    model = Scripted(turns("Yes."))
    keys = {canonical(delegate(model, offered, turns=n)) for offered in ([], [double]) for n in (1, 2)}
    assert len(keys) == 4
    assert canonical(delegate(model, [double])) == canonical(delegate(model, [double]))
