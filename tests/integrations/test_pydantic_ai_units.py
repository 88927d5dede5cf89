"""What a unit of an agent costs, how it is configured, what is heard of it, and how it waits and stops."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clerks import clerk, prompt, results, scripted
from opentelemetry.trace import NonRecordingSpan, NoOpTracer, SpanContext, TracerProvider
from pydantic_ai import Agent, DeferredToolRequests, RunContext
from pydantic_ai.capabilities import Instrumentation, RequestInput
from pydantic_ai.durable_exec import ExternalEventError
from pydantic_ai.exceptions import UserError
from pydantic_ai.external_events import wait_for_external_event
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.test import TestModel
from pydantic_ai.settings import ModelSettings

import headway as hw
from headway.integrations.pydantic_ai import HeadwayDurability, fail_event, resolve_event
from headway.models import Price


def one_look(number: int, messages: list[Any]) -> Any:
    return [("look", {})] if number == 0 else f"{prompt(messages)}: {results(messages)}"


def looking(seen: list[str], *, metadata: Any = None, fails: int = 0, rests_s: float = 0.0, **options: Any) -> Agent[Any, Any]:
    """An agent with one tool, which fails so many times and rests."""
    agent = clerk(one_look, seen, **options)

    @agent.tool_plain(metadata=metadata)
    async def look() -> str:
        seen.append("look")
        if rests_s:
            await asyncio.sleep(rests_s)
        if seen.count("look") <= fails:
            raise ConnectionError("the line is dead")
        return "seen"

    return agent


def asking(agent: Agent[Any, Any], **options: Any) -> Any:
    @hw.task
    async def main() -> str:
        return (await agent.run("look", **options)).output

    return main


# --- spending --------------------------------------------------------------------------------------------------------


def test_tokens_and_money_of_turns_are_charged_to_the_budgets_around_the_agent(go: Any, tmp_path: Path) -> None:
    agent = looking([], price=Price(1.0, 2.0))

    @hw.task
    async def main() -> dict[str, float]:
        with hw.budget(tokens=10_000, money=1.0) as budget:
            await agent.run("look")
        return budget.spent

    spent = go(main)
    turns = [call.cost for call in hw.view("run", store=tmp_path / "store").calls if call.label == "clerk__model.request"]
    assert len(turns) == 2
    assert spent["tokens"] == sum(cost["tokens"] for cost in turns) > 100
    assert spent["money"] == pytest.approx(sum(cost["money"] for cost in turns))
    assert sum(cost["tokens"] for cost in turns) * 1e-6 < spent["money"] < sum(cost["tokens"] for cost in turns) * 2e-6
    assert go(main) == spent


def test_a_turn_that_may_overdraw_a_budget_is_not_asked(go: Any) -> None:
    seen: list[str] = []
    agent = looking(seen, agent={"model_settings": ModelSettings(max_tokens=400)})

    @hw.task
    async def main() -> str:
        with hw.budget(tokens=300):
            return (await agent.run("look")).output

    with pytest.raises(hw.BudgetExceeded):
        go(main)
    assert seen == []


def test_a_turn_without_a_limit_closes_the_budget_that_it_overdraws(go: Any) -> None:
    seen: list[str] = []
    agent = looking(seen)

    @hw.task
    async def main() -> str:
        with hw.budget(tokens=10):
            return (await agent.run("look")).output

    with pytest.raises(hw.BudgetExceeded):
        go(main)
    assert seen == ["turn 0"]


def test_a_model_without_a_price_is_refused_under_a_bound_of_money(go: Any) -> None:
    seen: list[str] = []
    agent = looking(seen)

    @hw.task
    async def main() -> str:
        with hw.budget(money=1.0):
            return (await agent.run("look")).output

    with pytest.raises(hw.UsageError, match=r"scripted has no price.*HeadwayDurability\(price="):
        go(main)
    assert seen == []


# --- configuration ---------------------------------------------------------------------------------------------------


def test_a_unit_is_tried_again_as_its_config_says(go: Any) -> None:
    seen: list[str] = []
    retry = hw.Retry(attempts=3, on=ConnectionError)
    assert go(asking(looking(seen, fails=2, tool={"retry": retry}))) == "look: ['seen']"
    assert seen == ["turn 0", "look", "look", "look", "turn 1"]


def test_what_a_tool_says_counts_before_what_the_capability_says(go: Any) -> None:
    seen: list[str] = []
    agent = looking(seen, rests_s=60.0, metadata={"headway": {"timeout": 5.0}}, tool={"timeout": 500.0})
    with pytest.raises(hw.CallTimeout):
        go(asking(agent))
    assert seen == ["turn 0", "look"]


def test_a_tool_that_opts_out_runs_outside_of_units(go: Any, tmp_path: Path) -> None:
    assert go(asking(looking([], metadata={"headway": False}))) == "look: ['seen']"
    assert [call.label for call in hw.view("run", store=tmp_path / "store").calls][:-1] == ["clerk__model.request"] * 2


def test_a_tool_starts_when_what_it_was_asked_by_is_durable_unless_it_only_reads(go: Any, tmp_path: Path) -> None:
    """An effect writes a row before it starts."""
    go(asking(looking([])), run_id="effect")
    go(asking(looking([], metadata={"headway": {"effect": False}})), run_id="reads")
    store = hw.SqliteStore(tmp_path / "store")
    kinds = {name: [row.kind & 15 for _, row in store.rows(store.run(name).uid)] for name in ("effect", "reads")}
    store.close()
    assert kinds["effect"].count(1) == 1
    assert kinds["reads"].count(1) == 0


def test_the_names_of_units_are_what_they_were(go: Any, tmp_path: Path) -> None:
    """They are in the journals of users: never change these."""
    agent = looking([], event_stream_handler=hear_nothing)
    go(asking(agent))
    calls = hw.view("run", store=tmp_path / "store").calls
    assert {call.label for call in calls if call.task == "pydantic_ai.unit"} == {
        "clerk__model.request_stream",
        "clerk__function_toolset__<agent>.call_tool:look",
        "clerk__event_stream_handler",
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"tool": {"retries": 3}},
            "HeadwayDurability(tool=…) has no option 'retries': the options are retry, timeout, cost, effect",
        ),
        ({"model": {"retry": 3}}, "HeadwayDurability(model=…): retry = 3: expected a headway.Retry"),
        ({"event": {"timeout": 0}}, "timeout = 0: expected a number of seconds above zero"),
        ({"tool": {"effect": "yes"}}, "effect = 'yes': expected True or False"),
        ({"capability": {"cost": 5}}, "cost = 5: expected amounts by unit"),
        ({"tool": 3}, "HeadwayDurability(tool=…) = 3: expected a dictionary"),
        ({"price": 3}, "HeadwayDurability(price=3): expected headway.models.Price(read, written)"),
    ],
)
def test_a_config_that_is_none_is_refused_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as refused:
        HeadwayDurability(**options)
    assert says in str(refused.value)


def test_a_tools_own_config_is_checked_before_the_tool_runs(go: Any) -> None:
    seen: list[str] = []
    with pytest.raises(UserError, match=r"metadata\['headway'\] of tool 'look' has no option 'retries'"):
        go(asking(looking(seen, metadata={"headway": {"retries": 3}})))
    assert "look" not in seen


def test_an_agent_needs_a_name() -> None:
    with pytest.raises(UserError, match="unique `name`"):
        Agent(TestModel(), capabilities=[HeadwayDurability()])


def test_a_result_without_a_json_form_fails_its_call_and_is_not_tried_again(go: Any) -> None:
    seen: list[str] = []
    agent = clerk(one_look, seen, tool={"retry": hw.Retry(attempts=3)})

    @agent.tool_plain
    async def look() -> Any:
        seen.append("look")
        return object()

    with pytest.raises(hw.NotEncodable, match="has no JSON form"):
        go(asking(agent))
    assert seen == ["turn 0", "look"]


def test_a_large_result_is_kept_whole(go: Any) -> None:
    seen: list[str] = []
    agent = clerk(lambda number, messages: [("look", {})] if not number else f"{len(results(messages)[0])}", seen)

    @agent.tool_plain
    async def look() -> str:
        seen.append("look")
        return 3_000_000 * "é"

    assert go(asking(agent)) == go(asking(agent)) == "3000000"
    assert seen == ["turn 0", "look", "turn 1"]


# --- what is heard ---------------------------------------------------------------------------------------------------


async def hear_nothing(context: RunContext, heard: Any) -> None:
    async for _ in heard:
        pass


def test_events_are_heard_once_and_not_again_in_the_next_life(go: Any) -> None:
    seen: list[str] = []
    heard: list[str] = []

    async def hear(context: RunContext, stream: Any) -> None:
        async for event in stream:
            heard.append(event.event_kind)

    agent = looking(seen, fails=1, event_stream_handler=hear)
    with pytest.raises(ConnectionError):
        go(asking(agent))
    before = list(heard)
    assert "part_start" in before
    assert before[-1] == "function_tool_call"
    assert go(asking(agent)).strip() == "look: ['seen']"
    assert heard[len(before)] == "function_tool_result"
    assert seen == ["turn 0", "look", "look", "turn 1"]


def test_a_streamed_turn_is_one_recorded_call(go: Any) -> None:
    seen: list[str] = []
    agent = clerk(lambda number, messages: "one two three", seen)

    @hw.task
    async def main() -> list[str]:
        async with agent.run_stream("count") as answer:
            words = [piece async for piece in answer.stream_text(delta=True, debounce_by=None)]
        if "main" not in seen:
            seen.append("main")
            raise OSError("down")
        return words

    with pytest.raises(OSError, match="down"):
        go(main)
    assert "".join(go(main)).split() == ["one", "two", "three"]
    assert seen == ["turn 0", "main"]


def test_a_unit_sees_the_context_of_who_asked_for_it(go: Any) -> None:
    who: ContextVar[str] = ContextVar("who", default="nobody")
    heard: list[str] = []
    agent = clerk(one_look, [])

    @agent.tool_plain
    async def look() -> str:
        heard.append(who.get())
        return "seen"

    @hw.task
    async def main() -> None:
        who.set("ada")
        await agent.run("look")

    go(main)
    assert heard == ["ada"]


class Spans(TracerProvider):
    """Keeps the names of spans that have ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def get_tracer(self, *args: Any, **named: Any) -> Any:
        provider = self

        class Named(NonRecordingSpan):
            name = ""

            def is_recording(self) -> bool:
                return True

            def end(self, end_time: int | None = None) -> None:
                provider.ended.append(self.name)

        class Namer(NoOpTracer):
            def start_span(self, name: str, *args: Any, **named: Any) -> Any:
                span = Named(SpanContext(1, 1, is_remote=False))
                span.name = name
                return span

        return Namer()


