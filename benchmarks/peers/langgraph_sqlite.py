"""LangGraph's functional API with its SQLite saver: an `@entrypoint` that calls `@task`s and waits for their futures.

Its default durability: results are written while the graph goes on, and are all there when `invoke` returns. A thread
id a run.
"""

from __future__ import annotations

import itertools
import sqlite3
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.func import entrypoint, task

from benchmarks import shapes

_threads = itertools.count()
_programs: dict[str, Any] = {}
_connection: sqlite3.Connection


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
    left, right = node(depth - 1), node(depth - 1)
    return 1 + left.result() + right.result()


@task
def mix(a: int, b: int, c: int) -> int:
    return shapes.mix(a, b, c)


def fan(calls: int) -> int:
    futures = [same(i) for i in range(calls)]
    return sum(future.result() for future in futures)


def chain(calls: int) -> int:
    x = 0
    for _ in range(calls):
        x = step(x).result()
    return x


def tree(calls: int) -> int:
    return node(shapes.depth(calls)).result()


def graph(calls: int) -> int:
    row = [future.result() for future in [same(i) for i in range(shapes.width(calls))]]
    for edges in shapes.layers(calls):
        row = [future.result() for future in [mix(row[a], row[b], row[c]) for a, b, c in edges]]
    return sum(row)


def start(folder: Path) -> None:
    global _connection
    _connection = sqlite3.connect(folder / "checkpoints.sqlite", check_same_thread=False)
    saver = SqliteSaver(_connection)
    for function in (fan, chain, tree, graph):
        _programs[function.__name__] = entrypoint(checkpointer=saver)(function)


def version() -> str:
    return installed("langgraph")


def run(kind: str, calls: int) -> int:
    return _programs[kind].invoke(calls, {"configurable": {"thread_id": str(next(_threads))}, "max_concurrency": 4096})


def stop() -> None:
    _connection.close()
