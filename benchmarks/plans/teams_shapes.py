"""AdaptOrch and Orchestra-o1: who does what, by the shape of a plan and by skill. And what tests hold of both.

Plans, durations and skills are planted; the router is fitted on plans of other seeds (`tests/methods/plan/teams/shapes.py`).
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from statistics import fmean

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway.methods.plan import teams
from headway.methods.plan.teams import Backend, Offer, SubTask

sys.path.append(str(Path(__file__).parents[2] / "tests/methods/plan/teams"))
ADAPT = "tests/methods/plan/teams/test_adaptorch.py::"
PLAY = "tests/methods/plan/teams/test_orchestra.py::"


def regret_of_router(seed: int) -> Pair:
    """How much longer than the best topology: the router's, and the fixed one that is best on these very plans."""
    from shapes import regrets  # type: ignore[import-not-found]  # of the tests

    found = regrets(seed)
    return Pair(found["router"], min(found[way] for way in teams.TOPOLOGIES))


def beside_oracle(seed: int) -> Pair:
    from shapes import regrets

    return Pair(1 + regrets(seed)["router"], 1.0)


def latency(seed: int) -> Pair:
    """Seconds of a round of sub-agents, as it ran on a virtual clock; and of its longest sub-agent."""
    from teammates import Talker, turns  # type: ignore[import-not-found]
    from test_orchestra import complete, conduct, delegate  # type: ignore[import-not-found]

    rng = random.Random(f"delays {seed}")
    delays = [rng.lognormvariate(1.0, 0.8) for _ in range(8)]
    players = {f"m{place}": Talker(turns("Yes."), f"m{place}", rest_s=delay) for place, delay in enumerate(delays)}
    took: list[float] = []

    @hw.task(name=f"benchmarks.round.{seed}")
    async def program() -> None:
        began = hw.now()
        await teams.orchestra(conduct(delegate(*(("go", name, []) for name in players)), complete("x")), "Go.", players)
        took.append(hw.now() - began)

    hw.testing.run(program, store=None)
    return Pair(took[0], max(delays))


def matched(against: str, seed: int) -> Pair:
    """What sub-tasks are worth with the backend that is matched, and with the best single one, or one by chance."""
    rng = random.Random(f"skills {seed}")
    backends = [Backend(str(place), tuple(rng.random() for _ in range(4)), rng.uniform(0, 1e-3)) for place in range(5)]
    units = [SubTask(tuple(rng.random() ** 3 for _ in range(4)), tokens=rng.uniform(10, 500)) for _ in range(200)]

    def worth(of: Backend | None = None) -> float:
        scores = []
        for unit in units:
            chosen = of or teams.match_backend(unit, backends)
            assert chosen is not None
            scores.append(teams.score_backend(unit, chosen))
        return fmean(scores)

    if against == "chance":
        return Pair(worth(), fmean(teams.score_backend(unit, rng.choice(backends)) for unit in units))
    return Pair(worth(), max(worth(backend) for backend in backends))


def batches(seed: int) -> Pair:
    """What a batch is worth under its budget: the exact one, and the one by worth for its cost."""
    rng = random.Random(f"batches {seed}")
    ours = greedy = 0.0
    for _ in range(200):
        offers = [Offer(rng.uniform(0.2, 3), rng.uniform(0.1, 2)) for _ in range(10)]
        chosen = teams.choose_batch(offers, most=4, budget=3.0)
        ours += sum(offers[place].value for place in chosen)
        left, count = 3.0, 0
        for offer in sorted(offers, key=lambda each: -each.value / each.cost):
            if offer.cost <= left and count < 4:
                left, count, greedy = left - offer.cost, count + 1, greedy + offer.value
    return Pair(ours / 200, greedy / 200)


def _matching_row(against: str, baseline: str) -> Row:
    return Row(
        method="Orchestra-o1",
        function="headway.methods.plan.teams.match_backend",
        item="plan",
        claim="sub-tasks go to the backend that fits them by skill, price and latency",
        shows=f"with known skills, matched backends are worth more than {baseline}",
        baseline=baseline,
        unit="skill that is needed, less its price, a sub-task",
        measure=lambda seed: matched(against, seed),
        reached=lambda low, high: low > 0,
        compare="difference",
        test=f"{PLAY}test_backends_by_skill_beat_the_best_single_one_and_chance",
        first_seed=100,
    )


