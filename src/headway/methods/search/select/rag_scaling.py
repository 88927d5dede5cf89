"""How much to read for an answer: a formula fitted on a few sizes, which says what larger ones will do.

    log(P / (1 - P)) = (a + b * i) · log(size) + c

P is the share that is right; size is documents, shots and iterations; i says how informative documents and shots are for a kind of
question, so that a formula fitted on some kinds holds for another one. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.search.sample.rag import RagSize

_RIDGE = 1e-6  # of the squares of the coefficients: enough to decide between fits that the trials can't tell apart
_LEAST = 0.005  # a share of 0 or 1 counts as this far from it


@dataclass(frozen=True, slots=True)
class RagTrial:
    """How a size did on questions of a kind.

    Attributes:
        size: documents, shots and iterations.
        right: the share that was right.
        gains: how informative documents and shots are for this kind: what the first of each added to the share that is right
            without any. From -1 to 1.

    Raises:
        UsageError: the share is none, or a gain is not from -1 to 1.
    """

    size: RagSize
    right: float
    gains: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not isinstance(self.size, RagSize):
            raise UsageError(f"RagTrial: size={self.size!r:.80}: a search.RagSize")
        settings.probability("RagTrial", right=self.right)
        _check_gains("RagTrial", self.gains)


@dataclass(frozen=True, slots=True)
class RagScaling:
    """A fitted formula.

    Attributes:
        base: how much a factor of e of documents, shots and iterations adds to the log-odds.
        by_gain: how much more it adds where documents and shots are informative.
        start: the log-odds at the size of one each.

    Example:
        >>> scaling = RagScaling((0.5, 0.1, 0.6), (0.0, 0.0), -1.0)
        >>> round(scaling.predict(RagSize(1)), 2), round(scaling.predict(RagSize(20, 0, 4)), 2)
        (0.27, 0.79)
        >>> sizes = [RagSize(documents, 0, iterations) for documents in (1, 4, 16) for iterations in (1, 4)]
        >>> scaling.choose(sizes, lambda size: size.documents * size.iterations * 100, 1600)
        RagSize(documents=4, shots=0, iterations=4)
    """

    base: tuple[float, float, float]
    by_gain: tuple[float, float]
    start: float

    def predict(self, size: RagSize, gains: tuple[float, float] = (0.0, 0.0)) -> float:
        """Predict the share that will be right.

        Args:
            size: documents, shots and iterations.
            gains: how informative documents and shots are for the kind of question; see `RagTrial`.

        Returns:
            The share, from 0 to 1.
        """
        _check_gains("RagScaling.predict", gains)
        terms = _terms(size, gains)
        return 1 / (1 + math.exp(-sum(a * b for a, b in zip((*self.base, *self.by_gain, self.start), terms, strict=True))))

    def choose(
        self,
        sizes: Iterable[RagSize],
        tokens: Callable[[RagSize], float],
        budget: float,
        gains: tuple[float, float] = (0.0, 0.0),
    ) -> RagSize:
        """Choose the size that will be right most often; of equals, the one that reads least.

        Args:
            sizes: what comes into question.
            tokens: what a size reads.
            budget: what may be read, in tokens.
            gains: how informative documents and shots are for the kind of question; see `RagTrial`.

        Returns:
            One of the sizes.

        Raises:
            UsageError: none fits.
        """
        settings.number("RagScaling.choose", budget=budget)
        costs = {size: tokens(size) for size in sizes}
        settings.finite("RagScaling.choose", **{f"tokens({size})": cost for size, cost in costs.items()})
        able = [size for size, cost in costs.items() if cost <= budget]
        if not able:
            least = f"the smallest reads {min(costs.values()):g}" if costs else "there are no sizes"
            raise UsageError(f"RagScaling.choose: no size reads at most {budget:g} tokens: {least}")
        return max(able, key=lambda size: (self.predict(size, gains), -costs[size]))


def fit_rag(trials: Sequence[RagTrial]) -> RagScaling:
    """Fit the formula to trials, by least squares of the log-odds.

    It departs in taking the logarithm of one more than the number of shots, so that none is a size; and a share of 0 or 1, whose
    log-odds are infinite, counts as half a percent from it. It departs in weighing each trial by P (1 - P): near 0 and 1, a share
    of few questions says little about log-odds. What trials can't tell apart (one kind of question, one number of iterations) is
    split by a ridge of next to nothing.

    Args:
        trials: of several sizes, and of several kinds of questions where other kinds are to be predicted.

    Returns:
        The formula.

    Raises:
        UsageError: fewer than four trials, or all of one size.

    Example:
        >>> scaling = RagScaling((0.5, 0.1, 0.4), (0.0, 0.0), -1.0)
        >>> sizes = [RagSize(k, m, n) for k in (1, 4, 9) for m in (0, 3) for n in (1, 3)]
        >>> [round(a, 2) for a in fit_rag([RagTrial(size, scaling.predict(size)) for size in sizes]).base]
        [0.5, 0.1, 0.4]

    Source:
        "Inference scaling for long-context retrieval augmented generation": Yue et al., arXiv 2410.04343; after the idea of.
    """
    if len(trials) < 4 or len({trial.size for trial in trials}) < 2:
        raise UsageError(f"fit_rag: {len(trials)} trials: give four or more, of at least two sizes")
    rows = [_terms(trial.size, trial.gains) for trial in trials]
    shares = [min(1 - _LEAST, max(_LEAST, trial.right)) for trial in trials]
    weighed = [(row, math.log(share / (1 - share)), share * (1 - share)) for row, share in zip(rows, shares, strict=True)]
    width = len(rows[0])
    squares = [[sum(weight * row[i] * row[j] for row, _, weight in weighed) for j in range(width)] for i in range(width)]
    for i in range(width):
        squares[i][i] += _RIDGE
    sums = [sum(weight * row[i] * y for row, y, weight in weighed) for i in range(width)]
    a, b, c, d, e, start = solve(squares, sums)
    return RagScaling((a, b, c), (d, e), start)


def solve(matrix: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """Solve linear equations by elimination, the largest pivot first.

    Example:
        >>> solve([[2.0, 1.0], [1.0, 3.0]], [3.0, 4.0])
        [1.0, 1.0]
    """
    rows = [[*row, value] for row, value in zip(matrix, values, strict=True)]
    for at in range(len(rows)):
        best = max(range(at, len(rows)), key=lambda row: abs(rows[row][at]))
        rows[at], rows[best] = rows[best], rows[at]
        for below in range(at + 1, len(rows)):
            factor = rows[below][at] / rows[at][at]
            rows[below] = [x - factor * y for x, y in zip(rows[below], rows[at], strict=True)]
    found = [0.0] * len(rows)
    for at in reversed(range(len(rows))):
        found[at] = (rows[at][-1] - sum(rows[at][later] * found[later] for later in range(at + 1, len(rows)))) / rows[at][at]
    return found


def _terms(size: RagSize, gains: tuple[float, float]) -> tuple[float, ...]:
    documents, shots, iterations = math.log(max(1, size.documents)), math.log1p(size.shots), math.log(size.iterations)
    return documents, shots, iterations, documents * gains[0], shots * gains[1], 1.0


def _check_gains(where: str, gains: tuple[float, float]) -> None:
    if not isinstance(gains, tuple) or len(gains) != 2:
        raise UsageError(f"{where}: gains={gains!r:.80}: two numbers, of documents and of shots")
    settings.number(where, -1, 1, gains=gains[0])
    settings.number(where, -1, 1, gains=gains[1])
