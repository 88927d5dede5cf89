"""Optimizers over flat buffers: their moments are those of the parameters, under any ranks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from in_memory import stored, stored_by
from small_net import Net, torch, train, trained

from headway.checkpoint.layout.declared import Layout
from headway.checkpoint.state.parts.flat import Flat, FlatOptimizer
from headway.checkpoint.state.walk import take
from headway.errors import CheckpointMismatch


def flat_rank(net: Net, optimizer: Any, rank: int, ranks: int, empty: bool = False) -> tuple[Any, Layout | None]:
    """ZeRO-1 by hand: the module is whole, its optimizer has a range of all trainable parameters in a row, with padding."""
    shapes = {f"model.{name}": tuple(p.shape) for name, p in net.named_parameters() if p.requires_grad}
    names = [name for name in shapes if math.prod(shapes[name])]
    offsets, at = {}, 0
    for name in names:
        offsets[name] = at = -(-at // 4) * 4
        at += math.prod(shapes[name])
    each = -(-at // ranks)

    def flat(values: Any) -> Any:
        buffer = torch.full((each * ranks,), 77.0)
        for name in names:
            value = values(net.get_parameter(name.removeprefix("model.")))
            buffer[offsets[name] : offsets[name] + value.numel()] = value.detach().reshape(-1)
        return buffer[rank * each : (rank + 1) * each].clone()

    master = torch.nn.Parameter(flat(lambda p: p))
    mine = torch.optim.AdamW([master], lr=0.01)
    if not empty:
        mine.state[master] = {slot: flat(lambda p, s=slot: optimizer.state[p][s]) for slot in ("exp_avg", "exp_avg_sq")}
        mine.state[master]["step"] = optimizer.state[net.up.weight]["step"].clone()
    declared = Flat(master, {name: shapes[name] for name in names}, start=rank * each, align=4)
    return {"model": net, "opt": FlatOptimizer(mine, [declared])}, None


def test_flat_moments_are_those_of_the_parameters_and_come_back_under_other_ranks() -> None:
    net, optimizer = trained(3)
    whole = stored({"model": net, "opt": optimizer})
    flat = stored_by(3, lambda rank: flat_rank(net, optimizer, rank, 3))
    for name, array in flat.arrays.items():
        np.testing.assert_array_equal(array, whole.arrays[name], err_msg=name)
    assert {name for name in whole.arrays if name not in flat.arrays and whole.arrays[name].size} == set()
    for rank in range(2):
        (state, _), (expected, _) = flat_rank(net, optimizer, rank, 2, empty=True), flat_rank(net, optimizer, rank, 2)
        flat.load(state)
        master, other = state["opt"].optimizer.param_groups[0]["params"][0], expected["opt"].optimizer.param_groups[0]["params"][0]
        got, want = state["opt"].optimizer.state[master], expected["opt"].optimizer.state[other]
        for slot in want:
            want[slot][want[slot] == 77.0] = 0  # padding: not saved, zero in fresh memory
            assert torch.equal(got[slot], want[slot]), slot
    other, fresh = trained(0, 1)
    flat.load({"model": other, "opt": fresh}, strict=False)
    assert train(other, fresh, 3) == train(net, optimizer, 3)


def test_a_flat_buffer_may_be_every_other_element_of_something() -> None:
    base, other = torch.arange(40.0), torch.full((40,), -1.0)
    parameters = {"a": (3, 4), "b": (2,)}
    checkpoint = stored({"f": Flat(base[1::2], parameters)})
    assert checkpoint.arrays["f.a"].view("float32").tolist() == base[1:25:2].reshape(3, 4).tolist()
    checkpoint.load({"f": Flat(other[1::2], parameters)})
    expected = torch.full((40,), -1.0)
    expected[1:29:2] = base[1:29:2]
    assert torch.equal(other, expected)
    turned = np.arange(14.0)[::-1]
    assert stored({"f": Flat(turned, parameters)}).arrays["f.a"].view("float64").tolist() == turned[:12].reshape(3, 4).tolist()


def test_masters_of_flat_optimizers_are_a_slot() -> None:
    net, optimizer = trained(1)
    state, _ = flat_rank(net, optimizer, 0, 1)
    state["opt"] = FlatOptimizer(state["opt"].optimizer, state["opt"].flats, masters=True)
    checkpoint = stored(state)
    np.testing.assert_array_equal(checkpoint.arrays["opt.state.model.up.weight.master"], checkpoint.arrays["model.up.weight"])
    target, _ = flat_rank(*trained(1, 5), 0, 1, empty=True)
    target["opt"] = FlatOptimizer(target["opt"].optimizer, target["opt"].flats, masters=True)
    checkpoint.load(target)
    flat = target["opt"].flats[0]
    name, shape, begin, end, at = next(each for each in flat.ranges() if each[0] == "model.up.weight")
    assert torch.equal(flat.tensor.detach()[at : at + end - begin].reshape(shape), net.up.weight)
    holdings = {holding.name: holding.guarded for holding in take(target).holdings}
    assert holdings[name]
    assert not holdings["model.count"]


def test_parameters_that_share_a_flat_buffer_must_agree_on_their_step() -> None:
    net, optimizer = trained(2)
    optimizer.state[net.up.bias]["step"].add_(1)
    checkpoint = stored({"model": net, "opt": optimizer})
    state, _ = flat_rank(net, optimizer, 0, 1, empty=True)
    with pytest.raises(CheckpointMismatch, match=r"step is 2\.0 and opt\.state\.model\.up\.bias\.step is 3\.0, but they share"):
        checkpoint.load(state, strict=False)
    assert len(state["opt"].optimizer.state) == 0


def test_parameters_that_share_a_flat_buffer_must_have_the_same_slots() -> None:
    net, optimizer = trained(2)
    del optimizer.state[net.up.bias]["exp_avg_sq"]
    checkpoint = stored({"model": net, "opt": optimizer})
    state, _ = flat_rank(*trained(1, 5), 0, 1, empty=True)
    with pytest.raises(CheckpointMismatch, match=r"and model\.up\.bias share a flat buffer of opt, but the checkpoint has"):
        checkpoint.load(state, strict=False)


def test_moments_in_flat_buffers_are_changed_by_nobody_but_their_optimizer() -> None:
    state, _ = flat_rank(*trained(1), 0, 1)
    guarded = {holding.name: holding.guarded for holding in take(state).holdings if holding.object.kind == "moment"}
    assert guarded["opt.state.model.up.weight.exp_avg"]
    assert all(guarded.values())


def test_flat_parameters_of_fsdp1_have_the_names_and_moments_of_the_module() -> None:
    net, optimizer = trained(2)
    whole = stored({"model": net, "opt": optimizer})

    def rank(number: int) -> tuple[Any, None]:
        state, _ = flat_rank(net, optimizer, number, 2)
        declared = state["opt"].flats[0]
        short = {name.removeprefix("model."): shape for name, shape in declared.parameters.items()}
        return {"model": Flat(declared.tensor, short, declared.start, declared.align), "opt": state["opt"].optimizer}, None

    checkpoint = stored_by(2, rank)
    for name in checkpoint.arrays:
        np.testing.assert_array_equal(checkpoint.arrays[name], whole.arrays[name], err_msg=name)
    assert checkpoint.objects["model.up.weight"].kind == "param"
    assert "opt.state.model.up.weight.exp_avg" in checkpoint.arrays
