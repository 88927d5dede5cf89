"""Learned assignment against the exact one. Trained on 5 workers and 6 tasks, measured on sizes that it has not seen."""

from __future__ import annotations

import math
import random

from benchmarks.methods.row import Held, Pair, Row
from headway.methods.schedule.assignment.hungarian import assign
from headway.methods.schedule.assignment.learned import Assigner, train_assigner

UNSEEN = ((10, 12), (20, 20), (30, 40))
PROBLEMS = 20  # of each size
TESTED = 10**9  # seeds of problems from here on are not trained on


def draw(seed: int, workers: int, tasks: int) -> tuple[list[list[float]], list[list[float]]]:
    """Workers with a place and two skills, tasks with a place, two needs and a value."""
    rng = random.Random(f"problem {seed}")
    return [[rng.random() for _ in range(4)] for _ in range(workers)], [[rng.random() for _ in range(5)] for _ in range(tasks)]


def worth(worker: list[float], task: list[float]) -> float:
    """What a pair is worth: the task's value, by how well the skills fit, less with the distance."""
    away = math.hypot(worker[0] - task[0], worker[1] - task[1])
    return (0.5 + task[4]) * (worker[2] * task[2] + worker[3] * task[3]) * math.exp(-away)


def totals(policy: Assigner, seed: int, sizes: tuple[tuple[int, int], ...] = UNSEEN, problems: int = PROBLEMS) -> Pair:
    """What the policy's assignments are worth together, and the best ones."""
    ours = best = 0.0
    for workers, tasks in sizes:
        for number in range(problems):
            ones, others = draw(TESTED * (seed + 1) + number, workers, tasks)
            table = [[worth(one, other) for other in others] for one in ones]
            ours += sum(table[row][column] for row, column in enumerate(policy.assign(ones, others)))
            best += sum(table[row][column] for row, column in enumerate(assign(table, maximize=True)))
    return Pair(ours, best)


def measure(seed: int) -> Pair:
    """Train once, and look at unseen sizes."""
    import torch

    torch.set_num_threads(1)
    return totals(train_assigner(draw, worth, workers=5, tasks=6, seed=seed), seed)


ROWS = [
    Row(
        method="Two-stage learned assignment",
        function="headway.methods.schedule.assignment.learned.train_assigner",
        item="schedule",
        claim="zero-shot to other numbers of entities and tasks",
        shows="on sizes that it was not trained on, within 5 % of the best assignment",
        baseline="Hungarian method, which is told what pairs are worth",
        unit="worth of all assignments",
        measure=measure,
        compare="ratio",
        reached=lambda low, high: low >= 0.95,
        seeds=5,
        first_seed=10,
        test="tests/methods/schedule/test_assignment.py::test_a_policy_that_was_trained_on_small_problems_does_well_on_large_ones",
    ),
    Held(
        item="schedule",
        promise="assignment: NaN, unequal rows, too few columns, and rows that can have no column left: one sentence each",
        tests=("tests/methods/schedule/test_assignment.py::test_what_makes_no_sense_is_refused",),
    ),
]
