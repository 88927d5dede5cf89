"""DBOS on SQLite, its default store: one workflow that calls async steps; a tree is child workflows started and
awaited.

Steps of a layer are gathered, so DBOS may run them side by side. Launching and migrating the database is not timed.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version as installed
from pathlib import Path

from dbos import DBOS

from benchmarks import shapes


@DBOS.step()
async def same(i: int) -> int:
    return i


@DBOS.step()
async def step(x: int) -> int:
    return x + 1


@DBOS.step()
async def mix(a: int, b: int, c: int) -> int:
    return shapes.mix(a, b, c)


@DBOS.workflow()
async def fan(calls: int) -> int:
    return sum(await asyncio.gather(*[same(i) for i in range(calls)]))


@DBOS.workflow()
async def chain(calls: int) -> int:
    x = 0
    for _ in range(calls):
        x = await step(x)
    return x


@DBOS.workflow()
async def node(depth: int) -> int:
    if depth == 0:
        return 1
    left = await DBOS.start_workflow_async(node, depth - 1)
    right = await DBOS.start_workflow_async(node, depth - 1)
    return 1 + await left.get_result() + await right.get_result()


async def tree(calls: int) -> int:
    return await node(shapes.depth(calls))


@DBOS.workflow()
async def graph(calls: int) -> int:
    row = await asyncio.gather(*[same(i) for i in range(shapes.width(calls))])
    for edges in shapes.layers(calls):
        row = await asyncio.gather(*[mix(row[a], row[b], row[c]) for a, b, c in edges])
    return sum(row)


PROGRAMS = {"fan": fan, "chain": chain, "tree": tree, "graph": graph}


def start(folder: Path) -> None:
    DBOS(
        config={
            "name": "benchmark",
            "system_database_url": f"sqlite:///{folder / 'dbos.sqlite'}",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()


def version() -> str:
    return installed("dbos")


def run(kind: str, calls: int) -> int:
    return asyncio.run(PROGRAMS[kind](calls))


def stop() -> None:
    DBOS.destroy()
