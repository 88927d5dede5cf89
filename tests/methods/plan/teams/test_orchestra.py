"""Orchestra-o1: rounds of tasks that run at once, whatever becomes of each; and the paper's formulas."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from teammates import Talker, Turn, check_nothing_ran_again, turns

import headway as hw
from headway import tools
from headway.errors import ModelError, UsageError
from headway.methods import plan
from headway.methods.graph import Graph, Node, after
from headway.methods.plan import teams
from headway.methods.plan.teams import Backend, Offer, SubTask
from headway.models import Message
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


@tools.tool
async def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


@tools.tool
async def fail(why: str) -> str:
    """Fail."""
    raise ValueError(why)


def delegate(*tasks: tuple[str, str, Sequence[str]]) -> str:
    given = [{"task_instruction": what, "model": model, "tools": list(offered)} for what, model, offered in tasks]
    return json.dumps({"action": "delegate_task", "params": {"tasks": given}})


def complete(answer: str) -> str:
    return json.dumps({"action": "complete", "params": {"answer": answer}})


def conduct(*script: str) -> Talker:
    """A conductor that says these one after the other, and sums up what its players did."""
    say = turns(*script)
    talker = Talker(lambda messages: "it doubled" if "Sum up" in messages[-1].text else say(messages), "conductor")
    talker.abilities = frozenset({"schema"})
    return talker


def use(*calls: tuple[str, Any]) -> Talker:
    """A sub-agent that uses tools once, then says what they gave."""

    def script(messages: list[Message]) -> Turn:
        told = [message.text for message in messages if message.role == "tool"]
        return f"I found {' '.join(told)}" if told else list(calls)

    return Talker(script, "clerk")


def run(conductor: Any, models: Any, task: str = "Go.", **options: Any) -> teams.Played:
    @hw.task(name="teams.tests.orchestra")
    async def program() -> teams.Played:
        return await teams.orchestra(conductor, task, models, **options)

    return hw.run(program, store=None, progress=False)


def test_a_round_of_tasks_is_played_and_each_is_told_summed_up():
    conductor = conduct(delegate(("double 2", "clerk", ["double"]), ("say hello", "poet", [])), complete("4 and hello"))
    played = run(conductor, {"clerk": use(("double", {"number": 2})), "poet": Talker(turns("Hello."))}, tools=[double, fail])
    assert (played.answer, played.status) == ("4 and hello", "done")
    first, second = played.rounds[0]
    assert (first.seat, first.status, first.said, first.summary, first.steps) == ("1.1", "done", "I found 4", "it doubled", 2)
    assert (second.seat, second.status, second.said, second.summary) == ("1.2", "done", "Hello.", "")
    shown = conductor.asked[-1][-2].text
    assert '"summary":"it doubled"' in shown
    assert '"answer":"Hello."' in shown


def test_a_task_that_fails_or_can_not_be_begun_takes_nobody_with_it():
    class Broken:
        name, abilities = "broken", frozenset({"tools"})

        async def stream(self, request: Any) -> Any:
            raise ModelError("out of order")
            yield

    tasks = delegate(("a", "broken", []), ("b", "nobody", []), ("c", "clerk", ["saw"]), ("d", "clerk", ["double"]))
    played = run(conduct(tasks, complete("x")), {"broken": Broken(), "clerk": use(("double", {"number": 2}))}, tools=[double])
    assert [part.status for part in played.rounds[0]] == ["error", "error", "error", "done"]
    assert "out of order" in played.rounds[0][0].said
    assert played.rounds[0][1].said == "there is no model 'nobody'; there are: broken, clerk"
    assert played.rounds[0][2].said == "there is no tool 'saw'; there are: double"


def test_a_round_takes_as_long_as_its_longest_task_and_not_the_sum(go):
    delays = [3.0, 1.0, 2.0]
    models = {f"m{place}": Talker(turns("Yes."), f"m{place}", rest_s=delay) for place, delay in enumerate(delays)}
    took: list[float] = []

    @hw.task(name="teams.tests.round")
    async def program() -> None:
        began = hw.now()
        conductor = conduct(delegate(*((f"task {place}", name, []) for place, name in enumerate(models))), complete("x"))
        await teams.orchestra(conductor, "Go.", models)
        took.append(hw.now() - began)

    go(program)
    one_by_one, at_once = teams.round_latency(delays)
    assert (one_by_one, at_once) == (6.0, 3.0)
    assert took[0] == pytest.approx(at_once, abs=0.05)


def test_each_task_has_an_environment_of_its_own():
    places: dict[str, list[int]] = {}

    def equip(seat: str) -> list[Any]:
        mine = places.setdefault(seat, [])

        @tools.tool(name="double")
        async def note(number: int) -> int:
            """Note a number."""
            mine.append(number)
            return len(mine)

        return [note]

    tasks = delegate(*((f"task {place}", "clerk", ["double"]) for place in range(3)))
    played = run(conduct(tasks, complete("x")), {"clerk": use(("double", {"number": 7}))}, tools=equip)
    assert [part.said for part in played.rounds[0]] == ["I found 1"] * 3
    assert {seat: noted for seat, noted in places.items() if noted} == {"1.1": [7], "1.2": [7], "1.3": [7]}


def test_a_sub_agent_is_warned_and_stopped_after_its_steps_or_when_it_repeats_itself():
    def on(messages: list[Message]) -> Turn:
        return [("double", {"number": len(messages)})]

    counting, circling = Talker(on, "counting"), use(("double", {"number": 1}))
    circling._script = lambda messages: [("double", {"number": 1})]
    tasks = delegate(("a", "counting", ["double"]), ("b", "circling", ["double"]))
    played = run(conduct(tasks, complete("x")), {"counting": counting, "circling": circling}, tools=[double], steps=8)
    ended = [(part.status, part.why, part.steps) for part in played.rounds[0]]
    assert ended == [("partial", "steps", 8), ("partial", "stuck", 5)]
    notes = [messages[-1].text for messages in counting.asked if "left. Finish" in messages[-1].text]
    assert [note[:18] for note in notes] == ["You have 5 steps l", "You have 3 steps l"]


def test_a_conductor_whose_rounds_are_used_up_answers_with_what_there_is():
    again = delegate(("a", "poet", []))
    played = run(conduct(again, again, "I am not sure."), {"poet": Talker(turns("Yes."))}, rounds=2)
    assert (played.answer, played.status, len(played.rounds)) == ("I am not sure.", "partial", 2)


def test_a_decision_that_is_none_is_shown_to_the_conductor_once():
    sing = '{"action": "sing", "params": {}}'
    conductor = conduct(sing)
    conductor._script = lambda messages: complete("x") if "not what was asked" in messages[-1].text else sing
    assert run(conductor, {"poet": Talker(turns("Yes."))}).answer == "x"
    with pytest.raises(ModelError, match="in two attempts"):
        run(conduct(sing), {"poet": Talker(turns("Yes."))})


def test_a_budget_ends_it_with_what_was_played():
    @hw.task(name="teams.tests.poor_orchestra")
    async def program() -> teams.Played:
        with hw.budget(tokens=4_000):
            return await teams.orchestra(conduct(delegate(("a", "poet", []))), "Go.", {"poet": Talker(turns("word " * 300))})

    played = hw.run(program, store=None, progress=False)
    assert (played.status, played.answer) == ("partial", "")
    assert 1 <= len(played.rounds) < 10


def test_it_is_killed_at_any_record_and_plays_nothing_twice():
    @hw.task(name="teams.tests.orchestra_killed")
    async def program() -> list[str]:
        first = delegate(("a", "clerk", ["double"]), ("b", "poet", []), ("c", "clerk", ["fail"]))
        clerk, poet = use(("double", {"number": 2}), ("fail", {"why": "rain"})), Talker(turns("Yes."), "poet", rest_s=0.5)
        played = await teams.orchestra(
            conduct(first, delegate(("d", "poet", [])), complete("x")), "Go.", {"clerk": clerk, "poet": poet}, tools=[double, fail]
        )
        return [played.answer, *(f"{part.seat} {part.said}" for parts in played.rounds for part in parts)]

    whole = History(1, STEADY)
    undisturbed = whole.live(program)
    total = len(whole.rows())
    for after_row in range(1, total, total // 6):
        history = History(1, STEADY)
        assert history.live(program, crash=Crash(after_row, "after")).how == "died"
        assert history.live(program).value == undisturbed.value
        history.check(undisturbed.outcome)
        check_nothing_ran_again(history)


def test_a_conductor_and_its_players_are_asked_over_the_wire(desk):
    played = run(desk, {"desk": desk}, "How many hats has the orchestra?", tools=[double])
    assert (played.answer, played.status) == ("8 hats", "done")
    assert [part.said for part in played.rounds[0]] == ["4 hats", "nobody counted"]


def test_settings_that_make_no_sense_are_refused_before_anything_is_asked():
    conductor, models = conduct(complete("x")), {"poet": Talker(turns("Yes."))}
    for options, says in [
        ({"rounds": 0}, "rounds=0"),
        ({"steps": 0}, "steps=0"),
        ({"most": 0}, "most=0"),
        ({"task": ""}, "task="),
        ({"models": {}}, "at least one"),
        ({"tools": [double, double]}, "two tools are called"),
    ]:
        arguments: dict[str, Any] = {"models": models, **options}
        with pytest.raises(UsageError, match=says):
            run(conductor, **arguments)
    assert not conductor.asked


# --- the formulas ------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_the_batch_that_is_worth_most_is_chosen_of_all_that_fit(rng):
    offers = [Offer(rng.uniform(-1, 3), rng.uniform(0, 2)) for _ in range(rng.randrange(0, 8))]
    most, budget = rng.randrange(0, 5), rng.uniform(0, 5)
    chosen = teams.choose_batch(offers, most=most, budget=budget)
    fits = [
        some
        for size in range(most + 1)
        for some in itertools.combinations(range(len(offers)), size)
        if sum(offers[place].cost for place in some) <= budget
    ]
    assert chosen in fits
    worth = [sum(offers[place].value for place in some) for some in fits]
    assert sum(offers[place].value for place in chosen) == pytest.approx(max(worth))


def test_backends_by_skill_beat_the_best_single_one_and_chance():
    gains = []
    for seed in range(5):
        rng = random.Random(f"skills {seed}")
        backends = [Backend(str(place), tuple(rng.random() for _ in range(4)), rng.uniform(0, 1e-3)) for place in range(5)]
        units = [SubTask(tuple(rng.random() ** 3 for _ in range(4)), tokens=rng.uniform(10, 500)) for _ in range(60)]
        matched = fmean(teams.score_backend(unit, teams.match_backend(unit, backends)) for unit in units)
        single = max(fmean(teams.score_backend(unit, each) for unit in units) for each in backends)
        by_chance = fmean(teams.score_backend(unit, rng.choice(backends)) for unit in units)
        assert matched >= single
        gains.append((matched - single, matched - by_chance))
    assert all(chance > fixed > 0 for fixed, chance in gains)


def test_who_can_not_read_what_comes_with_a_task_is_not_given_it():
    blind, seeing = Backend("blind", (9.0,)), Backend("seeing", (1.0,), reads=frozenset({"text", "image"}))
    picture = SubTask((1.0,), reads=frozenset({"text", "image"}))
    assert teams.match_backend(picture, [blind, seeing]) is seeing
    assert teams.match_backend(picture, [blind]) is None
    assert teams.match_backend(SubTask((1.0,)), [blind, seeing]) is blind


def test_matching_is_a_policy_of_the_executor_under_its_budget():
    backends = (Backend("poet", (1.0, 0.1), price=1.0), Backend("clerk", (0.1, 1.0), price=1.0))
    needs = {"a": (1.0, 0.0), "b": (0.0, 1.0), "c": (1.0, 0.0), "d": (0.0, 1.0)}
    units = {id: SubTask(need, tokens=0.1, value=1.0 + place) for place, (id, need) in enumerate(needs.items())}
    policy = teams.Matching(units, backends, most=2)

    @hw.task(name="teams.tests.by_backend")
    async def step(does: str, given: dict[str, str], choice: str) -> str:
        return f"{does} by {choice}"

    @hw.task(name="teams.tests.matched")
    async def program() -> tuple[dict[str, str], list[str]]:
        graph = Graph((Node("a", "a"), Node("b", "b"), Node("c", "c", after("a")), Node("d", "d")))
        ran = await plan.execute(step, graph=graph, policy=policy, choices=("poet", "clerk"))
        return dict(ran.results), [event.step for event in ran.log if isinstance(event, plan.Started)]

    results, order = hw.run(program, store=None, progress=False)
    assert results == {"a": "a by poet", "b": "b by clerk", "c": "c by poet", "d": "d by clerk"}
    assert set(order[:2]) == {"b", "d"}, "what is worth most comes first"


def test_formulas_refuse_what_makes_no_sense():
    unit, backend = SubTask((1.0,)), Backend("b", (1.0,))
    for call, says in [
        (lambda: teams.score_backend(SubTask((1.0, 2.0)), backend), "give as many"),
        (lambda: teams.match_backend(unit, [backend], cost_weight=float("nan")), "cost_weight=nan"),
        (lambda: teams.choose_tools({"a": 95}, 0.5), "likely=95"),
        (lambda: teams.choose_tools({}, 1.5), "gamma=1.5"),
        (lambda: teams.choose_batch([], most=-1, budget=1.0), "most=-1"),
        (lambda: teams.choose_batch([Offer(1.0, -1.0)], most=1, budget=1.0), "cost=-1"),
        (lambda: teams.choose_batch([], most=1, budget=float("inf")), "budget=inf"),
        (lambda: teams.round_latency([-1.0]), "delay_s=-1"),
        (lambda: Backend("b", (float("nan"),)), "skills=nan"),
        (lambda: SubTask((1.0,), tokens=-1), "tokens=-1"),
        (lambda: teams.Matching({}, (backend,), most=0), "most=0"),
        (lambda: teams.Matching({}, (3,)), "backends="),
    ]:
        with pytest.raises(UsageError, match=says):
            call()


@tools.tool
async def area(country: str) -> str:
    """The area of a country in km2."""
    return {"Italy": "302068", "Mali": "1240192"}.get(country, "unknown")


def test_an_answer_stands_though_nobody_can_sum_up_how_it_was_found():
    class Mute(Talker):
        async def stream(self, request: Any) -> Any:
            if "Sum up" in request.prompt[-1].text:
                raise ModelError("I sum up nothing")
            async for piece in super().stream(request):
                yield piece

    mute = Mute(turns(delegate(("double 2", "clerk", ["double"])), complete("4")), "mute")
    mute.abilities = frozenset({"schema"})
    played = run(mute, {"clerk": use(("double", {"number": 2}))}, tools=[double])
    (part,) = played.rounds[0]
    assert (part.status, part.said, part.summary) == ("done", "I found 4", "")


@pytest.mark.long
def test_needle_plays_two_tasks_with_the_tools_that_it_is_given():
    pytest.importorskip("needle")
    from headway import models

    tasks = delegate(("What is the area of Italy?", "needle", ["area"]), ("What is the area of Mali?", "needle", ["area"]))
    played = run(conduct(tasks, complete("x")), {"needle": models.open("needle")}, tools=[area, double])
    assert [(part.status, "302068" in part.said or "1240192" in part.said) for part in played.rounds[0]] == [("done", True)] * 2
