"""Whether to verify: splits of compute between answers and verdicts, and what rewards of samples say of a verifier."""

from __future__ import annotations

import asyncio
import math
from itertools import combinations
from random import Random
from statistics import fmean

import pytest
from benchmarks.methods.search_verify import judged_pools, planted_rewards, verify_always
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate, Pool, Split, Verdict, choose_split, diagnose, fit_exponents
from headway.methods.search.verify.diagnose import expect_best
from headway.methods.search.verify.genrm import share_right

SEEDS = (0, 1, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_vote_is_better_with_little_compute_and_verdicts_with_much_and_a_choice_by_trials_finds_both(seed):
    chosen_on, measured_on = judged_pools(f"a {seed}", 40, 64, 8), judged_pools(f"b {seed}", 40, 64, 8)

    def right(split: Split) -> float:
        return share_right(measured_on, split, 8, Random(seed))

    def choice(budget: int) -> Split:
        return choose_split(chosen_on, budget, verdicts=(0, 1, 2, 4, 8), trials=6, rng=Random(seed))

    assert right(Split(8)) > right(verify_always(8))
    assert right(verify_always(64)) > right(Split(64)) + 0.05
    few, many = choice(8), choice(64)
    assert right(few) > right(verify_always(8))
    assert right(many) > right(Split(64)) + 0.05
    assert many.verdicts > 0


def test_solutions_and_verdicts_both_grow_with_compute():
    splits: dict[float, Split] = {}
    for budget in (16, 32, 64):
        splits[budget] = choose_split(judged_pools("grow", 60, 64, 8), budget, verdicts=(1, 2, 3, 4, 6, 8), trials=6, rng=Random(1))
    assert min(fit_exponents(splits)) > 0
    planted = {budget: Split(round(4 * budget**0.57), round(3 * budget**0.39)) for budget in (2**10, 2**16, 2**22)}
    assert fit_exponents(planted) == pytest.approx((0.57, 0.39), abs=0.01)


def test_a_split_costs_its_solutions_and_its_verdicts_and_fits_the_budget():
    assert Split(8, 3).cost(0.5) == 20
    pools = judged_pools("cost", 4, 16, 4)
    for budget in (1, 2.5, 7, 16):
        for ratio in (0.25, 1.0, 3.0):
            assert choose_split(pools, budget, ratio=ratio, trials=2, rng=Random(0)).cost(ratio) <= budget


def test_verdicts_are_asked_apart_and_their_mean_is_the_score():
    asked: list[tuple[str, int]] = []

    async def generate(question: str, index: int) -> Candidate:
        return Candidate(f"{index}", index)

    async def verify(question: str, candidate: Candidate, index: int) -> Verdict:
        asked.append((candidate.value, index))
        return Verdict(index % 3 == 0 or candidate.value == "1")

    found = asyncio.run(search.solve_or_verify("q", generate, verify, Split(3, 3)))
    assert sorted(asked) == [(f"{index // 3}", index) for index in range(9)]
    assert [round(candidate.score or 0, 2) for candidate in found.candidates] == [0.33, 1.0, 0.33]
    assert found.answer == 1


def test_without_verdicts_answers_vote_and_nobody_is_asked():
    async def generate(question: str, index: int) -> Candidate:
        return Candidate("", "b" if index % 3 else "a")

    async def never(*_: object) -> Verdict:
        raise AssertionError("asked")

    assert asyncio.run(search.solve_or_verify("q", generate, never, Split(7))).answer == "b"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_verifier_gains_where_samples_differ_and_more_on_longer_solutions(seed):
    def gain(length: int, *, mixed: bool) -> search.Diagnosis:
        rewards = planted_rewards(seed, length, 30, 24, mixed=mixed)
        rng = Random(seed)
        return diagnose(rewards, [[reward + rng.gauss(0, length / 10) for reward in own] for own in rewards], n=8)

    short, long, alike = gain(32, mixed=True), gain(128, mixed=True), gain(128, mixed=False)
    assert long.gain > 2 * short.gain
    assert long.pays
    assert alike.gain < 0.1 * long.gain
    assert alike.heterogeneity < 0.1 * long.heterogeneity


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(0, 3)), min_size=2, max_size=7), st.data())
def test_the_best_of_n_is_the_mean_over_all_ways_to_take_n(samples, data):
    n = data.draw(st.integers(1, len(samples)))
    rewards, scores = [reward for reward, _ in samples], [float(score) for _, score in samples]
    means = []
    for taken in combinations(range(len(samples)), n):
        top = max(scores[place] for place in taken)
        means.append((taken, top))
    # of equal scores each is as likely, whatever was taken with it
    classes = {score: fmean(r for r, s in zip(rewards, scores, strict=True) if s == score) for score in set(scores)}
    assert expect_best(rewards, scores, n) == pytest.approx(fmean(classes[top] for _, top in means))
    assert len(means) == math.comb(len(samples), n)


def test_imitation_is_of_what_gained_something_and_a_question_without_counts_nothing():
    found = diagnose([[0.0, 1.0, 0.0, 3.0], [0.0, 0.0, 0.0, 0.0]], n=1)
    assert found.cloned == 1.0
    assert found.chosen == 0.5


def test_a_useless_verifier_does_not_pay():
    rewards = planted_rewards(3, 64, 30, 24, mixed=True)
    rng = Random(3)
    assert not diagnose(rewards, [[rng.random() for _ in own] for own in rewards]).pays


def test_pools_of_unequal_lengths_are_refused():
    with pytest.raises(hw.UsageError, match="give each as many"):
        Pool(("a", "b"), "a", ((1.0,), (1.0, 0.0)))
    with pytest.raises(hw.UsageError, match="pays for none"):
        choose_split([Pool(("a",), "a", ((1.0,) * 8,))], 2, verdicts=(8,), rng=Random(0))
