"""What is foreseen before compute is spent: where samples saturate, what a model's tokens cost, what blocks of an input cost."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import random

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway import testing
from headway.errors import UsageError
from headway.methods import allocate
from headway.methods.allocate import Blocks, Growth, Saturation, Skill, Transformer

SHARES = st.floats(0.01, 1)


# --- TTSPM -------------------------------------------------------------------------------------------------------------


def sample(draw: random.Random, curve: Saturation, questions: int) -> list[int]:
    """How many of 8 samples of each question are right."""
    within = (draw.random() < curve.most for _ in range(questions))
    return [sum(draw.random() < curve.rate for _ in range(8)) if reached else 0 for reached in within]


@given(SHARES, SHARES, st.floats(0.001, 0.5))
def test_the_saturation_point_is_the_first_after_which_a_sample_gains_too_little(most, rate, gain):
    curve = Saturation(most, rate)
    point = curve.saturates(gain)
    assert curve.at(point + 1) - curve.at(point) <= gain + 1e-9
    assert point == 0 or curve.at(point) - curve.at(point - 1) >= gain - 1e-9
    worth = [curve.at(count) - gain * count for count in range(point + 20)]
    assert worth[point] == pytest.approx(max(worth))


@pytest.mark.parametrize("seed", range(3))
def test_eight_samples_of_a_question_find_the_curve(seed):
    draw, true = random.Random(seed), Saturation(0.7, 0.15)
    found = allocate.fit_saturation(sample(draw, true, 4000))
    assert (found.most, found.rate) == pytest.approx((0.7, 0.15), abs=0.03)


@hypothesis.settings(max_examples=30)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=12))
def test_no_curve_is_likelier_than_the_fitted_one(successes):
    def likelihood(curve: Saturation) -> float:
        nothing = math.log(max(1e-300, 1 - curve.most * (1 - (1 - curve.rate) ** 8)))
        one = [
            math.log(max(1e-300, curve.most))
            + count * math.log(max(1e-300, curve.rate))
            + (8 - count) * math.log(max(1e-300, 1 - curve.rate))
            for count in successes
            if count
        ]
        return math.fsum(one) + nothing * successes.count(0)

    found = likelihood(allocate.fit_saturation(successes))
    grid = [Saturation(most / 20, rate / 20) for most in range(21) for rate in range(21)]
    assert found >= max(map(likelihood, grid)) - 1e-6


def test_what_never_succeeds_is_not_worth_a_sample():
    assert allocate.fit_saturation([0, 0, 0]).saturates(0.01) == 0
    assert allocate.fit_saturation([8, 8]) == Saturation(1.0, 1.0)
    assert Saturation(1.0, 1.0).saturates(0.01) == 1


@pytest.mark.parametrize("seed", range(3))
def test_stopping_where_samples_saturate_beats_the_best_fixed_number(seed):
    assert foresee(seed, models=60) > 0


def foresee(seed: int, models: int) -> float:
    """What N* nets more per question than the best fixed number, chosen on other models. A sample costs .004 of a question."""
    draw, chosen, price = random.Random(seed), 26, 0.004
    gained = 0.0
    for _ in range(models):
        curve = Saturation(draw.uniform(0.2, 1), 10 ** draw.uniform(-1.7, -0.2))
        count = max(8, allocate.fit_saturation(sample(draw, curve, 100)).saturates(price))
        gained += curve.at(count) - price * count - (curve.at(chosen) - price * chosen)
    return gained


# --- Kinetics ----------------------------------------------------------------------------------------------------------

SMALL = Transformer(752_000_000, 28, 16, 8, 128)
LARGE = Transformer(32_760_000_000, 64, 64, 8, 128)


def walk(model: Transformer, context: int, tokens: int, trials: int) -> tuple[float, float, float]:
    """The same cost token by token: two FLOPs a parameter; for each token of cache that is attended to, two products in each query
    head, and a key and a value to read in each cache head. Trials share the cache of the context."""
    parameters = arithmetic = reading = 0.0
    for place in range(tokens):
        parameters += 2 * model.parameters * trials
        arithmetic += trials * 4 * (context + place + 0.5) * model.layers * model.heads * model.head_size
        cached = context + trials * (place + 0.5)
        reading += model.intensity * 4 * cached * model.layers * model.cache_heads * model.head_size
    return parameters, arithmetic, reading


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 5))
def test_the_cost_is_that_of_every_token_and_its_cache(context, tokens, trials):
    assert tuple(LARGE.cost(context, tokens, trials)) == pytest.approx(walk(LARGE, context, tokens, trials))


@given(st.integers(10**8, 10**12), st.integers(1, 99), st.integers(0, 4000), st.integers(1, 64))
def test_from_the_crossover_on_attention_costs_more_than_the_parameters(parameters, layers, context, trials):
    model = Transformer(parameters, layers, 32, 8, 128)
    tokens = model.crossover(context, trials)
    cost, before = model.cost(context, tokens, trials), model.cost(context, tokens - 1, trials)
    assert cost.attention > cost.parameters * (1 - 1e-9)
    assert tokens == 1 or before.attention <= before.parameters * (1 + 1e-9)


@given(st.floats(0, 1e18), st.integers(0, 4000), st.integers(1, 9000))
def test_a_budget_pays_for_the_trials_that_it_affords_and_for_no_more(budget, context, tokens):
    trials = SMALL.affords(budget, context, tokens)
    assert trials == 0 or SMALL.cost(context, tokens, trials).total <= budget * (1 + 1e-9)
    assert SMALL.cost(context, tokens, trials + 1).total > budget * (1 - 1e-9)


def test_below_a_size_small_models_are_dearer_than_their_parameters_say():
    by_parameters = LARGE.parameters / SMALL.parameters
    assert LARGE.cost(256, 8192).total / SMALL.cost(256, 8192).total < by_parameters / 10
    small, large = Skill(SMALL, [1, 0, 2, 1], 32, 8192), Skill(LARGE, [8, 4, 12, 6], 32, 8192)
    bare = [Skill(Transformer(each.model.parameters, 1, 1, 1, 1, 0.0), *each[1:]) for each in (small, large)]
    budget = LARGE.cost(256, 8192, 2).total
    assert allocate.choose_model(budget, {"small": small, "large": large}, context=256).model == "large"
    same = bare[1].model.cost(256, 8192, 2).total
    assert allocate.choose_model(same, dict(zip(("small", "large"), bare, strict=True)), context=256).model == "small"


@given(st.integers(0, 8), st.integers(1, 8))
def test_coverage_is_that_of_all_ways_to_draw(successes, trials):
    drawn = list(itertools.combinations([True] * successes + [False] * (8 - successes), trials))
    assert allocate.pass_at(successes, 8, trials) == pytest.approx(sum(map(any, drawn)) / len(drawn))


# --- LLM-based algorithms ----------------------------------------------------------------------------------------------

TOKENS, SECONDS, MERGE_S = Growth(200, 10, 0.5), Growth(2, 0.05, 0.01), Growth(1, 0.5)


@hw.task
async def sort_block(numbers: list[float], worst: float) -> list[float]:
    """A model that sorts a block, with every number off by up to `worst`, after a time and at a cost that grow with the block."""
    await asyncio.sleep(SECONDS(len(numbers)))  # as a model would be awaited: `hw.sleep` would give its place to another
    hw.charge(tokens=TOKENS(len(numbers)))
    draw = random.Random(repr(numbers))
    return sorted(number + draw.uniform(-worst, worst) for number in numbers)


@hw.task
async def sort_all(numbers: list[float], block: int, workers: int, worst: float) -> tuple[list[float], float, float, list[float]]:
    began = hw.now()
    cut = [numbers[first : first + block] for first in range(0, len(numbers), block)]
    with hw.budget(tokens=1e9) as spent, hw.limit(workers):
        sorted_blocks = await hw.gather(*(sort_block(part, worst) for part in cut))
    await hw.sleep(MERGE_S(len(cut)))
    off = [max(abs(a - b) for a, b in zip(sorted(part), got, strict=True)) for part, got in zip(cut, sorted_blocks, strict=True)]
    return list(heapq.merge(*sorted_blocks)), spent.spent["tokens"], hw.now() - began, off


@hypothesis.settings(max_examples=8)
@given(st.integers(1, 24), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99))
def test_blocks_cost_and_take_what_is_foreseen_when_they_run(size, block, workers, seed):
    draw = random.Random(seed)
    numbers = [draw.uniform(0, 100) for _ in range(size)]
    merged, tokens, seconds, off = testing.run(sort_all, numbers, block, workers, 3.0, store=None)
    foreseen = Blocks(size, block, merge=MERGE_S)
    assert tokens == pytest.approx(Blocks(size, block).cost(TOKENS))
    assert seconds == pytest.approx(foreseen.latency(SECONDS, workers))
    assert max(abs(a - b) for a, b in zip(sorted(numbers), merged, strict=True)) <= allocate.bound_order(off) + 1e-9


@given(st.integers(1, 300), st.integers(1, 60), st.integers(1, 9))
def test_the_latency_of_blocks_is_that_of_list_scheduling(size, block, workers):
    blocks = Blocks(size, block)
    lengths = [SECONDS(each) for each in blocks.sizes]
    assert sum(blocks.sizes) == size
    assert blocks.latency(SECONDS, workers) == pytest.approx(allocate.finish_in_turn(lengths, workers))
    assert blocks.latency(SECONDS) == pytest.approx(max(lengths))


@given(st.lists(st.floats(0, 50), min_size=1, max_size=12), st.integers(1, 5))
def test_list_scheduling_is_within_its_bounds(seconds, workers):
    took = allocate.finish_in_turn(seconds, workers)
    assert took >= max(max(seconds), sum(seconds) / workers) - 1e-9
    assert took <= (sum(seconds) - max(seconds)) / workers + max(seconds) + 1e-9


@hypothesis.settings(max_examples=30)
@given(st.floats(1, 1000), st.floats(0.01, 5))
def test_cost_is_lowest_where_the_fixed_part_equals_that_which_grows_with_the_square(fixed, square):
    call, size = Growth(fixed, 3.0, square), 120

    def smooth(block: float) -> float:
        return size / block * call(block)

    least = min(max(math.sqrt(fixed / square), 1), size)
    best = allocate.best_block(size, lambda blocks: blocks.cost(call))
    costs = [Blocks(size, block).cost(call) for block in range(1, size + 1)]
    assert costs[best - 1] == min(costs)
    assert min(costs) >= smooth(least) - 1e-6
    assert smooth(1) >= smooth(least) - 1e-6 <= smooth(size)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=9))
def test_counts_of_blocks_are_off_by_no_more_than_their_errors_together(counted):
    errors = [abs(true - said) for true, said in counted]
    off = abs(sum(true for true, _ in counted) - sum(said for _, said in counted))
    assert off <= allocate.bound_count(errors)


@pytest.mark.parametrize("seed", range(3))
def test_a_search_in_blocks_goes_wrong_as_often_as_foreseen(seed):
    draw, tries = random.Random(seed), 20_000
    wrong = sum(draw.random() < 0.1 or any(draw.random() < 0.02 for _ in range(7)) for _ in range(tries))
    assert wrong / tries == pytest.approx(allocate.bound_search(0.1, 0.02, 8), abs=0.01)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: allocate.fit_saturation([]), "there are no questions to estimate from"),
        (lambda: allocate.fit_saturation([1, 9]), "9 successes of 8 samples"),
        (lambda: allocate.fit_saturation([0.5]), r"successes\[0\]=0.5: a whole number"),
        (lambda: allocate.fit_saturation([1], samples=0), "samples=0: a whole number, at least 1"),
        (lambda: Transformer(0, 1, 1, 1, 1), "parameters=0: a whole number, at least 1"),
        (lambda: Transformer(1, 1, 1, 1, 1, math.nan), "intensity=nan: a finite number"),
        (lambda: SMALL.cost(-1, 5), "context=-1: a whole number, at least 0"),
        (lambda: SMALL.crossover(0, 0), "trials=0: a whole number, at least 1"),
        (lambda: SMALL.affords(math.inf, 0, 1), "budget=inf: a finite number"),
        (lambda: allocate.pass_at(3, 2, 1), "3 successes of 2 samples"),
        (lambda: allocate.choose_model(1e18, {}, context=0), "there are no models to choose from"),
        (lambda: allocate.choose_model(1e18, {"a": Skill(SMALL, [], 8, 9)}, context=0), "model 'a' has no questions"),
        (lambda: allocate.choose_model(1.0, {"a": Skill(SMALL, [1], 8, 9)}, context=0), "pays for no trial; the cheapest costs"),
        (lambda: Growth(math.nan), "fixed=nan: a finite number"),
        (lambda: Growth(linear=-1.0), "linear=-1.0: a finite number"),
        (lambda: Blocks(0, 5), "size=0: a whole number, at least 1"),
        (lambda: Blocks(5, 2, merge=3.0), "merge=3.0: a allocate.Growth"),
        (lambda: Blocks(5, 2).latency(SECONDS, workers=0), "workers=0: a whole number, at least 1"),
        (lambda: allocate.finish_in_turn([1.0, math.inf], 1), r"seconds\[1\]=inf"),
        (lambda: allocate.best_block(5, 3), "of=3: a function"),
        (lambda: allocate.best_block(5, lambda blocks: math.nan), "gives NaN for blocks of 5"),
        (lambda: allocate.bound_count([math.nan]), r"errors\[0\]=nan"),
        (lambda: allocate.bound_order([-1.0]), r"errors\[0\]=-1.0"),
        (lambda: allocate.bound_search(0.5, 2, 3), "false_alarms=2: a number from 0 to 1"),
        (lambda: Saturation(math.nan, 0.5), "most=nan: a number from 0 to 1"),
        (lambda: Saturation(0.5, 50), "rate=50: a number from 0 to 1"),
        (lambda: Saturation(0.5, 0.5).saturates(0), "gain=0: a number above 0"),
        (lambda: Saturation(0.5, 0.5).at(-1), "samples=-1: a whole number, at least 0"),
    ],
)
def test_what_can_not_be_foreseen_is_refused(call, said):
    with pytest.raises(UsageError, match=said):
        call()
