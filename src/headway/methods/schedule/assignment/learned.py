"""A policy that assigns tasks it has not seen, to any number of workers: it learns from what its own assignments were worth.

    policy = train_assigner(draw, worth, workers=5, tasks=6)
    policy.assign(workers, tasks)                      # sizes that it was not trained on

In a first stage every worker looks at all tasks: both are embedded, and the dot products of their embeddings are its preferences.
In a second stage preferences become an assignment: rows and columns are scaled until each task is wanted about once, and the surest
pairs are fixed first. Nobody tells the policy what the best assignment is. A critic learns from the worth of pairs that were
assigned, and the preferences follow the critic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from headway.errors import UsageError
from headway.extras import explain_missing
from headway.methods import settings

if TYPE_CHECKING:
    import torch
    from torch import nn

Rows = Sequence[Sequence[float]]  # the features of each worker, or of each task
Draw = Callable[[int, int, int], tuple[Rows, Rows]]
Worth = Callable[[Sequence[float], Sequence[float]], float]

ENTROPY = (1.0, 0.05)  # what a unit of entropy is worth, in standard deviations of the worth of pairs: at first, and in the end
SWEEPS = 30  # of rows and columns
BATCH = 16  # problems a step
NOISE = 0.3  # of the preferences by which training tries assignments


class Assigner:
    """Assigns a task of its own to each worker; made by `train_assigner`.

    Attributes:
        workers: how many features a worker has.
        tasks: how many a task has.
    """

    def __init__(self, actor: nn.Module, workers: int, tasks: int) -> None:
        self._actor, self.workers, self.tasks = actor, workers, tasks

    def assign(self, workers: Rows, tasks: Rows, available: Sequence[Sequence[bool]] | None = None) -> list[int]:
        """Assign a task to each worker.

        Args:
            workers: the features of each.
            tasks: the features of each; as many tasks as workers, or more.
            available: whether a worker can have a task; all can have all by default.

        Returns:
            The task of each worker, no task twice; -1 for a worker for whom no task that it can have was left.

        Raises:
            UsageError: features are not as many as it was trained with, or not finite, or there are fewer tasks than workers.

        Example:
            >>> import random
            >>> def draw(seed: int, workers: int, tasks: int) -> tuple[list[list[float]], list[list[float]]]:
            ...     rng = random.Random(seed)
            ...     return [[rng.random()] for _ in range(workers)], [[rng.random()] for _ in range(tasks)]
            >>> policy = train_assigner(draw, lambda worker, task: worker[0] * task[0], workers=2, tasks=3, steps=1)
            >>> len(set(policy.assign([[0.1], [0.9], [0.5]], [[0.2], [0.8], [0.1], [0.4]])))
            3
        """
        import torch

        _check_rows("workers", workers, self.workers)
        _check_rows("tasks", tasks, self.tasks)
        if len(tasks) < len(workers):
            raise UsageError(f"assign: {len(workers)} workers for {len(tasks)} tasks: some would have none")
        allowed = torch.ones(len(workers), len(tasks), dtype=torch.bool)
        if available is not None:
            allowed = torch.tensor([list(map(bool, row)) for row in available])
            if allowed.shape != (len(workers), len(tasks)):
                raise UsageError(f"assign: available is {list(allowed.shape)}, not {len(workers)} workers by {len(tasks)} tasks")
        with torch.no_grad():
            preferences = self._actor(torch.tensor(workers, dtype=torch.float32), torch.tensor(tasks, dtype=torch.float32))
        return round_greedily(scale(preferences, allowed).tolist(), allowed.tolist())


def train_assigner(
    draw: Draw, worth: Worth, *, workers: int, tasks: int, steps: int = 2000, width: int = 64, seed: int = 0
) -> Assigner:
    """Train a policy on problems of one size.

    It departs in the critic, which values pairs and adds them up, where the paper mixes the values of all workers by attention.
    It departs in the second stage, which is not learned. It departs in the weight of the entropy, which falls; the paper's is 0.01.

    Args:
        draw: `draw(seed, workers, tasks)` makes a problem: the features of each worker and of each task.
        worth: what a pair that was assigned is worth. It is asked about those pairs alone.
        workers: how many a problem of the training has.
        tasks: how many it has, as many as workers or more.
        steps: of training, each on 16 problems.
        width: of the embeddings.
        seed: of everything that is drawn.

    Returns:
        The policy.

    Raises:
        UsageError: a number makes no sense, or a worth is no finite number.

    Example:
        >>> def draw(seed: int, workers: int, tasks: int) -> tuple[list[list[float]], list[list[float]]]:
        ...     return [[float(number)] for number in range(workers)], [[float(seed + number)] for number in range(tasks)]
        >>> policy = train_assigner(draw, lambda worker, task: worker[0] * task[0], workers=2, tasks=2, steps=1)
        >>> policy.workers, policy.tasks
        (1, 1)

    Source:
        Two-stage reinforcement learning for allocation (pre-assign entities to tasks, then allocate), after the idea of; the masked
        dot products of embeddings are those of the authors' code at 2c803d3.
    """
    settings.at_least_one("train_assigner", workers=workers, tasks=tasks, steps=steps, width=width)
    settings.function("train_assigner", draw=draw, worth=worth)
    if tasks < workers:
        raise UsageError(f"train_assigner: {workers} workers for {tasks} tasks: some would have none")
    with explain_missing("train_assigner", "torch"):
        import torch
    from headway.methods.schedule.assignment.embedding import DotProducts

    known_workers, known_tasks = draw(seed, workers, tasks)
    sizes = len(known_workers[0]), len(known_tasks[0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        actor, critic = DotProducts(*sizes, width), DotProducts(*sizes, width)
        learns = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=3e-3)
        decays = torch.optim.lr_scheduler.CosineAnnealingLR(learns, steps)
        for step in range(steps):
            problems = [draw(seed + 1 + step * BATCH + number, workers, tasks) for number in range(BATCH)]
            one, other = (torch.tensor([problem[side] for problem in problems], dtype=torch.float32) for side in (0, 1))
            curious = ENTROPY[0] * (ENTROPY[1] / ENTROPY[0]) ** (step / steps)
            loss = _loss(actor, critic, one, other, problems, worth, curious)
            learns.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(actor.parameters(), 1.0)
            learns.step()
            decays.step()
    return Assigner(actor, *sizes)


def _loss(
    actor: nn.Module,
    critic: nn.Module,
    one: torch.Tensor,
    other: torch.Tensor,
    problems: Sequence[tuple[Rows, Rows]],
    worth: Worth,
    curious: float,
) -> torch.Tensor:
    """How far the critic is off on assignments that were tried, less what it says the preferences are worth. `curious`: what a unit
    of their entropy is worth, in standard deviations of the worth of pairs."""
    import torch

    preferences, valued = actor(one, other), critic(one, other)
    allowed = torch.ones_like(preferences, dtype=torch.bool)
    tried = scale(preferences.detach() + NOISE * torch.randn_like(preferences), allowed).tolist()
    missed = []
    for number, (workers, tasks) in enumerate(problems):
        for row, column in enumerate(round_greedily(tried[number], allowed[number].tolist())):
            missed.append(valued[number, row, column] - _number(worth(workers[row], tasks[column])))
    shares = scale(preferences, allowed)
    entropy = -(shares * (shares + 1e-9).log()).sum() / len(problems)
    gained = (shares * valued.detach()).sum() / len(problems)
    loss: torch.Tensor = torch.stack(missed).square().mean() - gained - curious * valued.detach().std() * entropy
    return loss


def scale(preferences: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Scale exp(preferences) until no row and no column adds up to more than 1 (Sinkhorn and Knopp, 1967). What is not allowed gets
    nothing."""
    import torch

    shares = preferences.masked_fill(~allowed, -1e9)
    for _ in range(SWEEPS):
        shares = shares - torch.logsumexp(shares, -1, keepdim=True)
        shares = shares - torch.logsumexp(shares, -2, keepdim=True).clamp(min=0.0)
    scaled: torch.Tensor = shares.exp() * allowed
    return scaled


def round_greedily(shares: Sequence[Sequence[float]], allowed: Sequence[Sequence[bool]]) -> list[int]:
    """Fix the surest pair first, then the surest of those that are left; -1 for a row that is left without a column."""
    pairs = [(-share, row, column) for row, of in enumerate(shares) for column, share in enumerate(of) if allowed[row][column]]
    found, taken = [-1] * len(shares), set[int]()
    for _, row, column in sorted(pairs):
        if found[row] < 0 and column not in taken:
            found[row] = column
            taken.add(column)
    return found


def _check_rows(what: str, rows: Rows, features: int) -> None:
    for number, row in enumerate(rows):
        if len(row) != features or not all(map(math.isfinite, row)):
            raise UsageError(f"assign: {what} {number}: {list(row)!r:.80}: {features} finite numbers, as it was trained with")


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise UsageError(f"train_assigner: worth gave {value!r}: a finite number")
    return value
