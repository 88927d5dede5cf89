"""A training on several processes, killed and resumed: the loss curve of one that was never disturbed."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import headway as hw
from headway import events
from headway.reference.countdown.tokens import LANGUAGE
from headway.reference.countdown.training import Recipe, train
from headway.reference.network import Shape
from headway.reference.training import Trained, share_of_rate
from headway.reference.weights import read
from headway.train import DataParallel

RECIPE = Recipe(steps=12, batch=8, every=4, warmup=3, shape=Shape(layers=1, features=16, heads=2, hidden=24))


class Killer:
    """Kills a process of the gang with SIGKILL when the training has said that a step is done, once."""

    def __init__(self, step: int, rank: int) -> None:
        self.step, self.rank = step, rank
        self.pids: list[int] = []
        self.killed = 0

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.WorkerStarted):
            self.pids.append(event.pid)
        elif isinstance(event, events.CallProgress) and event.done == self.step and not self.killed:
            os.kill(sorted(self.pids)[self.rank], signal.SIGKILL)
            self.killed += 1


def trained(store: Path, processes: int, events: Any = None) -> Trained:
    found: Trained = hw.run(train.options(processes=processes), RECIPE, store=store, run_id="run", events=events)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(tmp_path_factory.mktemp("undisturbed"), 2)


@pytest.mark.parametrize(("step", "rank"), [(6, 1)])
def test_a_killed_gang_ends_with_the_curve_of_an_undisturbed_one(
    undisturbed: Trained, tmp_path: Path, step: int, rank: int
) -> None:
    killer = Killer(step, rank)
    found = trained(tmp_path, 2, killer)
    assert killer.killed == 1
    assert len(killer.pids) == 4
    assert found.language == undisturbed.language
    assert found.value == undisturbed.value
    one, other = (read(Path(each.weights), LANGUAGE).state_dict() for each in (found, undisturbed))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_one_process_has_the_curve_of_two_but_for_rounding(undisturbed: Trained, tmp_path: Path) -> None:
    found = trained(tmp_path, 1)
    assert found.processes == 1
    # The first gradients differ in their last bits alone; Muon computes in bfloat16, which makes more of that with every step.
    assert found.language[:2] == pytest.approx(undisturbed.language[:2], rel=1e-5)
    assert found.language == pytest.approx(undisturbed.language, rel=5e-3)
    assert found.value == pytest.approx(undisturbed.value, rel=5e-3)


def test_a_curve_has_a_loss_for_each_step_and_falls(undisturbed: Trained) -> None:
    assert len(undisturbed.language) == len(undisturbed.value) == 12
    assert all(loss > 0 for loss in undisturbed.language)
    assert undisturbed.language[-1] < undisturbed.language[0]


def test_the_rate_rises_and_falls() -> None:
    rates = [share_of_rate(RECIPE, step) for step in range(RECIPE.steps)]
    assert rates[2] == max(rates)
    assert rates[-1] < rates[0]


@hw.task(pool="gang", processes=2)
def add_up() -> int:
    """Each process looks at what it got; an assertion that fails on either is the call's error."""
    replicas = DataParallel()
    torch.manual_seed(1)
    model, rows = torch.nn.Linear(3, 2), torch.arange(15.0).reshape(5, 3)
    model(rows).square().sum().backward()
    whole = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    model(rows[replicas.share(len(rows))]).square().sum().backward()
    replicas.sum_gradients(model)
    found = [parameter.grad for parameter in model.parameters()]
    assert all(torch.allclose(one, other) for one, other in zip(found, whole, strict=True)), "the sum is not that of all rows"

    for parameter in model.parameters():
        parameter.grad = None
    if replicas.rank == 1:
        model.bias.grad = torch.tensor([1.0, 2.0])
    replicas.sum_gradients(model)
    assert model.bias.grad.tolist() == [1.0, 2.0], "what one process has, all have"
    assert model.weight.grad.count_nonzero() == 0, "what none has is nothing"

    torch.manual_seed(2)
    other = torch.nn.Linear(1, 8, bias=False)  # as large as the first one
    other.weight.grad = torch.ones(8, 1)
    replicas.sum_gradients(other)
    assert other.weight.grad.tolist() == [[2.0]] * 8
    assert model.bias.grad.tolist() == [1.0, 2.0], "the gradients of one model are not those of another"

    half_frozen = torch.nn.Linear(3, 1)
    half_frozen.weight.requires_grad = False
    half_frozen.bias.grad = torch.ones(1)
    replicas.sum_gradients(half_frozen)
    assert half_frozen.weight.grad is None, "what is not trained gets no gradient"
    assert half_frozen.bias.grad.tolist() == [2.0]

    assert replicas.sum([1.5, replicas.rank]) == [3.0, 1.0]
    return replicas.size


