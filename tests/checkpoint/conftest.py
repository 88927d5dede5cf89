"""What tests of checkpoints share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hand_saved import PATIENCE_S, Trainer


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
