"""BM25 over short texts: which of them share the rarest words with a request.

Scores are those of Lucene's formula, as the package bm25s computes them. It is plain Python, so that finding a tool needs nothing
installed. A thousand tools with five texts each are indexed in a fraction of a second, and a request takes milliseconds.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

K1, B = 1.5, 0.75
COMMON = frozenset(
    {
        "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of", "on",
        "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
    }
)  # fmt: skip
"""Words that say nothing of a text: Lucene's list."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")


def split_words(text: str) -> list[str]:
    """The words of a text in lower case, without common ones, those of identifiers apart, and plurals as singulars.

    Args:
        text: any text.

    Returns:
        The words, in order.

    Example:
        >>> split_words("getHTTPHeaders(file_name): lists the 2 queries")
        ['get', 'http', 'header', 'file', 'name', 'list', '2', 'query']
    """
    words = (found.lower() for found in _WORD.findall(text))
    return [to_singular(word) for word in words if word not in COMMON]


def to_singular(word: str) -> str:
    """Harman's S-stemmer: three rules, which seldom do harm."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us")):
        return word
    if word.endswith("ies"):
        return word if word.endswith(("eies", "aies")) else f"{word[:-3]}y"
    return word if word.endswith(("aes", "ees", "oes")) else word[:-1]


class Bm25:
    """An index of texts.

    Args:
        texts: each as its words.
        k1: how soon a word that comes again counts no more.
        b: how much a long text is held against it, from 0 to 1.

    Source:
        Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with Lucene's idf, which is never
        negative.
    """

    def __init__(self, texts: Sequence[Sequence[str]], k1: float = K1, b: float = B) -> None:
        self.size = len(texts)
        mean = sum(map(len, texts)) / max(1, self.size) or 1.0
        found: dict[str, list[tuple[int, float]]] = {}
        for place, words in enumerate(texts):
            damped = k1 * (1 - b + b * len(words) / mean)
            for word, times in Counter(words).items():
                found.setdefault(word, []).append((place, times / (times + damped)))
        self._postings = {
            word: [(place, weight * math.log(1 + (self.size - len(of) + 0.5) / (len(of) + 0.5))) for place, weight in of]
            for word, of in found.items()
        }

    def scores(self, words: Iterable[str]) -> list[float]:
        """What each text scores for a request.

        Args:
            words: those of the request.

        Returns:
            A number for each text, in their order; 0 where they share no word.
        """
        totals = [0.0] * self.size
        for word in words:
            for place, score in self._postings.get(word, ()):
                totals[place] += score
        return totals
