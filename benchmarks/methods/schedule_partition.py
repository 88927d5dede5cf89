"""How even a split of work is: rows of a batch on processes, layers of a model on stages."""

from __future__ import annotations

import random

from benchmarks.methods.row import Held, Pair, Row
from headway.train.partition import balance, fill, stages

USED = "tests/train/test_data_parallel.py::test_rows_are_shared_by_their_lengths_each_to_one_process"

ROWS_OF_BATCH, PROCESSES = 128, 8


def measure_rows(seed: int) -> Pair:
    """The heaviest process against the mean: rows shared by length, and one after another."""
    draw = random.Random(seed)
    lengths = [draw.lognormvariate(6, 0.8) for _ in range(ROWS_OF_BATCH)]
    mean = sum(lengths) / PROCESSES
    ours, turns = balance(lengths, PROCESSES, equal=True), [range(part, ROWS_OF_BATCH, PROCESSES) for part in range(PROCESSES)]
    return Pair(*(max(sum(lengths[row] for row in part) for part in split) / mean for split in (ours, turns)))


def measure_stages(seed: int) -> Pair:
    """The heaviest stage against the mean: the best cut, and stages of equally many layers."""
    draw = random.Random(seed)
    layers = [draw.uniform(1, 4) for _ in range(48)]
    mean = sum(layers) / PROCESSES
    ours, even = stages(layers, PROCESSES), [range(first, first + 6) for first in range(0, 48, 6)]
    return Pair(*(max(sum(layers[layer] for layer in stage) for stage in cut) / mean for cut in (ours, even)))


def measure_fill(seed: int) -> Pair:
    """The heaviest process against the mean, with as much again poured on uneven loads: up to one level, and in equal shares."""
    draw = random.Random(seed)
    loads = [draw.lognormvariate(0, 0.8) for _ in range(PROCESSES)]
    amount = sum(loads)
    ours, even = fill(loads, amount), [amount / PROCESSES] * PROCESSES
    mean = 2 * amount / PROCESSES
    return Pair(*(max(map(sum, zip(loads, added, strict=True))) / mean for added in (ours, even)))


ROWS = [
    Row(
        method="Balanced partition",
        function="headway.train.partition.balance",
        item="schedule",
        claim="differences of the largest numbers even each other out",
        shows="rows of lognormal lengths on 8 processes: the heaviest is at most 1.1 times the mean",
        baseline="rows one after another",
        unit="heaviest process / mean",
        measure=measure_rows,
        compare="ratio",
        reached=lambda low, high: high < 1.0,
        seeds=20,
        test="tests/train/test_partition.py::test_equal_counts_of_rows_have_equal_lengths_where_taking_turns_has_not",
    ),
    Row(
        method="Pipeline stages",
        function="headway.train.partition.stages",
        item="schedule",
        claim="",
        shows="the heaviest of 8 stages of 48 uneven layers is lighter than with 6 layers each",
        baseline="equally many layers",
        unit="heaviest stage / mean",
        measure=measure_stages,
        compare="ratio",
        reached=lambda low, high: high < 1.0,
        seeds=20,
        test="tests/train/test_partition.py::test_no_cut_into_stages_is_better",
    ),
    Row(
        method="Water filling",
        function="headway.train.partition.fill",
        item="schedule",
        claim="",
        shows="as much work again, poured on 8 processes with uneven loads: the heaviest ends nearer to the mean",
        baseline="equal shares of it",
        unit="heaviest process / mean",
        measure=measure_fill,
        compare="ratio",
        reached=lambda low, high: high < 1.0,
        seeds=20,
        test="tests/train/test_partition.py::test_what_is_poured_rises_to_one_level",
    ),
    Held(
        item="schedule",
        promise="partition: training shares the rows of a batch out by it, each row to one process",
        tests=(USED,),
    ),
    Held(
        item="schedule",
        promise="partition: weights that are NaN, infinite or negative, no parts, more stages than links: one sentence",
        tests=("tests/train/test_partition.py::test_what_makes_no_sense_is_refused",),
    ),
]
