"""Plans of many shapes with hand-overs that cost something: what a router of topologies is fitted and measured on."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache
from statistics import fmean
from typing import Any

from headway.methods.graph import Graph, Node, after
from headway.methods.plan.teams import TOPOLOGIES, Costs, Router, Topology, Tried, arrange, features, fit, makespan

Drawn = tuple[Graph[str], dict[str, float], Costs]


def draw(rng: random.Random) -> Drawn:
    """A plan of one of five families, how long its steps take, and what working together costs."""
    family = rng.choice(("bundle", "layers", "dense", "fork", "random"))
    count = rng.randrange(6, 40)
    needs: list[tuple[int, ...]] = []
    if family == "bundle":  # chains side by side
        chains = rng.randrange(1, 6)
        needs = [(place - chains,) if place >= chains else () for place in range(count)]
    elif family in ("layers", "dense"):
        width = rng.randrange(2, 9)
        for place in range(count):
            first = place // width * width
            before = list(range(max(0, first - width), first))
            needs.append(tuple(rng.sample(before, len(before) if family == "dense" else min(len(before), rng.randrange(1, 3)))))
    elif family == "fork":
        needs = [(), *((0,) for _ in range(count - 2)), tuple(range(1, count - 1))]
    else:
        needs = [tuple(rng.sample(range(place), min(place, rng.choice((0, 1, 1, 2, 3))))) for place in range(count)]
    graph = Graph(tuple(Node(str(place), family, after(*map(str, of))) for place, of in enumerate(needs)))
    seconds = {node.id: rng.lognormvariate(0.0, 0.5) for node in graph}
    handover_s = rng.choice((0.05, 0.2, 0.5, 1.0, 2.0))
    return graph, seconds, Costs(start_s=0.2, handover_s=handover_s, lead_s=0.25 * handover_s)


def friction(drawn: Drawn) -> float:
    """What a hand-over costs, in steps of average length."""
    return drawn[2].handover_s / fmean(drawn[1].values())


def spans(drawn: Drawn) -> Mapping[Topology, float]:
    """What each topology takes."""
    graph, seconds, costs = drawn
    return {way: makespan(arrange(graph, way), seconds, costs) for way in TOPOLOGIES}


@cache
def router() -> Router:
    """Fitted on plans that nothing is measured on."""
    rng = random.Random("plans to fit on")
    plans = [draw(rng) for _ in range(400)]
    return fit([Tried(features(plan[0], friction=friction(plan)), spans(plan)) for plan in plans], depth=4)


def regrets(seed: int, count: int = 150) -> dict[str, float]:
    """By how much longer than the best topology the router's takes on unseen plans, and each that is always taken; on average."""
    rng = random.Random(f"plans {seed}")
    found: dict[str, list[float]] = {way: [] for way in ("router", *TOPOLOGIES)}
    for _ in range(count):
        plan = draw(rng)
        took: Mapping[Any, float] = spans(plan)
        best = min(took.values())
        chosen = router().rank(features(plan[0], friction=friction(plan)))[0]
        for way in TOPOLOGIES:
            found[way].append(took[way] / best - 1)
        found["router"].append(took[chosen] / best - 1)
    return {way: fmean(each) for way, each in found.items()}
