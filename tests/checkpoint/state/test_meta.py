"""Tensors without memory: a model on the meta device, or a lazy one, is loaded into without a second copy."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from in_memory import stored
from torch import nn

import headway as hw
from headway.checkpoint.layout.declared import Layout, Split
from headway.checkpoint.state.walk import take
from headway.errors import CheckpointMismatch, UsageError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.down = nn.Linear(4, 3, bias=False)
        self.tied = self.down
        self.frozen = nn.Parameter(torch.randn(2), requires_grad=False)

    def forward(self, x: Any) -> Any:
        return self.down(self.norm(self.up(x))) + self.frozen.sum()


def made(device: str = "cpu", seed: int = 0) -> tuple[Net, Any]:
    torch.manual_seed(seed)
    with torch.device(device):
        net = Net()
    return net, torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=0.1)


def train(net: Any, optimizer: Any, steps: int) -> list[float]:
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = net(torch.randn(5, 3, generator=torch.Generator().manual_seed(step))).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_model_on_the_meta_device_trains_on_like_the_one_that_was_saved(tmp_path: Any) -> None:
    net, optimizer = made()
    train(net, optimizer, 3)
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"model": net, "opt": optimizer}, 3).durable()
        other, fresh = made("meta")
        parameters = [id(parameter) for parameter in other.parameters()]
        ck.load(into={"model": other, "opt": fresh})
    assert [id(parameter) for parameter in other.parameters()] == parameters  # the optimizer knows them
    assert {each.device.type for each in (*other.parameters(), *other.buffers())} == {"cpu"}
    assert other.tied.weight is other.down.weight
    assert not other.frozen.requires_grad
    assert train(other, fresh, 4) == train(net, optimizer, 4)


def test_what_is_loaded_into_is_the_memory_of_the_model() -> None:
    checkpoint = stored({"w": torch.arange(6.0)})
    into = torch.empty(6, device="meta")
    into.note = "mine"  # type: ignore[attr-defined]
    inventory = checkpoint.load({"w": into})
    assert into.tolist() == list(range(6))
    assert into.data_ptr() == inventory.holdings[0].memory.view(inventory.holdings[0].pieces[0]).ctypes.data
    assert into.note == "mine"  # type: ignore[attr-defined]


def test_tensors_of_one_shape_are_not_taken_for_one() -> None:
    checkpoint = stored({"a": torch.ones(2), "b": torch.zeros(2)})
    into = {name: torch.empty(2, device="meta") for name in "ab"}
    checkpoint.load(into)
    assert (into["a"].tolist(), into["b"].tolist()) == ([1, 1], [0, 0])


def test_a_new_tensor_is_on_the_device_of_new_tensors_even_inside_of_meta() -> None:
    checkpoint = stored({"a": torch.ones(2)})
    with torch.device("meta"):
        into = {"a": torch.empty(2)}
        checkpoint.load(into)
    assert into["a"].device.type == "cpu"


class WithTable(nn.Linear):
    def __init__(self) -> None:
        super().__init__(2, 2)
        self.register_buffer("table", torch.arange(3.0), persistent=False)


def test_what_stays_without_memory_is_told_with_its_name() -> None:
    checkpoint = stored({"m": WithTable()})
    with torch.device("meta"):
        model = WithTable()
    with pytest.warns(RuntimeWarning, match=r"m\.table had no memory and got none.*make them anew"):
        checkpoint.load({"m": model})
    with torch.device("meta"):
        model = nn.Linear(2, 2)
        more = torch.empty(3)
    with pytest.warns(RuntimeWarning, match=r"m\.bias, more had no memory"):
        checkpoint.load({"m": model, "more": more}, strict=False, select=lambda name: name != "m.bias")
    assert (model.weight.device.type, model.bias.device.type) == ("cpu", "meta")


def test_what_does_not_fit_is_refused_and_nothing_gets_memory() -> None:
    checkpoint = stored({"a": torch.ones(2), "b": torch.ones(2)})
    for wrong in (torch.empty(3, device="meta"), torch.empty(2, device="meta", dtype=torch.float16)):
        into = {"a": torch.empty(2, device="meta"), "b": wrong}
        with pytest.raises(CheckpointMismatch, match="b is F"):
            checkpoint.load(into)
        assert into["a"].device.type == "meta"
    with pytest.raises(CheckpointMismatch, match=r"c is in the state \(.*\), but not in the checkpoint"):
        checkpoint.load({name: torch.empty(2, device="meta") for name in "abc"})


def test_a_part_of_a_layout_is_loaded_into_a_part_without_memory() -> None:
    checkpoint = stored({"w": torch.arange(8.0).reshape(4, 2)})
    into = {"w": torch.empty(2, 2, device="meta")}
    layout = Layout([Split("w", dim=0, axis="tp")], axes={"tp": (1, 2)})
    checkpoint.load(into, layout)
    assert into["w"].tolist() == [[4, 5], [6, 7]]


def test_what_can_not_be_exchanged_is_refused_before_anything_changes() -> None:
    checkpoint = stored({"a": torch.ones(2), "b": torch.ones(2)})
    into = {"a": torch.zeros(2), "b": torch.empty(2, device="meta")}
    watched = weakref.ref(into["b"])
    with pytest.raises(UsageError, match="b is on the meta device, and something refers to it weakly"):
        checkpoint.load(into)
    assert watched() is not None
    assert into["a"].tolist() == [0, 0]
    with pytest.raises(UsageError, match="meta device, without memory"):
        take({"b": into["b"]})  # nothing to save


def lazy(calls: int, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    for _ in range(calls):
        net(torch.randn(4, 2))
    return net


def test_a_lazy_module_gets_its_shape_by_being_loaded() -> None:
    net, fresh = lazy(2), lazy(0, 1)
    optimizer = torch.optim.SGD(fresh.parameters(), lr=0.1)
    stored({"m": net}).load({"m": fresh})
    x = torch.ones(4, 2)
    assert torch.equal(net.eval()(x), fresh.eval()(x))
    assert type(fresh[0]) is nn.Linear  # as after a first call
    assert optimizer.param_groups[0]["params"][0] is fresh[0].weight
    with pytest.raises(UsageError, match=r"tensor m\.0\.weight can't be kept.*of a lazy module that was not called yet"):
        take({"m": lazy(0)})
    with pytest.raises(CheckpointMismatch, match=r"m\.0\.weight is in the state \(an array without a shape yet\), but not in"):
        stored({"n": 1}).load({"n": 2, "m": lazy(0)})
