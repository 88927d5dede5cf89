"""Parsl with its thread executor, two threads. Futures are passed as arguments; the tree is a `join_app` that returns
a future.

Remembers nothing on disk: checkpointing is off, as by default.
"""

from __future__ import annotations

from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import parsl
from parsl import join_app, python_app
from parsl.config import Config
from parsl.executors.threads import ThreadPoolExecutor

from benchmarks import shapes


@python_app
def same(i):
    return i


@python_app
def step(x):
    return x + 1


@python_app
def join(left, right):
    return 1 + left + right


@python_app
def leaf():
    return 1


@join_app
def node(depth):
    if depth == 1:
        return join(leaf(), leaf())
    return join(node(depth - 1), node(depth - 1))


@python_app
def mix(a, b, c):
    return shapes.mix(a, b, c)


def fan(calls: int) -> int:
    futures = [same(i) for i in range(calls)]
    return sum(future.result() for future in futures)


def chain(calls: int) -> int:
    future: Any = 0
    for _ in range(calls):
        future = step(future)
    return future.result()


def tree(calls: int) -> int:
    return node(shapes.depth(calls)).result()


def graph(calls: int) -> int:
    row = [same(i) for i in range(shapes.width(calls))]
    for edges in shapes.layers(calls):
        row = [mix(row[a], row[b], row[c]) for a, b, c in edges]
    return sum(future.result() for future in row)


PROGRAMS = {"fan": fan, "chain": chain, "tree": tree, "graph": graph}


def start(folder: Path) -> None:
    parsl.load(
        Config(
            executors=[ThreadPoolExecutor(max_threads=2)],
            run_dir=str(folder / "runinfo"),
            initialize_logging=False,
            strategy="none",
        )
    )


def version() -> str:
    return installed("parsl")


def run(kind: str, calls: int) -> int:
    return PROGRAMS[kind](calls)


def stop() -> None:
    parsl.dfk().cleanup()