def test_gradients_and_numbers_are_added_up_over_all_processes() -> None:
    assert hw.run(add_up, store=None) == 2


@hw.task(pool="gang", processes=2)
def add_up_two_types() -> list[list[float]]:
    model = torch.nn.ModuleList([torch.nn.Linear(2, 1, bias=False).bfloat16(), torch.nn.Linear(1, 2, bias=False)])
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, math.nan)  # which is alike on both
        parameter.grad = torch.full_like(parameter, 1 + 2**-12)  # no number of bfloat16
    DataParallel().sum_gradients(model)
    return [parameter.grad.flatten().tolist() for parameter in model.parameters()]


def test_gradients_keep_the_digits_of_their_own_type() -> None:
    assert hw.run(add_up_two_types, store=None) == [[2.0, 2.0], [2 + 2**-11] * 2]


@hw.task(pool="gang", processes=2)
def begin_apart() -> None:
    replicas = DataParallel()
    torch.manual_seed(1)
    model = torch.nn.Linear(3, 2)
    if replicas.rank == 1:
        with torch.no_grad():
            model.bias[1] += 1e-6
    replicas.sum_gradients(model)


def test_models_that_are_not_the_same_on_all_processes_are_not_trained() -> None:
    with pytest.raises(hw.UsageError, match=r"do not train the same model: bias is not .*torch.manual_seed"):
        hw.run(begin_apart, store=None)


@hw.task(pool="gang", processes=2)
def begin_with_other_forms() -> int:
    """Each is refused on both processes, so that none waits for the other."""
    replicas = DataParallel()
    second = replicas.rank == 1
    torch.manual_seed(1)
    turned = torch.nn.Linear(3 if second else 2, 2 if second else 3, bias=False)
    torch.nn.init.ones_(turned.weight)
    models = [
        torch.nn.Linear(3, 3 if second else 2),
        turned,
        torch.nn.Linear(3, 2, dtype=torch.float64 if second else torch.float32),
        torch.nn.ModuleDict({"one" if second else "other": torch.nn.RMSNorm(2)}),
    ]
    for model in models:
        with pytest.raises(hw.UsageError, match="do not train the same model: names, shapes or types"):
            replicas.sum_gradients(model)
    return len(models)


def test_models_of_another_form_on_another_process_are_not_trained() -> None:
    assert hw.run(begin_with_other_forms, store=None) == 4


def test_a_model_of_which_nothing_is_trained_has_no_gradients_to_sum() -> None:
    pair = DataParallel()
    pair.size = 2
    with pytest.raises(hw.UsageError, match="no parameter of Identity requires a gradient"):
        pair.sum_gradients(torch.nn.Identity())


def test_every_row_of_a_batch_is_one_process_s_and_only_one_s() -> None:
    shares = []
    for rank in range(3):
        place = DataParallel()
        place.rank, place.size = rank, 3
        shares.append(list(range(8))[place.share(8)])
        assert place.share(3) == slice(rank, 3, 3)
    assert shares == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_alone_there_is_nothing_to_share() -> None:
    alone = DataParallel()
    model = torch.nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    alone.sum_gradients(model)
    assert model.weight.grad.tolist() == [[1.0, 1.0]]
    assert alone.share(5) == slice(0, 5, 1)
    assert alone.sum([1.5, 2.0]) == [1.5, 2.0]


def test_rows_are_shared_by_their_lengths_each_to_one_process() -> None:
    lengths = [900, 10, 20, 30, 850, 40, 50, 60]
    shares = []
    for rank in range(2):
        replicas = DataParallel()
        replicas.rank, replicas.size = rank, 2
        shares.append(replicas.share_by_length(lengths))
    assert sorted(shares[0] + shares[1]) == list(range(8))
    assert [len(share) for share in shares] == [4, 4]
    loads = [sum(lengths[row] for row in share) for share in shares]
    assert max(loads) - min(loads) <= 40, "taking turns, one process has 1,820 and the other 140"
    with pytest.raises(hw.UsageError, match="a batch of 1 rows for 2 processes"):
        replicas.share_by_length([5])


def test_more_processes_than_rows_is_a_clear_error() -> None:
    crowd = DataParallel()
    crowd.size = 4
    with pytest.raises(hw.UsageError, match="a batch of 3 rows for 4 processes"):
        crowd.share(3)


def test_a_row_draws_its_own_numbers_wherever_it_is() -> None:
    one, other = DataParallel(), DataParallel()
    other.rank = 1
    draw = torch.rand(3, generator=one.generator(7, 5, 2))
    assert torch.equal(draw, torch.rand(3, generator=other.generator(7, 5, 2)))
    for place in ((7, 5, 3), (7, 6, 2), (8, 5, 2)):
        assert not torch.equal(draw, torch.rand(3, generator=one.generator(*place)))
