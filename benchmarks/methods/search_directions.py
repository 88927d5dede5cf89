"""DORA's first theorem, in numbers: a direction is paid for its score and not for how many states went that way."""

from __future__ import annotations

import random

from benchmarks.methods.row import Pair, Row
from headway.methods.search.allocators import dora_weights, softmax


def measure_share(seed: int) -> Pair:
    """The largest error of a direction's share, by DORA's weights and by REBASE's, against the softmax over directions."""
    rng = random.Random(seed)
    rewards, sizes = [rng.random() for _ in range(6)], [rng.randint(1, 9) for _ in range(6)]
    directions = [direction for direction, size in enumerate(sizes) for _ in range(size)]
    scores = [rewards[direction] for direction in directions]
    alike = [[float(one == other) for other in directions] for one in directions]
    wanted = softmax(rewards, 0.1)

    def error(weights: list[float]) -> float:
        shares = [sum(w for w, d in zip(weights, directions, strict=True) if d == each) for each in range(6)]
        return max(abs(share - right) for share, right in zip(shares, wanted, strict=True))

    return Pair(error(dora_weights(scores, alike)), error(softmax(scores, 0.1)))


ROWS = [
    Row(
        method="DORA",
        function="headway.methods.search.dora",
        item="search",
        claim="68.7 % on MATH500 with 64 samples, where REBASE needs 256 for 67.4 %",
        shows="the share of a direction is its softmax, whatever its size",
        baseline="REBASE's weights",
        unit="largest error of a direction's share",
        measure=measure_share,
        compare="difference",
        reached=lambda low, high: high < 0,
        test="tests/methods/search/test_allocators.py::test_dora_gives_a_direction_its_softmax_share_whatever_its_size",
    ),
]
