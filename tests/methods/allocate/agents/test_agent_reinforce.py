"""Agent-REINFORCE: the gradient is that of the log-probability, and what does well is drawn more often."""

from __future__ import annotations

import asyncio
import math
from random import Random
from typing import Any

import pytest
from agents_at_work import BEGAN
from hypothesis import given, settings
from hypothesis import strategies as st

import headway as hw
from headway.methods import allocate
from headway.methods.allocate import agents
from headway.methods.allocate.agents import AgentGraph, Logits, Reward, Seat, Shaped, draw_within
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

SMALL, LARGE = Seat("assistant", "small"), Seat("fuser", "large")
SEATS = {SMALL: 1.0, LARGE: 3.0}


@pytest.fixture(autouse=True)
def _nothing_began() -> None:
    BEGAN.clear()


@hw.task(cost={"graphs": 1})
async def score(graph: AgentGraph) -> float:
    BEGAN.append((graph,))
    await asyncio.sleep(1)
    hw.charge(graphs=1)
    return float(sum(seat == LARGE for seat in graph.seats) + ((0, 2) in graph.edges) - ((0, 1) in graph.edges))


@hw.task
async def shape(graphs: float = 1e6, rounds: int = 5) -> Shaped:
    with hw.budget(graphs=graphs):
        return await agents.agent_reinforce(score, SEATS, places=3, budget=7.0, rounds=rounds, width=8)


@settings(max_examples=30)
@given(st.lists(st.floats(-2, 2), min_size=7, max_size=7), st.integers(0, 2**32))
def test_a_step_goes_along_the_gradient_of_the_log_probability(values, seed):
    """Against differences of `likelihood`, by every parameter; with scores 1 and -1, one standard deviation is 1."""
    logits = Logits((SMALL, LARGE), tuple(values[:3]), ((values[3], values[4]), (values[5], values[6]), (0.0, 0.5)))
    rng = Random(seed)
    graphs = [logits.sample(rng), logits.sample(rng)]
    moved = logits.update([Reward(graphs[0], 1.0), Reward(graphs[1], -1.0)], rate=1.0)

    def likelihood(edges: list[float], seats: list[list[float]]) -> float:
        other = Logits(logits.options, tuple(edges), tuple(map(tuple, seats)))
        return (other.likelihood(graphs[0]) - other.likelihood(graphs[1])) / 2

    edges, seats, tiny = list(logits.edges), [list(each) for each in logits.seats], 1e-5
    for place in range(3):
        more, less = list(edges), list(edges)
        more[place], less[place] = edges[place] + tiny, edges[place] - tiny
        slope = (likelihood(more, seats) - likelihood(less, seats)) / (2 * tiny)
        assert moved.edges[place] - edges[place] == pytest.approx(slope, abs=1e-6)
    for place in range(3):
        for option in range(2):
            more_, less_ = [list(each) for each in seats], [list(each) for each in seats]
            more_[place][option] += tiny
            less_[place][option] -= tiny
            slope = (likelihood(edges, more_) - likelihood(edges, less_)) / (2 * tiny)
            assert moved.seats[place][option] - seats[place][option] == pytest.approx(slope, abs=1e-6)


def test_it_learns_a_better_graph_than_random_ones_and_the_usual_shapes():
    from benchmarks.methods import allocate_tuning as rows

    for seed in range(3):
        team = rows.PlantedTeam(f"{seed} test")
        learnt = rows.learn_team(team, seed)
        assert learnt > 0.9
        assert learnt > max(rows.random_team(team, seed), rows.fixed_team(team), rows.climbed_team(team, seed))


def test_it_finds_the_best_graph_within_its_budget(go):
    shaped = go(shape, 1e6, 25)
    assert sorted(seat.model for seat in shaped.best.seats) == ["large", "large", "small"]
    assert (0, 2) in shaped.best.edges
    assert (0, 1) not in shaped.best.edges
    assert all(sum(SEATS[seat] for seat in each.graph.seats) <= 7 for each in shaped.tried)


def test_what_was_learnt_is_where_the_next_search_begins(go):
    @hw.task
    async def program() -> Any:
        first = await agents.agent_reinforce(score, SEATS, places=3, budget=7.0, rounds=25)
        return await agents.agent_reinforce(score, SEATS, places=3, budget=7.0, rounds=1, start=first.logits)

    tried = go(program).tried
    assert sum((0, 2) in each.graph.edges for each in tried) > 12


def test_a_graph_runs_as_a_plan_in_which_agents_hear_those_before_them(go):
    graph = AgentGraph((SMALL, SMALL, LARGE), ((0, 2), (1, 2)))

    @hw.task
    async def speak(seat: Seat, choice: str, index: int, heard: dict[str, str]) -> str:
        return f"{seat.role}({','.join(heard.values())})"

    @hw.task
    async def program() -> Any:
        return (await allocate.run_plan(graph.plan(), speak, policy=allocate.Seq())).results["2"]

    assert go(program) == "fuser(assistant(),assistant())"


def test_it_ends_within_its_budget_with_what_it_learnt(go):
    shaped = go(shape, 20)
    assert shaped.stopped == "budget"
    assert len(BEGAN) <= 20
    assert shaped.best is not None


def test_a_search_that_dies_anywhere_ends_the_same():
    whole = History(1, STEADY)
    undisturbed = whole.live(shape, 1e6, 2)
    rows = len(whole.rows())
    for after_row in range(1, rows, max(1, rows // 6)):
        history = History(1, STEADY)
        assert history.live(shape, 1e6, 2, crash=Crash(after_row, "after")).how == "died"
        assert history.live(shape, 1e6, 2).value == undisturbed.value
        history.check(undisturbed.outcome)


def test_a_graph_over_the_budget_is_drawn_again_which_favours_no_place():
    graphs = draw_within(Logits.even([SMALL, LARGE], 3), SEATS, 7.0, 3000, Random(1))
    counts = [sum(graph.seats[place] == LARGE for graph in graphs) / 3000 for place in range(3)]
    assert counts == pytest.approx([3 / 7] * 3, abs=0.04)


def test_seats_get_cheaper_where_no_draw_is_within_the_budget():
    sure = Logits((SMALL, LARGE), (0.0,), ((-6.0, 6.0), (-6.0, 6.0)))
    graphs = draw_within(sure, SEATS, 2.0, 4, Random(1))
    assert all(graph.seats == (SMALL, SMALL) for graph in graphs)


# --- bad input -------------------------------------------------------------------------------------------------------


async def _nan(graph: AgentGraph) -> float:
    return math.nan


def _shape(**changed: Any) -> Any:
    given = {"evaluate": _nan, "seats": SEATS, "places": 3, **changed}
    return asyncio.run(agents.agent_reinforce(given.pop("evaluate"), given.pop("seats"), **given))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "gave nan: a finite number"),
        ({"evaluate": None}, "evaluate=None"),
        ({"seats": {}}, "at least one"),
        ({"seats": {SMALL: math.nan}}, "units=nan"),
        ({"places": 0}, "places=0"),
        ({"width": 1}, "width=1"),
        ({"rate": 0.0}, "rate=0.0"),
        ({"budget": math.nan}, "budget=nan"),
        ({"budget": 2.0}, "3 agents of the cheapest seat take 3"),
        ({"start": Logits.even([SMALL], 2)}, "start= has 2 places"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(changed, said):
    with pytest.raises(hw.UsageError, match=said):
        _shape(**changed)
