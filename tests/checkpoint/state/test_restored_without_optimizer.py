"""A model that is restored without its optimizer's moments gets worse at once; with them, nothing can be seen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from benchmarks.optimizer_state import Losses, draw, measure  # noqa: E402 - found only now

WORSE, NO_WORSE = 1.2, 1.1  # times the loss at the checkpoint, within the next steps


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> Losses:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return measure(tmp_path_factory.mktemp("counting"), before=300, shown=8, after=12)
    finally:
        torch.set_num_threads(threads)


def test_the_loss_jumps_without_the_state_of_the_optimizer(losses: Losses) -> None:
    assert losses.without[0] == losses.whole[0]  # the model itself is the same
    assert max(losses.without) > WORSE * losses.without[0]


def test_the_loss_goes_on_as_without_an_interruption_where_everything_is_restored(losses: Losses) -> None:
    assert losses.whole == losses.uninterrupted
    assert max(losses.whole) < NO_WORSE * losses.whole[0]


def test_the_picture_says_whether_it_is_true(losses: Losses) -> None:
    assert "the same to the bit" in draw(losses)
    assert "NOT the same" in draw(losses._replace(whole=losses.without))
