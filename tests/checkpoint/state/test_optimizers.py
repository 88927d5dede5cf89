"""Optimizers of other kinds, groups without parameters, and what an optimizer has beside slots and hyperparameters."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from in_memory import stored

from headway.checkpoint.state.torch.optim_groups import kind_of
from headway.checkpoint.state.walk import take
from headway.errors import CheckpointMismatch, UsageError

KINDS = sorted(
    name
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
)
CONVERTED = {("Adam", "AdamW"), ("AdamW", "Adam")}  # as torch does


def made(kind: Any, seed: int = 0, **options: Any) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    weight = torch.nn.Parameter(torch.randn(2, 2))
    return weight, (getattr(torch.optim, kind) if isinstance(kind, str) else kind)([weight], lr=0.1, **options)


def stepped(weight: Any, optimizer: Any, count: int = 1) -> Any:
    for _ in range(count):

        def loss() -> Any:
            optimizer.zero_grad()
            value = (weight * torch.arange(1.0, 5.0).reshape(2, 2)).square().sum()
            value.backward()
            if isinstance(optimizer, torch.optim.SparseAdam):
                weight.grad = weight.grad.to_sparse()
            return value

        loss()
        optimizer.step(loss)
    return weight.detach().clone()


def test_the_kinds_of_torch_are_all_there() -> None:
    assert {"Adam", "AdamW", "SGD", "RMSprop", "LBFGS", "SparseAdam", "Adafactor"} <= set(KINDS)


@pytest.mark.parametrize("saved", KINDS)
def test_what_one_way_of_torch_saved_every_other_way_converts_or_refuses(saved: str) -> None:
    weight, optimizer = made(saved)
    stepped(weight, optimizer, 2)
    checkpoint = stored({"w": weight, "opt": optimizer})
    for kind in KINDS:
        if kind == saved or (saved, kind) in CONVERTED:
            theirs, reference = made(kind, 1)
            theirs.data.copy_(weight.data)
            reference.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            mine, fresh = made(kind, 2)
            checkpoint.load({"w": mine, "opt": fresh})
            assert torch.equal(stepped(mine, fresh, 2), stepped(theirs, reference, 2)), kind
        else:
            mine, fresh = made(kind, 2)
            before = mine.detach().clone()
            with pytest.raises(CheckpointMismatch, match=rf"saved by torch.optim.{saved}, and is a torch.optim.{kind} now"):
                checkpoint.load({"w": mine, "opt": fresh})
            assert torch.equal(mine, before)


@pytest.mark.parametrize(("saved", "kind"), sorted(CONVERTED))
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_the_decay_of_a_converted_optimizer_is_that_of_torch(saved: str, kind: str, decay: float) -> None:
    weight, optimizer = made(saved, weight_decay=decay)
    stepped(weight, optimizer)
    mine, fresh = made(kind, 1)
    stored({"w": weight, "opt": optimizer}).load({"w": mine, "opt": fresh})
    assert fresh.param_groups[0]["decoupled_weight_decay"] is True  # of AdamW always, of Adam since what was saved went on so
    assert fresh.param_groups[0]["weight_decay"] == decay


def test_a_kind_of_ones_own_is_the_one_of_torch_that_it_is_made_of() -> None:
    class Mine(torch.optim.AdamW):
        pass

    class Other(torch.optim.SGD):
        pass

    weight, optimizer = made("AdamW")
    stepped(weight, optimizer)
    checkpoint = stored({"w": weight, "opt": optimizer})
    mine, fresh = made(Mine, 1)
    assert kind_of(fresh) == "torch.optim.AdamW"
    checkpoint.load({"w": mine, "opt": fresh})
    assert torch.equal(stepped(mine, fresh), stepped(weight, optimizer))
    with pytest.raises(CheckpointMismatch, match=r"is a torch.optim.SGD now"):
        checkpoint.load(dict(zip(("w", "opt"), made(Other), strict=True)))


class Slow(torch.optim.Optimizer):
    """Of nobody's kind, with the hyperparameters of another."""

    def __init__(self, params: Any, lr: float = 0.1, momentum: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.seen = 0

    def step(self, closure: Any = None) -> None:
        self.seen += 1
        self.state["calls"] = self.state.get("calls", 0) + 1
        for group in self.param_groups:
            for each in group["params"]:
                slots = self.state[each]
                slots["average"] = slots.get("average", torch.zeros_like(each)) * 0.5 + each.grad
                each.data.sub_(slots["average"], alpha=group["lr"])


class Slower(Slow):
    pass


def test_another_kind_that_torch_does_not_know_is_told() -> None:
    weight, optimizer = made(Slow)
    stepped(weight, optimizer)
    checkpoint = stored({"w": weight, "opt": optimizer})
    with pytest.warns(RuntimeWarning, match=r"saved by .*Slow, and is a .*Slower now"):
        checkpoint.load(dict(zip(("w", "opt"), made(Slower), strict=True)))


def test_a_checkpoint_that_does_not_say_the_kind_is_judged_by_hyperparameters() -> None:
    weight, optimizer = made("Adam")
    stepped(weight, optimizer)
    checkpoint = stored({"w": weight, "opt": optimizer})
    del checkpoint.values["opt.group.w"]["optimizer"]
    with pytest.raises(CheckpointMismatch, match=r"by another kind of optimizer, with .*betas.* and without .*momentum"):
        checkpoint.load(dict(zip(("w", "opt"), made("SGD"), strict=True)))
    mine, fresh = made("Adam", 1)
    checkpoint.load({"w": mine, "opt": fresh})
    assert "optimizer" not in fresh.param_groups[0]
    assert torch.equal(stepped(mine, fresh), stepped(weight, optimizer))


def test_a_part_of_the_moments_is_loaded_without_what_a_class_does_after_loading_all() -> None:
    weight, optimizer = made("Adam")
    stepped(weight, optimizer)
    mine, fresh = made("Adam", 1)
    stored({"w": weight, "opt": optimizer}).load({"w": mine, "opt": fresh}, select=lambda name: not name.endswith(".step"))
    assert set(fresh.state[mine]) == {"exp_avg", "exp_avg_sq"}


# --- groups without parameters ---------------------------------------------------------------------------------------


def grouped(lr: float, frozen: tuple[Any, ...] = ()) -> tuple[Any, Any]:
    weight = torch.nn.Parameter(torch.ones(2))
    return weight, torch.optim.SGD([{"params": [weight], "lr": lr}, {"params": list(frozen), "lr": 10 * lr, "momentum": 0.5}])


def test_a_group_without_parameters_comes_back_with_its_hyperparameters() -> None:
    weight, optimizer = grouped(0.1)
    optimizer.param_groups[1]["lr"] = 0.03
    checkpoint = stored({"w": weight, "opt": optimizer})
    mine, fresh = grouped(9.0)
    checkpoint.load({"w": mine, "opt": fresh})
    assert [(group["lr"], group["momentum"]) for group in fresh.param_groups] == [(0.1, 0), (0.03, 0.5)]


def test_a_group_that_got_parameters_since_keeps_its_own_and_one_that_was_not_saved_too() -> None:
    weight, optimizer = grouped(0.1)
    checkpoint = stored({"w": weight, "opt": optimizer})
    late = torch.nn.Parameter(torch.ones(3))
    mine, fresh = grouped(9.0, (late,))
    checkpoint.load({"w": mine, "late": late, "opt": fresh}, strict=False)
    assert [group["lr"] for group in fresh.param_groups] == [0.1, 90.0]
    del checkpoint.values["opt.empty_group.1"]  # as of a stage that has none
    mine, fresh = grouped(9.0)
    checkpoint.load({"w": mine, "opt": fresh})
    assert [group["lr"] for group in fresh.param_groups] == [0.1, 90.0]


# --- what is an optimizer's own --------------------------------------------------------------------------------------


def test_entries_of_the_state_that_are_no_parameters_come_back() -> None:
    weight, optimizer = made(Slow)
    stepped(weight, optimizer, 3)
    mine, fresh = made(Slow, 1)
    stored({"w": weight, "opt": optimizer}).load({"w": mine, "opt": fresh})
    assert fresh.state["calls"] == 3
    assert torch.equal(stepped(mine, fresh), stepped(weight, optimizer))


class Counting(torch.optim.AdamW):
    """Keeps a number and a tensor beside, the way that a class of one's own does."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen, self.scale = 0, torch.ones(2)

    def step(self, closure: Any = None) -> Any:
        self.seen += 1
        self.scale *= 2
        return super().step(closure)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "seen": self.seen, "scale": self.scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen, self.scale = state["seen"], state["scale"].clone()
        super().load_state_dict(state)


def hooked(weight: Any) -> Any:
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    seen = {"seen": 0}
    optimizer.register_step_post_hook(lambda *_: seen.update(seen=seen["seen"] + 1))
    optimizer.register_state_dict_post_hook(lambda _, state: {**state, "seen": seen["seen"]})
    optimizer.register_load_state_dict_pre_hook(lambda _, state: seen.update(seen=state["seen"]))
    optimizer.seen = lambda: seen["seen"]
    return optimizer


@pytest.mark.parametrize("half", [False, True])
def test_what_an_optimizer_s_own_state_dict_adds_comes_back_with_its_moments(half: bool) -> None:
    def make(seed: int) -> tuple[Any, Any]:
        weight, _ = made("SGD", seed)
        weight.data = weight.data.half() if half else weight.data
        return weight, Counting([weight], lr=0.1)

    weight, optimizer = make(0)
    stepped(weight, optimizer, 3)
    if half:  # moments in a longer type than their parameter, which torch's load_state_dict would shorten
        optimizer.state[weight]["exp_avg"] = optimizer.state[weight]["exp_avg"].float() + 1e-6
    mine, fresh = make(1)
    stored({"w": weight, "opt": optimizer}).load({"w": mine, "opt": fresh})
    assert (fresh.seen, fresh.scale.tolist()) == (3, [8.0, 8.0])
    assert torch.equal(fresh.state[mine]["exp_avg"], optimizer.state[weight]["exp_avg"])
    assert fresh.state[mine]["exp_avg"].dtype == optimizer.state[weight]["exp_avg"].dtype
    assert half or torch.equal(stepped(mine, fresh), stepped(weight, optimizer))


def test_what_a_hook_adds_to_the_state_dict_comes_back() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = hooked(weight)
    stepped(weight, optimizer, 3)
    checkpoint = stored({"w": weight, "opt": optimizer})
    mine = torch.nn.Parameter(torch.zeros(2, 2))
    fresh = hooked(mine)
    checkpoint.load({"w": mine, "opt": fresh})
    assert fresh.seen() == 3
    plain = torch.optim.AdamW([mine])
    with pytest.raises(CheckpointMismatch, match="opt was saved with seen of its own, which a AdamW without"):
        checkpoint.load({"w": mine, "opt": plain})
    checkpoint.load({"w": mine, "opt": plain}, select=lambda name: name != "opt._own_state")


class Elsewhere(torch.optim.SGD):
    def state_dict(self) -> dict[str, Any]:
        return {"state": {0: {"momentum_buffer": torch.zeros(2, 2)}}, "param_groups": super().state_dict()["param_groups"]}


class Unready(torch.optim.SGD):
    def state_dict(self) -> dict[str, Any]:
        raise RuntimeError("not consolidated")


class Lowered(torch.optim.SGD):
    def state_dict(self) -> dict[str, Any]:
        given = super().state_dict()
        given["param_groups"][0]["lr"] = 0.0
        return given


class Flattened(torch.optim.SGD):
    def state_dict(self) -> dict[str, Any]:
        return {"all": torch.zeros(3)}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Elsewhere, "gives other slots than those it works with"),
        (Unready, "raises RuntimeError: not consolidated.*an optimizer inside"),
        (Lowered, "gives other hyperparameters"),
        (Flattened, "gives no 'state' and 'param_groups'"),
    ],
)
def test_an_optimizer_whose_state_dict_is_another_state_is_refused_by_name(kind: Any, message: str) -> None:
    weight, optimizer = made(kind, momentum=0.9)
    stepped(weight, optimizer)
    with pytest.raises(UsageError, match=rf"opt: state_dict\(\) of this {kind.__name__} {message}"):
        take({"w": weight, "opt": optimizer})


@pytest.mark.parametrize(("slot", "kind"), [(0, "is of type int"), ("a.b", "has a dot"), (("exp", 1), "is of type tuple")])
@pytest.mark.parametrize("value", [torch.zeros(2, 2), 3])
def test_a_slot_that_would_come_back_as_another_is_refused_when_it_is_saved(slot: Any, kind: str, value: Any) -> None:
    model = torch.nn.Linear(2, 2, bias=False)
    optimizer = torch.optim.SGD(model.parameters())
    optimizer.state[model.weight][slot] = value
    with pytest.raises(UsageError, match=rf"opt: the SGD keeps the slot {re.escape(repr(slot))} of net\.weight, which {kind}"):
        take({"net": model, "opt": optimizer})
