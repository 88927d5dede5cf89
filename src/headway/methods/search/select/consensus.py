"""Choose the candidate that is most like the others: minimum Bayes risk for answers that are never quite equal.

A vote counts answers that are the same. Where no two are (a translation, a summary, a program), what most of them agree on is the
one in their middle: it has the largest mean similarity to the others. Pure: the caller says what similar is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from reprlib import repr as shortly
from typing import Any, TypeAlias

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.protocols import Selector
from headway.methods.records import Candidate
from headway.methods.search.select.selectors import best

Similarity: TypeAlias = Callable[[Any, Any], float]
"""How alike two values are, the larger the more: a finite number, the same whichever comes first."""


def overlap(one: str, other: str) -> float:
    """How alike two texts are, from 0 to 1: the share of their runs of three characters that they have in common (Dice, 1945),
    each counted as often as it occurs. Texts count with a space at either end.

    Example:
        >>> overlap("the cat sat", "the cat sat"), round(overlap("the cat sat", "the bat sat"), 2)
        (1.0, 0.73)
    """
    first, second = _runs(one), _runs(other)
    return 2 * (first & second).total() / max(1, first.total() + second.total())


def most_similar(similar: Similarity = overlap, evidence: Sequence[Candidate[Any]] = ()) -> Selector[Any]:
    """A selector of the candidate whose mean similarity to the others, and to further `evidence`, is the largest.

    Evidence is what the choice rests on and may not fall on: samples in another language, from another model. Candidates without
    an answer neither win nor count, unless none has one.

    Args:
        similar: how alike two values are.
        evidence: more candidates that are compared with and never chosen.

    Example:
        >>> texts = ["the cat sat", "a dog ran", "the cat sat down", "the cats sat"]
        >>> most_similar()([Candidate(text, text) for text in texts])
        0

    Source:
        Minimum Bayes risk decoding: Kumar and Byrne (2004); with evidence, X-MBR in Khairi et al., arXiv 2506.20544.
    """
    settings.function("most_similar", similar=similar)
    settings.several("most_similar", Candidate, evidence=evidence)
    witnesses = [each for each in evidence if each.answer is not None]

    def select(candidates: Sequence[Candidate[Any]]) -> int:
        able = [place for place, candidate in enumerate(candidates) if candidate.answer is not None]
        if not able:
            return best(candidates)
        sums = dict.fromkeys(able, 0.0)
        for number, place in enumerate(able):
            for later in able[number + 1 :]:
                alike = _alike(similar, candidates[place].value, candidates[later].value)
                sums[place] += alike
                sums[later] += alike
            sums[place] += sum(_alike(similar, candidates[place].value, each.value) for each in witnesses)
        return max(able, key=lambda place: sums[place])

    return select


def _runs(text: str) -> Counter[str]:
    padded = f" {text} "
    return Counter(padded[at : at + 3] for at in range(len(padded) - 2))


def _alike(similar: Similarity, one: object, other: object) -> float:
    said = similar(one, other)
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said):
        gave = f"similar={settings.say_part(similar)} gave {shortly(said)}"
        raise UsageError(f"{gave} for {shortly(one)} and {shortly(other)}: give a finite number")
    return float(said)
