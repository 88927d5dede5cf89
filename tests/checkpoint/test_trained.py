"""`Trained`: only what trains of a module, under the names that it has there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import headway as hw
from headway.checkpoint import Trained
from headway.errors import CheckpointMismatch, UsageError


def adapted(seed: int) -> tuple[Any, Any]:
    """A frozen layer, one with running means, and one that trains; with its optimizer after a step."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    model[0].requires_grad_(False)
    model[1].requires_grad_(False)
    optimizer = torch.optim.AdamW(model[2].parameters())
    return model, optimizer


def train(model: Any, optimizer: Any) -> None:
    optimizer.zero_grad()
    model(torch.randn(5, 4)).square().sum().backward()
    optimizer.step()


def test_what_trains_goes_on_and_the_base_is_in_no_checkpoint(tmp_path: Any) -> None:
    model, optimizer = adapted(0)
    with hw.Checkpoints(tmp_path) as ck:
        for _ in ck.steps({"model": Trained(model), "opt": optimizer}, total=3, every=1):
            train(model, optimizer)
        names = {name for name in ck.open() if name.startswith("model.")}
    assert names == {f"model.{name}" for name in model.state_dict() if not name.startswith("0.") and name[:3] not in ("1.w", "1.b")}
    for whole in (False, True):
        other, its = adapted(1)
        base = other[0].weight.clone()
        state = {"model": other if whole else Trained(other), "opt": its}
        restored = hw.Checkpoints(tmp_path).load(into=state, strict=not whole)
        assert torch.equal(other[0].weight, base)
        assert torch.equal(other[2].weight, model[2].weight)
        assert torch.equal(other[1].running_mean, model[1].running_mean)
        assert torch.equal(its.state[other[2].weight]["exp_avg"], optimizer.state[model[2].weight]["exp_avg"])
        assert len(restored.missing) == (4 if whole else 0)


def test_what_is_thawed_while_training_is_in_the_next_checkpoint(tmp_path: Any) -> None:
    model, optimizer = adapted(0)
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"model": Trained(model)}, 1).durable()
        model[0].requires_grad_(True)
        optimizer.add_param_group({"params": list(model[0].parameters())})
        train(model, optimizer)
        ck.save({"model": Trained(model)}, 2).durable()
        other, _ = adapted(1)
        with pytest.raises(CheckpointMismatch, match=r"in the checkpoint, but not in the state: model\.0"):
            ck.load(into={"model": Trained(other)})
        other.requires_grad_(True)
        other[1].requires_grad_(False)
        ck.load(into={"model": Trained(other)})
        assert torch.equal(other[0].weight, model[0].weight)


def test_tied_parameters_are_one(tmp_path: Any) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model[2].requires_grad_(False)
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"model": Trained(model)}, 1).durable()
        assert ck.open().manifest.objects["model.1.weight"].alias_of == "model.0.weight"
        ck.load(into={"model": Trained(model)})


class Extra(torch.nn.Linear):
    def get_extra_state(self) -> Any:
        return {"seen": 3}


def test_what_can_be_no_part_that_trains_is_refused(tmp_path: Any) -> None:
    with pytest.raises(UsageError, match=r"Trained\(dict\): give a module of torch"):
        Trained({})
    ck = hw.Checkpoints(tmp_path)
    with pytest.raises(UsageError, match=r"model is Trained\(Linear\), and no parameter of the module requires gradients"):
        ck.save({"model": Trained(torch.nn.Linear(1, 1).requires_grad_(False))}, 1)
    with pytest.raises(UsageError, match="_extra_state of the module is no tensor: give the whole module"):
        ck.save({"model": Trained(Extra(1, 1))}, 1)
