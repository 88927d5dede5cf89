"""Whether to verify: answers that vote or verdicts on fewer of them, and what rewards of samples say of a verifier's worth.

Solvers are synthetic. Settings were chosen on seeds from 50 on; splits are chosen on other questions than they are measured on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

from benchmarks.methods.row import Pair, Row
from headway.methods.search import Diagnosis, Pool, Split, choose_split, diagnose, fit_exponents
from headway.methods.search.verify.genrm import share_right

TESTS = "tests/methods/search/samples"
BUDGETS = (4, 8, 16, 32, 64, 128)
VERDICTS = (0, 1, 2, 3, 4, 6, 8, 12, 16)
QUESTIONS, TRIALS = 60, 6
ALWAYS = 4
"""Verdicts on each answer where one always verifies."""


def judged_pools(seed: str, questions: int, samples: int = 128, verdicts: int = 16) -> list[Pool]:
    """Answers with verdicts. Questions differ in how often an answer is right and in how far wrong ones agree; a verifier calls
    75 % of the right ones right and 35 % of the wrong ones, with a bias on each."""
    rng, found = random.Random(seed), []
    for _ in range(questions):
        chance, alike = min(0.95, max(0.03, rng.betavariate(1.1, 1.1))), rng.uniform(0.1, 0.8)
        answers: list[str] = []
        said: list[tuple[float, ...]] = []
        for _ in range(samples):
            right = rng.random() < chance
            answers.append("right" if right else "the usual mistake" if rng.random() < alike else f"wrong {rng.randint(1, 12)}")
            believes = min(0.98, max(0.02, (0.75 if right else 0.35) + rng.gauss(0, 0.12)))
            said.append(tuple(float(rng.random() < believes) for _ in range(verdicts)))
        found.append(Pool(tuple(answers), "right", tuple(said)))
    return found


@cache
def splits_of(seed: int) -> dict[float, Split]:
    """The split that is chosen for each budget."""
    pools, rng = judged_pools(f"chosen on {seed}", QUESTIONS), random.Random(seed)
    return {budget: choose_split(pools, budget, verdicts=VERDICTS, trials=TRIALS, rng=rng) for budget in BUDGETS}


def right_with(seed: int, *splits: Split) -> Iterator[float]:
    """The share of other questions that splits get right."""
    pools = judged_pools(f"measured on {seed}", QUESTIONS)
    for split in splits:
        yield share_right(pools, split, 2 * TRIALS, random.Random(seed))


def verify_always(budget: int) -> Split:
    return Split(max(1, budget // (1 + ALWAYS)), ALWAYS)


def measure_large(seed: int) -> Pair:
    return Pair(*right_with(seed, splits_of(seed)[128], Split(128)))


def measure_small(seed: int) -> Pair:
    return Pair(*right_with(seed, splits_of(seed)[8], verify_always(8)))


def measure_regret(seed: int) -> Pair:
    """The mean over budgets: the choice, and the better of always voting and always verifying, known afterwards."""
    chosen = list(right_with(seed, *splits_of(seed).values()))
    votes = right_with(seed, *map(Split, BUDGETS))
    verdicts = right_with(seed, *map(verify_always, BUDGETS))
    best = [max(pair) for pair in zip(votes, verdicts, strict=True)]
    return Pair(sum(chosen) / len(chosen), sum(best) / len(best))


def measure_exponents(seed: int) -> Pair:
    return Pair(*fit_exponents(splits_of(seed)))


_SPLIT = "test_a_vote_is_better_with_little_compute_and_verdicts_with_much_and_a_choice_by_trials_finds_both"
SPLITS = [
    Row(
        method="When to solve, when to verify",
        function="headway.methods.search.solve_or_verify",
        item="search",
        claim="with much compute, verdicts on fewer answers beat a vote of more",
        shows="with the compute of 128 answers, the chosen split beats a vote",
        baseline="a vote of 128 answers",
        unit="share right",
        measure=measure_large,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_solve_or_verify.py::{_SPLIT}",
    ),
    Row(
        method="When to solve, when to verify",
        function="headway.methods.search.solve_or_verify",
        item="search",
        claim="up to about eight times the compute at which a vote saturates, the vote is better",
        shows="with the compute of 8 answers, the chosen split beats verifying always",
        baseline="four verdicts on every answer",
        unit="share right",
        measure=measure_small,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_solve_or_verify.py::{_SPLIT}",
    ),
    Row(
        method="When to solve, when to verify",
        function="headway.methods.search.choose_split",
        item="search",
        claim="the best split hangs on the compute",
        shows="the choice is within two points of the better of both, at each compute, or above",
        baseline="the better of always voting and four verdicts always, known afterwards",
        unit="share right, mean over six budgets",
        measure=measure_regret,
        compare="difference",
        reached=lambda low, high: low > -0.02,
        test=f"{TESTS}/test_solve_or_verify.py::{_SPLIT}",
    ),
    Row(
        method="When to solve, when to verify",
        function="headway.methods.search.fit_exponents",
        item="search",
        claim="the best number of solutions grows as compute^0.57, of verdicts as compute^0.39",
        shows="solutions grow with a larger power of compute than verdicts",
        baseline="the power of verdicts",
        unit="power of compute",
        measure=measure_exponents,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_solve_or_verify.py::test_solutions_and_verdicts_both_grow_with_compute",
        reason="both grow by about the same power here: this verifier errs on each verdict anew, so more verdicts keep paying",
    ),
]


def planted_rewards(seed: int, length: int, questions: int, samples: int, *, mixed: bool) -> list[list[float]]:
    """Steps that are left of `length` once a hidden sequence of five tokens was written, for each sample.

    A step writes the next hidden token with a chance. Mixed samples go about it in ways of their own, some of them hopeless; others
    do all alike, at an even pace."""
    rng, found = random.Random(f"{seed} {length} {mixed}"), []
    for _ in range(questions):
        own = rng.uniform(0.15, 0.35)
        found.append([_steps_left(rng, length, rng.choice((0.2, 0.6, 1.8)) * own if mixed else None, own) for _ in range(samples)])
    return found


def _steps_left(rng: random.Random, length: int, chance: float | None, pace: float) -> float:
    if chance is None:
        return max(0.0, length - round(5 / pace) + rng.choice((-1, 0, 1)))
    written = steps = 0
    while written < 5 and steps < length:
        steps += 1
        written += rng.random() < chance
    return float(length - steps) if written == 5 else 0.0


def _diagnose(seed: int, length: int, *, mixed: bool) -> Diagnosis:
    """With a verifier whose error is a tenth of the length."""
    rewards = planted_rewards(seed, length, 40, 32, mixed=mixed)
    rng = random.Random(f"verifier {seed}")
    return diagnose(rewards, [[reward + rng.gauss(0, length / 10) for reward in own] for own in rewards], n=8)


def measure_gap(seed: int) -> Pair:
    """Steps gained over cloning, with mixed samples, on long and short solutions."""
    return Pair(_diagnose(seed, 128, mixed=True).gain, _diagnose(seed, 32, mixed=True).gain)


def measure_mixed(seed: int) -> Pair:
    return Pair(_diagnose(seed, 64, mixed=True).gain, _diagnose(seed, 64, mixed=False).gain)


def measure_planted(seed: int) -> Pair:
    diagnosis = _diagnose(seed, 64, mixed=True)
    return Pair(diagnosis.chosen, diagnosis.cloned)


NEEDS = [
    Row(
        method="Scaling without verification",
        function="headway.methods.search.diagnose",
        item="search",
        claim="the gap between verifier-based and verifier-free methods grows with the length of solutions",
        shows="choosing gains more steps over imitating on solutions four times as long",
        baseline="the gain on solutions of 32 steps",
        unit="steps gained",
        measure=measure_gap,
        reached=lambda low, high: low > 1,
        test=f"{TESTS}/test_solve_or_verify.py::test_a_verifier_gains_where_samples_differ_and_more_on_longer_solutions",
    ),
    Row(
        method="Scaling without verification",
        function="headway.methods.search.diagnose",
        item="search",
        claim="the gap needs heterogeneous and anti-concentrated rewards",
        shows="choosing gains more where the samples of a question differ",
        baseline="the gain where they do alike",
        unit="steps gained",
        measure=measure_mixed,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_solve_or_verify.py::test_a_verifier_gains_where_samples_differ_and_more_on_longer_solutions",
    ),
    Row(
        method="Scaling without verification",
        function="headway.methods.search.diagnose",
        item="search",
        claim="best-of-n with a verifier beats cloning right solutions",
        shows="best of 8 by a verifier that errs beats the mean of the right samples",
        baseline="the mean of the right samples, which cloning reaches",
        unit="steps left of 64",
        measure=measure_planted,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_solve_or_verify.py::test_a_verifier_gains_where_samples_differ_and_more_on_longer_solutions",
    ),
]

ROWS = [*SPLITS, *NEEDS]
