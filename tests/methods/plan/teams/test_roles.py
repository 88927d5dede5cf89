"""Fixed roles: parts that are written side by side and mended alone, and experts that are each asked in their own words."""

from __future__ import annotations

from typing import Any

import pytest
from coding import PARTS, NoisyCoder
from teammates import Talker, check_nothing_ran_again, turns

import headway as hw
from headway.errors import ModelError, UsageError
from headway.methods import plan
from headway.methods.plan import teams
from headway.models import Message
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


def compile_with(model: Any, go: Any = None, **options: Any) -> teams.Compiled:
    @hw.task(name="teams.tests.cortex")
    async def program() -> teams.Compiled:
        return await teams.cortex_compile(model, "Count numbers", **options)

    return (go or hw.testing.run)(program, store=None)


def test_roles_then_the_orchestrator_then_all_parts_at_once_and_the_whole_compiles(go):
    compiled = compile_with(NoisyCoder(1, fault=0.0), go)
    assert compiled.ok
    assert list(compiled.parts) == [f"part_{place}" for place in range(PARTS)]
    names: dict[str, Any] = {}
    exec(compiled.code, names)
    assert names["part_3"]([1, 2]) == 2
    order = [event.step for event in compiled.executed.log if isinstance(event, plan.Started)]
    assert order[:5] == [*(f"role {name}" for name in teams.ROLES), "orchestrate"]
    ended = [event.step for event in compiled.executed.log if isinstance(event, plan.Ended)]
    assert ended.index("orchestrate") == 4
    assert order[5:] == [f"part 1 part_{place}" for place in range(PARTS)]


def test_only_parts_at_fault_are_written_again_with_the_fault_shown():
    model = NoisyCoder(3, fault=0.4)
    compiled = compile_with(model, rounds=6)
    assert compiled.ok
    assert compiled.rounds > 1
    assert PARTS < compiled.written < PARTS * compiled.rounds
    again = [node.does for node in compiled.executed.graph if node.id.startswith("part 2 ")]
    assert again
    assert all("Wrong with it: line 1: " in job.fault and "Version 1 was:\ndef " in job.fault for job in again)


def test_what_is_still_wrong_after_the_last_round_is_told():
    compiled = compile_with(NoisyCoder(4, fault=1.0), rounds=2)
    assert (compiled.ok, compiled.rounds, compiled.written) == (False, 2, 2 * PARTS)
    assert set(compiled.faults) == set(compiled.parts)


def test_a_fault_of_the_whole_has_all_parts_written_again():
    seen: list[int] = []

    def check(parts: Any) -> dict[str, str]:
        seen.append(len(parts))
        return {"": "they don't fit"} if len(seen) == 1 else {}

    compiled = compile_with(NoisyCoder(5, fault=0.0), check=check)
    assert (compiled.rounds, compiled.written, compiled.ok) == (2, 2 * PARTS, True)


def test_the_check_of_syntax_names_the_part_or_the_whole():
    assert teams.compiles({"a": "x = 1", "b": "def ("}) == {"b": "line 1: invalid syntax"}
    assert teams.compiles({"a": " "}) == {"a": "there is no code"}
    assert set(teams.compiles({"a": "x = 1", "b": "from __future__ import annotations"})) == {""}
    assert teams.compiles({"a": "x = 1"}) == {}


def test_an_orchestrator_or_coder_that_fails_fails_the_plan():
    class Lost(NoisyCoder):
        async def stream(self, request: Any) -> Any:
            if request.schema is not None:
                raise ModelError("I can't cut this")
            async for piece in super().stream(request):
                yield piece

    with pytest.raises(plan.PlanFailed, match="I can't cut this"):
        compile_with(Lost(1))


