"""Which elements of an array are looked at: the same ones in memory and in a copy, few, and all of them in time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headway.checkpoint.layout.boxes import whole
from headway.checkpoint.layout.pieces import Piece
from headway.checkpoint.save.sample import sample, sample_of_copy, spread
from headway.checkpoint.state.libraries import local_of
from headway.checkpoint.state.torch.tensors import TorchMemory


class Elsewhere(TorchMemory):
    """Memory that nothing but a copy shows, as that of another device."""

    def view(self, piece):
        return None

    def read(self, piece, into):
        into[...] = TorchMemory(self.tensor).view(piece)


@given(st.lists(st.integers(1, 9), max_size=4), st.randoms(), st.integers(1, 40), st.integers(0, 2**48))
def test_memory_and_its_copy_are_looked_at_in_the_same_places(shape, random, most, phase):
    order = random.sample(range(len(shape)), len(shape))
    base = torch.arange(math.prod(shape) * 2, dtype=torch.int32)[::2].reshape([shape[dim] for dim in order])
    tensor = base.permute([order.index(dim) for dim in range(len(shape))])  # in another order in memory, with gaps
    if random.random() < 0.5:
        tensor = tensor.contiguous()
    local = local_of(tensor, "x", False)
    piece = Piece(whole(tuple(tensor.shape)), local.offset, local.strides)
    picked = spread(piece, most, phase, whole=most)
    copy = memoryview(tensor.contiguous().numpy().tobytes())
    seen = sample(local.memory, piece, "I32", picked)
    assert seen == sample_of_copy(copy, "I32", picked) == sample(Elsewhere(tensor), piece, "I32", picked)
    assert 1 <= len(seen) // 4 <= max(most, 1)


def test_in_time_every_element_of_an_array_in_one_row_is_looked_at():
    piece = Piece(whole((7, 11)), 0, (11, 1))
    copy = memoryview(np.arange(77, dtype="int32").tobytes())
    looks = (sample_of_copy(copy, "I32", spread(piece, 5, phase, whole=5)) for phase in range(20))
    seen = {int(each) for look in looks for each in np.frombuffer(look, "int32")}
    assert seen == set(range(77))


@pytest.mark.parametrize("shape", [(), (1,), (3, 4)])
def test_a_small_array_is_looked_at_whole(shape):
    assert spread(Piece(whole(shape), 0, tuple(range(len(shape)))), 1) is None
