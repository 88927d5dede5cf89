"""What `state_dict()` gave is refused in a loop, and kept by a single save."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

import headway as hw
from headway.checkpoint import PerRank
from headway.errors import UsageError


def adam() -> Any:
    return torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])


def sequential() -> Any:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=1.0)
    parts = [torch.optim.lr_scheduler.ConstantLR(optimizer), torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]
    return torch.optim.lr_scheduler.SequentialLR(optimizer, parts, [2])


class Extra(torch.nn.Linear):
    def get_extra_state(self) -> Any:
        return {"seen": 3}

    def set_extra_state(self, state: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: adam().state_dict(), "state_dict.. of an optimizer gave.*Give the optimizer itself"),
        (
            lambda: torch.optim.lr_scheduler.StepLR(adam(), 1).state_dict(),
            "a learning rate schedule gave.*Give the schedule itself",
        ),
        (lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(adam()).state_dict(), "a learning rate schedule"),
        (lambda: sequential().state_dict(), "a learning rate schedule"),
        (lambda: torch.amp.GradScaler("cpu").state_dict(), "a gradient scaler"),
        (lambda: Extra(1, 1).state_dict(), "of a module gave, with more than tensors.*Give the module itself"),
        (random.getstate, "random.getstate.*hw.checkpoint.Rng"),
        (np.random.get_state, "numpy's get_state"),
        (lambda: np.random.default_rng(1).bit_generator.state, "a generator of numpy"),
        (torch.get_rng_state, "a generator of torch"),
    ],
)
@pytest.mark.parametrize("where", [lambda copy: {"a": copy}, lambda copy: {"a": PerRank([{"b": copy}])}])
def test_a_copy_is_refused_before_the_training_begins(tmp_path: Any, make: Any, message: str, where: Any) -> None:
    with hw.Checkpoints(tmp_path) as ck:
        with pytest.raises(UsageError, match=rf"a.*is .*{message}"):
            next(ck.steps({"w": np.zeros(2), **where(make())}, total=2, every=1))
        assert ck.manifests() == ()


def test_what_only_looks_a_little_like_a_copy_is_none(tmp_path: Any) -> None:
    model = torch.nn.Linear(2, 2)
    state = {
        "model": model.state_dict(),  # the module's own tensors
        "opt": {"state": 1, "scale": 2.0},
        "bytes": torch.zeros(5056, dtype=torch.uint8),
        "last_epoch": 3,
        "pair": (3, (1, 2), None),
    }
    with hw.Checkpoints(tmp_path) as ck:
        for _ in ck.steps(state, total=2, every=1):
            with torch.no_grad():
                model.weight.add_(1)
    with hw.Checkpoints(tmp_path) as ck, ck.open() as newest:
        assert np.array_equal(newest["model.weight"][:], model.weight.detach().numpy())


def test_one_save_keeps_what_state_dict_gave(tmp_path: Any) -> None:
    optimizer = adam()
    (weight,) = optimizer.param_groups[0]["params"]
    weight.sum().backward()
    optimizer.step()
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"opt": optimizer.state_dict()}, 1).durable()
        into = {"opt": optimizer.state_dict()}
        ck.load(into=into)
        fresh = torch.optim.Adam([weight], lr=9.0)
        fresh.load_state_dict(into["opt"])
    assert torch.equal(fresh.state[weight]["exp_avg"], optimizer.state[weight]["exp_avg"])
    assert fresh.param_groups[0]["lr"] == 0.001


@pytest.mark.parametrize(
    "array",
    [np.frombuffer(bytes(8), "f4"), np.broadcast_to(np.zeros(1), (3,)), torch.zeros(1).expand(3), torch.zeros(2, 1).expand(2, 3)],
)
def test_an_array_that_no_load_can_write_to_is_refused_before_the_training_begins(tmp_path: Any, array: Any) -> None:
    with hw.Checkpoints(tmp_path) as ck:
        with pytest.raises(UsageError, match=r"parts\.1 can't be loaded into"):
            next(ck.steps({"w": np.zeros(2), "parts": [np.ones(1), array]}, total=2, every=1))
        ck.save({"w": array}, step=1).durable()  # once is fine
