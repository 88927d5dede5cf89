"""Divide-Then-Aggregate: all calls of a round run at once, and the next begins when the last of them has ended."""

from __future__ import annotations

import random
from typing import Any

import pytest
from planning import DONE, TOOLS, Speaks
from test_compiler import make_plan

import headway as hw
from headway import UsageError
from headway.methods.graph import Graph, Node, after
from headway.methods.plan import Aggregated, by_levels, divide_then_aggregate
from headway.models import Request


@pytest.fixture(autouse=True)
def _empty() -> None:
    DONE.clear()


def told(request: Request) -> list[str]:
    return [message.text for message in request.prompt if not isinstance(message, str) and message.role == "tool"]


ROUNDS: list[Any] = [
    [("rest", {"name": "a", "seconds": 3}), ("rest", {"name": "b", "seconds": 1}), ("fail", {"why": "it rains"}), ("nothing", {})],
    [("rest", {"name": "c", "seconds": 2})],
]


def divide(request: Request) -> Any:
    done = sum(not isinstance(message, str) and message.role == "assistant" for message in request.prompt)
    return ROUNDS[done] if done < len(ROUNDS) and request.tool_choice != "none" else " | ".join(told(request))


def work(go: Any, model: Speaks, **options: Any) -> Aggregated:
    @hw.task
    async def program() -> Aggregated:
        return await divide_then_aggregate("Do it.", model, TOOLS, **options)

    made: Aggregated = go(program, store=None)
    return made


def test_a_round_waits_for_all_of_the_last_one_and_failures_are_told(go, clock):
    model, begun = Speaks(divide), clock.now
    made = work(go, model)
    assert clock.now - begun == pytest.approx(3 + 2)
    assert (made.why, [len(each) for each in made.rounds]) == ("answered", [4, 1])
    assert made.answer.split(" | ") == [
        "a",
        "b",
        "fail failed: ValueError: it rains",
        "There is no tool 'nothing'; there are 'double', 'fail', 'pay' and 'rest'",
        "c",
    ]
    assert len(told(model.asked[1])) == 4, "it is asked when all have ended, and told all"


def test_when_the_rounds_are_used_up_it_must_answer(go):
    made = work(go, Speaks(divide), rounds=1)
    assert (made.why, len(made.rounds), made.answer[:3]) == ("rounds", 1, "a |")
    unasked = Speaks(divide)
    made = work(go, unasked, rounds=1, forced=False)
    assert (made.why, len(made.rounds), made.answer, len(unasked.asked)) == ("rounds", 1, "", 1)


def test_one_that_asks_for_tools_even_then_gives_what_it_said_before(go):
    made = work(go, Speaks(lambda request: ROUNDS[1]), rounds=2)
    assert (made.why, len(made.rounds), made.answer) == ("rounds", 2, "")


@pytest.mark.parametrize("seed", range(30))
def test_rounds_take_at_least_as_long_as_dataflow(seed):
    graph, _ = make_plan(seed)
    took = [each.critical_path(lambda node: node.does)[0] for each in (graph, by_levels(graph))]
    assert took[0] <= took[1]
    assert [set(level) for level in by_levels(graph).rounds()] == [set(level) for level in graph.rounds()]


@pytest.mark.parametrize("seed", range(10))
def test_they_take_as_long_where_each_level_is_of_one_length_and_longer_where_a_chain_waits_for_a_stranger(seed):
    rng = random.Random(seed)
    width, depth = rng.randint(2, 4), rng.randint(2, 4)
    seconds = [rng.choice([1.0, 2.0, 5.0]) for _ in range(depth)]
    places = [(at, place) for at in range(depth) for place in range(width)]
    level = Graph(tuple(Node(f"{at}.{place}", seconds[at], after(f"{at - 1}.{place}") if at else ()) for at, place in places))
    dataflow, rounds = (each.critical_path(lambda node: node.does)[0] for each in (level, by_levels(level)))
    assert dataflow == rounds
    crossed = Graph((Node("a", 1.0), Node("b", 9.0), Node("c", 9.0, after("a")), Node("d", 1.0, after("b"))))
    dataflow, rounds = (each.critical_path(lambda node: node.does)[0] for each in (crossed, by_levels(crossed)))
    assert (dataflow, rounds) == (10, 18)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rounds": 0}, "divide_then_aggregate: rounds=0"),
        ({"sampling": {"tools": []}}, "sampling has tools"),
    ],
)
def test_senseless_settings_are_refused_before_anything_is_asked(go, options, says):
    model = Speaks(divide)
    with pytest.raises(UsageError, match=says):
        work(go, model, **options)
    assert model.asked == []


def test_so_are_no_tools_and_no_task(go):
    @hw.task
    async def program(task: str, tools: list[Any]) -> None:
        await divide_then_aggregate(task, Speaks(divide), tools)

    with pytest.raises(UsageError, match="there are no tools, so there is nothing to divide"):
        go(program, "x", [], store=None)
    with pytest.raises(UsageError, match="task='': what is to be done"):
        go(program, "", [], store=None)
