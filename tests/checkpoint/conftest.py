"""What tests of checkpoints share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hand_saved import PATIENCE_S, Trainer
from objectstores import BUCKET, BadWay, environment, s3_server
from synthetic import Synthetic, make, random_array

from headway.checkpoint.layout.boxes import Box, whole
from headway.storage.backend import Backend
from headway.storage.local import LocalBackend
from headway.storage.objects import ObjectBackend
from headway.storage.opening import open_backend


@pytest.fixture
def started() -> Iterator[Callable[..., Trainer]]:
    """Makes trainers, whose helpers end with the test."""
    trainers: list[Trainer] = []

    def start(root: Path, **options: Any) -> Trainer:
        trainers.append(Trainer(root, **options))
        return trainers[-1]

    yield start
    for trainer in trainers:
        trainer.client.close(PATIENCE_S)


@pytest.fixture
def trainer(tmp_path: Path, started: Callable[..., Trainer]) -> Trainer:
    return started(tmp_path)


@pytest.fixture
def made(tmp_path: Path) -> Synthetic:
    """Three files; a tensor of several blocks, a column split, a transposed one, scalars, an empty one."""
    arrays = {
        "big": random_array((3000, 1024), "F32", 1),  # blocks of 1024 rows
        "wide": random_array((2, 1_500_000), "U16", 2),  # rows of 3 MB, so blocks of one row
        "cols": random_array((64, 48), "BF16", 3),
        "step": random_array((), "I64", 4),
        "flag": random_array((1,), "BOOL", 5),
        "none": random_array((0, 5), "F16", 6),
        "z": random_array((5, 3), "C128", 7),
    }
    cuts = {
        "big": [(0, Box((0, 0), (1700, 1024))), (1, Box((1700, 0), (1300, 1024)))],
        "cols": [(1, Box((0, 0), (64, 20))), (2, Box((0, 20), (64, 28)))],
        "wide": [(2, whole((2, 1_500_000)))],
    }
    return make(tmp_path, arrays, cuts, values={"lr": 0.1, "name": "tiny"})


@pytest.fixture(scope="module")
def s3() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture(params=["local", "buffered", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """An empty root."""
    if request.param == "local":
        return open_backend(tmp_path / "root")
    if request.param == "buffered":
        return LocalBackend(tmp_path / "root", direct=False)
    if request.param == "memory":
        return open_backend(f"memory://{tmp_path}")
    request.getfixturevalue("s3")
    return open_backend(f"s3://{BUCKET}/{tmp_path.name}-{os.getpid()}")


@pytest.fixture
def way(s3: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[BadWay]:
    """A proxy to the S3 server; backends opened now go through it."""
    proxy = BadWay(s3)
    for name, value in environment(proxy.port).items():
        monkeypatch.setenv(name, value)
    yield proxy
    proxy.close()


@pytest.fixture
def shaky(way: BadWay, tmp_path: Path) -> ObjectBackend:
    """A backend behind the proxy, with time to get over what is bad about it."""
    return ObjectBackend(f"s3://{BUCKET}/{tmp_path.name}-shaky", deadline_s=20.0, request_s=5.0)


@pytest.fixture
def hasty(way: BadWay, tmp_path: Path) -> ObjectBackend:
    """One that gives up soon."""
    return ObjectBackend(f"s3://{BUCKET}/{tmp_path.name}-hasty", deadline_s=0.6, request_s=0.3)
