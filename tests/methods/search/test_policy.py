"""Which strategy suits which difficulty: fitted, looked up, and judged on questions that nothing was fitted on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from benchmarks.methods.solvers import RIGHT, Mixed, accuracy, by_hash, drawn
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate, Found, StrategyTable, Trial, cross_validate, fit

BUDGETS = (4.0, 16.0, 64.0)
STRATEGIES = {f"{name} {cost:g}": (name, cost) for name in ("revise", "sample") for cost in BUDGETS}


def chance(name: str, difficulty: float, cost: float) -> float:
    """Revising helps where the first answer is nearly right, sampling many where it is mostly wrong."""
    easy, rate = 1 - difficulty, {"revise": 0.9, "sample": 0.5}[name]
    if name == "revise" and difficulty > 0.5:
        rate = 0.05
    return 1 - (1 - easy * rate) ** (1 + cost / 8)


def trials(questions: int, tries: int = 4) -> list[Trial]:
    made = []
    for number in range(questions):
        question, difficulty = f"question {number}", by_hash("difficulty", number)
        seen = min(1.0, max(0.0, difficulty + drawn("seen", number).gauss(0, 0.08)))  # an estimate, not the truth
        for strategy, (name, cost) in STRATEGIES.items():
            draw = drawn(question, name, cost)
            right = sum(draw.random() < chance(name, difficulty, cost) for _ in range(tries)) / tries
            made.append(Trial(question, seen, strategy, right, cost))
    return made


def test_a_policy_beats_every_single_strategy_on_questions_it_was_not_fitted_on():
    compared = cross_validate(trials(400), BUDGETS)
    gains = []
    for budget, policy in compared.chosen.items():
        assert policy.cost <= budget * 1.1, "a mean over other questions than it was fitted on"
        best = max(alone.right for alone in compared.strategies.values() if alone.cost <= budget)
        gains.append(policy.right - best)
    assert all(gain >= 0 for gain in gains)
    assert max(gains) > 0.03


def test_a_policy_revises_what_is_easy_and_samples_what_is_hard():
    policy = fit(trials(400), BUDGETS)
    assert len(policy.edges) == 4
    assert policy.choose(0.05, 16).startswith("revise")
    assert policy.choose(0.75, 16).startswith("sample")


def test_a_budget_is_spent_where_it_gains_most():
    """Easy questions are right at once, hard ones pay from 8 on, hopeless ones never."""
    right = {("easy", 1): 1.0, ("easy", 8): 1.0, ("hard", 1): 0.0, ("hard", 8): 0.6, ("hopeless", 1): 0.0, ("hopeless", 8): 0.1}
    hard = {"easy": 0.0, "hard": 0.5, "hopeless": 1.0}
    made = [Trial(f"{kind} {n}", hard[kind], f"{cost}", share, cost) for (kind, cost), share in right.items() for n in range(10)]
    policy = fit(made, (0.5, 1, 3, 3.34, 5, 5.67), bins=3)
    assert policy.choices[0] == ("1",) * 6
    assert policy.choices[1] == ("1", "1", "1", "8", "8", "8"), "its share of the cost is a third of 7"
    assert policy.choices[2] == ("1", "1", "1", "1", "1", "8")


def test_a_step_that_gains_much_for_little_is_taken_before_a_long_one():
    right = {1: 0.0, 2: 0.5, 10: 0.6, 11: 0.55}
    made = [Trial(f"{n}", 0.5, f"{cost}", share, cost) for cost, share in right.items() for n in range(4)]
    assert fit(made, (1, 3, 9, 10), bins=1).choices == (("1", "2", "2", "10"),)


def test_a_policy_is_asked_for_the_largest_budget_that_is_covered():
    policy = StrategyTable((0.5,), (10.0, 100.0), (("a", "b"), ("c", "d")))
    assert [policy.choose(0.2, budget) for budget in (1, 10, 99, 100, 1e9)] == ["a", "a", "a", "b", "b"]
    assert [policy.choose(difficulty, 10) for difficulty in (0.0, 0.49, 0.5, 1.0)] == ["a", "a", "c", "c"]


QUESTIONS = st.lists(
    st.builds(
        Trial,
        st.sampled_from([f"q{n}" for n in range(9)]),
        st.floats(0, 1),
        st.sampled_from("abc"),
        st.floats(0, 1),
        st.floats(0, 9),
    ),
    min_size=1,
)


@given(QUESTIONS, st.integers(1, 6))
def test_whatever_it_is_fitted_on_it_has_an_answer_for_everything(made, bins):
    known = {trial.question: trial.difficulty for trial in made}
    policy = fit([replace(trial, difficulty=known[trial.question]) for trial in made], (1.0, 2.0), bins)
    assert len(policy.choices) == len(policy.edges) + 1 <= bins
    for difficulty in (0.0, 0.3, 1.0):
        for budget in (0.5, 1.0, 1.5, 2.0, 99.0):
            assert policy.choose(difficulty, budget) in {trial.strategy for trial in made}


@given(QUESTIONS, st.integers(1, 6), st.floats(0, 9))
def test_what_a_policy_costs_on_what_it_was_fitted_on_is_inside_its_budget(made, bins, budget):
    known = {trial.question: trial.difficulty for trial in made}
    once = {(trial.question, trial.strategy): replace(trial, difficulty=known[trial.question]) for trial in made}
    whole = [  # every strategy on every question, so that means over a bin are what its questions cost
        once.get((question, name), Trial(question, known[question], name, 0.0, float(ord(name) - 96)))
        for question in known
        for name in "abc"
    ]
    policy = fit(whole, (budget,), bins)
    costs = [trial.cost for trial in whole if trial.strategy == policy.choose(trial.difficulty, budget)]
    cheapest = fit(whole, (0.0,), bins)
    least = [trial.cost for trial in whole if trial.strategy == cheapest.choose(trial.difficulty, 0.0)]
    assert len(costs) == len(known)
    assert sum(costs) <= max(budget * len(known), sum(least)) + 1e-6


def test_there_is_nothing_to_fit_without_trials():
    with pytest.raises(hw.UsageError, match="no trials"):
        fit([], (1.0,))
    with pytest.raises(hw.UsageError, match="no budgets"):
        fit(trials(1), ())


def test_a_policy_with_an_unknown_strategy_is_refused_before_anything_is_spent():
    async def never(*_: object) -> Candidate:
        raise AssertionError("sampled")

    policy = StrategyTable((), (1.0,), (("beam",),))
    with pytest.raises(hw.UsageError, match=r"beam.*sample"):
        asyncio.run(search.compute_optimal("q", never, never, policy, {"sample": never}, budget=1))


# --- with a solver -----------------------------------------------------------------------------------------------------


def test_choosing_by_difficulty_costs_half_of_best_of_n_at_equal_accuracy():
    policy = StrategyTable((0.5,), (16.0,), (("vote",), ("search",)))

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

    async def score(question: str, texts: list[str]) -> list[float]:
        return [0.25 for _ in texts]

    async def nothing(question: str, given: tuple[Candidate, ...]) -> Found:
        return Found(None, ())

    async def vote(question: str, given: tuple[Candidate, ...]) -> Found:
        assert {candidate.score for candidate in given} == {0.25}
        return await search.majority(question, generate, n=6, sure=0.999, given=given)

    policy = StrategyTable((0.5,), (1.0,), (("nothing",), ("vote",)))
    strategies = {"nothing": nothing, "vote": vote}
    found = asyncio.run(search.compute_optimal("q|", generate, score, policy, strategies, budget=1, probes=3))
    assert asked == [0, 1, 2, 3], "four that agree of six cannot be outvoted"
    assert len(found.candidates) == 4
    policy = StrategyTable((0.9,), (1.0,), (("nothing",), ("vote",)))
    found = asyncio.run(search.compute_optimal("q|", generate, score, policy, strategies, budget=1, probes=3))
    assert found.answer == RIGHT
    assert len(found.candidates) == 3


def test_a_probe_that_nobody_scored_is_not_sure_and_makes_a_question_the_hardest():
    asked: list[str] = []

    async def generate(question: str, index: int) -> Candidate:
        return Candidate(f"{index}", RIGHT, 1)

    async def score(question: str, texts: list[str]) -> list[float]:
        raise hw.ModelError("down")

    def strategy(name: str) -> object:
        async def ask(question: str, given: tuple[Candidate, ...]) -> Found:
            asked.append(f"{name} {len(given)}")
            return Found(given[0], given)

        return ask

    policy = StrategyTable((3.0,), (1.0,), (("easy",), ("hard",)))  # fitted on log-probabilities
    strategies = {name: strategy(name) for name in ("easy", "hard")}
    asyncio.run(search.compute_optimal("q|", generate, score, policy, strategies, budget=1, probes=3, sure=-0.5))
    assert asked == ["hard 3"]


def test_probing_ends_with_the_first_probe_that_is_sure():
    asked: list[int] = []

    async def generate(question: str, index: int) -> Candidate:
        asked.append(index)
        return Candidate(f"{index}", RIGHT, 3)

    async def score(question: str, texts: list[str]) -> list[float]:
        return [0.9 if text.endswith("1") else 0.1 for text in texts]

    async def best_of_given(question: str, given: tuple[Candidate, ...]) -> Found:
        return await search.best_of_n(question, generate, score, n=len(given), given=given)

    policy = StrategyTable((0.6,), (1.0,), (("accept",), ("none",)))
    strategies = {"accept": best_of_given, "none": best_of_given}
    found = asyncio.run(search.compute_optimal("q|", generate, score, policy, strategies, budget=1, probes=4, sure=0.5))
    assert asked == [0, 1]
    assert found.best is not None
    assert found.best.value == "1"
    assert found.sequential_tokens == 6
    asked.clear()
    found = asyncio.run(search.compute_optimal("q|", generate, score, policy, strategies, budget=1, probes=4, sure=0.95))
    assert asked == [0, 1, 2, 3]
    asked.clear()
    at_once = asyncio.run(search.compute_optimal("q|", generate, score, policy, strategies, budget=1, probes=4))
    assert sorted(asked) == [0, 1, 2, 3]
    assert (found.sequential_tokens, at_once.sequential_tokens) == (12, 3)
