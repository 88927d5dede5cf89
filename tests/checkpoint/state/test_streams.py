"""Random streams and data cursors: they go on exactly, and when the number of ranks changes nothing is lost and nothing doubled."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from in_memory import Stored, stored, stored_by

from headway.checkpoint.save.plan import agree_on_values
from headway.checkpoint.state.parts.cursor import Cursor
from headway.checkpoint.state.parts.streams import Rng, Streams
from headway.checkpoint.state.walk import take
from headway.errors import CheckpointMismatch, UsageError

# --- generators ------------------------------------------------------------------------------------------------------


def draw() -> list[Any]:
    return [
        random.random(),
        random.gauss(0, 1),
        np.random.rand(),
        np.random.randn(),
        torch.rand(2).tolist(),
        torch.randn(3).tolist(),
    ]


def test_the_global_generators_go_on_where_they_were() -> None:
    draw()
    checkpoint = stored({"rng": Rng(), "step": 1})
    assert {each.kind for each in checkpoint.objects.values()} == {"rng"}
    assert all(name.startswith(("rng.python", "rng.numpy", "rng.torch")) for name in checkpoint.objects)
    expected = draw()
    draw()
    checkpoint.load({"rng": Rng(), "step": 0})
    assert draw() == expected


def test_taking_a_state_draws_nothing() -> None:
    checkpoint = stored({"rng": Rng()})
    take({"rng": Rng()})
    expected = draw()
    checkpoint.load({"rng": Rng()})
    assert draw() == expected


def test_ranks_that_draw_different_numbers_from_one_stream_are_found_out() -> None:
    one = take({"rng": Rng()}).values
    assert agree_on_values([one, take({"rng": Rng()}).values])
    torch.rand(1)
    other = take({"rng": Rng()}).values
    with pytest.raises(CheckpointMismatch, match=r"rng\.torch: rank 1"):
        agree_on_values([one, other])
    assert agree_on_values([take({"rng": Rng("tp-0")}).values, take({"rng": Rng("tp-1")}).values]).keys() > {"rng.tp-1.torch"}


def test_a_stream_of_a_device_that_is_not_here_is_left_alone() -> None:
    checkpoint = stored({"rng": Rng()})
    checkpoint.values["rng.cuda"] = {"kind": "torch", "device": "cuda", "bytes": {"$array": "rng.cuda.bytes"}}
    checkpoint.objects["rng.cuda.bytes"] = checkpoint.objects["rng.torch.bytes"]
    checkpoint.arrays["rng.cuda.bytes"] = checkpoint.arrays["rng.torch.bytes"]
    inventory = checkpoint.load({"rng": Rng()})
    assert "rng.cuda.bytes" in {holding.name for holding in inventory.holdings}


def test_a_run_that_had_no_torch_yet_can_go_on_with_it() -> None:
    checkpoint = stored({"rng": Rng()})
    without = Stored([])
    without.objects = {name: each for name, each in checkpoint.objects.items() if "torch" not in name}
    without.values = {name: each for name, each in checkpoint.values.items() if "torch" not in name}
    without.arrays = checkpoint.arrays
    without.load({"rng": Rng()})
    del without.values["rng.python"]
    with pytest.raises(CheckpointMismatch, match=r"rng\.python is in the state"):
        without.load({"rng": Rng()})


MAKERS = {
    "numpy": np.random.default_rng,
    "philox": lambda seed: np.random.Generator(np.random.Philox(seed)),
    "mt": lambda seed: np.random.Generator(np.random.MT19937(seed)),
    "sfc": lambda seed: np.random.Generator(np.random.SFC64(seed)),
    "legacy": lambda seed: np.random.RandomState(seed % 2**32),
    "python": random.Random,
    "torch": lambda seed: torch.Generator().manual_seed(seed % 2**63),
}


def numbers(generator: Any) -> list[float]:
    if isinstance(generator, torch.Generator):
        return torch.rand(3, generator=generator).tolist()
    return [generator.random() for _ in range(3)]


@pytest.mark.parametrize("maker", MAKERS)
def test_streams_follow_their_shards_when_ranks_change(maker: str) -> None:
    def dealt(rank: int, ranks: int, seed: int = 5) -> Streams:
        return Streams.dealt(6, rank=rank, ranks=ranks, seed=seed, make=MAKERS[maker])

    before = [dealt(rank, 3) for rank in range(3)]
    for streams in before:
        for key in streams:
            numbers(streams[key])
    checkpoint = stored_by(3, lambda rank: ({"dropout": before[rank]}, None))
    expected = {key: numbers(streams[key]) for streams in before for key in streams}
    assert len(expected) == 6
    after = [dealt(rank, 2, seed=99) for rank in range(2)]
    for streams in after:
        checkpoint.load({"dropout": streams})
    assert {key: numbers(streams[key]) for streams in after for key in streams} == expected


@pytest.mark.parametrize("seed", [7, [7, 2**90], ["0xabc", 3]])
@pytest.mark.parametrize("fresh", [7, 8])
def test_what_a_generator_spawns_next_is_restored_with_it(seed: Any, fresh: int) -> None:
    one, other = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(4,))), np.random.default_rng(fresh)
    one.spawn(2)
    checkpoint = stored({"s": Streams({0: one})})
    checkpoint.load({"s": Streams({0: other})})
    assert numbers(one) == numbers(other)
    assert [numbers(each) for each in one.spawn(2)] == [numbers(each) for each in other.spawn(2)]


def test_a_checkpoint_that_knows_nothing_of_spawning_loads() -> None:
    one, other = np.random.default_rng(7), np.random.default_rng(8)
    checkpoint = stored({"s": Streams({0: one})})
    del checkpoint.values["s.0"]["seed"]
    checkpoint.load({"s": Streams({0: other})})
    assert numbers(one) == numbers(other)


def test_shards_have_different_numbers_and_one_seed_gives_the_same_ones() -> None:
    one, other = Streams.dealt(4, rank=0, ranks=1, seed=3), Streams.dealt(4, rank=1, ranks=2, seed=3)
    drawn = {key: tuple(numbers(one[key])) for key in one}
    assert len(set(drawn.values())) == 4
    assert [tuple(numbers(other[key])) for key in (1, 3)] == [drawn["1"], drawn["3"]]
    assert len(other) == 2


def test_a_stream_of_another_kind_is_refused() -> None:
    checkpoint = stored({"s": Streams({0: np.random.default_rng(1)})})
    with pytest.raises(CheckpointMismatch, match=r"s\.0 was saved by a generator of kind 'numpy', and is one of 'python' now"):
        checkpoint.load({"s": Streams({0: random.Random()})})
    with pytest.raises(CheckpointMismatch, match=r"s\.0 was saved by a PCG64 of numpy's, and is a Philox now"):
        checkpoint.load({"s": Streams({0: MAKERS["philox"](1)})})
    with pytest.raises(UsageError, match=r"s\.0 is a builtins\.int: a stream is"):
        take({"s": Streams({0: 7})})
    with pytest.raises(UsageError, match="dot"):
        Streams({"a.b": random.Random()})


def test_a_stream_of_another_device_or_of_no_generator_is_refused() -> None:
    checkpoint = stored({"s": Streams({0: torch.Generator()})})
    checkpoint.values["s.0"]["device"] = "cuda"
    with pytest.raises(CheckpointMismatch, match=r"s\.0 was saved by a generator of device 'cuda', and is one of 'cpu' now"):
        checkpoint.load({"s": Streams({0: torch.Generator()})})
    with pytest.raises(CheckpointMismatch, match=r"s\.0 was saved by a generator of kind None, and is one of 'torch' now"):
        stored({"s": {"0": 7}}).load({"s": Streams({0: torch.Generator()})})


def test_shards_of_neighbouring_seeds_have_different_numbers() -> None:
    one, other = (Streams.dealt(8, rank=0, ranks=1, seed=seed) for seed in (3, 4))
    assert not {one[key].random() for key in one} & {other[key].random() for key in other}


# --- cursors ---------------------------------------------------------------------------------------------------------


class Job:
    """Shards that read at their own pace, and are stopped and started again as others. Every index that is done is recorded."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.cursors: list[Cursor] = []
        self.finished: list[int] = []

    def start(self, shards: int, block: int) -> None:
        before = self.cursors
        self.cursors = [Cursor(self.total, shard=shard, shards=shards, block=block) for shard in range(shards)]
        if before:
            checkpoint = stored_by(len(before), lambda rank: ({"data": before[rank]}, None))
            for cursor in self.cursors:
                checkpoint.load({"data": cursor})

    def read(self, shard: int, count: int, done: int) -> None:
        cursor = self.cursors[shard % len(self.cursors)]
        cursor.draw(count)
        finished = cursor.residual[:done]
        cursor.done(finished)
        self.finished += finished


