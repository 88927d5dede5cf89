"""BM25 over texts that come and go: what it says is what an index made anew of the texts that are there would say.

The index keeps how often each text has each word, and works out what that weighs when it is asked. So a text that comes or goes
costs its own words alone, and a search costs the texts that share a word with it, however many others there are. Words and formula
are those of `headway.tools.finding.bm25`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from headway.tools.finding.bm25 import K1, B, split_words


class Words:
    """An index of texts by number."""

    def __init__(self) -> None:
        self._times: dict[str, dict[int, int]] = {}  # by word: how often each text has it
        self._lengths: dict[int, int] = {}
        self._total = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, number: int, text: str) -> None:
        """A text more."""
        words = split_words(text)
        self._lengths[number] = len(words)
        self._total += len(words)
        for word, times in Counter(words).items():
            self._times.setdefault(word, {})[number] = times

    def drop(self, number: int, text: str) -> None:
        """A text less: the one that was added under this number."""
        self._total -= self._lengths.pop(number)
        for word in set(split_words(text)):
            times = self._times[word]
            del times[number]
            if not times:
                del self._times[word]


def score_words(indexes: Sequence[Words], query: str) -> dict[int, float]:
    """What texts score for a query, by number, over several indexes as if they were one; those that share no word are left out.

    Source:
        Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with Lucene's idf.
    """
    size = sum(map(len, indexes))
    mean = sum(index._total for index in indexes) / max(1, size) or 1.0
    scores: dict[int, float] = {}
    for word, asked in Counter(split_words(query)).items():
        having = [(index._lengths, index._times[word]) for index in indexes if word in index._times]
        count = sum(len(times) for _, times in having)
        weight = asked * math.log(1 + (size - count + 0.5) / (count + 0.5))
        for lengths, found in having:
            for number, times in found.items():
                damped = K1 * (1 - B + B * lengths[number] / mean)
                scores[number] = scores.get(number, 0.0) + weight * times / (times + damped)
    return scores
