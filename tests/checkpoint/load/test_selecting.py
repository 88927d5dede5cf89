"""A choice of names brings the bytes of every name in it, whatever else has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import headway as hw
from headway.checkpoint.state.walk import take, take_for_load
from headway.errors import CheckpointMismatch


class Language(torch.nn.Module):
    """An embedding, two heads that are tied to it, and a layer between them."""

    def __init__(self, tied: bool = True) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(5, 3)
        self.layer = torch.nn.Linear(3, 3)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.other = torch.nn.Linear(3, 5, bias=False)
        if tied:
            self.head.weight = self.other.weight = self.embed.weight


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Language]:
    model = Language()
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"m": model}, 1).durable()
    return tmp_path, model


@pytest.mark.parametrize("select", ["m.head.weight", ["layer.*", "*head.*"], lambda name: "embed" not in name])
@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_tensor_that_is_chosen_is_loaded_without_the_name_that_holds_it(saved: Any, select: Any, tied: bool) -> None:
    root, model = saved
    fresh = Language(tied)
    before = fresh.embed.weight.detach().clone()
    restored = hw.Checkpoints(root).load(into={"m": fresh}, select=select)
    assert torch.equal(fresh.head.weight, model.head.weight)
    assert torch.equal(fresh.embed.weight, model.embed.weight if tied else before)
    assert "m.head.weight" in restored.loaded
    assert restored.bytes_read >= model.head.weight.nbytes


def test_of_a_checkpoint_that_is_not_tied_the_chosen_one_is_loaded(tmp_path: Path) -> None:
    model, fresh = Language(tied=False), Language()
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"m": model}, 1).durable()
        ck.load(into={"m": fresh}, select="head.*")
        assert torch.equal(fresh.embed.weight, model.head.weight)
        with pytest.raises(CheckpointMismatch, match=r"m\.other\.weight is tied to m\.head\.weight in the state"):
            ck.load(into={"m": fresh}, select=["head.*", "other.*"])


def test_a_tied_tensor_is_loaded_without_a_state_under_the_name_that_was_chosen(saved: Any) -> None:
    root, model = saved
    ck = hw.Checkpoints(root)
    restored = ck.load(select=["head.*", "other.*"])
    assert set(restored.loaded) == {"m.head.weight", "m.other.weight"}
    assert torch.equal(restored.state["m"]["head"]["weight"], model.head.weight)
    assert restored.state["m"]["head"]["weight"] is restored.state["m"]["other"]["weight"]
    whole = ck.load().state["m"]
    assert whole["embed"]["weight"] is whole["head"]["weight"]


def test_what_only_another_name_of_it_has_is_loaded_by_that_and_not_missing() -> None:
    tied = torch.ones(2)
    taken = take({"b": tied})
    wanted = take_for_load({"a": tied, "b": tied, "c": torch.ones(1)}, {"b": taken.holdings[0].object}, {}, strict=False)
    assert [each.name for each in wanted.holdings] == ["b"]
    assert (wanted.aliases, wanted.missing) == ({}, {"c": "array"})


def test_a_chosen_name_that_the_checkpoint_lacks_is_a_mismatch_though_it_is_tied() -> None:
    tied = torch.ones(2)
    objects = {each.name: each.object for each in take({"a": tied}).holdings}
    with pytest.raises(CheckpointMismatch, match=r"b is in the state \(.*\), but not in the checkpoint"):
        take_for_load({"a": tied, "b": tied}, objects, {}, select=lambda name: name == "b")


class Averages:
    """An object with arrays in its state."""

    def __init__(self, value: float) -> None:
        self.mean = torch.full((3,), value)

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.mean, "seen": 1}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mean = state["mean"]


@pytest.mark.parametrize("select", ["ema", lambda name: name == "ema"])
def test_the_arrays_of_an_object_come_with_it(tmp_path: Path, select: Any) -> None:
    fresh = Averages(0)
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"ema": Averages(7), "w": torch.ones(2)}, 1).durable()
        assert ck.load(into={"ema": fresh}, select=select).loaded == ("ema.mean", "ema")
        assert fresh.mean.tolist() == [7, 7, 7]
        assert ck.load(select=select).state["ema"]["mean"].tolist() == [7, 7, 7]
        with pytest.raises(CheckpointMismatch, match="nothing that would be loaded"):
            ck.load(into={"ema": fresh}, select="ema.mean")
