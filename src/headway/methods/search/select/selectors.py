"""Choose the candidate to return: pure functions from candidates to a place among them.

Candidates without an answer lose against all that have one. Where answers are voted on, the winning answer is represented by its
candidate with the best score. Ties go to the earlier candidate. A score is any number, the larger the better (a probability, a
log-probability, a cost with a minus); NaN counts as no score. A candidate without a score loses to every one that has a score,
except in `likeliest`.

Votes are counted over answers that are the same, which `equal=` decides: `functools.partial(majority, equal=close)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.protocols import Equal, Selector
from headway.methods.records import Candidate
from headway.methods.search.select.equality import Classes, same

WORST = float("-inf")
Candidates = Sequence[Candidate[object]]


def first(candidates: Candidates) -> int:
    """The first that has an answer."""
    return _first_best([float(candidate.answer is not None) for candidate in candidates])


def best(candidates: Candidates) -> int:
    """The one with the best score, with an answer if any has one: best-of-n.

    Example:
        >>> best([Candidate("a", "a", score=0.2), Candidate("b", "b", score=0.9), Candidate("?", None, score=1.0)])
        1
    """
    return _first_best([(candidate.answer is not None, _score(candidate)) for candidate in candidates])


def likeliest(candidates: Candidates) -> int:
    """The one that is most probably right, with an answer if any has one, where scores are probabilities: what nobody checked is as
    likely right as wrong, so it loses to what was found right and wins over what was found wrong."""
    return _first_best([(one.answer is not None, 0.5 if _is_unscored(one) else _score(one)) for one in candidates])


def majority(candidates: Candidates, *, equal: Equal = same) -> int:
    """The most frequent answer: self-consistency (Wang et al., arXiv 2203.11171).

    Example:
        >>> candidates = [Candidate("0.50", 0.5), Candidate("1/3", 1 / 3), Candidate("0.33", 0.33)]
        >>> majority(candidates, equal=lambda one, other: abs(one - other) < 0.01)
        1
    """
    return _elect(candidates, [(1.0, 0)] * len(candidates), equal)


def weighted_vote(candidates: Candidates, *, equal: Equal = same) -> int:
    """The answer with the largest sum of scores (Li et al., arXiv 2206.02336); candidates without a score weigh nothing. Of equal
    sums, the answer that more scored candidates have. Where no candidate has a score, the most frequent answer.

    No vote weighs less than none: where there are scores below zero, as log-probabilities are, all are counted from the least."""
    if all(map(_is_unscored, candidates)):
        return majority(candidates, equal=equal)
    scores = [_score(candidate) for candidate in candidates if candidate.answer is not None]
    least = min((0.0, *filter(math.isfinite, scores)))
    weights = [0.0 if _is_unscored(one) else max(0.0, _score(one) - least) for one in candidates]
    return _elect(candidates, list(zip(weights, [not _is_unscored(one) for one in candidates], strict=True)), equal)


def borda(
    power: float = 1.0, confidence: Callable[[Candidate[object]], float] | None = None, *, equal: Equal = same
) -> Selector[object]:
    """A selector by ranked votes: of n candidates, the one of rank r (1 is the most confident) gives its answer (n - r + 1)^power
    votes (Kang et al., arXiv 2502.18581). Candidates that are equally sure share their ranks, so that where nothing is known of
    confidence the most frequent answer wins.

    Args:
        power: how much more the confident count; 0 is a plain vote.
        confidence: how sure a model was of its candidate; by default the score where there is one, else the mean log-probability of
            a token, and all that have a score before all that have none. The paper's self-certainty needs the whole distribution
            at each token, which a sample does not carry.
        equal: whether two answers are the same.
    """
    settings.finite("borda", power=power)
    settings.function("borda", optional=True, confidence=confidence)
    settings.function("borda", equal=equal)

    def select(candidates: Candidates) -> int:
        scored = [confidence is None and not _is_unscored(candidate) for candidate in candidates]
        sure = list(zip(scored, [_make_comparable((confidence or certainty)(candidate)) for candidate in candidates], strict=True))
        return _elect(candidates, [(votes, 0) for votes in _rank_votes(sure, power)], equal)

    return select


def _rank_votes(sure: Sequence[tuple[bool, float]], power: float) -> list[float]:
    """The votes of each place. Equals share their ranks, so that none gains by having come first."""
    ranked = sorted(range(len(sure)), key=lambda place: sure[place], reverse=True)
    votes = [0.0] * len(sure)
    for _, equals in groupby(enumerate(ranked), key=lambda each: sure[each[1]]):
        ranks = list(equals)
        share = sum((len(sure) - rank) ** power for rank, _ in ranks) / len(ranks)
        for _, place in ranks:
            votes[place] = share
    return votes


def certainty(candidate: Candidate[object]) -> float:
    """How sure the model was: the score where there is one, else the mean log-probability of a token, in nats."""
    if candidate.score is not None and not _is_unscored(candidate):
        return candidate.score
    return WORST if candidate.logprob is None else candidate.logprob / max(1, candidate.tokens)


def _elect(candidates: Candidates, votes: Sequence[tuple[float, int]], equal: Equal) -> int:
    """The best candidate of the answer with the most votes: the largest sum of the first numbers, of equals that of the second."""
    classes = Classes(equal)
    numbers = [None if candidate.answer is None else classes.number(candidate.answer) for candidate in candidates]
    sums = [(0.0, 0)] * len(classes)
    for number, (vote, second) in zip(numbers, votes, strict=True):
        if number is not None:
            sums[number] = sums[number][0] + vote, sums[number][1] + second
    if not sums:
        return best(candidates)
    winner = max(range(len(sums)), key=lambda number: sums[number])
    return _first_best([(number == winner, _score(candidate)) for number, candidate in zip(numbers, candidates, strict=True)])


def _is_unscored(candidate: Candidate[object]) -> bool:
    return candidate.score is None or math.isnan(candidate.score)


def _score(candidate: Candidate[object]) -> float:
    return WORST if candidate.score is None else _make_comparable(candidate.score)


def _make_comparable(value: float) -> float:
    """Return the value, or the worst possible one where it can't be compared."""
    return WORST if math.isnan(value) else value


def _first_best(values: Sequence[float] | Sequence[tuple[bool, float]]) -> int:
    if not values:
        raise UsageError("a selector was given no candidates: give one or more")
    return max(range(len(values)), key=lambda place: values[place])
