"""`Trained`: only what trains of a module, under the names that it has there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import headway as hw
from headway.checkpoint import Trained
from headway.checkpoint.state.walk import take
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
        with pytest.raises(CheckpointMismatch, match=r"model\.0\.bias is in the checkpoint \(F32 \[4\]\), but not in the state"):
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
    """A layer that counts, and says so in a tensor and in its own way."""

    def __init__(self, count: int) -> None:
        super().__init__(2, 2)
        self.seen, self.calls = torch.tensor(count), count

    def get_extra_state(self) -> Any:
        return self.seen

    def set_extra_state(self, state: Any) -> None:
        self.seen = state

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "calls"] = torch.tensor(self.calls)

    def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
        self.calls = int(state.pop(prefix + "calls"))
        super()._load_from_state_dict(state, prefix, *rest)


@pytest.mark.parametrize("whole", [True, False])
def test_what_a_module_has_beside_arrays_comes_back(tmp_path: Any, whole: bool) -> None:
    model, other = (torch.nn.Sequential(Extra(count), torch.nn.Linear(2, 2)) for count in (7, 0))
    for each in (model, other):
        each[0].weight.requires_grad_(False)
    base = other[0].weight.clone()
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"model": Trained(model)}, 1).durable()
        assert "model.0.weight" not in ck.open()
        ck.load(into={"model": other if whole else Trained(other)}, strict=not whole)
    assert (int(other[0].seen), other[0].calls) == (7, 7)
    assert torch.equal(other[0].weight, base)
    assert torch.equal(other[1].weight, model[1].weight)


def test_wrappers_are_in_no_name_of_what_trains() -> None:
    model = torch.nn.Linear(2, 2)
    for wrapped in (torch.compile(model, backend="eager"), torch.nn.DataParallel(model)):
        assert [each.name for each in take({"model": Trained(wrapped)}).holdings] == ["model.weight", "model.bias"]


def test_what_can_be_no_part_that_trains_is_refused(tmp_path: Any) -> None:
    with pytest.raises(UsageError, match=r"Trained\(dict\): give a module of torch"):
        Trained({})
    ck = hw.Checkpoints(tmp_path)
    with pytest.raises(UsageError, match=r"model is Trained\(Linear\), and no parameter of the module requires gradients"):
        ck.save({"model": Trained(torch.nn.Linear(1, 1).requires_grad_(False))}, 1)
