"""Mixtures of Gaussians by expectation maximisation: what the teachers that look for progress fit to what they have seen.

A fit is a function of its data alone: the first means are drawn from a generator with a fixed seed, as far from each other as
k-means++ puts them. The result holds plain numbers, so a teacher is a value that can be compared, sent and stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from headway.extras import explain_missing

RIDGE = 1e-6  # added to variances, so that points on a line have a density
ROUNDS, ENOUGH = 100, 1e-3


@dataclass(frozen=True, slots=True)
class Gaussian:
    """One part of a mixture: its share, its mean, and its covariance."""

    share: float
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    def sample(self, rng: Random, directions: int) -> tuple[float, ...]:
        """A point, in the first directions alone: those of a Gaussian have a Gaussian of their own."""
        drawn = [rng.gauss() for _ in range(directions)]
        factor = _factor([row[:directions] for row in self.covariance[:directions]])
        return tuple(self.mean[i] + math.fsum(factor[i][j] * drawn[j] for j in range(i + 1)) for i in range(directions))


def fit_best(points: Sequence[Sequence[float]], counts: Sequence[int]) -> tuple[Gaussian, ...]:
    """The mixture with the least AIC, among numbers of Gaussians.

    Args:
        points: what to fit; fewer than a number of Gaussians leave that number out.
        counts: how many Gaussians to try.

    Returns:
        The parts of the best mixture.
    """
    fits = [fit(points, count) for count in counts if count <= len(points)]
    return min(fits, key=lambda found: found[1])[0]


def fit(points: Sequence[Sequence[float]], count: int) -> tuple[tuple[Gaussian, ...], float]:
    """A mixture of so many Gaussians, and its AIC."""
    with explain_missing("a curriculum by Gaussian mixtures"):
        import numpy as np
    data = np.asarray(points, dtype=float)
    n, d = data.shape
    means = _spread_means(np, data, count)
    weights = (((data[:, None] - means) ** 2).sum(-1) == ((data[:, None] - means) ** 2).sum(-1).min(1, keepdims=True)).astype(float)
    weights /= weights.sum(1, keepdims=True)
    before = -math.inf
    for _ in range(ROUNDS):
        sums = weights.sum(0) + 1e-12
        means = weights.T @ data / sums[:, None]
        off = data[:, None] - means
        covariances = np.einsum("nk,nki,nkj->kij", weights, off, off) / sums[:, None, None] + RIDGE * np.eye(d)
        factors = np.linalg.cholesky(covariances)
        scaled = np.linalg.solve(factors, off.transpose(1, 2, 0))
        logs = -0.5 * (scaled**2).sum(1) - np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(1)[:, None]
        logs += np.log(sums / n)[:, None] - 0.5 * d * math.log(2 * math.pi)
        top = logs.max(0)
        total = top + np.log(np.exp(logs - top).sum(0))
        weights = np.exp(logs - total).T
        mean = float(total.mean())
        if abs(mean - before) < ENOUGH:
            break
        before = mean
    parts = tuple(
        Gaussian(float(sums[k] / n), tuple(map(float, means[k])), tuple(tuple(map(float, row)) for row in covariances[k]))
        for k in range(count)
    )
    free = count * (d + d * (d + 1) // 2) + count - 1
    return parts, 2 * free - 2 * mean * n


def _spread_means(np: Any, data: Any, count: int) -> Any:
    """First means, each drawn in proportion to its squared distance from those before (k-means++), then five rounds of k-means."""
    rng = Random(count)
    means = data[[rng.randrange(len(data))]]
    while len(means) < count:
        squares = ((data[:, None] - means) ** 2).sum(-1).min(1)
        total = float(squares.sum())
        place = int(np.searchsorted(np.cumsum(squares), rng.random() * total)) if total > 0 else rng.randrange(len(data))
        means = np.concatenate([means, data[[min(place, len(data) - 1)]]])
    for _ in range(5):
        nearest = ((data[:, None] - means) ** 2).sum(-1).argmin(1)
        means = np.stack([data[nearest == k].mean(0) if (nearest == k).any() else means[k] for k in range(count)])
    return means


def _factor(covariance: Sequence[Sequence[float]]) -> list[list[float]]:
    """The Cholesky factor of a small covariance."""
    n = len(covariance)
    factor = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = covariance[i][j] - math.fsum(factor[i][k] * factor[j][k] for k in range(j))
            factor[i][j] = math.sqrt(max(rest, 1e-15)) if i == j else rest / factor[j][j]
    return factor