def test_what_is_answered_from_the_journal_leaves_no_second_span(go: Any) -> None:
    spans = Spans()
    instrumentation = Instrumentation(settings=InstrumentationSettings(tracer_provider=spans))
    agent = Agent(scripted(one_look, []), name="clerk", capabilities=[HeadwayDurability(), instrumentation])
    lives: list[int] = []

    @agent.tool_plain
    async def look() -> str:
        if not lives:
            lives.append(1)
            raise OSError("down")
        return "seen"

    with pytest.raises(OSError, match="down"):
        go(asking(agent))
    before = len([name for name in spans.ended if name.startswith("chat")])
    spans.ended.clear()
    assert go(asking(agent)) == "look: ['seen']"
    after = len([name for name in spans.ended if name.startswith("chat")])
    assert (before, after) == (1, 1)  # a turn in each life, and the first is not told of again


# --- waiting and stopping --------------------------------------------------------------------------------------------


def asking_outside(tokens: list[str], **options: Any) -> Any:
    agent = clerk(lambda number, messages: f"{prompt(messages)}", [])

    async def ask(token: str) -> None:
        tokens.append(token)

    @agent.instructions
    async def approved() -> str:
        try:
            said = await wait_for_external_event("approval", ask=ask, **options)
        except ExternalEventError as error:
            said = f"nobody: {error}"
        heard.append(said)
        return f"{said}"

    heard: list[Any] = []

    @hw.task
    async def talk() -> Any:
        await agent.run("go on?")
        return heard[-1]

    return talk


