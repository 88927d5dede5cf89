"""LLM-based algorithms: an input cut into blocks, a call for each, and a merge. Cost, latency and error before anything is called.

Small blocks pay the fixed part of a call often (its instructions, its start). Large blocks pay for what grows faster than their
size: attention, and errors. So cost and latency have a best block size in between, and with few workers it is another one than with
many. The closed forms are exact for what a call of each size costs and takes; they don't know how that varies.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headway.errors import UsageError
from headway.methods import settings


@dataclass(frozen=True, slots=True)
class Growth:
    """What grows with the size of a block: fixed + linear · size + square · size². Cost in any unit, or seconds.

    Attributes:
        fixed: of each call, whatever its size.
        linear: of each item.
        square: of each pair of items, such as attention.

    Raises:
        UsageError: one is no finite number from zero on.

    Example:
        >>> tokens = Growth(fixed=200, linear=10)
        >>> tokens(30)
        500.0
    """

    fixed: float = 0.0
    linear: float = 0.0
    square: float = 0.0

    def __post_init__(self) -> None:
        settings.finite("Growth", fixed=self.fixed, linear=self.linear, square=self.square)

    def __call__(self, size: float) -> float:
        return float(self.fixed + self.linear * size + self.square * size * size)


NOTHING = Growth()


@dataclass(frozen=True, slots=True)
class Blocks:
    """An input of some size, cut into blocks: k = ⌈size / block⌉ calls, all full but the last. Then one merge.

    Attributes:
        size: items of the input.
        block: items of a block, at most.
        merge: what the merge costs, or takes, for the number of blocks; nothing for a merge by code.

    Raises:
        UsageError: a size is below 1, or the merge is no `Growth`.

    Example:
        >>> blocks = Blocks(size=100, block=30)
        >>> blocks.sizes, blocks.cost(Growth(fixed=200, linear=10))
        ((30, 30, 30, 10), 1800.0)
        >>> seconds = Growth(fixed=1, linear=0.1)
        >>> blocks.latency(seconds), blocks.latency(seconds, workers=2)
        (4.0, 8.0)

    Source:
        LLM-based algorithms: Chen et al., arXiv 2407.14788; after the idea of.
    """

    size: int
    block: int
    merge: Growth = NOTHING

    def __post_init__(self) -> None:
        settings.at_least_one("Blocks", size=self.size, block=self.block)
        settings.instance("Blocks", Growth, merge=self.merge)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The items of each block, in order."""
        full, rest = divmod(self.size, self.block)
        return (self.block,) * full + (rest,) * bool(rest)

    def cost(self, call: Growth) -> float:
        """What all calls and the merge cost together.

        Args:
            call: the cost of a call by the size of its block.

        Returns:
            The sum, in the unit of `call`. Workers make no difference.
        """
        full, rest = divmod(self.size, self.block)
        return full * call(self.block) + (call(rest) if rest else 0.0) + self.merge(full + bool(rest))

    def latency(self, call: Growth, workers: int | None = None) -> float:
        """When all calls and the merge have ended: ⌈k / p⌉ times a full block, less what a shorter last one saves.

        Args:
            call: the seconds of a call by the size of its block.
            workers: calls at a time; as many as there are blocks by default.

        Returns:
            Seconds.

        Raises:
            UsageError: there is no worker.
        """
        full, rest = divmod(self.size, self.block)
        blocks = full + bool(rest)
        workers = blocks if workers is None else workers
        settings.at_least_one("Blocks.latency", workers=workers)
        alone = bool(rest) and full % workers == 0  # the last block has the last turn for itself
        turns = -(-blocks // workers) - alone
        return turns * call(self.block) + alone * call(rest) + self.merge(blocks)


def finish_in_turn(seconds: Sequence[float], workers: int) -> float:
    """When calls of known lengths have ended, if each starts as soon as a worker is free: the makespan of list scheduling.

    It is at most (sum - longest) / workers + longest, and at least the larger of the longest and sum / workers.

    Args:
        seconds: of each call, in the order in which they start.
        workers: calls at a time.

    Returns:
        Seconds, 0 where there is no call.

    Raises:
        UsageError: there is no worker, or a length is no finite number from zero on.

    Example:
        >>> finish_in_turn([3, 2, 2], workers=2)
        4.0

    Source:
        List scheduling: Graham, "Bounds on multiprocessing timing anomalies", 1969.
    """
    settings.at_least_one("finish_in_turn", workers=workers)
    settings.finite("finish_in_turn", **{f"seconds[{place}]": each for place, each in enumerate(seconds)})
    free = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def best_block(size: int, of: Callable[[Blocks], float], *, merge: Growth = NOTHING, most: int | None = None) -> int:
    """Find the block size that makes something least: a cost, a latency, an error, or what you weigh them to.

    Args:
        size: items of the input.
        of: what is to be least, such as `lambda blocks: blocks.latency(seconds, workers=4)`.
        merge: of the blocks that are tried.
        most: items of the largest block that a call takes.

    Returns:
        Items of a block; of equal ones the largest, which makes the fewest calls.

    Raises:
        UsageError: a size is below 1, `of` is no function, or what it gives is NaN.

    Example:
        >>> best_block(1000, lambda blocks: blocks.cost(Growth(fixed=400, linear=10, square=0.25)))
        40

    Source:
        LLM-based algorithms: Chen et al., arXiv 2407.14788; after the idea of.
    """
    settings.function("best_block", of=of)
    settings.at_least_one("best_block", size=size, most=size if most is None else most)
    found: tuple[float, int] | None = None
    for block in range(min(size, most or size), 0, -1):
        value = of(Blocks(size, block, merge))
        if math.isnan(value):
            raise UsageError(f"best_block: of= gives NaN for blocks of {block}")
        if found is None or value < found[0]:
            found = value, block
    assert found is not None
    return found[1]


def bound_count(errors: Sequence[float]) -> float:
    """How far off a sum of counts may be: the errors of its blocks add.

    Args:
        errors: how far off the count of each block may be.

    Returns:
        The bound on the error of the sum.

    Raises:
        UsageError: an error is no finite number from zero on.

    Example:
        >>> bound_count([1, 0, 2])
        3.0
    """
    settings.finite("bound_count", **{f"errors[{place}]": error for place, error in enumerate(errors)})
    return math.fsum(errors)


def bound_order(errors: Sequence[float]) -> float:
    """How far off a merged list may be in any place: no farther than the worst of its blocks, if the merge is exact.

    Args:
        errors: the largest difference of each sorted block to the true one, in any place.

    Returns:
        The bound on the largest difference of the merged list. It holds whatever the order in which blocks are merged.

    Raises:
        UsageError: an error is no finite number from zero on.

    Example:
        >>> bound_order([0.5, 0.0, 2.0])
        2.0
    """
    settings.finite("bound_order", **{f"errors[{place}]": error for place, error in enumerate(errors)})
    return float(max(errors, default=0.0))


def bound_search(misses: float, false_alarms: float, blocks: int) -> float:
    """How likely a search for what is in one block goes wrong, where any block's find is taken.

    Args:
        misses: the probability that the block that holds it doesn't find it.
        false_alarms: the probability that another block finds what is not there.
        blocks: how many there are.

    Returns:
        The probability that it is missed or something else is found; exact where the blocks' mistakes are independent.

    Raises:
        UsageError: there are no blocks, or one is no probability.

    Example:
        >>> round(bound_search(misses=0.1, false_alarms=0.01, blocks=11), 3)
        0.186
    """
    settings.at_least_one("bound_search", blocks=blocks)
    settings.probability("bound_search", misses=misses, false_alarms=false_alarms)
    return 1 - (1 - misses) * (1 - false_alarms) ** (blocks - 1)
