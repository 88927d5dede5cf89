"""AgentTTS: plans of models and samples, tried near the best one, within the budget of a plan."""

from __future__ import annotations

import asyncio
import math
from random import Random
from statistics import fmean
from typing import Any

import pytest
from agents_at_work import BEGAN
from hypothesis import given, settings
from hypothesis import strategies as st

import headway as hw
from headway.methods.allocate import agents
from headway.methods.allocate.agents import Plan, Setup, SubTask, Tuned, Tuning, count_units
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

PARTS = [SubTask("find", {"small": 3e9, "large": 8e9}), SubTask("write", {"small": 3e9, "large": 8e9}, 256, 64)]


@pytest.fixture(autouse=True)
def _nothing_began() -> None:
    BEGAN.clear()


@hw.task(cost={"trials": 1})
async def score(plan: Plan) -> float:
    BEGAN.append(tuple(sorted(plan.items())))
    await asyncio.sleep(1)
    hw.charge(trials=1)
    gains = {("find", "small"): 0.9, ("find", "large"): 0.92, ("write", "small"): 0.5, ("write", "large"): 0.95}
    return math.prod(gains[name, setup.model] * (1 - 2.0 ** -math.sqrt(setup.samples)) for name, setup in plan.items())


@hw.task
async def tune(trials: float = 1e6, budget: float = 60.0) -> Tuned:
    with hw.budget(trials=trials):
        return await agents.agent_tts(score, PARTS, budget=budget, trials=24)


def test_a_unit_is_a_sample_of_the_smallest_model_and_a_prompt_is_paid_once():
    assert [count_units(n, 3e9) for n in (1, 2, 64)] == [1, 2, 64]
    assert count_units(4, 6e9) == 2 * count_units(4, 3e9) + 2
    assert count_units(2, 3e9, 1280) - count_units(1, 3e9, 1280) == pytest.approx(1)
    assert count_units(1, 3e9, 1280) == pytest.approx(1 + 2 * 9)


def test_it_finds_what_a_sub_task_prefers_and_says_so(go):
    tuned = go(tune)
    assert tuned.best["write"].model == "large"
    assert tuned.best["find"].model == "small"
    assert any(said.startswith("write does best with large") for said in tuned.insights)


@settings(max_examples=25)
@given(st.floats(20, 400), st.integers(0, 10**6))
def test_no_plan_is_over_the_budget_or_tried_twice(budget, seed):
    from benchmarks.methods.allocate_tuning import PlannedTable

    table = PlannedTable.__new__(PlannedTable)
    table.draw(seed)
    if sum(min(part.units(Setup(model, 1)) for model in part.models) for part in table.subtasks) > budget:
        return

    async def evaluate(plan: Plan) -> float:
        return table.score(plan)

    tuned = asyncio.run(agents.agent_tts(evaluate, table.subtasks, budget=budget, trials=25))
    plans = [tuple(sorted(each.plan.items())) for each in tuned.tried]
    assert len(set(plans)) == len(plans)
    for each in tuned.tried:
        assert sum(part.units(each.plan[part.name]) for part in table.subtasks) <= budget + 1e-6


def test_it_comes_to_the_optimum_in_fewer_trials_than_random_plans():
    from benchmarks.methods import allocate_tuning as rows

    pairs = [(rows.trials_guided(table, seed), rows.trials_random(table, seed)) for table, seed in rows.tables_of(0)]
    assert fmean(ours for ours, _ in pairs) < 0.5 * fmean(theirs for _, theirs in pairs)


def test_what_did_well_is_tried_first():
    guided = agents.Guided((SubTask("a", {"x": 3e9, "y": 3e9}), SubTask("b", {"x": 3e9, "y": 3e9})), 32)
    tried = [Tuning(plan, 1.0 + (plan["a"].model == "y") + plan["b"].samples / 100) for plan in guided.first_plans()]
    for seed in range(5):
        first = guided.propose(tried, Random(seed), 3)
        assert all(plan["a"].model == "y" for plan in first)
        assert max(plan["a"].samples for plan in first) > 1


def test_a_proposer_of_ones_own_is_asked_with_what_was_learnt_and_what_it_may_not_propose_is_left_out(go):
    told: list[tuple[int, int]] = []

    async def propose(tried: list[Tuning], insights: list[str], count: int) -> list[Plan]:
        told.append((len(tried), len(insights)))
        good = {"find": Setup("small", 16), "write": Setup("large", 4)}
        return [good, good, {"find": Setup("huge", 1), "write": Setup("small", 1)}, {**good, "find": Setup("small", 64)}, {}]

    @hw.task
    async def program() -> Tuned:
        return await agents.agent_tts(score, PARTS, budget=60, trials=12, propose=propose)

    tuned = go(program)
    first = len(agents.Guided(tuple(PARTS), 60).first_plans())
    assert told[0] == (first, 2)
    plans = [each.plan for each in tuned.tried]
    assert plans[first] == {"find": Setup("small", 16), "write": Setup("large", 4)}
    assert len(plans) == 12
    assert all("huge" not in str(plan) for plan in plans)


def test_it_ends_within_its_budget_with_the_best_so_far(go):
    tuned = go(tune, 5)
    assert tuned.stopped == "budget"
    assert 0 < len(BEGAN) <= 5
    assert tuned.best in [each.plan for each in tuned.tried]


def test_a_search_that_dies_anywhere_ends_the_same():
    whole = History(1, STEADY)
    undisturbed = whole.live(tune)
    rows = len(whole.rows())
    for after_row in range(1, rows, max(1, rows // 6)):
        history = History(1, STEADY)
        assert history.live(tune, crash=Crash(after_row, "after")).how == "died"
        assert history.live(tune).value == undisturbed.value
        history.check(undisturbed.outcome)


# --- bad input -------------------------------------------------------------------------------------------------------


async def _nan(plan: Plan) -> float:
    return math.nan


def _tune(**changed: Any) -> Any:
    given = {"evaluate": _nan, "subtasks": PARTS, "budget": 60.0, **changed}
    return asyncio.run(agents.agent_tts(given.pop("evaluate"), given.pop("subtasks"), **given))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: _tune(), "score=nan"),
        (lambda: _tune(evaluate=None), "evaluate=None"),
        (lambda: _tune(propose=3), "propose=3"),
        (lambda: _tune(subtasks=[]), "at least one"),
        (lambda: _tune(subtasks=[PARTS[0], PARTS[0]]), "two of the sub-tasks have the same name"),
        (lambda: _tune(budget=math.nan), "budget=nan"),
        (lambda: _tune(budget=2.0), "budget=2: one sample of the smallest model for each sub-task takes 4 units"),
        (lambda: _tune(trials=0), "trials=0"),
        (lambda: SubTask("a", {}), "models= is empty"),
        (lambda: SubTask("a", {"m": 0.0}), "parameters=0.0"),
        (lambda: SubTask("a", {"m": 1e9}, tokens=math.nan), "tokens=nan"),
        (lambda: count_units(0, 3e9), "samples=0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(make, said):
    with pytest.raises(hw.UsageError, match=said):
        make()