def test_it_is_killed_at_any_record_and_writes_nothing_twice():
    @hw.task(name="teams.tests.roles_killed")
    async def program() -> list[str]:
        compiled = await teams.cortex_compile(NoisyCoder(3, fault=0.4), "Count numbers", rounds=4)
        mixed = await teams.mixture(ROUTER, "Describe the harbour", EXPERTS)
        return [compiled.code, mixed.text, *mixed.said.values()]

    whole = History(1, STEADY)
    undisturbed = whole.live(program)
    total = len(whole.rows())
    for after_row in range(1, total, total // 6):
        history = History(1, STEADY)
        assert history.live(program, crash=Crash(after_row, "after")).how == "died"
        assert history.live(program).value == undisturbed.value
        history.check(undisturbed.outcome)
        check_nothing_ran_again(history)


def route(messages: list[Message]) -> str:
    """A router that knows who to ask, and merges."""
    asked = messages[-1].text
    if "JSON" in asked:
        briefs = '{"expert": "places", "prompt": "Where is it?"}, {"expert": "counts", "prompt": "How many boats?"}'
        return f'{{"answer": [{briefs}, {{"expert": "nobody", "prompt": "?"}}]}}'
    return "Merged: " + asked.replace("\n", " ")


ROUTER = Talker(route, "router")
PLACES = Talker(lambda messages: f"At the sea ({messages[0].text})", "places", rest_s=1.0)
COUNTS = Talker(lambda messages: f"Two ({messages[0].text})", "counts", rest_s=3.0)
COLOURS = Talker(turns("Blue"), "colours")
EXPERTS = {
    "places": teams.Expert(PLACES, "where things are"),
    "counts": teams.Expert(COUNTS, "numbers"),
    "colours": teams.Expert(COLOURS, "colours"),
}


def mix(experts: Any = None, router: Any = ROUTER, request: Any = "The harbour", go: Any = None, **options: Any) -> teams.Mixed:
    @hw.task(name="teams.tests.mixture")
    async def program() -> teams.Mixed:
        return await teams.mixture(router, request, EXPERTS if experts is None else experts, **options)

    return (go or hw.testing.run)(program, store=None)


def test_each_expert_that_is_needed_is_asked_its_own_prompt_at_the_same_time(go):
    took: list[float] = []

    @hw.task(name="teams.tests.mixture_timed")
    async def program() -> teams.Mixed:
        began = hw.now()
        mixed = await teams.mixture(ROUTER, "The harbour", EXPERTS)
        took.append(hw.now() - began)
        return mixed

    mixed = go(program)
    assert dict(mixed.said) == {"places": "At the sea (Where is it?)", "counts": "Two (How many boats?)"}
    assert mixed.routed
    assert "At the sea" in mixed.text
    assert "Two" in mixed.text
    assert took[0] == pytest.approx(3.0, abs=0.1), "the longest, not the sum"


def test_an_expert_that_fails_is_left_out_and_all_of_them_fail_the_plan():
    class Broken:
        name = "broken"

        async def stream(self, request: Any) -> Any:
            raise ModelError("out of order")
            yield

    some = {**EXPERTS, "counts": teams.Expert(Broken(), "numbers")}
    mixed = mix(some)
    assert list(mixed.said) == ["places"]
    assert "out of order" in mixed.failures["counts"]
    with pytest.raises(plan.PlanFailed, match="all experts failed"):
        mix({"places": teams.Expert(Broken(), "x"), "counts": teams.Expert(Broken(), "y")})


def test_a_router_that_names_nobody_has_the_request_itself_asked():
    mixed = mix(router=Talker(turns("no JSON at all"), "lost"), most=2, merger=ROUTER)
    assert not mixed.routed
    assert dict(mixed.said) == {"places": "At the sea (The harbour)", "counts": "Two (The harbour)"}


def test_a_coder_is_asked_over_the_wire(desk):
    compiled = compile_with(desk, hw.run)
    assert compiled.ok
    assert compiled.code == "def hello():\n    return 'hello'"


def test_settings_that_make_no_sense_are_refused_before_anything_is_asked():
    model = NoisyCoder(1)
    for options, says in [
        ({"rounds": 0}, "rounds=0"),
        ({"most": 0}, "most=0"),
        ({"check": 3}, "check=3"),
        ({"roles": [1]}, "roles="),
        ({"models": {"poet": model}}, "names 'poet', which is no role"),
    ]:
        with pytest.raises(UsageError, match=says):
            compile_with(model, **options)
    for options, says in [
        ({"most": 0}, "most=0"),
        ({"request": ""}, "request="),
        ({"experts": {}}, "experts="),
        ({"experts": {"a": 1}}, "experts="),
    ]:
        with pytest.raises(UsageError, match=says):
            mix(**options)
    assert not model.asked
