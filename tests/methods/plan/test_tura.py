"""TURA: parts of a question go to the servers that fit, side by side where they may, and the answer comes in time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from planning import Speaks

import headway as hw
from headway import UsageError, tools
from headway.methods.plan import Retrieved, tura
from headway.models import Request

TOOK = {"weather": 2.0, "trains": 3.0, "hotels": 6.0}


@tools.tool
async def weather(city: str) -> str:
    """The weather of a city: rain, sun, wind."""
    await hw.sleep(TOOK["weather"])
    return f"sunny in {city}"


@tools.tool
async def trains(to: str) -> str:
    """Trains and when they leave."""
    await hw.sleep(TOOK["trains"])
    return f"a train to {to} at nine"


@tools.tool
async def hotels(city: str) -> str:
    """Hotels of a city, and what a night costs."""
    await hw.sleep(TOOK["hotels"])
    return f"a room in {city}"


SERVERS = tools.Toolbox([weather, trains, hotels], queries={"hotels": ["where can I sleep?"]})
PARTS = ["Will it rain in Rome?", "When do trains leave for Rome?", "Where can I sleep in Rome?"]
PLAN = [
    {"id": "1", "question": "weather of Rome", "server": "weather", "needs": []},
    {"id": "2", "question": "trains to Rome if it is dry", "server": "trains", "needs": ["1"]},
    {"id": "3", "question": "a bed in Rome", "server": "hotels", "needs": []},
]


class Assistant(Speaks):
    """Splits and plans as it is told, asks its one tool, and sums up all it was shown."""

    def __init__(self, parts: list[str], *plans: Any) -> None:
        self.plans = list(plans)
        self.parts = parts
        super().__init__(self.answer)

    def answer(self, request: Request) -> Any:
        last = request.prompt[-1]
        assert not isinstance(last, str)
        if request.schema is not None and "parts" in request.schema.schema["properties"]:
            return json.dumps({"parts": self.parts})
        if request.schema is not None:
            return json.dumps({"tasks": self.plans.pop(0)})
        found = [message.text for message in request.prompt if not isinstance(message, str) and message.role == "tool"]
        if found:
            return found[-1]
        if request.tools:
            (name,) = request.tools[0].parameters["properties"]
            return [(request.tools[0].name, {name: "Rome"})]
        return last.text


def ask(go: Any, model: Speaks, question: str = "A trip to Rome?", **options: Any) -> Retrieved:
    @hw.task
    async def program() -> Retrieved:
        return await tura(question, model, SERVERS, **options)

    made: Retrieved = go(program, store=None)
    return made


def test_a_complex_question_runs_as_a_graph_as_wide_as_it_may(go, clock):
    begun = clock.now
    made = ask(go, Assistant(PARTS, PLAN))
    assert clock.now - begun == pytest.approx(max(2 + 3, 6))
    assert dict(made.ran.results) == {"1": "sunny in Rome", "2": "a train to Rome at nine", "3": "a room in Rome"}
    assert set(made.servers) == {"weather", "trains", "hotels"}
    assert (made.late, made.parts) == ((), tuple(PARTS))
    assert "trains to Rome if it is dry: a train to Rome at nine" in made.answer


def test_what_a_sub_question_needs_is_told_to_its_solver(go):
    model = Assistant(PARTS, PLAN)
    ask(go, model)
    asked = [request.prompt[0].text for request in model.asked if request.tools and request.tools[0].name == "trains"]
    assert asked[0] == "trains to Rome if it is dry\n\nKnown:\n1: sunny in Rome"


def test_a_simple_question_goes_to_its_best_server_without_a_plan(go):
    made = ask(go, Assistant(PARTS[2:], "never asked"), "Where can I sleep in Rome?")
    assert [(node.does.server, node.does.question) for node in made.ran.graph] == [("hotels", "Where can I sleep in Rome?")]


def test_what_is_late_is_left_out_of_the_answer(go, clock):
    begun = clock.now
    made = ask(go, Assistant(PARTS, PLAN), latency_s=5.5)
    assert clock.now - begun == pytest.approx(5.5)
    assert made.late == ("3",)
    assert "a bed in Rome: (no answer)" in made.answer
    assert "sunny in Rome" in made.answer


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ([], "There are no tasks."),
        ([{**PLAN[0], "server": "maps"}], "Task 1: there is no server 'maps'; there are: "),
        ([{**PLAN[0], "needs": ["2"]}, PLAN[1]], "a cycle"),
        ([PLAN[0], PLAN[0]], "there is a step of this id already"),
        ([{**PLAN[0], "needs": ["9"]}], "9"),
        ([{**PLAN[0], "question": " "}], "Task '1' has no id or no question."),
    ],
)
def test_a_plan_that_can_not_be_used_is_asked_for_again_and_then_each_part_goes_to_its_best_server(go, plan, why):
    model = Assistant(PARTS, plan, plan)
    made = ask(go, model)
    again = [message.text for request in model.asked if request.schema for message in request.prompt]
    assert any("This plan can't be used: " in text and why in text for text in again)
    assert [(node.does.server, node.needs) for node in made.ran.graph] == [("weather", ()), ("trains", ()), ("hotels", ())]
    assert dict(ask(go, Assistant(PARTS, plan, PLAN)).ran.results) == {
        "1": "sunny in Rome",
        "3": "a room in Rome",
        "2": "a train to Rome at nine",
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, "tura: k=0"),
        ({"latency_s": 0}, "tura: latency_s=0"),
        ({"turns": 0}, "tura: turns=0"),
        ({"question": ""}, "question=''"),
    ],
)
def test_senseless_settings_are_refused_before_anything_is_asked(go, options, says):
    model = Assistant(PARTS, PLAN)
    with pytest.raises(UsageError, match=says):
        ask(go, model, **options)
    assert model.asked == []


def test_a_question_that_no_server_fits_is_refused(go):
    with pytest.raises(UsageError, match="no server fits"):
        ask(go, Assistant(["xyzzy"]), "xyzzy")