READS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(0, 9)), max_size=8)


@settings(deadline=None, max_examples=80)
@given(total=st.integers(1, 20), runs=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3), READS), min_size=1, max_size=5))
def test_every_index_is_done_exactly_once_whatever_the_ranks(total: int, runs: Any) -> None:
    job = Job(total)
    for shards, block, reads in runs:
        job.start(shards, block)
        for shard, count, done in reads:
            job.read(shard, count, done)
        assert len(set(job.finished)) == len(job.finished)
    job.start(1, 1)
    (last,) = job.cursors
    stop = max(job.finished, default=0) + 200
    rest = []
    while not rest or rest[-1] < stop:
        rest += last.take(1)
    everything = sorted(job.finished + [index for index in rest if index < stop])
    assert everything == list(range(stop))


@settings(deadline=None, max_examples=40)
@given(total=st.integers(1, 9), shards=st.integers(1, 4), block=st.integers(1, 3), reads=READS)
def test_the_same_shards_go_on_as_if_nothing_happened(total: int, shards: int, block: int, reads: Any) -> None:
    """What was drawn and not done comes again; then each shard draws what it would have drawn."""
    job = Job(total)
    job.start(shards, block)
    for shard, count, done in reads:
        job.read(shard, count, done)
    before = job.cursors
    expected = [cursor.residual + cursor_copy(cursor).draw(10) for cursor in before]
    job.start(shards, block)
    assert [cursor.draw(10 + len(old.residual)) for cursor, old in zip(job.cursors, before, strict=True)] == expected


