"""AdaptOrch: features, topologies, a fitted router, and tries that end."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from teammates import check_nothing_ran_again

import headway as hw
from headway.errors import ModelError, UsageError
from headway.methods.graph import Graph, Need, Node, after
from headway.methods.plan import teams
from headway.methods.plan.teams import TOPOLOGIES, Assignment, Costs, Router, Tried, arrange, features, fit
from headway.methods.plan.teams.adaptorch import run_arranged
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash
from shapes import draw, friction, regrets, router, spans

DIAMOND = Graph((Node("a", 1), Node("b", 2, after("a")), Node("c", 3, after("a")), Node("d", 4, after("b", "c"))))


def add_up(assignment: Assignment[int], known: Mapping[str, int]) -> dict[str, int]:
    """Each step is its number and all that it needs."""
    found = dict(known)
    for step in assignment.steps:
        found[step.id] = step.does + sum(found[need.step] for need in step.needs)
    return {step.id: found[step.id] for step in assignment.steps}


@hw.task(name="teams.tests.add_up")
async def adder(assignment: Assignment[int], known: dict[str, int]) -> dict[str, int]:
    return add_up(assignment, known)


@settings(max_examples=40)
@given(st.randoms(use_true_random=False))
def test_features_are_what_they_say(rng):
    graph = draw(rng)[0]
    shape = features(graph)
    rounds = graph.rounds()
    edges = sum(len(node.needs) for node in graph)
    assert (shape.steps, shape.width, shape.depth) == (len(graph), max(map(len, rounds)), len(rounds))
    assert shape.density == pytest.approx(edges / (len(graph) * (len(graph) - 1) / 2))
    assert shape.data == (1.0 if edges else 0.0)
    assert shape.chained * len(graph) == pytest.approx(len(graph) - len(teams.chains(graph)))


def test_needs_that_only_wait_hand_nothing_over():
    waiting = Graph((Node("a", 1), Node("b", 2), Node("c", 3, (Need("a"), Need("b", on="end")))))
    assert features(waiting).data == 0.5
    assert features(waiting, hands_over=lambda need: False).data == 0.0


@settings(max_examples=30)
@given(st.randoms(use_true_random=False), st.sampled_from(TOPOLOGIES))
def test_each_topology_gives_each_step_to_one_agent_after_what_it_needs(rng, topology):
    graph = draw(rng)[0]
    arranged = arrange(graph, topology)
    done: set[str] = set()
    for id in arranged.order():
        assignment = arranged[id].does
        if assignment.lead:
            assert {step.id for step in assignment.steps} <= done
            continue
        for step in assignment.steps:
            assert step.id not in done
            assert {need.step for need in step.needs} <= done, "what a step needs is done before it"
            done.add(step.id)
    assert done == {node.id for node in graph}


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_run_takes_what_was_computed_before_it_ran(go, clock, topology):
    graph, seconds, costs = draw(random.Random(f"one plan {topology}"))

    @hw.task(name="teams.tests.sleeping_agent")
    async def agent(assignment: Assignment[str], known: dict[str, str]) -> dict[str, str]:
        await hw.sleep(teams.seconds_of(assignment, seconds, costs))
        return {step.id: f"{step.id}({','.join(need.step for need in step.needs)})" for step in assignment.steps}

    @hw.task(name="teams.tests.sleeping_lead")
    async def lead(assignment: Assignment[str], known: dict[str, str]) -> dict[str, str]:
        await hw.sleep(teams.seconds_of(assignment, seconds, costs))
        return {}

    @hw.task(name="teams.tests.arranged")
    async def program() -> tuple[float, dict[str, str]]:
        began = hw.now()
        ran = await run_arranged(agent, arrange(graph, topology), lead=lead)
        gave = {step: text for each in ran.results.values() for step, text in each.items()}
        return hw.now() - began, gave

    took, gave = go(program)
    assert took == pytest.approx(teams.makespan(arrange(graph, topology), seconds, costs), abs=1e-3)
    assert {*gave} == {node.id for node in graph}


def test_the_fitted_router_beats_each_fixed_topology_on_unseen_plans():
    found = regrets(1, 60)
    fixed = min(found[way] for way in TOPOLOGIES)
    assert found["router"] < 0.5 * fixed, found


def test_a_fit_asks_about_what_tells_plans_apart_and_nothing_else():
    rng = random.Random("fit")
    plans = [draw(rng) for _ in range(60)]
    flat = fit([Tried(features(plan[0]), dict.fromkeys(TOPOLOGIES, 1.0)) for plan in plans])
    assert flat.feature == "", "where nothing differs nothing is asked"
    of_friction = [
        Tried(features(plan[0], friction=friction(plan)), {"parallel": 1 + friction(plan), "sequential": 2.0}) for plan in plans
    ]
    split = fit(of_friction, depth=1, leaf=1)
    assert split.feature == "friction"
    assert 0.8 < split.threshold < 1.3
    assert split.rank(features(DIAMOND, friction=0.1)) == ("parallel", "sequential")
    assert split.rank(features(DIAMOND, friction=9.0)) == ("sequential", "parallel")


def test_more_questions_never_leave_more_regret_on_the_plans_that_were_fitted():
    rng = random.Random("depth")
    plans = [draw(rng) for _ in range(120)]
    tried = [Tried(features(plan[0], friction=friction(plan)), spans(plan)) for plan in plans]

    def regret(depth: int) -> float:
        fitted = fit(tried, depth=depth)
        return sum(each.seconds[fitted.rank(each.features)[0]] / min(each.seconds.values()) - 1 for each in tried)

    assert regret(3) <= regret(2) <= regret(1) <= regret(0)


def run(agent: Any, plan: Any = DIAMOND, fixed: Any = None, **options: Any) -> teams.Orchestrated[Any, Any]:
    @hw.task(name="teams.tests.adapt")
    async def program() -> teams.Orchestrated[Any, Any]:
        return await teams.adaptorch(agent, plan, fixed or router(), **options)

    return hw.run(program, store=None, progress=False)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_topology_gives_the_same_results(topology):
    done = run(adder, fixed=Router((topology,)))
    assert dict(done.results) == {"a": 1, "b": 3, "c": 4, "d": 11}
    assert (done.topology, done.score, done.tried) == (topology, 1.0, ((topology, 1.0),))


def test_results_that_disagree_are_tried_again_so_often_and_the_best_stays():
    asked: list[int] = []

    def consistency(results: Mapping[str, int]) -> float:
        asked.append(1)
        return {1: 0.2, 2: 0.4, 3: 0.3}[len(asked)]

    done = run(adder, fixed=Router(TOPOLOGIES), consistency=consistency, enough=0.9, reroutes=2)
    assert done.tried == (("parallel", 0.2), ("sequential", 0.4), ("hierarchical", 0.3))
    assert (done.topology, done.score) == ("sequential", 0.4)
    asked.clear()
    assert len(run(adder, fixed=Router(TOPOLOGIES), consistency=consistency, enough=0.2, reroutes=2).tried) == 1


def test_an_agent_that_fails_leaves_its_results_missing():
    @hw.task(name="teams.tests.failing_agent")
    async def agent(assignment: Assignment[int], known: dict[str, int]) -> dict[str, int]:
        if assignment.steps[0].id == "c":
            raise ModelError("no")
        return add_up(assignment, known)

    done = run(agent, fixed=Router(("parallel",)))
    assert dict(done.results) == {"a": 1, "b": 3}
    assert (done.executed.failures, done.executed.skipped) == ({"c": "ModelError: no"}, ("d",))


def test_it_is_killed_at_any_record_and_repeats_nothing():
    @hw.task(name="teams.tests.adapt_killed")
    async def program() -> dict[str, int]:
        scores = iter((0.1, 0.2, 0.9))
        done = await teams.adaptorch(
            slow_adder, DIAMOND, Router(TOPOLOGIES), consistency=lambda results: next(scores), reroutes=2, enough=0.5
        )
        return {**done.results, done.topology: len(done.tried)}

    whole = History(1, STEADY)
    undisturbed = whole.live(program)
    assert undisturbed.value == {"a": 1, "b": 3, "c": 4, "d": 11, "hierarchical": 3}
    total = len(whole.rows())
    for after_row in range(1, total, total // 5):
        history = History(1, STEADY)
        assert history.live(program, crash=Crash(after_row, "after")).how == "died"
        assert history.live(program).value == undisturbed.value
        history.check(undisturbed.outcome)
        check_nothing_ran_again(history)


@hw.task(name="teams.tests.slow_adder")
async def slow_adder(assignment: Assignment[int], known: dict[str, int]) -> dict[str, int]:
    await hw.sleep(len(assignment.steps))
    return add_up(assignment, known)


def test_what_makes_no_sense_is_refused_before_anything_is_done():
    for plan, says in [
        (Graph(()), "at least one step"),
        (None, "at least one step"),
        (Graph((Node("a", 1), Node("b", 1, after("a", on="failure")))), "on 'failure'"),
    ]:
        with pytest.raises(UsageError, match=says):
            run(adder, plan)
    for options, says in [
        ({"fixed": 3}, "router=3"),
        ({"reroutes": -1}, "reroutes=-1"),
        ({"enough": 95}, "enough=95"),
        ({"lead": 3}, "lead=3"),
        ({"consistency": 3}, "consistency=3"),
        ({"friction": float("nan")}, "friction=nan"),
        ({"consistency": lambda results: 95.0}, "score=95"),
    ]:
        with pytest.raises(UsageError, match=says):
            run(adder, **options)
    with pytest.raises(UsageError, match="topology='star'"):
        arrange(DIAMOND, "star")
    with pytest.raises(UsageError, match="start_s=-1"):
        Costs(start_s=-1)
    shape = features(DIAMOND)
    for tried in ([], [Tried(shape, {})], [Tried(shape, {"parallel": 1.0}), Tried(shape, {"sequential": 1.0})]):
        with pytest.raises(UsageError, match="fit"):
            fit(tried)
    with pytest.raises(UsageError, match="parallel=0"):
        fit([Tried(shape, {"parallel": 0.0})])


def test_an_agent_that_leaves_a_step_out_is_named():
    @hw.task(name="teams.tests.lazy_agent")
    async def agent(assignment: Assignment[int], known: dict[str, int]) -> dict[str, int]:
        return {}

    with pytest.raises(UsageError, match="give a result for each of its steps"):
        run(agent)
