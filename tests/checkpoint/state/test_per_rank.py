"""What each rank has for itself is kept under its own name, and given back to it alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from gang import Gang

import headway as hw
from headway.checkpoint import Layout, PerRank, Split, Streams
from headway.checkpoint.state.walk import optimizers_in
from headway.errors import CheckpointMismatch


def own(rank):
    """What a rank has: arrays, a tuple, a list that grows, and a generator."""
    return {
        "shared": np.arange(5),
        "gen": PerRank(torch.full((600,), 10 + rank)),
        "seen": PerRank(rank),
        "loader": PerRank({"cursor": (rank, "x"), "done": list(range(rank)), "order": np.arange(rank + 2)}),
        "rng": PerRank(Streams({"mine": random.Random(rank)})),
    }


def test_every_rank_gets_back_what_it_had(tmp_path):
    def train(member):
        state = own(member.rank)
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            ck.save(state, 1).durable()
            drawn = state["rng"].value["mine"].random()
            state["gen"].value.zero_()
            state["seen"].value = 99
            state["loader"].value.update(cursor=(9, "y"), done=[])
            ck.load(into=state)
        loader = state["loader"].value
        mine = state["gen"].value.tolist(), state["seen"].value, loader["cursor"], loader["done"], loader["order"].tolist()
        return mine, state["rng"].value["mine"].random() == drawn

    for rank, (mine, same) in enumerate(Gang(3).run(train)):
        assert mine == ([10 + rank] * 600, rank, (rank, "x"), list(range(rank)), list(range(rank + 2)))
        assert same
    names = set(hw.Checkpoints(tmp_path).latest().objects)
    assert {"shared", "gen.rank-0-of-3", "gen.rank-2-of-3", "loader.rank-1-of-3.order"} < names


def test_another_number_of_ranks_is_refused_on_all_of_them_before_anything_changes(tmp_path):
    def save(member):
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            ck.save(own(member.rank), 1).durable()

    def load(member, **options):
        state = {**own(member.rank), "shared": np.zeros(5, int)}
        try:
            hw.Checkpoints(tmp_path, ranks=member).load(into=state, **options)
        except CheckpointMismatch as error:
            return str(error), state["shared"].tolist()
        return state["seen"].value, state["shared"].tolist()

    assert Gang(2).run(save) == [None, None]
    for ranks in (1, 3):
        for said, shared in Gang(ranks).run(load):
            assert "gen is PerRank and was saved by 2 ranks" in said
            assert "Nothing was changed" in said
            assert shared == [0] * 5
    chosen = Gang(3).run(lambda member: load(member, select=lambda name: name == "shared"))
    with pytest.warns(RuntimeWarning, match="step 1 has nothing of gen, loader, rng, seen: that stays as it is"):
        lenient = Gang(3).run(lambda member: load(member, strict=False))
    assert chosen == lenient == [(rank, list(range(5))) for rank in range(3)]


def test_what_is_per_rank_is_no_shard_of_a_layout(tmp_path):
    def train(member):
        layout = Layout([Split("*w", dim=0, axis="tp")], axes={"tp": (member.rank, 2)})
        state = {"w": np.full((2, 3), member.rank), "mine": PerRank({"w": np.full((2, 3), 5 + member.rank)})}
        with hw.Checkpoints(tmp_path, ranks=member, layout=layout) as ck:
            ck.save(state, 1).durable()
            state["mine"].value["w"][:] = 0
            ck.load(into=state)
            return state["mine"].value["w"][0, 0], ck.latest().objects["w"].shape

    assert Gang(2).run(train) == [(5, (4, 3)), (6, (4, 3))]


def test_a_model_of_its_own_comes_with_its_optimizer(tmp_path):
    def train(member):
        model = torch.nn.Linear(2, 2)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1 + member.rank)
        model(torch.ones(1, 2) * (1 + member.rank)).sum().backward()
        optimizer.step()
        state = {"mine": PerRank({"model": model, "opt": optimizer})}
        before = model.weight.detach().clone(), optimizer.state[model.weight]["exp_avg"].clone()
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            ck.save(state, 1).durable()
            optimizer.step()
            optimizer.param_groups[0]["lr"] = 7.0
            ck.load(into=state)
        same = torch.equal(model.weight, before[0]) and torch.equal(optimizer.state[model.weight]["exp_avg"], before[1])
        return same, optimizer.param_groups[0]["lr"], optimizers_in(state) == [optimizer]

    assert Gang(2).run(train) == [(True, 0.1, True), (True, 1.1, True)]


def test_one_rank_alone_has_a_name_as_well(tmp_path):
    state = PerRank((1, 2))
    with hw.Checkpoints(tmp_path) as ck:
        ck.save(state, 1).durable()
        state.value = (0, 0)
        ck.load(into=state)
        assert state.value == (1, 2)
        assert repr(state) == "PerRank((1, 2))"
        with pytest.raises(CheckpointMismatch, match=r"in the state \(.*\), but not in the checkpoint"):
            ck.load(into={"other": state})


def test_what_may_begin_anew_is_left_as_it_is_by_another_number_of_ranks_and_said(tmp_path):
    def state_of(rank):
        generator = np.random.default_rng(rank)
        return {
            "w": np.full(3, 7.0 if rank < 2 else 0.0),
            "rng": PerRank(Streams({"mine": generator}), fresh=True),
            "seen": PerRank({"rows": np.arange(rank + 2), "count": rank}, fresh=True),
        }

    def save(member):
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            state = state_of(member.rank)
            state["rng"].value["mine"].random(5)
            ck.save(state, 1).durable()

    def load(member):
        state = state_of(member.rank)
        state["w"][:] = 0
        restored = hw.Checkpoints(tmp_path, ranks=member).load(into=state)
        assert state["rng"].value["mine"].random() == np.random.default_rng(member.rank).random()
        return state["w"].sum(), restored.loaded, len(restored.left) >= 6

    Gang(2).run(save)
    with pytest.warns(
        RuntimeWarning, match=r"(rng|seen) is PerRank and was saved by 2 ranks.*there are 3 ranks now: it begins as it is"
    ):
        outcome = Gang(3).run(load)
    assert outcome == [(21.0, ("w",), True)] * 3

    def load_again(member):
        state = state_of(member.rank)
        hw.Checkpoints(tmp_path, ranks=member).load(into=state)
        return state["rng"].value["mine"].random()

    fifth = [np.random.default_rng(rank).random(6)[-1] for rank in range(2)]
    assert Gang(2).run(load_again) == fifth
