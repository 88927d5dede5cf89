"""Dask distributed on a `LocalCluster` of two worker processes. Futures are arguments; the tree submits from inside
tasks with `worker_client`, which takes the waiting task off its worker's thread pool. `pure=False`: each call is a
call of its own.

Remembers nothing on disk.
"""

from __future__ import annotations

import logging
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster, worker_client

from benchmarks import shapes

_client: Client
_cluster: LocalCluster


def same(i: int) -> int:
    return i


def step(x: int) -> int:
    return x + 1


def node(depth: int) -> int:
    if depth == 0:
        return 1
    with worker_client() as client:
        left, right = client.submit(node, depth - 1, pure=False), client.submit(node, depth - 1, pure=False)
        return 1 + sum(client.gather([left, right]))


def fan(calls: int) -> int:
    return sum(_client.gather(_client.map(same, range(calls), pure=False)))


def chain(calls: int) -> int:
    future: Any = 0
    for _ in range(calls):
        future = _client.submit(step, future, pure=False)
    return future.result()


def tree(calls: int) -> int:
    return _client.submit(node, shapes.depth(calls), pure=False).result()


def graph(calls: int) -> int:
    row = _client.map(same, range(shapes.width(calls)), pure=False)
    for edges in shapes.layers(calls):
        row = [_client.submit(shapes.mix, row[a], row[b], row[c], pure=False) for a, b, c in edges]
    return sum(_client.gather(row))


PROGRAMS = {"fan": fan, "chain": chain, "tree": tree, "graph": graph}


def start(folder: Path) -> None:
    global _client, _cluster
    dask.config.set({"temporary-directory": str(folder)})
    _cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.ERROR)
    _client = Client(_cluster)


def version() -> str:
    return installed("distributed")


def run(kind: str, calls: int) -> int:
    return PROGRAMS[kind](calls)


def stop() -> None:
    _client.close()
    _cluster.close()
