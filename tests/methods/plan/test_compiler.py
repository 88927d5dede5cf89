"""LLMCompiler: lines run while the planner writes, as wide as they may; the joiner is always told, and nothing is done twice."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import planning
import pytest
from planning import DONE, TOOLS, Writes

import headway as hw
from headway import UsageError, models
from headway.methods import plan
from headway.methods.graph import Graph, Node, after
from headway.methods.plan import Compiled, Finish, Replan, SoFar, last_result, llm_compiler
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


@pytest.fixture(autouse=True)
def _empty() -> None:
    DONE.clear()


def compile_with(go: Any, *rounds: Sequence[str], join: Any = last_result, rest_s: float = 0.0, **options: Any) -> Compiled:
    writer = Writes(rounds, rest_s=rest_s)

    @hw.task
    async def program() -> Compiled:
        return await llm_compiler("What is it?", writer, TOOLS, join=join, **options)

    made: Compiled = go(program, store=None)
    made.__dict__["asked"] = writer.asked
    return made


# --- time ------------------------------------------------------------------------------------------------------------

WRITING_S = 0.25  # for each line


def make_plan(seed: int) -> tuple[Graph[float], list[str]]:
    """Random steps with their seconds, and the lines that say them."""
    rng = random.Random(seed)
    nodes, lines = [], []
    for number in range(1, rng.randint(4, 14)):
        needs = sorted(rng.sample(range(1, number), min(number - 1, rng.randint(0, 2))))
        seconds = rng.choice([0.5, 1.0, 2.0, 4.0])
        nodes.append(Node(str(number), seconds, after(*map(str, needs))))
        lines.append(f'{number}. rest("{number}", {seconds}, [{", ".join(f"${need}" for need in needs)}])')
    return Graph(nodes), [*lines, "join()"]


def streamed_path_s(graph: Graph[float]) -> float:
    """When the last step can end at the earliest, where step i is written at the end of i lines."""
    ends: dict[str, float] = {}
    for number, node in enumerate(graph, 1):
        ends[node.id] = max([number * WRITING_S, *(ends[need.step] for need in node.needs)]) + node.does
    return max([*ends.values(), WRITING_S * (len(graph) + 1)])


@pytest.mark.parametrize("seed", range(8))
def test_it_takes_as_long_as_the_critical_path_with_each_step_there_when_its_line_is_written(go, clock, seed):
    graph, lines = make_plan(seed)
    begun = clock.now
    compile_with(go, lines, rest_s=WRITING_S)
    streamed = clock.now - begun
    whole = WRITING_S * len(lines) + graph.critical_path(lambda node: node.does)[0]
    one_by_one = WRITING_S * len(lines) + sum(node.does for node in graph)
    assert streamed == pytest.approx(streamed_path_s(graph))
    assert streamed <= whole <= one_by_one
    assert Counter(DONE) == Counter(node.id for node in graph)


# --- what fails ------------------------------------------------------------------------------------------------------


def test_a_line_that_fails_ends_what_needs_it_and_the_joiner_is_told_instead_of_waiting(go, clock):
    told: list[SoFar] = []

    async def join(so_far: SoFar) -> Finish:
        told.append(so_far)
        return Finish("some")

    begun = clock.now
    lines = ['1. fail("it rains")', "2. double($1)", '3. rest("a", 5)', '4. rest("b", 1, [$2, $3])', "join()"]
    made = compile_with(go, lines, join=join)
    assert (made.answer, made.why) == ("some", "finished")
    assert [str(line) for line in told[0].lines] == [
        '1. fail("it rains") -> (fail failed: ValueError: it rains)',
        "2. double($1) -> (it never began, because $1 has no result)",
        '3. rest("a", 5) -> a',
        '4. rest("b", 1, [$2, $3]) -> (it never began, because $2 has no result)',
    ]
    assert DONE == ["fail it rains", "a"]
    assert clock.now - begun == pytest.approx(5)


def test_arguments_that_do_not_fit_fail_the_line_and_not_the_program(go):
    made = compile_with(go, ['1. rest("a", "long")', "join()"], max_replans=0)
    assert "Expected `float`, got `str` - at `$.seconds`" in made.lines[0].error
    assert (made.answer, made.why) == (None, "forced")


@pytest.mark.parametrize("cut", ['2. rest("b"', "2. ", "jo", '2. rest("b', "2. double($7)", "nonsense"])
def test_a_planner_that_stops_or_errs_in_the_middle_is_asked_for_the_rest_while_the_first_lines_run(go, cut):
    made = compile_with(go, ['1. rest("a", 3)', cut], ['2. rest("c", 1)', "join()"])
    assert (made.answer, made.faults) == (["a", "c"], ("",))
    assert '1. rest("a", 3) -> (it runs)' in made.asked[1]
    assert "The plan broke off. " in made.asked[1]
    assert DONE == ["a", "c"]


def test_one_that_goes_on_erring_ends_the_plan_and_the_joiner_is_told(go):
    told: list[SoFar] = []

    async def join(so_far: SoFar) -> Finish | Replan:
        told.append(so_far)
        return await last_result(so_far)

    made = compile_with(go, ['1. rest("a", 3)', '2. rest("b'], ["2. rest(b"], ['2. rest("b", 1)', "join()"], join=join, mends=1)
    assert told[0].fault == made.faults[0] == "The plan stops in the middle of a line: 2. rest(b. Write the line whole."
    assert (made.answer, made.why, made.faults[1]) == (["a", "b"], "forced", "")


def test_a_server_that_ends_its_stream_in_the_middle_of_a_line_is_a_planner_that_stops_there(go, player):
    """A real server, over HTTP: it plays what the prompt says."""

    def play(so_far: SoFar, tools: Any) -> str:
        text = "1. double(4)\n2. double($1" if not so_far.fault else "2. double($1)\njoin()"
        pieces = [text[at : at + 5] for at in range(0, len(text), 5)]
        events = [{"choices": [{"index": 0, "text": each, "finish_reason": None}]} for each in pieces]
        return json.dumps([*events, {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}])

    @hw.task
    async def program() -> Compiled:
        server = models.Endpoint("plays-plans", base_url=player.url, price=models.FREE)
        return await llm_compiler("What is it?", server, TOOLS, join=last_result, prompt=play)

    made = hw.run(program, store=None)
    assert (made.answer, made.faults) == (16, ("",))


# --- rounds ----------------------------------------------------------------------------------------------------------


def test_a_further_round_refers_to_earlier_results_and_is_told_all_of_them(go):
    async def join(so_far: SoFar) -> Finish | Replan:
        return Finish(so_far.lines[-1].value) if len(so_far.lines) > 1 else Replan("It must be doubled.")

    made = compile_with(go, ["1. double(4)", "join()"], ['2. rest("$1 and $1", 1)', "3. double($1)", "join()"], join=join)
    assert (made.answer, made.why) == (16, "forced")
    assert DONE == ["double 4", "8.0 and 8.0", "double 8"]
    assert "1. double(4) -> 8.0" in made.asked[1]
    assert "Thought: It must be doubled." in made.asked[1]
    assert "Go on with line 2." in made.asked[1]


def test_what_was_executed_is_never_executed_again_by_a_further_round(go):
    async def join(so_far: SoFar) -> Finish | Replan:
        return Finish([line.value for line in so_far.lines]) if so_far.last else Replan("Once more.")

    rounds = [
        ["1. double(2)", "2. pay($1)", '3. fail("once")', "join()"],
        ['4. pay(4, "ada")', "5. pay(amount=$1)", "6. pay(amount=$1, to='ada')", '7. pay($1, "eve")', '8. fail("once")', "join()"],
    ]
    made = compile_with(go, *rounds, join=join)
    assert [each.rpartition(" ")[0] for each in DONE if each.startswith("pay")] == ["pay 4 ada", "pay 4 eve"]
    assert made.answer[1] == made.answer[3] == made.answer[5] == "paid 4 to ada"
    assert DONE.count("fail once") == 2, "what failed may be tried again"


def test_two_equal_lines_of_one_plan_are_two_calls(go):
    compile_with(go, ["1. pay(5)", "2. pay(5)", "join()"])
    assert len(set(DONE)) == 2


def test_a_line_can_not_refer_to_what_failed_in_an_earlier_round(go):
    made = compile_with(go, ['1. fail("x")', "join()"], ["2. double($1)", "join()"], ["2. double(3)", "join()"])
    assert "Line 2, double($1): $1 has no result: it failed, or what it needs did." in made.asked[2]
    assert made.lines[-1].value == 6


@pytest.mark.parametrize(("max_replans", "asked"), [(0, 1), (1, 2), (3, 4)])
def test_rounds_are_bounded_and_the_last_one_forces_an_answer(go, max_replans, asked):
    told: list[bool] = []

    async def join(so_far: SoFar) -> Replan:
        told.append(so_far.last)
        return Replan("more")

    made = compile_with(go, *([f"{at}. double({at})", "join()"] for at in range(1, 9)), join=join, max_replans=max_replans)
    assert (made.answer, made.why, len(made.rounds)) == (None, "forced", asked)
    assert told == [False] * max_replans + [True]


def test_a_model_joins_in_words_of_a_form_and_can_not_ask_for_more_in_the_last_round(go):
    said = ['{"thought": "8 is not enough", "action": "replan", "answer": ""}', '{"thought": "good", "answer": "16"}']
    joiner = Writes([[text] for text in said])
    made = compile_with(go, ["1. double(4)", "join()"], ["2. double($1)", "join()"], join=plan.ask_joiner(joiner))
    assert (made.answer, made.why) == ("16", "forced")
    assert "Thought: 8 is not enough" in made.asked[1]
    assert "1. double(4) -> 8.0" in joiner.asked[0]
    assert "Nothing more can be done." in joiner.asked[1]


# --- bounds and settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [{"tokens": 45}, {"tokens": 12}])
def test_it_ends_inside_its_budget(go, bound):
    @hw.task
    async def program() -> str:
        writer = Writes([['1. rest("a", 1)', "join()"]] * 5)
        try:
            with hw.budget(**bound) as spent:
                await llm_compiler("What?", writer, TOOLS, join=_more, max_replans=9, sampling={"max_tokens": 20})
        except hw.BudgetExceeded:
            return "over" if spent.spent["tokens"] > bound["tokens"] else "inside"
        return "ended"

    assert go(program, store=None) == "inside"


async def _more(so_far: SoFar) -> Replan:
    return Replan("more")


def test_it_ends_at_its_deadline(go, clock):
    @hw.task
    async def program() -> float:
        try:
            with hw.deadline(seconds=4.5):
                await llm_compiler("What?", Writes([['1. rest("a", 3)', '2. rest("b", 3, [$1])', "join()"]]), TOOLS, join=_more)
        except hw.DeadlineExceeded:
            return clock.now
        return -1.0

    begun = clock.now
    assert go(program, store=None) - begun == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"question": " "}, "llm_compiler: question=' ': what is asked, as text"),
        ({"join": None}, "llm_compiler: join=None: a function"),
        ({"max_replans": -1}, "llm_compiler: max_replans=-1"),
        ({"mends": 0.5}, "write_lines: mends=0.5"),
        ({"grammar": -2}, "write_lines: grammar=-2"),
        ({"prompt": "x"}, "write_lines: prompt='x': a function"),
        ({"sampling": {"n": 3}}, "write_lines: sampling has n"),
        ({"tools": "double"}, "llm_compiler: tools='double': a list of typed functions"),
        ({"tools": [planning.double, hw.task(planning.double.task.fn)]}, "two tools are called 'double'"),
        ({"errors": "all"}, "errors="),
    ],
)
def test_senseless_settings_are_refused_before_anything_is_asked(go, options, says):
    writer = Writes([["join()"]])

    @hw.task
    async def program() -> None:
        given = {"question": "What?", "tools": TOOLS, "join": last_result, **options}
        await llm_compiler(given.pop("question"), writer, given.pop("tools"), **given)

    with pytest.raises(UsageError) as caught:
        go(program, store=None)
    assert says in str(caught.value)
    assert writer.asked == []


def test_a_joiner_that_decides_nothing_is_named(go):
    async def join(so_far: SoFar) -> Any:
        return "done"

    with pytest.raises(UsageError, match=r"join= gave 'done': a plan.Finish or a plan.Replan"):
        compile_with(go, ["join()"], join=join)


# --- crashes ---------------------------------------------------------------------------------------------------------

WRITER = Writes(
    lambda asked: (
        ["3. pay($1)", '4. pay(2, "eve")', "5. pay($1)", "join()"]
        if "-> 8.0" in asked
        else ["1. double(4)", '2. pay(2, "eve")', '6. fail("x")', '7. rest("$2", 1)', "8. rest(b"]
        if "broke off" not in asked
        else ['9. rest("c", 1)', "join()"]
    ),
    rest_s=0.1,
)


@hw.task(name="compiler.tests.household")
async def household() -> list[Any]:
    async def join(so_far: SoFar) -> Finish | Replan:
        return Finish([line.value for line in so_far.lines]) if so_far.last else Replan("More.")

    with hw.budget(tokens=100_000):
        made = await llm_compiler("Go.", WRITER, TOOLS, join=join, sampling={"max_tokens": 90})
    return [*made.answer, *made.faults]


def test_wherever_it_is_killed_it_goes_on_and_no_effect_is_done_twice():
    whole = History(1, STEADY)
    undisturbed = whole.live(household)
    size = len(whole.rows())
    effects = {each for each in DONE if each.startswith("pay")}
    assert len(effects) == 3
    for at in range(1, size, 3):
        DONE.clear()
        history = History(1, STEADY)
        history.live(household, crash=Crash(at, "after"))
        last = history.live(household)
        assert last.value == undisturbed.value
        assert {each for each in DONE if each.startswith("pay")} <= effects
        history.check(undisturbed.outcome)
