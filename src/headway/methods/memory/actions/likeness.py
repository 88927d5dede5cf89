"""Which tasks begin alike: by their words, or by vectors of a text for each level of the tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Sequence
from functools import lru_cache
from math import sqrt
from typing import Protocol

from headway.models.numbers.embedding import EmbeddingModel
from headway.tools.finding.bm25 import split_words
from headway.tools.finding.vectors import Embedder, Vectors, as_function

LEVELS = 16
"""How many levels of a tree have a text of their own."""
_LEVEL = "The first {depth} steps of this task: {task}"


class Likeness(Protocol):
    """How alike the beginnings of tasks are, from 0 to 1."""

    def __call__(self, task: str, others: Sequence[str], depth: int, /) -> Sequence[float] | Awaitable[Sequence[float]]: ...


def by_words(task: str, others: Sequence[str], depth: int = 0) -> list[float]:
    """How alike tasks are by their words: the cosine of how often each has each.

    Args:
        task: a task.
        others: those it is compared with.
        depth: at which step; it does not matter here.

    Returns:
        A number from 0 to 1 for each.

    Example:
        >>> from headway.methods.memory import by_words
        >>> [round(alike, 2) for alike in by_words("buy red shoes", ["buy green shoes", "call Ada"])]
        [0.67, 0.0]
    """
    words = _count(task)
    return [_cosine(words, _count(other)) for other in others]


class ByVectors:
    """How alike tasks are by vectors of a text that names the level, so that one embedder tells early steps from late ones.

    Args:
        embedder: a model that embeds, or an async function of texts, best a task.
        text: of a level, with `{depth}` and `{task}`.

    Source:
        MOBIMEM's AgentRR, which has vectors for 16 levels of a task.
    """

    def __init__(self, embedder: Embedder | EmbeddingModel, text: str = _LEVEL) -> None:
        self._embed = as_function(embedder)
        self._text = text

    async def __call__(self, task: str, others: Sequence[str], depth: int, /) -> Sequence[float]:
        """How alike tasks are up to a step.

        Args:
            task: a task.
            others: those it is compared with.
            depth: how many steps were taken.

        Returns:
            The cosine of their vectors, for each.
        """
        level = min(depth + 1, LEVELS)
        texts = [self._text.format(depth=level, task=each) for each in (task, *others)]
        own, rest = await Vectors.of(self._embed, texts[:1]), await Vectors.of(self._embed, texts[1:])
        return rest.scores(own)


@lru_cache(maxsize=4096)
def _count(text: str) -> Counter[str]:
    return Counter(split_words(text))


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    shared = sum(times * other[word] for word, times in one.items())
    return shared / sqrt(sum(n * n for n in one.values()) * sum(n * n for n in other.values())) if shared else 0.0