def cursor_copy(cursor: Cursor) -> Cursor:
    """One that has drawn as much."""
    where = cursor.dealt()
    copy = Cursor(cursor.total, shard=where.shard, shards=where.shards, block=where.block)
    drawn = where.rounds * where.block - len(where.pending) + len(cursor.residual)
    copy.draw(drawn)
    return copy


def test_shards_are_dealt_blocks_in_turn() -> None:
    cursors = [Cursor(100, shard=shard, shards=3, block=2) for shard in range(3)]
    assert [cursor.take(4) for cursor in cursors] == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]


def test_ranks_that_read_the_same_data_have_one_shard() -> None:
    inventories = [take({"data": Cursor(10, shard=rank // 2, shards=2)}) for rank in range(4)]
    assert agree_on_values([inventory.values for inventory in inventories]).keys() == {"data.0", "data.1"}
    ahead = Cursor(10, shard=0, shards=2)
    ahead.take(1)
    with pytest.raises(CheckpointMismatch, match=r"data\.0: rank 1"):
        agree_on_values([inventories[0].values, take({"data": ahead}).values])


def test_an_index_can_not_be_done_twice_or_undrawn() -> None:
    cursor = Cursor(10)
    cursor.draw(2)
    cursor.done([1])
    for index in (1, 7):
        with pytest.raises(UsageError, match=f"index {index} was not drawn"):
            cursor.done([index])
    with pytest.raises(UsageError, match="shard 2 of 2"):
        Cursor(10, shard=2, shards=2)


def test_a_cursor_with_a_missing_shard_or_another_data_set_is_refused() -> None:
    checkpoint = stored_by(3, lambda rank: ({"data": Cursor(10, shard=rank, shards=3)}, None))
    with pytest.raises(CheckpointMismatch, match="the cursor data has 11 samples, and had 10 when it was saved"):
        checkpoint.load({"data": Cursor(11)})
    del checkpoint.values["data.1"]
    with pytest.raises(CheckpointMismatch, match="not those of one deal: 0 of 3, 2 of 3"):
        checkpoint.load({"data": Cursor(10)})
    with pytest.raises(CheckpointMismatch, match=r"other\.0 is in the state \(a plain value\), but not in the checkpoint"):
        checkpoint.load({"other": Cursor(10)})


def test_a_cursor_that_is_not_selected_stays_where_it_is() -> None:
    checkpoint = stored({"data": Cursor(10), "x": 1})
    cursor = Cursor(10)
    cursor.take(3)
    checkpoint.load({"data": cursor, "x": 0}, select=lambda name: name == "x")
    assert cursor.take(1) == [3]
    checkpoint.load({"data": Cursor(99), "x": 0}, select=lambda name: name == "x")  # whatever it reads


def test_what_is_left_is_dealt_in_order_to_the_new_shards_in_turn() -> None:
    before = [Cursor(100, shard=shard, shards=2, block=3) for shard in range(2)]
    assert [before[0].take(4), before[1].draw(1)] == [[0, 1, 2, 6], [3]]
    checkpoint = stored_by(2, lambda rank: ({"data": before[rank]}, None))
    after = [Cursor(100, shard=shard, shards=3) for shard in range(3)]
    for cursor in after:
        checkpoint.load({"data": cursor})
    assert [cursor.take(4) for cursor in after] == [[3, 7, 10, 12], [4, 8, 11, 13], [5, 9, 14, 17]]


def test_as_many_shards_with_other_blocks_are_a_new_deal() -> None:
    before = [Cursor(100, shard=shard, shards=2, block=3) for shard in range(2)]
    before[1].take(1)
    checkpoint = stored_by(2, lambda rank: ({"data": before[rank]}, None))
    after = [Cursor(100, shard=shard, shards=2) for shard in range(2)]
    for cursor in after:
        checkpoint.load({"data": cursor})
    assert [cursor.take(5) for cursor in after] == [[0, 2, 5, 6, 8], [1, 4, 7, 9, 11]]


def test_a_cursor_that_was_read_from_before_goes_where_the_saved_one_was() -> None:
    """What it drew since is drawn again, and is not residual twice."""
    cursor = Cursor(10)
    cursor.draw(2)
    checkpoint = stored({"data": cursor})
    cursor.draw(3)
    checkpoint.load({"data": cursor})
    assert cursor.residual == []
    assert cursor.draw(4) == [0, 1, 2, 3]
    with pytest.raises(UsageError, match="index 4 was not drawn"):
        cursor.done([4])


@pytest.mark.parametrize("key", ["base", "block"])
def test_shards_of_two_deals_are_refused(key: str) -> None:
    checkpoint = stored_by(2, lambda rank: ({"data": Cursor(10, shard=rank, shards=2)}, None))
    checkpoint.values["data.1"][key] = 4
    with pytest.raises(CheckpointMismatch, match="not those of one deal: 0 of 2, 1 of 2"):
        checkpoint.load({"data": Cursor(10)})