@pytest.mark.parametrize("answer", ["yes", None, {"sum": 5}])
def test_an_answer_from_outside_is_waited_for_across_lives(go: Any, tmp_path: Path, answer: Any) -> None:
    tokens: list[str] = []
    talk = asking_outside(tokens)
    lives: list[int] = []

    @hw.task
    async def dies() -> None:
        await hw.sleep(10)
        if not lives:
            lives.append(1)
            raise OSError("down")

    @hw.task
    async def main() -> Any:
        said, _ = await hw.gather(talk(), dies())
        return said

    with pytest.raises(OSError, match="down"):
        go(main)
    resolve_event(tokens[0], answer, store=tmp_path / "store")
    assert go(main) == answer
    assert len(tokens) == 1  # asked once


def test_a_wait_that_is_too_long_or_in_vain_says_so(go: Any, tmp_path: Path) -> None:
    tokens: list[str] = []
    assert go(asking_outside(tokens, timeout=timedelta(hours=1)), run_id="late") == "nobody: No resolution arrived within 1:00:00."
    talk = asking_outside(tokens)

    @hw.task
    def refuse() -> None:
        fail_event(tokens[-1], "she said no", store=tmp_path / "store")

    @hw.task
    async def main() -> Any:
        said = talk()
        await hw.sleep(10)
        await refuse()
        return await said

    assert go(main, run_id="refused") == "nobody: she said no"


