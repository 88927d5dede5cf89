"""Random trees of parents that give parts away: can each still pay for the step that follows?

A parent does a step, gives each child a share, and needs one more step when they have ended. Children spend all that they may. A
parent is insolvent if the budget refuses its last step, which costs no more than what the rule keeps for it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import headway as hw
from headway.methods.plan import teams


class Tree(NamedTuple):
    """A parent, or a leaf where it has no children; what its first step costs."""

    cost: float
    children: tuple[Tree, ...]


class Found(NamedTuple):
    """What a tree came to."""

    parents: int
    insolvent: int
    spent: float


def grow(rng: random.Random, depth: int = 4) -> Tree:
    """A tree that nests up to four deep, of up to four children each."""
    few = rng.choice((0, 0, 1, 2, 3, 4)) if depth < 4 else rng.choice((1, 2, 3, 4))
    return Tree(rng.uniform(0.0, 3.0), tuple(grow(rng, depth - 1) for _ in range(few if depth else 0)))


@hw.task(name="solvency.step")
async def step(cost: float) -> None:
    hw.charge(tokens=cost)


@hw.task(name="solvency.node")
async def node(tree: Tree, kiss: bool) -> tuple[int, int]:
    """How many parents there are below and here, and how many of them are insolvent."""
    await step.options(cost={"tokens": min(tree.cost, hw.remaining("tokens"))})(
        tree.cost if tree.cost <= hw.remaining("tokens") else 0.0
    )
    if not tree.children:
        left = hw.remaining("tokens")
        await step.options(cost={"tokens": left})(left)  # a child spends all that it may
        return 0, 0
    kept = hw.remaining("tokens") / (len(tree.children) + 1)
    if kiss:
        ends = [end.value or (0, 0) for end in await teams.fan_out(lambda child: node(child, kiss), tree.children)]
    else:  # everything is shared, and nothing is kept
        share, begun = hw.remaining("tokens") / len(tree.children), []
        for child in tree.children:
            with hw.budget(tokens=share):
                begun.append(node(child, kiss))
        ends = [end.value or (0, 0) for end in await hw.settle(*begun)]
    parents, insolvent = (sum(column) for column in zip(*ends, strict=True))
    try:
        last = kept * (1 - 1e-9)
        await step.options(cost={"tokens": last})(last)
    except hw.BudgetExceeded:
        insolvent += 1
    return parents + 1, insolvent


@hw.task(name="solvency.all")
async def live(trees: list[Tree], amount: float, kiss: bool) -> list[Found]:
    found = []
    for tree in trees:
        with hw.budget(tokens=amount) as book:
            parents, broke = await node(tree, kiss)
        found.append(Found(parents, broke, book.spent["tokens"]))
    return found


def spend(tree: Tree, amount: float, *, kiss: bool) -> Found:
    return hw.run(live, [tree], amount, kiss, store=None, progress=False)[0]


def insolvent(trees: Sequence[Tree], *, kiss: bool, amount: float = 1000.0) -> int:
    """How many parents are insolvent."""
    return sum(each.insolvent for each in hw.run(live, list(trees), amount, kiss, store=None, progress=False))
