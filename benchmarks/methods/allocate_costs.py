"""What foresees cost and gain, against rules that don't.

The fixed number of samples was chosen on 400 models drawn with seed 999.
"""

from __future__ import annotations

import asyncio
import math
import random
from statistics import fmean

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway import testing
from headway.methods import allocate
from headway.methods.allocate import Blocks, Growth, Skill, Transformer

TESTS = "tests/methods/allocate/test_costs.py"
PRICE, FIXED = 0.004, 26  # of a sample, in the share of questions solved; the best fixed number of samples at that price


def measure_saturation(seed: int) -> Pair:
    """What samples net per question, for 200 models: 8 of each of 100 questions, then up to N*; and the best fixed number."""
    draw = random.Random(seed)
    ours, fixed = 0.0, 0.0
    for _ in range(200):
        true = allocate.Saturation(draw.uniform(0.2, 1), 10 ** draw.uniform(-1.7, -0.2))
        within = (draw.random() < true.most for _ in range(100))
        seen = [sum(draw.random() < true.rate for _ in range(8)) if reached else 0 for reached in within]
        count = max(8, allocate.fit_saturation(seen).saturates(PRICE))
        ours += (true.at(count) - PRICE * count) / 200
        fixed += (true.at(FIXED) - PRICE * FIXED) / 200
    return Pair(ours, fixed)


FAMILY = {  # Qwen3, as the paper measures it: parameters, layers, heads
    "0.6B": Transformer(752_000_000, 28, 16, 8, 128),
    "1.7B": Transformer(2_030_000_000, 28, 16, 8, 128),
    "4B": Transformer(4_020_000_000, 36, 32, 8, 128),
    "8B": Transformer(8_190_000_000, 36, 32, 8, 128),
    "14B": Transformer(14_770_000_000, 40, 40, 8, 128),
    "32B": Transformer(32_760_000_000, 64, 64, 8, 128),
}
CONTEXT, TOKENS = 256, 8192
BUDGETS = [10 ** (15.8 + step / 5) for step in range(9)]  # eFLOPs of a question, from the least that pays for one trial of each


def measure_choice(seed: int) -> Pair:
    """Coverage on new questions, over budgets: the model chosen by eFLOPs, and by FLOPs of parameters. Both spend all eFLOPs."""
    draw = random.Random(seed)
    tried, rates = {}, {}
    for name, model in FAMILY.items():
        skill = draw.gauss(0.5, 0.1) * math.log(model.parameters / 8e9)
        old, rates[name] = ([1 / (1 + math.exp(draw.gauss(1.5, 2) - skill)) for _ in range(300)] for _ in range(2))
        seen = [sum(draw.random() < rate for _ in range(32)) for rate in old]
        tried[name] = Skill(model, seen, 32, TOKENS)
    bare = {name: each._replace(model=Transformer(each.model.parameters, 1, 1, 1, 1, 0.0)) for name, each in tried.items()}
    scale = fmean(model.cost(CONTEXT, TOKENS).total / model.cost(CONTEXT, TOKENS).parameters for model in FAMILY.values())
    found = []
    for budget in BUDGETS:
        chosen = (
            allocate.choose_model(budget, tried, context=CONTEXT),
            allocate.choose_model(budget / scale, bare, context=CONTEXT),
        )
        trials = [FAMILY[each.model].affords(budget, CONTEXT, TOKENS) for each in chosen]
        found.append([fmean(1 - (1 - rate) ** n for rate in rates[each.model]) for each, n in zip(chosen, trials, strict=True)])
    return Pair(*map(fmean, zip(*found, strict=True)))


ITEMS, WORKERS = 600, 4


@hw.task
async def ask(block: int, seconds: float) -> None:
    """Stands for a call of a model that takes so long."""
    await asyncio.sleep(seconds)


@hw.task
async def ask_all(seconds: list[float]) -> float:
    """Ask about every block, some at a time; how long it took."""
    began = hw.now()
    with hw.limit(WORKERS):
        await hw.gather(*(ask(block, each) for block, each in enumerate(seconds)))
    return hw.now() - began


