"""Bare asyncio: `create_task` and `gather` around coroutines that do nothing. Remembers nothing; the floor that ratios
stand on."""

from __future__ import annotations

import asyncio
import platform
from pathlib import Path

from benchmarks import shapes


async def same(i: int) -> int:
    return i


async def step(x: int) -> int:
    return x + 1


async def node(depth: int) -> int:
    if depth == 0:
        return 1
    left, right = asyncio.create_task(node(depth - 1)), asyncio.create_task(node(depth - 1))
    return 1 + sum(await asyncio.gather(left, right))


async def source(i: int) -> int:
    return i


async def mix(a: asyncio.Task[int], b: asyncio.Task[int], c: asyncio.Task[int]) -> int:
    return shapes.mix(await a, await b, await c)


async def fan(calls: int) -> int:
    return sum(await asyncio.gather(*[asyncio.create_task(same(i)) for i in range(calls)]))


async def chain(calls: int) -> int:
    x = 0
    for _ in range(calls):
        x = await asyncio.create_task(step(x))
    return x


async def tree(calls: int) -> int:
    return await asyncio.create_task(node(shapes.depth(calls)))


async def graph(calls: int) -> int:
    row = [asyncio.create_task(source(i)) for i in range(shapes.width(calls))]
    for edges in shapes.layers(calls):
        row = [asyncio.create_task(mix(row[a], row[b], row[c])) for a, b, c in edges]
    return sum(await asyncio.gather(*row))


PROGRAMS = {"fan": fan, "chain": chain, "tree": tree, "graph": graph}


def start(folder: Path) -> None: ...


def version() -> str:
    return platform.python_version()


def run(kind: str, calls: int) -> int:
    return asyncio.run(PROGRAMS[kind](calls))


def stop() -> None: ...
