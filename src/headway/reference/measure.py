"""How good a model is: its chance to solve with so many samples, how well values tell right from wrong, and its loss as a
picture."""

from __future__ import annotations

from collections.abc import Sequence

from headway.observe.pictures.chart import Point, Series, chart
from headway.reference.training import Trained


def pass_at(k: int, n: int, right: int) -> float:
    """The chance that k of n samples, of which so many are right, hold a right one (unbiased; Chen et al., arXiv 2107.03374).

    >>> pass_at(1, 64, 16), pass_at(64, 64, 1)
    (0.25, 1.0)
    """
    wrong = 1.0
    for i in range(k):
        wrong *= max(0, n - right - i) / (n - i)
    return 1.0 - wrong


def auroc(values: Sequence[float], right: Sequence[bool]) -> float:
    """The chance that something right has a larger value than something wrong, ties counted half (the area under the ROC curve).

    >>> auroc([0.9, 0.4, 0.6], [True, False, True]), auroc([0.5, 0.5], [True, False])
    (1.0, 0.5)

    Raises:
        ValueError: nothing is right, or everything is.
    """
    good, bad = right.count(True), right.count(False)
    if not good or not bad:
        raise ValueError("auroc: there must be something right and something wrong")
    ordered = sorted(zip(values, right, strict=True))
    wins, below, at = 0.0, 0, 0
    while at < len(ordered):
        end = at
        while end < len(ordered) and ordered[end][0] == ordered[at][0]:
            end += 1
        here = [is_right for _, is_right in ordered[at:end]]
        wrong = here.count(False)
        wins += here.count(True) * (below + wrong / 2)
        below, at = below + wrong, end
    return wins / (good * bad)


def draw_losses(title: str, trained: Trained) -> str:
    """The loss curves as SVG: means of as many steps as make 200 points."""
    every = max(1, len(trained.language) // 200)

    def means(losses: list[float]) -> list[Point]:
        parts = [losses[at : at + every] for at in range(0, len(losses), every)]
        return [Point(at * every, sum(part) / len(part)) for at, part in enumerate(parts)]

    by = "one process" if trained.processes == 1 else f"{trained.processes} processes"
    curves = {"nats per token": trained.language, "nats per state": trained.value}
    return chart(
        title,
        [Series(name, means(losses), dots=False) for name, losses in curves.items() if any(losses)],
        x="step",
        y="loss",
        sub=f"{by}, means of {every} steps",
    )
