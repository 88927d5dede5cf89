"""A made world of texts: each has three attributes, of which a part that reads them names some, misreads others and makes some up.

Which text has which attribute is drawn; a planted group of them fails far more often than the rest.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

import headway as hw
from headway.methods.plan.matrix import Dimension, Slice, Structure, find_slices, find_subpopulations

KNOWN = {
    "weather": ("sun", "rain", "snow", "fog", "storm", "hail"),
    "place": ("street", "forest", "harbour", "market", "tunnel", "roof"),
    "vehicle": ("tram", "barge", "bicycle", "lorry", "plane", "sledge"),
}
IDLE = ("length", "language", "spelling", "mood", "colour", "time")
"""Dimensions that a careless reader names and in which the texts don't differ."""


@dataclass(frozen=True)
class Pile:
    """How many texts there are, and how badly they are read."""

    seed: int = 0
    texts: int = 180
    misread: float = 0.1
    made_up: float = 0.6
    failing: float = 0.7
    others: float = 0.08

    def rng(self, *of: object) -> random.Random:
        return random.Random(f"{self.seed} {of}")


@cache
def read_pile(pile: Pile) -> tuple[tuple[str, ...], tuple[bool, ...], tuple[tuple[str, str], ...]]:
    """The texts, whether each failed, and what the planted group shares."""
    rng = random.Random(pile.seed)
    one, two = rng.sample(sorted(KNOWN), 2)
    planted = ((one, rng.choice(KNOWN[one])), (two, rng.choice(KNOWN[two])))
    texts, failed = [], []
    for number in range(pile.texts):
        has = {name: rng.choice(known) for name, known in KNOWN.items()}
        if number % 9 == 0:
            has |= dict(planted)
        is_planted = all(has[name] == label for name, label in planted)
        texts.append(f"{number}: {has['vehicle']} at the {has['place']} in {has['weather']}")
        failed.append(rng.random() < (pile.failing if is_planted else pile.others))
    return tuple(texts), tuple(failed), tuple(sorted(planted))


@hw.task
async def propose(pile: Pile, texts: list[str], index: int) -> list[str]:
    rng = pile.rng("propose", index)
    named = [name for name in KNOWN if rng.random() < 0.7]
    return named + [name for name in IDLE if rng.random() < pile.made_up / 2]


@hw.task
async def list_attributes(pile: Pile, dimension: str, texts: list[str], known: list[str], index: int) -> list[str]:
    words = {word for text in texts for word in text.split()}
    rng = pile.rng("attributes", dimension, index, *known)
    return [name for name in KNOWN.get(dimension, ()) if name in words and rng.random() < 0.25]


@hw.task
async def assign(pile: Pile, dimension: str, attributes: list[str], text: str) -> str | None:
    rng = pile.rng("assign", dimension, text)
    has = [name for name in attributes if name in text.split()]
    if rng.random() < pile.misread:
        return rng.choice(attributes)
    return has[0] if has else None


@hw.task
async def search(pile: Pile, samples: int = 5, rounds: int = 4, sample: int = 20) -> Structure:
    texts, _, _ = read_pile(pile)
    return await find_subpopulations(
        texts,
        lambda some, index: propose(pile, some, index),
        lambda dimension, some, known, index: list_attributes(pile, dimension, some, known, index),
        lambda dimension, attributes, text: assign(pile, dimension, attributes, text),
        samples=samples,
        sample=sample,
        rounds=rounds,
    )


def overlap(pile: Pile, found: Structure) -> float:
    """How much the group that looks worst has in common with the planted one: shared over all items (Jaccard)."""
    texts, failed, planted = read_pile(pile)
    right = {at for at, text in enumerate(texts) if all(label in text.split() for _, label in planted)}
    slices: list[Slice] = find_slices(found.labels, failed)
    first = set(slices[0].items) if slices else set()
    return len(first & right) / len(first | right)


def overlap_of_one(pile: Pile, dimension: str) -> float:
    """The same, where one dimension is known and read without error."""
    texts, _, _ = read_pile(pile)
    labels = [next(name for name in KNOWN[dimension] if name in text.split()) for text in texts]
    return overlap(pile, Structure((Dimension(dimension, KNOWN[dimension], tuple(labels), 1),)))
