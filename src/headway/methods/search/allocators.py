"""Decide how often each state is continued: pure functions from scores to counts.

Each gives one count per state; the counts add up to `total`, none is negative, and a better state never gets less than a worse one
(for `dvts`: within its group; for `dora`: among states that are as much alike the others). The published `round` and `ceil` do
not add up; here fractions are rounded by largest remainder, ties to the larger weight, then to the earlier state.

NaN and infinite scores and weights are refused with UsageError, because they would win or lose by their place alone.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from operator import mul

from headway.errors import UsageError
from headway.methods import settings

Matrix = Sequence[Sequence[float]]


def temp(scores: Sequence[float], total: int) -> list[int]:
    """Everybody alike: plain sampling, whatever the scores are."""
    settings.whole_number("allocators.temp", total=total)
    return largest_remainder([1.0] * len(scores), total)


def beam(scores: Sequence[float], total: int, width: int) -> list[int]:
    """The best `total / width` states get `width` each: beam search (Snell et al., arXiv 2408.03314)."""
    settings.whole_number("allocators.beam", total=total)
    settings.at_least_one("allocators.beam", width=width)
    keep = min(len(scores), max(1, total // width))
    return _split_among(_rank(scores)[:keep], len(scores), total)


def dvts(scores: Sequence[float], total: int, groups: Sequence[Hashable]) -> list[int]:
    """The best state of each group gets all of its group: diverse verifier tree search (Beeching et al., 2024, "Scaling test-time
    compute with open models"). The groups that are left share the total alike; where it does not reach, the better ones get it."""
    settings.whole_number("allocators.dvts", total=total)
    _check_length("allocators.dvts: groups", groups, scores)
    best: dict[Hashable, int] = {}
    for place in _rank(scores):
        best.setdefault(groups[place], place)
    return _split_among(list(best.values()), len(scores), total)


def rebase(scores: Sequence[float], total: int, temperature: float = 0.1) -> list[int]:
    """In proportion to exp(score / temperature): reward balanced search (Wu et al., arXiv 2408.00724)."""
    settings.whole_number("allocators.rebase", total=total)
    return largest_remainder(softmax(scores, temperature), total)


def dora(
    scores: Sequence[float],
    total: int,
    similarity: Matrix,
    temperature: float = 0.1,
    similarity_temperature: float = 0.01,
) -> list[int]:
    """As `rebase`, but states that go in the same direction share the weight of one: `dora_weights`."""
    settings.whole_number("allocators.dora", total=total)
    return largest_remainder(dora_weights(scores, similarity, temperature, similarity_temperature), total)


def dora_weights(
    scores: Sequence[float], similarity: Matrix, temperature: float = 0.1, similarity_temperature: float = 0.01
) -> list[float]:
    """Direction-oriented weights (DORA). A state's softmax weight is multiplied by its own share in the softmax of its row of
    similarities: 1 for one that is alone in its direction, 1/k for one of k that are the same.

    scores: one per state. similarity: cosine of states i and j, from -1 to 1.
    """
    settings.temperature("allocators.dora_weights", temperature=temperature, similarity_temperature=similarity_temperature)
    for rows in (similarity, *similarity):
        _check_length("allocators.dora_weights: similarity and its rows", rows, scores)
    weights = softmax(scores, temperature)
    alone = [softmax(row, similarity_temperature)[place] for place, row in enumerate(similarity)]
    products = [weight * share for weight, share in zip(weights, alone, strict=True)]
    whole = sum(products)
    return [product / whole for product in products] if whole else weights  # shares so small that nothing is left of any


# --- what they are made of -------------------------------------------------------------------------------------------


def softmax(values: Sequence[float], temperature: float = 1.0) -> list[float]:
    """exp(value / temperature), scaled to add up to 1. Empty for no values. Raises UsageError for a temperature that is not
    above 0, and for values that are not finite."""
    _check_finite("a score", values)
    settings.temperature("allocators.softmax", temperature=temperature)
    if not values:
        return []
    top = max(values)
    powers = [math.exp((value - top) / temperature) for value in values]
    whole = sum(powers)
    return [power / whole for power in powers]


def largest_remainder(weights: Sequence[float], total: int) -> list[int]:
    """Whole numbers in proportion to the weights that add up to `total` (none for no weights). Where all weigh nothing, they are
    alike. Raises UsageError for weights below zero.

    Example:
        >>> largest_remainder([0.5, 0.3, 0.2], 4)
        [2, 1, 1]
    """
    settings.whole_number("allocators.largest_remainder", total=total)
    _check_finite("a weight", weights)
    if not weights or not total:
        return [0] * len(weights)
    if min(weights) < 0:
        raise UsageError(f"a weight of {min(weights)!r}: weights are zero or more")
    whole = sum(weights)
    if not whole:
        return largest_remainder([1.0] * len(weights), total)
    exact = [weight / whole * total for weight in weights]
    counts = [math.floor(share) for share in exact]
    order = sorted(range(len(weights)), key=lambda place: (counts[place] - exact[place], -weights[place], place))
    for place in order[: total - sum(counts)]:
        counts[place] += 1
    return counts


def cosine(vectors: Matrix) -> list[list[float]]:
    """The cosine of every two vectors; 0 with a vector of length zero. Raises UsageError where they are not of one length."""
    for vector in vectors:
        _check_length("allocators.cosine: vectors", vector, vectors[0])
        _check_finite("allocators.cosine: vectors: a part", vector)
    lengths = [math.sqrt(sum(map(mul, vector, vector))) for vector in vectors]
    units = [[part / length if length else 0.0 for part in vector] for vector, length in zip(vectors, lengths, strict=True)]
    return [[sum(map(mul, one, other)) for other in units] for one in units]


def _rank(scores: Sequence[float]) -> list[int]:
    """The places from the best score to the worst; of equals the earlier first."""
    _check_finite("a score", scores)
    return sorted(range(len(scores)), key=lambda place: (-scores[place], place))


def _check_finite(what: str, values: Sequence[float]) -> None:
    if not all(map(math.isfinite, values)):
        strange = next(value for value in values if not math.isfinite(value))
        raise UsageError(f"{what} of {strange!r}: a finite number, which can be compared with the others")


def _check_length(what: str, values: Sequence[object], like: Sequence[object]) -> None:
    if len(values) != len(like):
        raise UsageError(f"{what}: {len(values)} where there must be {len(like)}")


def _split_among(places: list[int], size: int, total: int) -> list[int]:
    """The total split evenly among these places, what is left over to the first of them."""
    counts = [0] * size
    for place, count in zip(places, largest_remainder([1.0] * len(places), total), strict=True):
        counts[place] = count
    return counts
