"""Optimizers in a state: moments, groups and hyperparameters come back, and others are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from in_memory import stored, stored_by
from small_net import Net, torch, train, trained

from headway.checkpoint.layout.declared import Layout, Split
from headway.checkpoint.state.walk import take, take_for_load
from headway.errors import CheckpointMismatch, LayoutError, UsageError

OPTIMIZERS = {
    "AdamW": {},
    "SGD": {"momentum": 0.9, "lr": 0.1},
    "Adagrad": {},
    "RMSprop": {"centered": True},
    "Adafactor": {},
    "NAdam": {},
    "ASGD": {},
    "Rprop": {},
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_training_goes_on_from_a_fresh_optimizer_as_if_nothing_happened(kind: str) -> None:
    def make(seed: int) -> tuple[Net, Any]:
        torch.manual_seed(seed)
        net = Net()
        return net, getattr(torch.optim, kind)([p for p in net.parameters() if p.numel()], **OPTIMIZERS[kind])

    net, optimizer = make(0)
    train(net, optimizer, 3)
    checkpoint = stored({"model": net, "opt": optimizer})
    other, fresh = make(1)
    checkpoint.load({"model": other, "opt": fresh})
    assert train(other, fresh, 4) == train(net, optimizer, 4)


def test_nothing_is_hung_into_an_optimizer_before_accept() -> None:
    net, optimizer = trained()
    checkpoint = stored({"model": net, "opt": optimizer, "step": 5})
    other, fresh = trained(0, 1, lr=0.5)
    state = {"model": other, "opt": fresh, "step": 0}
    inventory = take_for_load(state, checkpoint.objects, checkpoint.values)
    assert (len(fresh.state), fresh.param_groups[0]["lr"], state["step"]) == (0, 0.5, 0)
    checkpoint.fill(inventory)
    assert (len(fresh.state), fresh.param_groups[0]["lr"], state["step"]) == (len(optimizer.state), 0.01, 5)
    for mine, his in zip(other.parameters(), net.parameters(), strict=True):
        for slot, value in optimizer.state.get(his, {}).items():
            assert torch.equal(fresh.state[mine][slot], value)
            assert fresh.state[mine][slot].dtype == value.dtype


def test_slots_that_are_there_are_filled_in_place_and_others_dropped() -> None:
    net, optimizer = trained(0)
    early = stored({"model": net, "opt": optimizer})  # before the first step
    train(net, optimizer, 2)
    late = stored({"model": net, "opt": optimizer})
    slot = optimizer.state[net.up.weight]["exp_avg"]
    expected = slot.clone()
    train(net, optimizer, 1)
    late.load({"model": net, "opt": optimizer})
    assert optimizer.state[net.up.weight]["exp_avg"] is slot
    assert torch.equal(slot, expected)
    early.load({"model": net, "opt": optimizer})
    assert len(optimizer.state) == 0


def test_slots_that_are_not_to_be_loaded_stay() -> None:
    net, optimizer = trained(2)
    checkpoint = stored({"model": net, "opt": optimizer})
    other, used = trained(1, 3)
    before = {slot: value.clone() for slot, value in used.state[other.up.weight].items()}
    checkpoint.load({"model": other, "opt": used}, select=lambda name: not name.endswith("exp_avg_sq"))
    after = used.state[other.up.weight]
    assert after.keys() == before.keys()
    assert torch.equal(after["exp_avg_sq"], before["exp_avg_sq"])
    assert torch.equal(after["exp_avg"], optimizer.state[net.up.weight]["exp_avg"])


def test_moments_of_a_parameter_that_the_checkpoint_does_not_know_stay() -> None:
    net, optimizer = trained(2)
    checkpoint = stored({"model": {"up": net.up}, "opt": torch.optim.AdamW(net.up.parameters())})
    before = optimizer.state[net.down.weight]["exp_avg"].clone()
    checkpoint.load({"model": net, "opt": optimizer}, strict=False)
    assert torch.equal(optimizer.state[net.down.weight]["exp_avg"], before)
    assert net.up.weight not in optimizer.state  # saved before the first step


def test_slots_that_are_no_tensors_come_back() -> None:
    def make(slots: dict[str, Any]) -> tuple[Any, Any]:
        weight = torch.nn.Parameter(torch.ones(2))
        optimizer = torch.optim.SGD([weight])
        if slots:
            optimizer.state[weight] = slots
        return weight, optimizer

    slots = {"calls": 7, "history": (1.5, {"last": torch.arange(3)}), "momentum_buffer": torch.tensor([1.0, 2.0])}
    weight, optimizer = make(slots)
    checkpoint = stored({"w": weight, "opt": optimizer})
    for here in ({}, {"calls": 1, "history": None, "momentum_buffer": torch.zeros(2), "more": 3}):
        weight, fresh = make(here)
        checkpoint.load({"w": weight, "opt": fresh})
        got = fresh.state[weight]
        assert got.keys() == slots.keys()
        assert (got["calls"], got["history"][0], got["history"][1]["last"].tolist()) == (7, 1.5, [0, 1, 2])
        assert got["momentum_buffer"].tolist() == [1.0, 2.0]


def test_how_a_group_computes_is_for_the_program_to_say() -> None:
    net, optimizer = trained(0, foreach=True, fused=None)
    checkpoint = stored({"model": net, "opt": optimizer})
    how = {"params", "param_names", "foreach", "fused", "capturable", "differentiable"}
    assert not how & checkpoint.values["opt.group.model.up.weight"].keys()
    fresh = torch.optim.AdamW(net.parameters(), lr=0.5, foreach=False, differentiable=True)
    checkpoint.load({"model": net, "opt": fresh})
    (group,) = fresh.param_groups
    assert (group["lr"], group["foreach"], group["differentiable"]) == (0.01, False, True)


def test_hyperparameters_are_regrouped() -> None:
    net, _ = trained(0)
    matrices = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    two = torch.optim.AdamW([{"params": matrices, "lr": 0.2, "weight_decay": 0.3}, {"params": others, "lr": 0.1}])
    checkpoint = stored({"model": net, "opt": two})
    turned = torch.optim.AdamW([{"params": others, "lr": 9.0}, {"params": matrices[:1]}, {"params": matrices[1:], "tag": "x"}])
    checkpoint.load({"model": net, "opt": turned})
    assert [group["lr"] for group in turned.param_groups] == [0.1, 0.2, 0.2]
    assert turned.param_groups[2]["weight_decay"] == 0.3
    assert turned.param_groups[2]["betas"] == (0.9, 0.999)
    one = torch.optim.AdamW(net.parameters())
    with pytest.raises(CheckpointMismatch, match=r"opt\.param_groups\[0\] has parameters that were saved with different.*lr"):
        take_for_load({"model": net, "opt": one}, checkpoint.objects, checkpoint.values)


def test_a_learning_rate_that_is_a_tensor_is_filled_in_place() -> None:
    net, _ = trained(0)
    source = torch.optim.AdamW(net.parameters(), lr=torch.tensor(0.25))
    lr = torch.tensor(0.5)
    target = torch.optim.AdamW(net.parameters(), lr=lr)
    stored({"model": net, "opt": source}).load({"model": net, "opt": target})
    assert target.param_groups[0]["lr"] is lr
    assert lr.item() == 0.25


def test_a_parameter_that_is_not_in_the_state_is_refused() -> None:
    net, optimizer = trained(0)
    with pytest.raises(UsageError, match=r"opt: group 0 has a parameter of shape \(\) that is nowhere in the state"):
        take({"opt": optimizer})
    del net


def test_moments_follow_the_declared_layout_of_their_parameter() -> None:
    net, optimizer = trained(2)
    whole = stored({"model": net, "opt": optimizer})

    def rank(number: int) -> tuple[Any, Layout]:
        up = torch.nn.Linear(4, 3, bias=False)
        shard = torch.optim.AdamW(up.parameters())
        part = slice(3 * number, 3 * number + 3)
        up.weight.data = net.up.weight.data[part].clone()
        shard.state[up.weight] = {
            slot: value[part].clone() if value.ndim else value.clone() for slot, value in optimizer.state[net.up.weight].items()
        }
        return {"model": {"up": up}, "opt": shard}, Layout([Split("up.weight", 0, "tp")], {"tp": (number, 2)})

    parts = stored_by(2, rank)
    for name, array in parts.arrays.items():
        np.testing.assert_array_equal(array, whole.arrays[name])
    assert parts.objects["opt.state.model.up.weight.exp_avg_sq"].shape == (6, 4)
    state, layout = rank(0)
    for tensor in (state["model"]["up"].weight.data, *state["opt"].state.pop(state["model"]["up"].weight).values()):
        tensor.zero_()
    parts.load(state, layout, coords={"tp": 1})
    assert torch.equal(state["model"]["up"].weight.data, net.up.weight.data[3:])
    assert torch.equal(state["opt"].state[state["model"]["up"].weight]["exp_avg"], optimizer.state[net.up.weight]["exp_avg"][3:])


def test_slots_of_another_shape_follow_where_that_is_sure_and_are_refused_elsewhere() -> None:
    def state(rank: int, dim: int) -> tuple[Any, Layout]:
        weight = torch.nn.Parameter(torch.ones(2, 4))
        optimizer = torch.optim.Adafactor([weight])
        optimizer.state[weight] = {"row_var": torch.full((2, 1), float(rank)), "step": torch.tensor(1.0)}
        return {"w": weight, "opt": optimizer}, Layout([Split("w", dim, "tp")], {"tp": (rank, 2)})

    checkpoint = stored_by(2, lambda rank: state(rank, 0))
    assert checkpoint.arrays["opt.state.w.row_var"].view("float32").tolist() == [[0], [0], [1], [1]]
    target, layout = state(1, 0)
    target["opt"].state.clear()
    checkpoint.load(target, layout)
    assert target["opt"].state[target["w"]]["row_var"].tolist() == [[1], [1]]
    with pytest.raises(LayoutError, match=r"opt\.state\.w\.row_var has shape \(2, 1\), its parameter \(2, 4\)"):
        take(*state(0, 1))


def test_a_slot_that_may_lie_anyhow_in_a_split_parameter_is_refused() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 4))
    optimizer = torch.optim.SGD([weight])
    optimizer.state[weight] = {"row_var": torch.ones(4)}
    checkpoint = stored({"w": weight, "opt": optimizer})
    shard = torch.nn.Parameter(torch.ones(2, 4))
    with pytest.raises(CheckpointMismatch, match=r"opt\.state\.w\.row_var has shape \(4,\) in .* \(4, 4\): how this follows"):
        checkpoint.load({"w": shard, "opt": torch.optim.SGD([shard])}, Layout([Split("w", 0, "tp")], {"tp": (0, 2)}))


def test_the_state_of_another_kind_of_optimizer_is_refused() -> None:
    net, optimizer = trained(1)
    checkpoint = stored({"model": net, "opt": optimizer})
    other = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    for strict in (True, False):
        with pytest.raises(CheckpointMismatch, match=r"saved by torch.optim.AdamW, and is a torch.optim.SGD now"):
            checkpoint.load({"model": net, "opt": other}, strict=strict)
    assert not other.state
    checkpoint.load({"model": net, "opt": other}, select=lambda name: not name.startswith("opt."))
    assert other.param_groups[0]["lr"] == 0.5


def test_hyperparameters_of_schedules_newer_versions_and_the_program_are_no_other_kind() -> None:
    net, optimizer = trained(1)
    optimizer.param_groups[0]["name"] = "all"
    checkpoint = stored({"model": net, "opt": optimizer})
    checkpoint.load({"model": net, "opt": torch.optim.AdamW(net.parameters(), lr=0.5)})  # the name comes along
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=4)
    del optimizer.param_groups[0]["name"], optimizer.param_groups[0]["maximize"]  # as of an older version
    stored({"model": net, "opt": optimizer}).load({"model": net, "opt": torch.optim.AdamW(net.parameters(), lr=0.5)})


def test_a_selection_leaves_the_rest_alone() -> None:
    net, optimizer = trained(2)
    checkpoint = stored({"model": net, "opt": optimizer, "step": 9})
    other, fresh = trained(1, 3)
    moments = fresh.state[other.up.weight]["exp_avg"].clone()
    state = {"model": other, "opt": fresh, "step": 0, "unknown": np.zeros(2)}
    checkpoint.load(state, select=lambda name: name.startswith("model."))
    assert torch.equal(other.up.weight, net.up.weight)
    assert torch.equal(fresh.state[other.up.weight]["exp_avg"], moments)
    assert state["step"] == 0


def test_an_optimizer_that_is_not_selected_stays_as_it_is() -> None:
    net, optimizer = trained(2)
    checkpoint = stored({"model": net, "opt": optimizer})
    other = Net()
    fresh = torch.optim.AdamW(other.parameters(), lr=0.5)
    checkpoint.load({"model": other, "opt": fresh}, select=lambda name: name.startswith("model."))
    assert (len(fresh.state), fresh.param_groups[0]["lr"]) == (0, 0.5)
