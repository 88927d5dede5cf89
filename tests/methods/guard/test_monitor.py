"""A list of steps is judged as a whole, and stops before the step that goes too far."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway import models, tools
from headway.methods.agent import agent
from headway.methods.guard import Halted, Monitor, Ruling, ask_model, open_gates

sys.path.insert(0, str(Path(__file__).parents[1] / "agent"))
from scripted import Scripted, turns  # type: ignore[import-not-found]  # of the agent's tests

bought: list[str] = []


@tools.tool(effect=True)
async def buy(thing: str) -> str:
    """Buy a thing."""
    bought.append(thing)
    return "bought"


class Judge:
    """Two harmless things that are harmful together."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, steps: str) -> float:
        self.asked.append(steps)
        return 0.9 if "fertiliser" in steps and "fuel" in steps else 0.1


@pytest.fixture(autouse=True)
def nothing_bought() -> None:
    bought.clear()


def shopping(judge: Any, *lists: list[str]) -> Any:
    @hw.task(name="shopping")
    async def program() -> list[str]:
        script = turns(*[[("buy", {"thing": thing}) for thing in things] for things in lists], "done")
        ended = await agent(Scripted(script), [buy], "Shop.", guards=[Monitor(judge)])
        return [message.text for message in ended.messages if message.role == "tool"]

    return program


def test_an_agent_is_halted_before_the_step_that_goes_too_far_and_stays_halted(go: Callable[..., Any]) -> None:
    said = go(shopping(judge := Judge(), ["fertiliser", "roses"], ["fuel"], ["tulips"]))
    assert bought == ["fertiliser", "roses"]
    assert said[:2] == ["bought", "bought"]
    assert all("halted before step 3" in each for each in said[2:])
    assert [len(asked.splitlines()) for asked in judge.asked] == [2, 3]  # never the first alone, and none after the halt


def test_in_a_turn_only_the_steps_before_the_halt_are_run(go: Callable[..., Any]) -> None:
    go(shopping(Judge(), ["roses", "fuel", "fertiliser", "tulips"]))
    assert bought == ["roses", "fuel"]


def test_a_resumed_agent_hears_the_recorded_verdicts_and_buys_nothing_again(go: Callable[..., Any]) -> None:
    first = go(shopping(Judge(), ["fertiliser"], ["fuel"]))
    assert go(shopping(lambda _: 0.0, ["fertiliser"], ["fuel"])) == first  # a judge that would let everything pass
    assert bought == ["fertiliser"]


def test_verdicts_take_room_that_grows_with_the_steps_and_not_with_their_square(go: Callable[..., Any], tmp_path: Path) -> None:
    @hw.task(name="program")
    async def program(steps: int) -> None:
        await Monitor(lambda _: 0.0).check([f"step {number} {'x' * 200}" for number in range(steps)])

    def size(steps: int) -> int:
        go(program, steps, store=tmp_path / str(steps))
        return sum(len(repr(call.arguments)) for call in hw.view("run", store=tmp_path / str(steps)).calls)

    assert size(80) < 5 * size(20)


def test_a_plain_list_of_steps_is_checked_before_any_is_done(go: Callable[..., Any]) -> None:
    @hw.task(name="program")
    async def program(steps: list[str]) -> str:
        try:
            await Monitor(Judge()).check(steps)
        except Halted as halted:
            return str(halted)
        return ""

    assert "halted before step 3" in go(program, ["fuel", "roses", "fertiliser"], run_id="harm")
    assert go(program, ["roses", "tulips"], run_id="none") == ""


def test_a_model_judges_and_its_reason_is_told(go: Callable[..., Any]) -> None:
    said = '{"why": "together they explode", "verdict": "yes", "confidence": 0.8}'
    model = Scripted(lambda _: said, name="judge")

    @hw.task(name="program")
    async def program() -> str:
        with pytest.raises(Halted) as halted:
            await Monitor(ask_model(model, "Do these steps do harm?")).check(["fuel", "fertiliser"])
        return str(halted.value)

    assert "(0.80, from 0.50 on nothing is run): together they explode" in go(program)
    assert "1. fuel\n2. fertiliser" in model.asked[0].prompt[-1].text


@pytest.mark.parametrize("nonsense", [math.nan, 7, -0.1, "no", None, Ruling(2.0)])
def test_a_judge_that_gives_no_probability_stops_everything(go: Callable[..., Any], nonsense: Any) -> None:
    with pytest.raises(hw.UsageError, match="a probability from 0 to 1"):
        go(shopping(lambda _: nonsense, ["roses", "tulips"]))
    assert bought == []


def test_settings_without_sense_are_refused() -> None:
    for make in (lambda: Monitor("x"), lambda: Monitor(Judge(), threshold=50), lambda: Monitor(Judge(), first=0)):
        with pytest.raises(hw.UsageError):
            make()
    with pytest.raises(hw.UsageError, match="what the model is asked"):
        ask_model(Scripted(turns("x")), "")


def test_a_gate_stands_before_calls_without_an_agent_too(go: Callable[..., Any]) -> None:
    @hw.task(name="program")
    async def program() -> list[bool]:
        gate = open_gates([Monitor(Judge())], [buy])
        calls = [models.ToolCall(thing, "buy", f'{{"thing": "{thing}"}}') for thing in ("fuel", "fertiliser")]
        return [result.is_error for result in await tools.run_calls([buy], calls, gate=gate)]

    assert go(program) == [False, True]
    assert bought == ["fuel"]


def test_the_cumulative_list_is_judged_better_than_its_steps() -> None:
    from benchmarks.agents.decomposed import measure

    for injected in (0, 6):
        cumulative, single = (sum(measure(name, seed, injected) for seed in range(2)) for name in ("cumulative", "single step"))
        assert cumulative > single
