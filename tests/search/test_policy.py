"""Which strategy suits which difficulty: fitted, looked up, and judged on questions that nothing was fitted on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solvers import RIGHT, Tree, accuracy, by_hash, drawn

import headway as hw
from headway import search
from headway.search import Candidate, Found, Policy, Trial, cross_validate, fit

STRATEGIES = ("revise", "sample")
BUDGETS = (4.0, 16.0, 64.0)


def chance(strategy: str, difficulty: float, budget: float) -> float:
    """Revising helps where the first answer is nearly right, sampling many where it is mostly wrong."""
    easy, rate = 1 - difficulty, {"revise": 0.9, "sample": 0.5}[strategy]
    if strategy == "revise" and difficulty > 0.5:
        rate = 0.05
    return 1 - (1 - easy * rate) ** (1 + budget / 8)


def trials(questions: int, tries: int = 4) -> list[Trial]:
    made = []
    for number in range(questions):
        question, difficulty = f"question {number}", by_hash("difficulty", number)
        seen = min(1.0, max(0.0, difficulty + drawn("seen", number).gauss(0, 0.08)))  # an estimate, not the truth
        for strategy in STRATEGIES:
            for budget in BUDGETS:
                draw = drawn(question, strategy, budget)
                right = sum(draw.random() < chance(strategy, difficulty, budget) for _ in range(tries)) / tries
                made.append(Trial(question, seen, strategy, budget, right))
    return made


def test_a_policy_beats_every_single_strategy_on_questions_it_was_not_fitted_on():
    compared = cross_validate(trials(200))
    for budget in BUDGETS:
        best = max(alone[budget] for alone in compared.strategies.values())
        assert compared.policy[budget] >= best
    assert compared.policy[4.0] > max(alone[4.0] for alone in compared.strategies.values()) + 0.03


def test_a_policy_revises_what_is_easy_and_samples_what_is_hard():
    policy = fit(trials(200))
    assert len(policy.edges) == 4
    assert policy.choose(0.05, 16) == "revise"
    assert policy.choose(0.95, 16) == "sample"


def test_a_policy_is_asked_for_the_largest_budget_that_is_covered():
    policy = Policy((0.5,), (10.0, 100.0), (("a", "b"), ("c", "d")))
    assert [policy.choose(0.2, budget) for budget in (1, 10, 99, 100, 1e9)] == ["a", "a", "a", "b", "b"]
    assert [policy.choose(difficulty, 10) for difficulty in (0.0, 0.49, 0.5, 1.0)] == ["a", "a", "c", "c"]


@given(
    st.lists(
        st.builds(
            Trial,
            st.sampled_from([f"q{n}" for n in range(9)]),
            st.floats(0, 1),
            st.sampled_from("ab"),
            st.sampled_from([1.0, 2.0]),
            st.floats(0, 1),
        ),
        min_size=1,
    ),
    st.integers(1, 6),
)
def test_whatever_it_is_fitted_on_it_has_an_answer_for_everything(made, bins):
    known = {trial.question: trial.difficulty for trial in made}
    policy = fit([replace(trial, difficulty=known[trial.question]) for trial in made], bins)
    assert len(policy.choices) == len(policy.edges) + 1 <= bins
    for difficulty in (0.0, 0.3, 1.0):
        for budget in (0.5, 1.0, 1.5, 2.0, 99.0):
            assert policy.choose(difficulty, budget) in {trial.strategy for trial in made}


def test_there_is_nothing_to_fit_without_trials():
    with pytest.raises(hw.UsageError, match="no trials"):
        fit([])


def test_a_policy_that_names_a_strategy_that_is_not_there_is_an_error_before_anything_is_spent():
    async def never(*_: object) -> Candidate:
        raise AssertionError("sampled")

    policy = Policy((), (1.0,), (("beam",),))
    with pytest.raises(hw.UsageError, match=r"beam.*sample"):
        asyncio.run(search.compute_optimal("q", never, never, policy, {"sample": never}, budget=1))


def test_of_what_is_nearly_as_often_right_as_the_best_the_cheapest_is_chosen():
    share, cost = {"a": 90, "b": 88, "c": 60}, {"a": 30.0, "b": 20.0, "c": 1.0}  # the standard error is 3 of 100
    made = [Trial(f"{n}", 0.5, name, 1.0, float(n < share[name]), cost[name]) for n in range(100) for name in share]
    assert fit(made).choose(0.5, 1.0) == "b"
    without_costs = [Trial(trial.question, 0.5, trial.strategy, 1.0, trial.right) for trial in made]
    assert fit(without_costs).choose(0.5, 1.0) == "a"


# --- with a solver -----------------------------------------------------------------------------------------------------


class Mixed(Tree):
    """Every second question is easy; what is hard has a right step half of the time."""

    async def generate(self, question: str, index: int) -> Candidate:
        return await self.easy(question).counted(self, question, index)

    async def step(self, state: search.State, index: int) -> search.State:
        self.steps += 1
        return await self.easy(state.text).step(state, index)

    def easy(self, text: str) -> Mixed:
        number = int(text.partition("|")[0].split()[-1])
        return Easy(self.depth, 0.93 if number % 2 else 0.5, self.noise)

    async def counted(self, whole: Tree, question: str, index: int) -> Candidate:
        made = await Tree.generate(self, question, index)
        whole.steps += self.steps
        return made


class Easy(Mixed):
    step = Tree.step


def test_choosing_by_difficulty_costs_half_of_best_of_n_at_equal_accuracy():
    policy = Policy((0.5,), (16.0,), (("vote",), ("search",)))

    def chosen(tree: Mixed) -> object:
        strategies = {
            "vote": lambda q, given: search.majority(q, tree.generate, n=8, given=given),
            "search": lambda q, given: search.rebase(q, tree.step, tree.score, n=12),
        }
        return lambda q: search.compute_optimal(q, tree.generate, tree.score, policy, strategies, budget=16)

    def best_of(n: int, tree: Mixed) -> object:
        return lambda q: search.best_of_n(q, tree.generate, tree.score, n=n)

    trees = [Mixed(right=0.5, noise=0.1) for _ in range(2)]
    adaptive = asyncio.run(accuracy(chosen(trees[0]), 160))
    baseline = asyncio.run(accuracy(best_of(32, trees[1]), 160))
    assert adaptive > baseline
    assert trees[0].steps * 2 < trees[1].steps


def test_probes_are_not_sampled_again_and_count_where_the_strategy_has_no_answer():
    asked: list[int] = []

    async def generate(question: str, index: int) -> Candidate:
        asked.append(index)
        return Candidate("", RIGHT, 1)

    async def score(texts: list[str]) -> list[float]:
        return [0.25 for _ in texts]

    async def nothing(question: str, given: tuple[Candidate, ...]) -> Found:
        return Found(None, ())

    async def vote(question: str, given: tuple[Candidate, ...]) -> Found:
        assert {candidate.score for candidate in given} == {0.25}
        return await search.majority(question, generate, n=6, sure=0.999, given=given)

    policy = Policy((0.5,), (1.0,), (("nothing",), ("vote",)))
    strategies = {"nothing": nothing, "vote": vote}
    found = asyncio.run(search.compute_optimal("q|", generate, score, policy, strategies, budget=1, probes=3))
    assert asked == [0, 1, 2, 3], "four that agree of six cannot be outvoted"
    assert len(found.candidates) == 4
    policy = Policy((0.9,), (1.0,), (("nothing",), ("vote",)))
    found = asyncio.run(search.compute_optimal("q|", generate, score, policy, strategies, budget=1, probes=3))
    assert found.answer == RIGHT
    assert len(found.candidates) == 3