ROWS: list[Row | Held] = [
    Row(
        method="AdaptOrch",
        function="headway.methods.plan.teams.adaptorch.adaptorch",
        item="plan",
        claim="the topology chosen by the shape of a plan beats static ones by 12-23 %",
        shows="on unseen plans of five families the fitted router loses less time than the best single topology",
        baseline="the fixed topology that is best on these very plans",
        unit="time beyond that of the best topology for each plan, as a share",
        measure=regret_of_router,
        reached=lambda low, high: high < 0,
        compare="difference",
        test=f"{ADAPT}test_the_fitted_router_beats_each_fixed_topology_on_unseen_plans",
        first_seed=100,
    ),
    Row(
        method="AdaptOrch",
        function="headway.methods.plan.teams.fit",
        item="plan",
        claim="features of a plan in O(V + E) tell which topology it needs",
        shows="the router's topology takes at most 5 % longer than the best one for each plan",
        baseline="the best topology for each plan (an oracle)",
        unit="time, in that of the best topology",
        measure=beside_oracle,
        reached=lambda low, high: high < 1.05,
        test=f"{ADAPT}test_the_fitted_router_beats_each_fixed_topology_on_unseen_plans",
        first_seed=100,
    ),
    Held(
        item="plan",
        promise="AdaptOrch: each topology is a plan for the one executor, runs as long as was computed before, gives each step "
        "to one agent after what it needs, and gives the same results.",
        tests=(
            f"{ADAPT}test_each_topology_gives_each_step_to_one_agent_after_what_it_needs",
            f"{ADAPT}test_a_run_takes_what_was_computed_before_it_ran",
            f"{ADAPT}test_every_topology_gives_the_same_results",
            f"{ADAPT}test_features_are_what_they_say",
        ),
    ),
    Held(
        item="plan",
        promise="AdaptOrch: results that disagree are tried in another topology, so often and no more, and the best stays; "
        "killed at any record it repeats nothing; what makes no sense is refused before anything is done.",
        tests=(
            f"{ADAPT}test_results_that_disagree_are_tried_again_so_often_and_the_best_stays",
            f"{ADAPT}test_it_is_killed_at_any_record_and_repeats_nothing",
            f"{ADAPT}test_what_makes_no_sense_is_refused_before_anything_is_done",
            f"{ADAPT}test_an_agent_that_leaves_a_step_out_is_named",
        ),
    ),
    Row(
        method="Orchestra-o1",
        function="headway.methods.plan.teams.orchestra.orchestra",
        item="plan",
        claim="the latency of a round falls from the sum over its sub-agents to the largest (proposition)",
        shows="a round of eight sub-agents takes as long as its longest, within 1 %",
        baseline="the longest sub-agent, by itself",
        unit="seconds",
        measure=latency,
        reached=lambda low, high: high < 1.01,
        test=f"{PLAY}test_a_round_takes_as_long_as_its_longest_task_and_not_the_sum",
        first_seed=100,
    ),
    _matching_row("single", "the best single backend"),
    _matching_row("chance", "backends by chance"),
    Row(
        method="Orchestra-o1",
        function="headway.methods.plan.teams.choose_batch",
        item="plan",
        claim="a batch is chosen by its worth, under a number and a budget",
        shows="batches are worth more than those taken greedily",
        baseline="greedily by worth for the cost",
        unit="worth of a batch",
        measure=batches,
        reached=lambda low, high: low > 1,
        test=f"{PLAY}test_the_batch_that_is_worth_most_is_chosen_of_all_that_fit",
        first_seed=100,
    ),
    Held(
        item="plan",
        promise="Orchestra-o1: a task that fails or can't be begun takes nobody with it; each has tools of its own; a sub-agent"
        " is warned with five and three steps left and stopped after its steps or five repetitions; a conductor ends "
        "after its rounds.",
        tests=(
            f"{PLAY}test_a_round_of_tasks_is_played_and_each_is_told_summed_up",
            f"{PLAY}test_a_task_that_fails_or_can_not_be_begun_takes_nobody_with_it",
            f"{PLAY}test_each_task_has_an_environment_of_its_own",
            f"{PLAY}test_a_sub_agent_is_warned_and_stopped_after_its_steps_or_when_it_repeats_itself",
            f"{PLAY}test_a_conductor_whose_rounds_are_used_up_answers_with_what_there_is",
            f"{PLAY}test_a_decision_that_is_none_is_shown_to_the_conductor_once",
            f"{PLAY}test_a_conductor_and_its_players_are_asked_over_the_wire",
        ),
    ),
    Held(
        item="plan",
        promise="Orchestra-o1: killed at any record it plays nothing twice; a budget ends it with what was played; its formulas"
        " are a policy of the executor; what makes no sense is refused before anything is asked.",
        tests=(
            f"{PLAY}test_it_is_killed_at_any_record_and_plays_nothing_twice",
            f"{PLAY}test_a_budget_ends_it_with_what_was_played",
            f"{PLAY}test_matching_is_a_policy_of_the_executor_under_its_budget",
            f"{PLAY}test_settings_that_make_no_sense_are_refused_before_anything_is_asked",
            f"{PLAY}test_formulas_refuse_what_makes_no_sense",
        ),
    ),
]
