"""The loop of an agent: what it asks, what it runs, and how it ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from scripted import Scripted, Turn, double, fail, turns

import headway as hw
from headway import tools
from headway.errors import ModelError, UsageError
from headway.methods.agent import Answer, Called, Returned, Said, agent
from headway.methods.agent.compacting import SUMMED_UP
from headway.methods.agent.transcript import CUT_OFF
from headway.models import Message
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


def run(model: Scripted, offered: list[Any], task: str = "Go.", **options: Any) -> Answer[Any]:
    @hw.task(name="agent.tests.program")
    async def program() -> Answer[Any]:
        return await agent(model, offered, task, **options)

    return hw.run(program, store=None, progress=False)


def test_it_runs_the_tools_of_a_turn_side_by_side_and_answers(go):
    begun = Counter()

    @tools.tool
    async def rest(name: str) -> str:
        """Rest."""
        begun["now"] += 1
        begun["most"] = max(begun["most"], begun["now"])
        await hw.sleep(1)
        begun["now"] -= 1
        return name

    model = Scripted(turns([("rest", {"name": "a"}), ("rest", {"name": "b"}), ("double", {"number": 4})], "It is 8."))

    @hw.task
    async def program() -> Answer[str]:
        return await agent(model, [rest, double], "Go.")

    answer = go(program)
    assert begun["most"] == 2
    assert (answer.value, answer.why, answer.turns) == ("It is 8. ", "answered", 2)
    assert [message.text for message in answer.messages if message.role == "tool"] == ["a", "b", "8"]
    assert [message.role for message in answer.messages] == ["user", "assistant", "tool", "tool", "tool", "assistant"]


def test_a_fault_of_a_tool_or_of_the_models_own_is_told_to_the_model():
    asked = [("fail", {"why": "it rains"}), ("dubble", {"number": 1}), ("double", {"number": "x"}), ("double", '{"number": 1')]
    answer = run(Scripted(turns(asked, "I see.")), [fail, double])
    told = [message.text for message in answer.messages if message.role == "tool"]
    assert "it rains" in told[0]
    assert "There is no tool 'dubble'" in told[1]
    assert "$.number" in told[2]
    assert "double" in told[3]
    assert answer.value == "I see. "


def test_a_model_finds_tools_on_a_shelf_and_uses_them_in_the_next_turn():
    model = Scripted(turns([("find_tools", {"requests": ["twice a number"]})], [("double", {"number": 4})], "It is 8."))

    @hw.task(name="agent.tests.shelf")
    async def program() -> Answer[str]:
        return await agent(model, tools.Shelf(tools.Toolbox([double, fail]), k=1), "Double 4.")

    answer = hw.run(program, store=None, progress=False)
    assert answer.value == "It is 8. "
    assert [message.text for message in answer.messages if message.role == "tool"][1] == "8"
    assert [[each.name for each in request.tools] for request in model.asked] == [
        ["find_tools"],
        ["find_tools", "double"],
        ["find_tools", "double"],
    ]


def test_the_last_turn_offers_no_tools_and_asks_for_an_answer():
    def script(messages: list[Message]) -> Turn:
        last = messages[-1].text
        return "My best guess." if "Answer now, with what you have." in last else [("double", {"number": 1})]

    model = Scripted(script)
    answer = run(model, [double], turns=3)
    assert (answer.value, answer.why, answer.turns) == ("My best guess. ", "turns", 3)
    assert [request.tool_choice for request in model.asked] == ["auto", "auto", "none"]


def test_of_a_model_that_asks_for_tools_though_it_must_answer_what_it_said_before_stands():
    answer = run(Scripted(turns([("double", {"number": 1})])), [double], turns=2)
    assert (answer.value, answer.why, answer.turns) == ("", "turns", 2)
    assert [message.role for message in answer.messages] == ["user", "assistant", "tool"]
    before = run(Scripted(turns("Not yet.")), [], "Think.").messages
    answer = run(Scripted(turns([("double", {"number": 1})])), [double], turns=2, history=before)
    assert answer.value == "Not yet. "


def test_a_budget_ends_it_with_what_it_last_said_and_is_told_to_the_model():
    def script(messages: list[Message]) -> Turn:
        return [("double", {"number": len(messages)})]

    model = Scripted(script)

    @hw.task
    async def program() -> Answer[str]:
        with hw.budget(tokens=2_000):
            return await agent(model, [double], "Go.", sampling={"max_tokens": 20}, turns=100)

    answer = hw.run(program, store=None, progress=False)
    assert answer.why == "budget"
    assert 2 < answer.turns < 100
    notes = [request.prompt[-1].text for request in model.asked]
    assert notes[0].startswith("You have left: 2,000 tokens, 100 turns.")
    assert all(note.startswith("You have left: ") for note in notes)
    assert not any("You have left" in message.text for message in answer.messages)


def test_a_conversation_that_a_budget_cut_off_can_be_gone_on_from():
    @hw.task(cost={"tokens": 5_000})
    async def dear(what: str) -> str:
        """Do what nobody can pay."""
        return what

    asked = [("dear", {"what": "that"}), ("double", {"number": 4})]

    @hw.task
    async def program() -> Answer[str]:
        with hw.budget(tokens=4_000):
            return await agent(Scripted(turns(asked)), [dear, double], "Go.", sampling={"max_tokens": 20})

    answer = hw.run(program, store=None, progress=False)
    assert (answer.value, answer.why, answer.turns) == ("", "budget", 1)
    assert [message.text for message in answer.messages if message.role == "tool"] == [CUT_OFF, CUT_OFF]
    gone_on = run(Scripted(turns(asked, "I see.")), [double], "And now?", history=answer.messages)
    assert gone_on.value == "I see. "


def test_a_long_conversation_is_summed_up_and_keeps_its_task_and_its_newest_turns():
    def script(messages: list[Message]) -> Turn:
        if messages[0].text.startswith("Sum up"):
            return "There were doubles."
        done = sum(message.role == "assistant" for message in messages)
        return "Done." if any(SUMMED_UP in message.text for message in messages) and done >= 4 else [("double", {"number": done})]

    model = Scripted(script)
    answer = run(model, [double], "Double " + "and double " * 40, room=400, turns=50, tell_budget=False)
    assert answer.value == "Done. "
    assert answer.messages[0].text.startswith("Double and double")
    assert answer.messages[1].text == SUMMED_UP + "There were doubles. "
    asked = {call.id for message in answer.messages for call in message.calls}
    assert {message.call_id for message in answer.messages if message.role == "tool"} <= asked


@dataclass
class Area:
    country: str
    km2: int


def test_an_answer_of_a_type_is_read_or_asked_for_once_more():
    written = '{"country": "Italy", "km2": 302068}'
    assert run(Scripted(turns(written)), [double], schema=Area).value == Area("Italy", 302068)

    def script(messages: list[Message]) -> Turn:
        return written if "JSON schema" in messages[-1].text else "It is large."

    assert run(Scripted(script), [double], schema=Area).value == Area("Italy", 302068)
    with pytest.raises(ModelError, match="gave no Area in two attempts"):
        run(Scripted(turns("It is large.")), [double], schema=Area)


def test_it_goes_on_from_an_earlier_conversation():
    first = run(Scripted(turns("Rome.")), [], "What is the capital of Italy?")
    model = Scripted(lambda messages: f"You asked {sum(message.role == 'user' for message in messages)} times.")
    second = run(model, [], "And of France?", history=first.messages)
    assert second.value == "You asked 2 times. "


def test_whoever_listens_hears_pieces_calls_and_results_and_the_same_of_a_replay():
    heard: list[Any] = []
    model = Scripted(turns([("double", {"number": 4})], "It is 8."))

    @hw.task(name="agent.tests.heard")
    async def program() -> str | None:
        return (await agent(model, [double], "Go.", hear=heard.append)).value

    def words() -> tuple[str, list[Any]]:
        said = "".join(each.piece.text for each in heard if isinstance(each, Said))
        return said, [type(each) for each in heard if isinstance(each, Called | Returned)]

    whole = History(1, STEADY)
    whole.live(program)
    live = words()
    assert live == ("It is 8. ", [Called, Returned])
    history = History(1, STEADY)
    assert history.live(program, crash=Crash(len(whole.rows()) - 1, "before")).how == "died"
    heard.clear()
    asked = len(model.asked)
    assert history.live(program).value == "It is 8. "
    assert words() == live
    assert len(model.asked) == asked, "all was recorded"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"turns": 0}, "turns=0"),
        ({"room": -1}, "room=-1"),
        ({"offered": [double, double.task]}, "two tools are called 'double'"),
        ({"offered": "double"}, "a list of typed functions"),
        ({"task": ""}, "what is to be done"),
        ({"sampling": {"n": 2}}, "which the loop sets itself"),
        ({"turnz": 3}, "agent has no turnz"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_is_asked(change, said):
    model = Scripted(turns("Yes."))
    options = {"offered": [double], "task": "Go.", **change}
    with pytest.raises(UsageError, match=said):
        run(model, options.pop("offered"), options.pop("task"), **options)
    assert not model.asked


def test_a_model_that_takes_no_tools_is_refused_before_anything_is_asked():
    model = Scripted(turns("Yes."))
    model.abilities = frozenset()
    with pytest.raises(UsageError, match="tools"):
        run(model, [double])
    assert not model.asked
