"""AdaptOrch's choice: the shape of a plan, and a small tree of questions about it that says which topology is likely best.

The features of a plan take time in proportion to its steps and needs. The paper's thresholds are not public, so none are claimed:
`fit` finds them in data. Everything here is pure.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.graph import Graph, Need
from headway.methods.plan.teams.topologies import TOPOLOGIES, Topology

DEPTH = 3
LEAF = 8


@dataclass(frozen=True, slots=True)
class Features:
    """The shape of a plan.

    Attributes:
        steps: how many steps it has.
        width: how many are in its largest level.
        depth: how many levels it has: the steps of its longest path.
        density: the share of all pairs of steps in which one needs the other.
        data: the share of needs that hand a result over.
        fan: how many results a step is handed, on average.
        chained: the share of steps that alone follow the one step they need.
        friction: what a hand-over costs, in steps of average length; 0 where nobody says.
    """

    steps: float
    width: float
    depth: float
    density: float
    data: float
    fan: float
    chained: float
    friction: float = 0.0


def features(
    graph: Graph[Any], *, friction: float = 0.0, hands_over: Callable[[Need], bool] = lambda need: need.on == "success"
) -> Features:
    """The shape of a plan, in time proportional to its steps and needs.

    Args:
        graph: the plan.
        friction: what a hand-over costs, in steps of average length.
        hands_over: whether a need hands a result over, or only waits.

    Returns:
        Its features.

    Raises:
        UsageError: the plan is empty.

    Example:
        >>> from headway.methods.graph import Node, after
        >>> shape = features(Graph((Node("a", 1), Node("b", 2), Node("c", 3, after("a", "b")))))
        >>> shape.width, shape.depth, round(shape.density, 2)
        (2.0, 2.0, 0.67)
    """
    if not isinstance(graph, Graph) or not len(graph):
        raise UsageError(f"features: graph={graph!r:.80}: a methods.graph.Graph with at least one step")
    settings.finite("features", friction=friction)
    waits = {node.id: len(node.needs) for node in graph}
    behind: dict[str, list[str]] = {node.id: [] for node in graph}
    edges = data = 0
    for node in graph:
        for need in node.needs:
            behind[need.step].append(node.id)
            edges += 1
            data += hands_over(need)
    level = {id: 0 for id, count in waits.items() if not count}
    queue = deque(level)
    while queue:
        id = queue.popleft()
        for other in behind[id]:
            level[other] = max(level.get(other, 0), level[id] + 1)
            waits[other] -= 1
            if not waits[other]:
                queue.append(other)
    sizes = [0] * (max(level.values()) + 1)
    for at in level.values():
        sizes[at] += 1
    chained = sum(len(node.needs) == 1 and len(behind[node.needs[0].step]) == 1 for node in graph)
    steps, pairs = len(graph), len(graph) * (len(graph) - 1) / 2
    return Features(
        float(steps),
        float(max(sizes)),
        float(len(sizes)),
        edges / pairs if pairs else 0.0,
        data / edges if edges else 0.0,
        data / steps,
        chained / steps,
        friction,
    )


# --- a router that is fitted ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tried:
    """What each topology took for a plan.

    Attributes:
        features: those of the plan.
        seconds: how long each topology took.
    """

    features: Features
    seconds: Mapping[Topology, float]


@dataclass(frozen=True, slots=True)
class Router:
    """A tree of questions about the features of a plan.

    Attributes:
        ranking: the topologies, the best for the plans that came here first.
        feature: what is asked about; empty where nothing is.
        threshold: plans whose feature is at most this go to `low`.
        low: what is asked of them next.
        high: what is asked of the others.
    """

    ranking: tuple[Topology, ...]
    feature: str = ""
    threshold: float = 0.0
    low: Router | None = None
    high: Router | None = None

    def rank(self, shape: Features) -> tuple[Topology, ...]:
        """The topologies for a plan, the best first.

        Args:
            shape: its features.

        Returns:
            All of them.
        """
        if self.low is None or self.high is None:
            return self.ranking
        return (self.low if getattr(shape, self.feature) <= self.threshold else self.high).rank(shape)


def fit(tried: Sequence[Tried], *, depth: int = DEPTH, leaf: int = LEAF) -> Router:
    """Find the questions whose answers leave the least regret.

    The regret of a topology on a plan is by how much it takes longer than the best one, as a share. Splits are taken one at a
    time, each the best of all features and thresholds.

    Args:
        tried: what each topology took for plans of the past.
        depth: how many questions are asked of a plan at most.
        leaf: plans at least on each side of a question.

    Returns:
        The router.

    Raises:
        UsageError: nothing was tried, or a topology was not tried everywhere.

    Example:
        >>> wide, long = Features(9, 9, 1, 0, 0, 0, 0), Features(9, 1, 9, 0.2, 1, 1, 1)
        >>> of = lambda best: {way: 1.0 if way == best else 2.0 for way in TOPOLOGIES}
        >>> router = fit([Tried(wide, of("parallel")), Tried(long, of("sequential"))], leaf=1)
        >>> router.rank(wide)[0], router.rank(long)[0], router.feature
        ('parallel', 'sequential', 'width')

    Source:
        AdaptOrch, arXiv 2602.16873, whose thresholds are not public; after the idea of.
    """
    settings.whole_number("fit", depth=depth)
    settings.at_least_one("fit", leaf=leaf)
    if not isinstance(tried, Sequence) or not tried:
        raise UsageError("fit: there is nothing to fit: give what each topology took for plans of the past")
    known = tuple(way for way in TOPOLOGIES if way in tried[0].seconds)
    for each in tried:
        if not known or {*each.seconds} != {*known}:
            raise UsageError(
                f"fit: each plan needs the seconds of the same topologies, of {', '.join(TOPOLOGIES)}: {each.seconds!r:.120}"
            )
        settings.number("fit", 0.0, above=True, **dict(each.seconds))
    rows = [(astuple(each.features), _regrets(each, known)) for each in tried]
    return _grow(rows, known, depth, leaf)


_Row = tuple[tuple[float, ...], tuple[float, ...]]
_NAMES = tuple(each.name for each in fields(Features))


def _regrets(each: Tried, known: Sequence[Topology]) -> tuple[float, ...]:
    best = min(each.seconds.values())
    return tuple(each.seconds[way] / best - 1 for way in known)


def _grow(rows: Sequence[_Row], known: Sequence[Topology], depth: int, leaf: int) -> Router:
    total = [sum(column) for column in zip(*(regrets for _, regrets in rows), strict=True)]
    ranking = tuple(known[place] for place in sorted(range(len(known)), key=total.__getitem__))
    split = _best_split(rows, total, leaf) if depth else None
    if split is None:
        return Router(ranking)
    place, threshold = split
    low = [row for row in rows if row[0][place] <= threshold]
    high = [row for row in rows if row[0][place] > threshold]
    return Router(ranking, _NAMES[place], threshold, _grow(low, known, depth - 1, leaf), _grow(high, known, depth - 1, leaf))


def _best_split(rows: Sequence[_Row], total: Sequence[float], leaf: int) -> tuple[int, float] | None:
    """The feature and threshold that leave the least regret; None where none leaves less than no question."""
    best, found = min(total) - 1e-12, None
    for place in range(len(_NAMES)):
        ordered = sorted(rows, key=lambda row: row[0][place])
        below = [0.0] * len(total)
        for count, (row, following) in enumerate(itertools.pairwise(ordered), 1):
            below = [one + more for one, more in zip(below, row[1], strict=True)]
            if row[0][place] == following[0][place] or min(count, len(rows) - count) < leaf:
                continue
            left = min(below) + min(whole - one for whole, one in zip(total, below, strict=True))
            if left < best:
                best, found = left, (place, (row[0][place] + following[0][place]) / 2)
    return found
