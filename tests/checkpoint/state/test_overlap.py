"""Arrays that share a part of their memory get what a checkpoint has for all of them, or nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import headway as hw
from headway.checkpoint.load.overlap import overlaps
from headway.checkpoint.state.walk import take
from headway.errors import CheckpointMismatch


class Autoencoder(torch.nn.Module):
    """Its decoder is its encoder, turned, if it is tied."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.encoder = torch.nn.Parameter(torch.randn(3, 4))
        self.decoder = torch.nn.Parameter(self.encoder.data.t() if tied else torch.randn(4, 3))


def test_a_turned_tie_is_not_filled_from_two_different_arrays(tmp_path: Path) -> None:
    model, tied = Autoencoder(False), Autoencoder(True)
    before = tied.encoder.detach().clone()
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"m": model}, 1).durable()
        with pytest.raises(CheckpointMismatch, match=r"m\.\w+ and m\.\w+ share memory in the state, but .* two arrays"):
            ck.load(into={"m": tied})
        assert torch.equal(tied.encoder, before)
        ck.load(into={"m": tied}, select="encoder")
        assert torch.equal(tied.decoder, model.encoder.t())


def test_a_turned_tie_comes_back(tmp_path: Path) -> None:
    model, tied = Autoencoder(True), Autoencoder(True)
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"m": model}, 1).durable()
        ck.load(into={"m": tied})
    assert torch.equal(tied.encoder, model.encoder)
    assert torch.equal(tied.decoder, model.decoder)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex128", "int8"])
def test_a_view_of_a_part_must_have_what_the_part_has(tmp_path: Path, dtype: str) -> None:
    kind = getattr(torch, dtype)
    whole, other = torch.arange(12).reshape(3, 4).to(kind), torch.zeros(3, 4, dtype=kind)
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"a": whole, "b": whole[1:, 2]}, 1).durable()
        ck.save({"a": whole, "b": whole[1:, 2] + 1}, 2).durable()
        with pytest.raises(CheckpointMismatch, match=r"(b and a|a and b) share memory in the state"):
            ck.load(into={"a": other, "b": other[1:, 2]}, step=2)
        assert not other.any()
        ck.load(into={"a": other, "b": other[1:, 2]}, step=1)
        assert torch.equal(other, whole)


@pytest.mark.parametrize(
    ("views", "shared"),
    [
        (lambda base: [base[:, 0::2], base[:, 1::2]], False),
        (lambda base: [base[:, column] for column in range(4)], False),
        (lambda base: [base[::-1, ::2], base[:, 1]], False),
        (lambda base: [base[::-1], base[2:]], True),
        (lambda base: [base.reshape(-1), base[1]], True),
        (lambda base: [base[:2], base[2:]], False),
    ],
)
def test_views_that_only_lie_between_each_other_share_nothing(views: Any, shared: bool) -> None:
    state = {str(number): view for number, view in enumerate(views(np.arange(12.0).reshape(3, 4)))}
    assert bool(list(overlaps(take(state).holdings))) is shared
