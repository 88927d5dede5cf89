"""Optimizers that torch.distributed.checkpoint has saved load into one of torch's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_files import save_dcp

import headway as hw
from headway.checkpoint.formats.dcp.importer import import_dcp
from headway.storage.opening import open_backend


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2, bias=False)
        self.register_buffer("seen", torch.zeros(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(self.up(x))


def stepped(make: Callable[[torch.nn.Module], torch.optim.Optimizer]) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    net = Net()
    optimizer = make(net)
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return net, optimizer


def two_groups(net: torch.nn.Module, lr: Any = 0.1) -> torch.optim.Optimizer:
    groups = [{"params": [net.up.weight], "weight_decay": 0.5}, {"params": [net.up.bias, net.down.weight]}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.8, 0.95))


def tensors_of(optimizer: torch.optim.Optimizer) -> list[Any]:
    return [[(name, value.tolist()) for name, value in slots.items()] for slots in optimizer.state_dict()["state"].values()]


def groups_of(optimizer: torch.optim.Optimizer) -> list[Any]:
    return [{**group, "lr": float(group["lr"])} for group in optimizer.state_dict()["param_groups"]]


def dcp_of(net: torch.nn.Module, optimizer: Any, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # DCP's own
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

        return get_state_dict(net, optimizer, options=StateDictOptions(**options))


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)], ids=["number", "tensor"])
def test_moments_and_hyperparameters_of_dcp_load_into_an_optimizer(tmp_path: Path, flat: bool, lr: Any) -> None:
    net, optimizer = stepped(lambda net: two_groups(net, lr))
    model, opt = dcp_of(net, optimizer, flatten_optimizer_state_dict=flat)
    folder = save_dcp({"model": model, "opt": opt, "epoch": 3}, tmp_path / "dcp")
    manifest = import_dcp(open_backend(tmp_path / "root"), folder, step=5)
    assert "notes" not in manifest.provenance
    other = Net()
    fresh = two_groups(other, 0.7)
    state = {"model": other, "opt": fresh, "epoch": 0}
    assert hw.Checkpoints(tmp_path / "root").load(into=state).step == 5
    assert (state["epoch"], tensors_of(fresh), groups_of(fresh)) == (3, tensors_of(optimizer), groups_of(optimizer))
    assert all(torch.equal(mine, its) for mine, its in zip(other.parameters(), net.parameters(), strict=True))


def test_several_optimizers_deeper_down_and_words_of_wrappers_are_understood(tmp_path: Path) -> None:
    net, adam = stepped(lambda net: torch.optim.AdamW(net.up.parameters(), lr=0.1))
    critic, sgd = stepped(lambda net: torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.9))
    one, other = dcp_of(net, adam), dcp_of(critic, sgd)
    wrapped = {f"module._orig_mod.{name}": value for name, value in one[0].items()}
    tree = {"app": {"model": wrapped, "optim": one[1]}, "critic": {"model": other[0], "optim": other[1]}}
    folder = save_dcp(tree, tmp_path / "dcp")
    manifest = import_dcp(open_backend(tmp_path / "root"), folder, rename=lambda name: "run." + name)
    assert "run.app.optim.state.run.app.model.up.weight.exp_avg" in manifest.objects
    net2, critic2 = Net(), Net()
    adam2, sgd2 = torch.optim.AdamW(net2.up.parameters()), torch.optim.SGD(critic2.parameters(), lr=1.0, momentum=0.9)
    state = {"run": {"app": {"model": net2, "optim": adam2}, "critic": {"model": critic2, "optim": sgd2}}}
    hw.Checkpoints(tmp_path / "root").load(into=state)
    assert tensors_of(adam2) == tensors_of(adam)
    assert (tensors_of(sgd2), sgd2.param_groups[0]["lr"]) == (tensors_of(sgd), 0.2)


def test_an_optimizer_of_numbers_or_of_parameters_in_two_places_is_kept_and_told(tmp_path: Path) -> None:
    net, optimizer = stepped(two_groups)
    backend = open_backend(tmp_path / "root")
    numbered = {"model": net.state_dict(), "opt": optimizer.state_dict()}
    manifest = import_dcp(backend, save_dcp(numbered, tmp_path / "numbered"), step=1)
    assert "opt has numbers instead of names" in str(manifest.provenance["notes"])
    assert {"opt.state.0.exp_avg", "opt.state.2.step"} < set(manifest.objects)
    assert manifest.values["opt.param_groups.0.lr"] == 0.1
    model, opt = dcp_of(net, optimizer)
    twice = {"one": model, "two": {name: value.clone() for name, value in model.items()}, "opt": opt}
    manifest = import_dcp(backend, save_dcp(twice, tmp_path / "twice"), step=2)
    assert "one, two have them all" in str(manifest.provenance["notes"])
    assert "opt.state.up.weight.exp_avg" in manifest.objects
    ema = {"model": model, "ema": {name: value.clone() for name, value in model.items()}, "opt": opt}
    manifest = import_dcp(backend, save_dcp(ema, tmp_path / "ema"), step=3)
    assert "opt.state.model.up.weight.exp_avg" in manifest.objects


def test_a_model_alone_loses_the_words_of_its_wrappers(tmp_path: Path) -> None:
    state = {f"module.{name}": value for name, value in Net().state_dict().items()}
    manifest = import_dcp(open_backend(tmp_path / "root"), save_dcp(state, tmp_path / "dcp"), rename=lambda name: f"model.{name}")
    assert sorted(manifest.objects) == ["model.down.weight", "model.seen", "model.up.bias", "model.up.weight"]
