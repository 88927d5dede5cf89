"""Agents of pydantic-ai in a run: what is recorded never runs again, whatever happens in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from clerks import clerk, prompt, results, scripted
from pydantic_ai import Agent, ApprovalRequired, CallDeferred, DeferredToolRequests, DeferredToolResults, ModelRetry, RunContext
from pydantic_ai.exceptions import ModelHTTPError, UserError
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.toolsets import FunctionToolset

import headway as hw
from headway.integrations.pydantic_ai import HeadwayDurability
from headway.integrations.pydantic_ai.asked import MADE_UP


def two_areas(number: int, messages: list[Any]) -> Any:
    if number == 0:
        return [("area", {"country": "Italy"}), ("area", {"country": "France"})]
    return f"{prompt(messages)}: {results(messages)}"


def units(store: Any) -> list[str]:
    """The labels of the recorded units of a run, in order."""
    return [call.label for call in hw.view("run", store=store).calls if call.task == "pydantic_ai.unit"]


def test_a_resumed_agent_repeats_no_turn_and_no_tool_call_that_was_recorded(go: Any, tmp_path: Any) -> None:
    seen: list[str] = []
    agent = clerk(two_areas, seen)

    @agent.tool_plain
    async def area(country: str) -> int:
        seen.append(country)
        if country == "France" and seen.count("France") == 1:
            raise ConnectionError("the line is dead")
        return len(country)

    @hw.task
    async def main(question: str) -> str:
        return (await agent.run(question)).output

    with pytest.raises(ConnectionError):
        go(main, "How large?")
    assert seen == ["turn 0", "Italy", "France"]
    assert go(main, "How large?") == "How large?: [5, 6]"
    assert seen == ["turn 0", "Italy", "France", "France", "turn 1"]
    assert go(main, "How large?") == "How large?: [5, 6]"
    assert len(seen) == 5
    assert units(tmp_path / "store").count("clerk__function_toolset__<agent>.call_tool:area") == 2


def test_tools_run_in_parallel_and_are_found_again_in_another_order(go: Any) -> None:
    seen: list[str] = []
    agent = clerk(lambda number, messages: [("wait", {"s": 3}), ("wait", {"s": 1})] if not number else str(results(messages)), seen)
    rests = {3: 3.0, 1: 1.0}

    @agent.tool_plain
    async def wait(s: int) -> str:
        seen.append(f"begin {s}")
        await asyncio.sleep(rests[s])
        seen.append(f"end {s}")
        return f"{s}"

    @hw.task
    async def main(fails: bool) -> str:
        said = (await agent.run("wait")).output
        if fails and seen.count("main") == 0:
            seen.append("main")
            raise OSError("down")
        return said

    with pytest.raises(OSError, match="down"):
        go(main, True)
    assert seen == ["turn 0", "begin 3", "begin 1", "end 1", "end 3", "turn 1", "main"]
    assert go(main, True) == "['3', '1']"
    assert len(seen) == 7


def test_equal_agents_side_by_side_are_told_apart_by_what_they_were_answered(go: Any) -> None:
    seen: list[str] = []
    agent = clerk(lambda number, messages: [("draw", {})] if not number else f"{results(messages)}", seen)

    @agent.tool_plain
    async def draw() -> int:
        seen.append("draw")
        return seen.count("draw")

    @hw.task
    async def main() -> list[str]:
        said = sorted([one.output for one in await asyncio.gather(*(agent.run("draw") for _ in range(3)))])
        if "main" not in seen:
            seen.append("main")
            raise OSError("down")
        return said

    with pytest.raises(OSError, match="down"):
        go(main)
    assert go(main) == ["[1]", "[2]", "[3]"]
    assert seen.count("draw") == 3


def test_another_prompt_is_asked_and_the_same_one_is_not(go: Any) -> None:
    seen: list[str] = []
    agent = clerk(lambda number, messages: f"{prompt(messages)}!", seen)
    prompts = ["one", "two"]

    @hw.task
    async def main() -> list[str]:
        said = [(await agent.run(one)).output for one in prompts]
        if len(seen) == 2:
            raise OSError("down")
        return said

    with pytest.raises(OSError, match="down"):
        go(main)
    prompts[1] = "three"
    assert go(main) == ["one!", "three!"]
    assert seen == ["turn 0"] * 3


def test_a_prompt_with_the_recorded_time_is_the_same_in_the_next_life(go: Any, clock: Any) -> None:
    seen: list[str] = []
    agent = clerk(lambda number, messages: f"{prompt(messages)}", seen)

    @agent.instructions
    def today() -> str:
        return f"It is {hw.now()}."

    @hw.task
    async def main() -> str:
        said = await agent.run("hello")
        await hw.sleep(100)
        if "main" not in seen:
            seen.append("main")
            raise OSError("down")
        return f"{said.output} {said.run_id}"

    with pytest.raises(OSError, match="down"):
        go(main)
    first = go(main)
    assert seen == ["turn 0", "main"]
    assert go(main) == first  # the run's id is the same again too


def test_ids_that_the_framework_makes_up_do_not_name_a_turn(go: Any) -> None:
    seen: list[str] = []
    agent = clerk(lambda number, messages: f"answer {number}", seen)
    assert ToolCallPart("look").tool_call_id.startswith(MADE_UP)  # a new one in each life

    @agent.output_validator
    async def check(said: str) -> str:
        if said == "answer 0":
            raise ModelRetry("say more")
        return said

    @hw.task
    async def main() -> str:
        said = (await agent.run("hello")).output
        if "main" not in seen:
            seen.append("main")
            raise OSError("down")
        return said

    with pytest.raises(OSError, match="down"):
        go(main)
    assert go(main) == "answer 1"
    assert seen == ["turn 0", "turn 1", "main"]


def test_a_tool_that_asks_the_model_to_try_again_is_a_result_and_no_failure(go: Any) -> None:
    seen: list[str] = []
    agent = clerk(lambda number, messages: [("halve", {"n": 4 - number})] if number < 2 else f"{results(messages)[-1]}", seen)

    @agent.tool_plain(retries=2)
    async def halve(n: int) -> int:
        seen.append(f"halve {n}")
        if n % 2 == 0:
            raise ModelRetry("I want an odd number")
        return n // 2

    @hw.task
    async def main() -> str:
        return (await agent.run("halve")).output

    assert go(main) == go(main) == "1"
    assert seen == ["turn 0", "halve 4", "turn 1", "halve 3", "turn 2"]


def test_calls_that_wait_for_people_are_values_that_the_run_remembers(go: Any, tmp_path: Any) -> None:
    seen: list[str] = []
    agent = clerk(
        lambda number, messages: [("pay", {"sum": 5}), ("order", {})] if not number else f"{results(messages)}",
        seen,
        agent={"output_type": [str, DeferredToolRequests]},
    )

    @agent.tool
    async def pay(ctx: RunContext, sum: int) -> str:  # noqa: A002 - as the model calls it
        seen.append(f"pay {ctx.tool_call_approved}")
        if not ctx.tool_call_approved:
            raise ApprovalRequired(metadata={"sum": sum})
        return "paid"

    @agent.tool_plain
    async def order() -> str:
        raise CallDeferred

    @hw.task
    async def main() -> str:
        asked = await agent.run("buy")
        waits = asked.output
        assert isinstance(waits, DeferredToolRequests)
        assert [call.tool_name for call in waits.calls] == ["order"]
        ids = [call.tool_call_id for call in waits.approvals]
        if await hw.wait_event("approve", timeout=60) != "yes":
            return "no"
        given = DeferredToolResults(approvals=dict.fromkeys(ids, True), calls={waits.calls[0].tool_call_id: "sent"})
        return (await agent.run(message_history=asked.all_messages(), deferred_tool_results=given)).output

    with pytest.raises(TimeoutError):
        go(main)
    hw.signal("run", "approve", "yes", store=tmp_path / "store")
    assert go(main) == go(main) == "['paid', 'sent']"
    assert seen == ["turn 0", "pay False", "pay True", "turn 1"]


def test_an_error_of_a_model_comes_back_as_its_class(go: Any) -> None:
    seen: list[str] = []

    async def busy(messages: Any, info: Any) -> Any:
        seen.append("busy")
        raise ModelHTTPError(429, "busy", {"error": "later"})

    other = scripted(lambda number, messages: "from the other", seen)
    agent = Agent(FallbackModel(FunctionModel(busy, model_name="busy"), other), name="clerk", capabilities=[HeadwayDurability()])
    alone = Agent(FunctionModel(busy, model_name="busy"), name="alone", capabilities=[HeadwayDurability()])

    @hw.task
    async def main() -> str:
        said = (await agent.run("hello")).output
        try:
            await alone.run("hello")
        except ModelHTTPError as error:
            said += f", {error.status_code} {error.body}"
        if "main" not in seen:
            seen.append("main")
            raise OSError("down")
        return said

    with pytest.raises(OSError, match="down"):
        go(main)
    assert go(main) == "from the other, 429 {'error': 'later'}"
    assert seen[:3] == ["busy", "turn 0", "busy"]


def test_an_agent_that_a_tool_runs_is_recorded_below_the_tools_call(go: Any) -> None:
    seen: list[str] = []
    inner = Agent(scripted(lambda number, messages: "inner", seen), name="inner", capabilities=[HeadwayDurability()])
    agent = clerk(lambda number, messages: [("ask", {})] if not number else f"{results(messages)}", seen)

    @agent.tool_plain
    async def ask() -> str:
        said = (await inner.run("hello")).output
        if "ask" not in seen:
            seen.append("ask")
            raise OSError("down")
        return said

    @hw.task
    async def main() -> str:
        return (await agent.run("hello")).output

    with pytest.raises(OSError, match="down"):
        go(main)
    assert go(main) == "['inner']"
    assert seen == ["turn 0", "turn 0", "ask", "turn 1"]  # the tool ran again, its agent's turn did not


def test_toolsets_that_come_with_a_run_are_refused(go: Any) -> None:
    seen: list[str] = []
    agent = clerk(lambda number, messages: "said", seen)
    late: FunctionToolset[Any] = FunctionToolset(id="late")

    @late.tool_plain
    async def look() -> str:
        return "seen"

    @hw.task
    async def main() -> str:
        return (await agent.run("hello", toolsets=[late])).output

    with pytest.raises(UserError, match="cannot be added at runtime with Headway"):
        go(main)
    assert not seen


def test_an_agent_in_a_thread_is_told_to_be_async(go: Any) -> None:
    agent = clerk(lambda number, messages: "said", [])

    @hw.task
    def main() -> str:
        return asyncio.run(agent.run("hello")).output

    with pytest.raises(hw.UsageError, match="make the task or tool around it an `async def`"):
        go(main)


def test_outside_of_a_run_it_is_an_ordinary_agent() -> None:
    seen: list[str] = []
    agent = clerk(two_areas, seen)

    @agent.tool_plain
    async def area(country: str) -> int:
        return len(country)

    assert asyncio.run(agent.run("How large?")).output == "How large?: [5, 6]"
    assert seen == ["turn 0", "turn 1"]
