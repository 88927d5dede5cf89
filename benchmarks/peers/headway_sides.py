"""Headway's own programs, shared by its sides: in memory, on a fresh folder for every run, in a database.

The timed part is the whole of `hw.run`: open the store, run, commit the last outcome with `synchronous=FULL`, close.
An empty run is timed beside it, so the constant part of that can be told from the cost of a call.
"""

from __future__ import annotations

import itertools
import platform
import shutil
from pathlib import Path
from time import perf_counter

import headway as hw
from benchmarks import shapes


@hw.task
async def same(i: int) -> int:
    return i


@hw.task
async def step(x: int) -> int:
    return x + 1


@hw.task
async def node(depth: int) -> int:
    if depth == 0:
        return 1
    return 1 + sum(await hw.gather(node(depth - 1), node(depth - 1)))


@hw.task
async def mix(a: int, b: int, c: int) -> int:
    return shapes.mix(a, b, c)


@hw.task
async def fan(calls: int) -> int:
    return sum(await hw.gather(*[same(i) for i in range(calls)]))


@hw.task
async def chain(calls: int) -> int:
    x = 0
    for _ in range(calls):
        x = await step(x)
    return x


@hw.task
async def tree(calls: int) -> int:
    return await node(shapes.depth(calls))


@hw.task
async def graph(calls: int) -> int:
    row = [same(i) for i in range(shapes.width(calls))]
    for edges in shapes.layers(calls):
        row = [mix(hw.ref(row[a]), hw.ref(row[b]), hw.ref(row[c])) for a, b, c in edges]
    return sum(await hw.gather(*row))


@hw.task
async def empty(calls: int) -> int:
    return calls


PROGRAMS = {"fan": fan, "chain": chain, "tree": tree, "graph": graph}


class Side:
    """One of Headway's sides. With `durable`, every run has a folder that did not exist before, or is a new one in the store of
    `url`."""

    def __init__(self, durable: bool, url: str = "") -> None:
        self.durable, self.url = durable, url
        self.folder = Path()
        self.count = itertools.count()
        self.last: Path | None = None

    def start(self, folder: Path) -> None:
        self.folder = folder

    def _fresh(self) -> Path | str | None:
        if self.url:
            return self.url
        if self.last is not None:
            shutil.rmtree(self.last, ignore_errors=True)
        self.last = self.folder / f"store-{next(self.count)}" if self.durable else None
        return self.last

    def run(self, kind: str, calls: int) -> int:
        return hw.run(PROGRAMS[kind], calls, store=self._fresh(), progress=False)

    def facts(self) -> dict[str, object]:
        """Time an empty run on a fresh store, and another on the store that is there then."""
        store, seconds = self._fresh(), []
        for _ in range(2):
            began = perf_counter()
            hw.run(empty, 1, store=store, progress=False)
            seconds.append(perf_counter() - began)
        return {"empty_s": seconds[0], "again_s": seconds[1]}

    def version(self) -> str:
        return f"{getattr(hw, '__version__', 'working tree')}, Python {platform.python_version()}"

    def stop(self) -> None:
        self._fresh()