def test_an_approval_is_asked_for_once_and_waited_for_across_lives(go: Any, tmp_path: Path) -> None:
    seen: list[str] = []
    tokens: list[str] = []

    async def ask(context: RunContext, requests: DeferredToolRequests, token: str) -> None:
        seen.append(f"approve {requests.approvals[0].tool_name}?")
        tokens.append(token)

    agent = Agent(scripted(one_look, seen), name="clerk", capabilities=[HeadwayDurability(), RequestInput(ask)])

    @agent.tool_plain(requires_approval=True)
    async def look() -> str:
        seen.append("look")
        return "seen"

    @hw.task
    async def main() -> str:
        said, _ = await hw.gather(asking(agent)(), dies())
        return said

    @hw.task
    async def dies() -> None:
        await hw.sleep(10)
        if "died" not in seen:
            seen.append("died")
            raise OSError("down")

    with pytest.raises(OSError, match="down"):
        go(main)
    resolve_event(tokens[0], {"approvals": {"call-0-0": True}}, store=tmp_path / "store")
    assert go(main) == "look: ['seen']"
    assert seen == ["turn 0", "approve look?", "died", "look", "turn 1"]


def test_what_is_no_token_is_refused(tmp_path: Path) -> None:
    for token in ("", "yes", '["run", "approve"]', '{"a": 1}', "[1, 2]"):
        with pytest.raises(UserError, match="is no token of a Headway run"):
            resolve_event(token, "yes", store=tmp_path)


def test_a_deadline_stops_a_tool_that_runs(go: Any) -> None:
    seen: list[str] = []
    agent = looking(seen, rests_s=60.0)

    @hw.task
    async def main() -> str:
        with hw.deadline(seconds=5):
            return (await agent.run("look")).output

    with pytest.raises(hw.DeadlineExceeded):
        go(main)
    assert seen == ["turn 0", "look"]


def test_an_agent_that_loses_a_race_stops_and_its_recorded_turns_stay(go: Any) -> None:
    seen: list[str] = []
    slow = looking(seen, rests_s=60.0)
    fast = clerk(lambda number, messages: "fast", [])
    lives: list[int] = []

    @hw.task
    async def ask(which: str) -> str:
        return (await (slow if which == "slow" else fast).run(which)).output

    @hw.task
    async def main() -> str:
        said = await hw.race(ask("slow"), ask("fast"))
        if not lives:
            lives.append(1)
            raise OSError("down")
        return said

    with pytest.raises(OSError, match="down"):
        go(main)
    assert go(main) == "fast"
    assert set(seen) <= {"turn 0", "look"}
    assert seen.count("look") <= 1


def test_a_run_that_is_interrupted_in_the_middle_of_a_turn_goes_on_with_that_turn(tmp_path: Path) -> None:
    seen: list[str] = []
    resting = asyncio.Event()

    async def turn(messages: list[Any], info: Any) -> ModelResponse:
        seen.append("turn")
        if len(seen) == 2:
            resting.set()
            await asyncio.sleep(3600)
        return ModelResponse([ToolCallPart("look", {}, "call-0")] if len(messages) == 1 else [TextPart("done")])

    agent = Agent(FunctionModel(turn, model_name="scripted"), name="clerk", capabilities=[HeadwayDurability()])

    @agent.tool_plain
    async def look() -> str:
        return "seen"

    async def leave() -> None:
        run = asyncio.create_task(hw.arun(asking(agent), store=tmp_path, run_id="run"))
        await resting.wait()
        run.cancel()  # as Ctrl-C does
        await asyncio.gather(run, return_exceptions=True)

    asyncio.run(leave())
    assert hw.run(asking(agent), store=tmp_path, run_id="run") == "done"
    assert seen == ["turn", "turn", "turn"]  # the first was recorded, the second was not


def test_the_time_of_an_agent_counts_from_its_recorded_start(tmp_path: Path) -> None:
    """On the clock of the wall, which is the agent's."""
    seen: list[str] = []
    agent = clerk(lambda number, messages: "said", seen)
    lives: list[datetime] = []

    @hw.task
    async def main() -> str:
        said = await agent.run("hello", timeout=3600)
        start = await HeadwayDurability().get_run_start_time(said.run_id)
        assert start is not None
        lives.append(start)
        if len(lives) == 1:
            raise OSError("down")
        return said.output

    with pytest.raises(OSError, match="down"):
        hw.run(main, store=tmp_path, run_id="run")
    assert hw.run(main, store=tmp_path, run_id="run") == "said"
    assert lives[0] == lives[1]
    assert seen == ["turn 0"]
