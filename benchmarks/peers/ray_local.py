"""Ray on this machine with two CPUs. Object references are arguments; the tree is nested tasks that wait with
`ray.get`, for which Ray lends the waiting worker's CPU and starts further worker processes.

Remembers nothing on disk.
"""

from __future__ import annotations

from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import ray

from benchmarks import shapes


@ray.remote
def same(i):
    return i


@ray.remote
def step(x):
    return x + 1


@ray.remote
def node(depth):
    if depth == 0:
        return 1
    return 1 + sum(ray.get([node.remote(depth - 1), node.remote(depth - 1)]))


@ray.remote
def mix(a, b, c):
    return shapes.mix(a, b, c)


def fan(calls: int) -> int:
    return sum(ray.get([same.remote(i) for i in range(calls)]))


def chain(calls: int) -> int:
    ref: Any = 0
    for _ in range(calls):
        ref = step.remote(ref)
    return ray.get(ref)


def tree(calls: int) -> int:
    return ray.get(node.remote(shapes.depth(calls)))


def graph(calls: int) -> int:
    row = [same.remote(i) for i in range(shapes.width(calls))]
    for edges in shapes.layers(calls):
        row = [mix.remote(row[a], row[b], row[c]) for a, b, c in edges]
    return sum(ray.get(row))


PROGRAMS = {"fan": fan, "chain": chain, "tree": tree, "graph": graph}


def start(folder: Path) -> None:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")


def version() -> str:
    return installed("ray")


def run(kind: str, calls: int) -> int:
    return PROGRAMS[kind](calls)


def stop() -> None:
    ray.shutdown()
