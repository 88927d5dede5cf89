"""Prefect with the local server that it starts by itself: a `@flow` that submits `@task`s to its default thread pool
runner.

Futures are arguments; the tree submits from inside tasks. Task states are kept by the server, in SQLite. Starting it
is not timed.
"""

from __future__ import annotations

from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from prefect import flow, task

from benchmarks import shapes


@task
def same(i: int) -> int:
    return i


@task
def step(x: int) -> int:
    return x + 1


@task
def node(depth: int) -> int:
    if depth == 0:
        return 1
    left, right = node.submit(depth - 1), node.submit(depth - 1)
    return 1 + left.result() + right.result()


@task
def mix(a: int, b: int, c: int) -> int:
    return shapes.mix(a, b, c)


@flow
def fan(calls: int) -> int:
    return sum(same.map(range(calls)).result())


@flow
def chain(calls: int) -> int:
    x = 0
    for _ in range(calls):
        x = step(x)
    return x


@flow
def tree(calls: int) -> int:
    return node.submit(shapes.depth(calls)).result()


@flow
def graph(calls: int) -> int:
    row: list[Any] = [same.submit(i) for i in range(shapes.width(calls))]
    for edges in shapes.layers(calls):
        row = [mix.submit(row[a], row[b], row[c]) for a, b, c in edges]
    return sum(future.result() for future in row)


PROGRAMS = {"fan": fan, "chain": chain, "tree": tree, "graph": graph}


def start(folder: Path) -> None:
    fan(1)  # the first flow starts the server


def version() -> str:
    return installed("prefect")


def run(kind: str, calls: int) -> int:
    return PROGRAMS[kind](calls)


def stop() -> None: ...
