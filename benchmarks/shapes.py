"""The programs that every side runs: four shapes of calls that do nothing, so that only the runtime is left to
measure.

Standard library only and no import of Headway: peers read this file from environments of their own. A shape returns
one integer that is known beforehand, so a side that lost or repeated a call is found out instead of timed.

    fan     n independent calls, all awaited together
    chain   n calls, each needs the result of the one before
    tree    a binary tree of calls that spawn two children and join them; a call returns how many calls are under it
    graph   layers of calls, each needs three results of the layer before, chosen by a fixed seed
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

SEED = 20_240
EDGES = 3
MODULUS = 1_000_003
WINDOW = 1_024  # calls under way at a time where a run has more than it should hold


@dataclass(frozen=True)
class Shape:
    name: str
    kind: str
    calls: int
    words: str


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("fan-1k", "fan", 1_000, "fan-out of 1,000 calls"),
        Shape("fan-20k", "fan", 20_000, "fan-out of 20,000 calls"),
        Shape("chain-1k", "chain", 1_000, "chain of 1,000 calls"),
        Shape("tree-4k", "tree", 4_095, "binary spawn and join, 4,095 calls"),
        Shape("graph-5k", "graph", 5_000, "random layered graph, 5,000 calls, 3 edges each"),
    )
}


def fit(kind: str, calls: int) -> int:
    """Return the largest size up to `calls` that the shape can have: full trees, whole layers."""
    if kind == "tree":
        return (1 << ((calls + 1).bit_length() - 1)) - 1
    if kind == "graph":
        return calls // width(calls) * width(calls)
    return calls


def depth(calls: int) -> int:
    """Return the levels below the root of the full binary tree with `calls` nodes."""
    return (calls + 1).bit_length() - 2


def width(calls: int) -> int:
    """Return the calls in one layer of a graph of `calls` calls."""
    return 100 if calls >= 2_000 else 20


@lru_cache(maxsize=8)
def layers(calls: int) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Return, for each layer after the first, the positions in the layer before that each of its calls needs."""
    rng = random.Random(SEED)
    wide = width(calls)
    return tuple(tuple(tuple(rng.sample(range(wide), EDGES)) for _ in range(wide)) for _ in range(calls // wide - 1))


def mix(a: int, b: int, c: int) -> int:
    """Return what a call of the graph makes of its three inputs."""
    return (a + 2 * b + 3 * c + 1) % MODULUS


@lru_cache(maxsize=16)
def expected(kind: str, calls: int) -> int:
    """Return the value that a side must come back with."""
    if kind == "fan":
        return calls * (calls - 1) // 2
    if kind == "graph":
        row = list(range(width(calls)))
        for edges in layers(calls):
            row = [mix(row[a], row[b], row[c]) for a, b, c in edges]
        return sum(row)
    return calls
