"""Solve or verify: the same compute buys more answers to vote on, or verdicts on fewer of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from random import Random
from statistics import fmean
from typing import TypeVar

from headway.errors import UsageError
from headway.joins.gather import gather_affordable
from headway.methods import settings
from headway.methods.protocols import Generator, Verifier
from headway.methods.records import Candidate, Verdict
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import call_generator, call_verifier
from headway.methods.search.rounds import attempts, sequential_tokens
from headway.methods.search.sample.majority import majority
from headway.methods.search.select.selectors import best
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Split:
    """How compute is split: so many solutions, and so many verdicts on each. Without verdicts, the solutions vote.

    Attributes:
        solutions: how many answers are sampled.
        verdicts: how often each is verified.
        right: the share of questions that were right with it, where it was chosen by trials.
    """

    solutions: int
    verdicts: int = 0
    right: float = math.nan

    def cost(self, ratio: float) -> float:
        """What it costs.

        Args:
            ratio: what a verdict costs, in solutions.

        Returns:
            The cost in solutions.
        """
        return self.solutions * (1 + ratio * self.verdicts)


@dataclass(frozen=True, slots=True)
class Pool:
    """Recorded answers to a question, to try splits on.

    Attributes:
        answers: of each sample, None where it had none.
        right: the answer that is right.
        verdicts: of each sample: how likely it was called right, verdict by verdict; see `Verdict.right`.

    Raises:
        UsageError: there are no answers, not as many verdicts on each, or a verdict is no probability.
    """

    answers: tuple[Hashable, ...]
    right: Hashable
    verdicts: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if len(self.answers) != len(self.verdicts) or not self.answers:
            counts = f"answers={len(self.answers)}, verdicts={len(self.verdicts)}"
            raise UsageError(f"Pool: {counts}: give verdicts on each of one or more answers")
        if len(set(map(len, self.verdicts))) > 1:
            raise UsageError("Pool: some answers have more verdicts than others: give each as many")
        for said in chain.from_iterable(self.verdicts):
            settings.number("Pool", 0, 1, verdicts=said)


async def solve_or_verify(
    question: Q, generate: Generator[Q, V], verify: Verifier[Q, V], split: Split, *, errors: Errors = SAMPLE_ERRORS
) -> Found[V]:
    """Sample as many solutions as a split says; verify each as often as it says and return the best, or vote.

    A verdict is itself sampled and may err, so one answer gets several, side by side, as soon as it is there. Its score is their
    mean.

    Args:
        question: what the parts are told.
        generate: samples an answer.
        verify: says whether an answer is right.
        split: how compute is split; `choose_split` finds one.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        All candidates, and the one of the best score, or of the most frequent answer where the split has no verdicts. What the
        bounds left no time to verify has no score and loses.

    Raises:
        UsageError: `split` is none.
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(solve_or_verify("17+25=", sample, proof, Split(4, 2))).answer
        '42'

    Source:
        "When to solve, when to verify": Singhi et al., arXiv 2504.01005.
    """
    if not isinstance(split, Split):
        raise UsageError(f"solve_or_verify: split={split!r:.80}: a search.Split, such as Split(8, 2)")
    settings.whole_number("solve_or_verify: split", solutions=split.solutions, verdicts=split.verdicts)
    settings.function("solve_or_verify", generate=generate, verify=verify)
    if split.verdicts == 0:
        return await majority(question, generate, n=split.solutions, sure=1, errors=errors)
    found: dict[int, Candidate[V]] = {}
    rounds: list[int] = []
    failed = Failures(errors)
    refused = False

    async def attempt(index: int) -> None:
        nonlocal refused
        candidate = await failed.spare(index, call_generator(generate, question, index))
        if isinstance(candidate, Failed):
            return
        block.keep(index, candidate)
        first = index * split.verdicts
        asked = (call_verifier(verify, question, candidate, each) for each in range(first, first + split.verdicts))
        verdicts: list[Verdict] | Failed = await failed.spare(index, gather_affordable(*asked))
        if not isinstance(verdicts, Failed):
            refused |= len(verdicts) < split.verdicts
            block.keep(index, replace(candidate, score=fmean(verdict.right for verdict in verdicts)))

    with anytime(found) as block:
        await attempts(attempt, split.solutions, rounds)
    stopped = "budget" if refused and block.stopped == "done" else block.stopped
    return choose(found, best, stopped, sequential_tokens(found, rounds), failed)


def choose_split(
    pools: Sequence[Pool],
    budget: float,
    *,
    ratio: float = 1.0,
    verdicts: Collection[int] = (0, 1, 2, 4, 8, 16, 32),
    trials: int = 32,
    rng: Random,
) -> Split:
    """Choose how to split compute, from recorded answers and verdicts: the split that was right most often.

    For each number of verdicts on an answer, there are as many answers as the budget pays for. Each is tried on draws from the
    pools; of equals, the one with fewer verdicts is taken.

    Args:
        pools: recorded answers with their verdicts, of questions of the kind that the split is for.
        budget: what a question may cost, in solutions.
        ratio: what a verdict costs, in solutions.
        verdicts: how many verdicts on each answer come into question; those that the pools do not have are left out.
        trials: draws from each pool for each split.
        rng: draws them.

    Returns:
        The split, with the share of trials that were right.

    Raises:
        UsageError: there are no pools, or the budget does not pay for one solution.

    Example:
        >>> pool = Pool(("a", "b", "b", "a"), "a", ((1.0,), (0.0,), (0.0,), (1.0,)))
        >>> choose_split([pool], 4, verdicts=(0, 1), rng=Random(0)).verdicts
        1

    Source:
        "When to solve, when to verify": Singhi et al., arXiv 2504.01005; there by a grid of full experiments.
    """
    settings.number("choose_split", 1, budget=budget)
    settings.number("choose_split", 0, math.inf, above=True, ratio=ratio)
    settings.at_least_one("choose_split", trials=trials)
    if not isinstance(rng, Random):
        raise UsageError(f"choose_split: rng={rng!r:.80}: a random.Random")
    if not pools or not verdicts:
        raise UsageError(f"choose_split: pools={len(pools)}, verdicts={len(verdicts)}: give one or more of both to choose from")
    for each in verdicts:
        settings.whole_number("choose_split", verdicts=each)
    there = min(len(pool.verdicts[0]) for pool in pools)
    splits = [Split(int(budget / (1 + ratio * each)), each) for each in sorted(set(verdicts)) if each <= there]
    tried = [replace(split, right=share_right(pools, split, trials, rng)) for split in splits if split.solutions]
    if not tried:
        raise UsageError(f"choose_split: of verdicts={verdicts!r:.80}, a budget of {budget:g} solutions pays for none")
    return max(tried, key=lambda split: split.right)


def share_right(pools: Sequence[Pool], split: Split, trials: int, rng: Random) -> float:
    """The share of draws from recorded answers that are right with a split. Answers are drawn without replacement while there are
    enough, so a pool should have as many as the largest split that is tried; of equal votes or scores, one is drawn."""
    return fmean(_try_split(pool, split, rng) for pool in pools for _ in range(trials))


def fit_exponents(splits: Mapping[float, Split]) -> tuple[float, float]:
    """Fit by which powers of the budget the numbers of solutions and of verdicts grow.

    Args:
        splits: the best split for each budget. Those that are a vote do not count.

    Returns:
        The slopes of the logarithms of both.

    Raises:
        UsageError: fewer than two budgets have verdicts.

    Example:
        >>> [round(power, 2) for power in fit_exponents({16: Split(8, 2), 64: Split(16, 4), 256: Split(32, 8)})]
        [0.5, 0.5]

    Source:
        "When to solve, when to verify": Singhi et al., arXiv 2504.01005.
    """
    verified = {budget: split for budget, split in splits.items() if split.verdicts}
    if len(verified) < 2:
        raise UsageError(f"fit_exponents: {len(verified)} of {len(splits)} splits have verdicts: give two or more that have")
    budgets = [math.log(budget) for budget in verified]
    solutions, verdicts = (
        _slope(budgets, [math.log(getattr(split, name)) for split in verified.values()]) for name in ("solutions", "verdicts")
    )
    return solutions, verdicts


def _try_split(pool: Pool, split: Split, rng: Random) -> float:
    places = range(len(pool.answers))
    enough = split.solutions <= len(places)
    drawn = rng.sample(places, split.solutions) if enough else rng.choices(places, k=split.solutions)
    scores: dict[int, float] = {}
    if split.verdicts == 0:
        counts = Counter(pool.answers[place] for place in drawn if pool.answers[place] is not None)
        scores = {place: counts[pool.answers[place]] for place in drawn}
    else:
        scores = {place: fmean(rng.sample(pool.verdicts[place], split.verdicts)) for place in drawn}
    able = [place for place in scores if pool.answers[place] is not None]
    if not able:
        return 0.0
    top = max(scores[place] for place in able)
    return float(pool.answers[rng.choice([place for place in able if scores[place] == top])] == pool.right)


def _slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    x, y = fmean(xs), fmean(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