def measure_blocks(seed: int) -> Pair:
    """Seconds on the virtual clock for 600 items, 4 calls at a time, each off its mean by some 20 %: the block size that is best by
    the closed form, and one block for each worker."""
    draw = random.Random(seed)
    call = Growth(fixed=draw.uniform(1, 5), linear=draw.uniform(0.01, 0.1), square=10 ** draw.uniform(-3.5, -2.5))
    best = allocate.best_block(ITEMS, lambda blocks: blocks.latency(call, WORKERS))
    took = []
    for block in (best, ITEMS // WORKERS):
        lengths = [call(size) * draw.lognormvariate(-0.02, 0.2) for size in Blocks(ITEMS, block).sizes]
        took.append(testing.run(ask_all, lengths, store=None))
    return Pair(*took)


ROWS = [
    Row(
        method="TTSPM",
        function="headway.methods.allocate.fit_saturation",
        item="allocate",
        claim="predicts the budget beyond which more samples add little",
        shows="8 samples of 100 questions, then up to N*: more questions solved, less the price of samples",
        baseline="the best fixed number of samples, chosen on other models",
        unit="share solved - .004 a sample",
        measure=measure_saturation,
        compare="difference",
        reached=lambda low, high: low > 0.0,
        seeds=10,
        test=f"{TESTS}::test_stopping_where_samples_saturate_beats_the_best_fixed_number",
    ),
    Row(
        method="Kinetics",
        function="headway.methods.allocate.choose_model",
        item="allocate",
        claim="with attention counted, compute is better spent on larger models above a threshold",
        shows="more new questions covered for the same eFLOPs, by a model chosen on 32 samples of 300 others (Qwen3's shapes)",
        baseline="the model chosen by FLOPs of parameters, scaled to the mean model",
        unit="coverage",
        measure=measure_choice,
        compare="difference",
        reached=lambda low, high: low > 0.0,
        seeds=10,
        test=f"{TESTS}::test_below_a_size_small_models_are_dearer_than_their_parameters_say",
    ),
    Row(
        method="LLM-based algorithms",
        function="headway.methods.allocate.best_block",
        item="allocate",
        claim="cost and latency of a decomposition in closed form; both are U-shaped in the size of a block",
        shows="600 items in blocks of the size that is best in closed form, run by 4 workers: done sooner",
        baseline="one block for each worker",
        unit="seconds (virtual clock)",
        measure=measure_blocks,
        compare="ratio",
        reached=lambda low, high: high < 1.0,
        seeds=10,
        test=f"{TESTS}::test_blocks_cost_and_take_what_is_foreseen_when_they_run",
    ),
    Held(
        item="allocate",
        promise="Kinetics: eFLOPs are those of every token and its cache; from the crossover on attention outweighs the parameters",
        tests=(
            f"{TESTS}::test_the_cost_is_that_of_every_token_and_its_cache",
            f"{TESTS}::test_from_the_crossover_on_attention_costs_more_than_the_parameters",
        ),
    ),
    Held(
        item="allocate",
        promise="TTSPM: N* is the first number after which a sample gains too little; no curve is likelier than the fitted one",
        tests=(
            f"{TESTS}::test_the_saturation_point_is_the_first_after_which_a_sample_gains_too_little",
            f"{TESTS}::test_no_curve_is_likelier_than_the_fitted_one",
        ),
    ),
    Held(
        item="allocate",
        promise="LLM-based algorithms: errors of blocks bound the error of the whole; latency with p workers is list scheduling's",
        tests=(
            f"{TESTS}::test_blocks_cost_and_take_what_is_foreseen_when_they_run",
            f"{TESTS}::test_the_latency_of_blocks_is_that_of_list_scheduling",
            f"{TESTS}::test_counts_of_blocks_are_off_by_no_more_than_their_errors_together",
            f"{TESTS}::test_a_search_in_blocks_goes_wrong_as_often_as_foreseen",
            f"{TESTS}::test_cost_is_lowest_where_the_fixed_part_equals_that_which_grows_with_the_square",
        ),
    ),
    Held(
        item="allocate",
        promise="costs: no data, NaN, percentages, counts that can't be: one sentence",
        tests=(f"{TESTS}::test_what_can_not_be_foreseen_is_refused",),
    ),
]
