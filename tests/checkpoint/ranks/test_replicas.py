"""What several ranks have under one name: of one rank, compared, and told when it begins to differ."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
import torch
from gang import Gang

import headway as hw
from headway.checkpoint import Streams
from headway.checkpoint.save.replicas import AT_ONCE
from headway.checkpoint.save.sample import WHOLE
from headway.errors import CheckpointMismatch, SaveFailed


def loaded(root, state, step="latest"):
    with hw.Checkpoints(root) as ck:
        ck.load(into=state, step=step)
    return state


def messages(caught):
    return [str(each.message) for each in caught]


def norms():
    return torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3))


def test_statistics_that_differ_are_all_of_the_first_rank_and_it_is_said_once(tmp_path):
    heard = []

    def train(member):
        model = norms()
        for number in range(2):
            model(torch.randn(4, 3, generator=torch.Generator().manual_seed(10 * number + member.rank)))
        with hw.Checkpoints(tmp_path, ranks=member, on_event=heard.append) as ck:
            ck.save({"model": model}, 1).durable()
            ck.save({"model": model}, 2).durable()
        return {name: buffer.tolist() for name, buffer in model.named_buffers()}

    with pytest.warns(RuntimeWarning) as caught:
        first, second, _ = Gang(3).run(train)
    assert first != second
    model = loaded(tmp_path, {"model": norms()})["model"]
    assert {name: buffer.tolist() for name, buffer in model.named_buffers()} == first
    began = [each for each in messages(caught) if "differ between ranks" in each]
    ended = [each for each in messages(caught) if "differed between ranks from step 1 on: 2 saves" in each]
    assert len(began) == len(ended) == 3  # on each rank
    assert all("model.0.running_mean" in each and "give the model as DDP wraps it" in each for each in began)
    told = [event for event in heard if isinstance(event, hw.events.CheckpointDiffers)]
    assert sorted(event.rank for event in told) == [0, 1, 2]
    assert told[0].names == ("model.0.running_mean", "model.0.running_var", "model.1.running_mean", "model.1.running_var")


@pytest.mark.parametrize("size", [600, 600_000])
def test_arrays_that_differ_from_the_beginning_are_refused_on_all_ranks(tmp_path, size):
    def save(member):
        state = {"same": np.zeros(size), "gen_a": np.full(size, 10 + member.rank), "gen_b": torch.full((size,), 20 + member.rank)}
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            ck.save(state, 1)

    for error in Gang(2).run(save):
        assert isinstance(error, CheckpointMismatch)
        assert "gen_a, gen_b: rank 1 has other bytes" in str(error)
        assert "hw.checkpoint.PerRank" in str(error)
    assert hw.Checkpoints(tmp_path).manifests() == ()


def test_parameters_that_differ_before_the_training_are_refused(tmp_path):
    def train(member):
        torch.manual_seed(member.rank)
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            list(ck.steps({"model": torch.nn.Linear(2, 2)}, total=2, every=1))

    for error in Gang(2).run(train):
        assert isinstance(error, CheckpointMismatch)
        assert "model.weight, model.bias: rank 1" in str(error) or "model.bias, model.weight: rank 1" in str(error)


def test_a_training_whose_ranks_begin_to_differ_goes_on_with_the_first_rank(tmp_path):
    def train(member):
        state = {"w": np.zeros(3), "a": np.zeros(3), "b": torch.zeros(3), "n": 0, "rng": Streams({"s": random.Random(1)})}
        done = []
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            for step in ck.steps(state, total=6, every=2):
                state["w"] += 1
                state["n"] = step
                if step >= 3 and member.rank:
                    state["a"] += 1
                    state["b"] += 2
                    state["n"] = 99
                    state["rng"]["s"].random()
                done.append(step)
        return done

    with pytest.warns(RuntimeWarning) as caught:
        assert Gang(2).run(train) == [list(range(6))] * 2
    state = {"w": np.ones(3), "a": np.ones(3), "b": torch.ones(3), "n": 1, "rng": Streams({"s": random.Random(2)})}
    loaded(tmp_path, state)
    assert (state["w"].tolist(), state["a"].tolist(), state["b"].tolist(), state["n"]) == ([6.0] * 3, [0.0] * 3, [0.0] * 3, 5)
    assert state["rng"]["s"].random() == random.Random(1).random()
    assert {each.step for each in hw.Checkpoints(tmp_path).manifests()} == {2, 4, 6}
    said = messages(caught)
    assert sum("step 4: a, b, n, rng.s differ between ranks" in each for each in said) == 2
    assert sum("a, b, n, rng.s differed between ranks from step 4 on: 2 saves" in each for each in said) == 2


def test_parameters_that_differ_are_the_first_rank_s_until_a_load_makes_them_equal(tmp_path):
    def make():
        torch.manual_seed(0)
        return torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(20))

    models = [make() for _ in range(2)]  # here, since ranks that are threads have one generator

    def train(member):
        model = models[member.rank]
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            sizes = [_size(ck.save({"model": model}, 1))]
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(member.rank)
            sizes.append(_size(ck.save({"model": model}, 2)))
            ck.load(into={"model": model})
            sizes.append(_size(ck.save({"model": model}, 3)))
        return sizes

    with pytest.warns(RuntimeWarning, match="differ"):
        (all1, all2, all3), (other1, other2, other3) = Gang(2).run(train)
    assert (all1, other1) == (all3, other3)
    assert other1 > 4096 + 4 * 64 * 8  # both write a part
    assert all2 > all1 > other2
    assert other2 == 4096  # nothing but the header
    model = loaded(tmp_path, {"model": torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(20))}, step=2)["model"]
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), make().parameters(), strict=True))


def _size(save):
    save.durable()
    return save.nbytes


def test_ranks_that_are_not_first_are_compared_with_the_first_of_those_that_have_it(tmp_path):
    def train(member):
        state = {"all": np.zeros(3), **({"late": np.zeros(3)} if member.rank else {})}
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            ck.save(state, 1).durable()
            if member.rank:
                state["late"] += member.rank
            ck.save(state, 2).durable()

    with pytest.warns(RuntimeWarning, match="late differ"):
        assert Gang(4).run(train) == [None] * 4
    assert loaded(tmp_path, {"all": np.ones(3), "late": np.zeros(3)})["late"].tolist() == [1.0] * 3


@pytest.mark.parametrize("debug", [False, True])
def test_of_many_large_parameters_some_are_compared_at_a_time_and_all_in_the_end(tmp_path, debug):
    size, many = 2 * WHOLE, AT_ONCE + 10

    def train(member):
        params = torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(size)) for _ in range(many)])
        found = []
        with hw.Checkpoints(tmp_path, ranks=member, debug=debug) as ck:
            ck.save({"p": params}, 0).durable()
            with torch.no_grad():
                params[many // 2][: size // 8] += member.rank
            for step in range(1, 5):
                ck.save({"p": params}, step).durable()
                found.append(list(ck._saver._agreement.differing))
        return found

    with pytest.warns(RuntimeWarning, match="p.37 differ"):
        one, other = Gang(2).run(train)
    assert one == other
    assert one[-1] == [f"p.{many // 2}"]
    assert not debug or one[0] == one[-1]


def test_a_state_that_can_not_be_saved_any_more_fails_the_save_and_not_the_training(tmp_path):
    class Schedule:
        broken = False

        def state_dict(self):
            if self.broken:
                raise ZeroDivisionError("no steps")
            return {"last": 1}

        def load_state_dict(self, state):
            pass

    def train(member):
        state = {"w": np.zeros(3), "sched": Schedule()}
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            ck.save(state, 1).durable()
            state["sched"].broken = member.rank == 1
            failed = [ck.save(state, 2)]
            state["sched"].broken = False
            state["w"] = np.zeros(3 + member.rank)
            failed.append(ck.save(state, 3))
            state["w"] = np.zeros(3)
            state["x"] = object()
            failed.append(ck.save(state, 4))
            del state["x"]
            ck.save(state, 5).durable()
        return [(type(each.error), str(each.error)) for each in failed]

    with pytest.warns(RuntimeWarning) as caught:
        first, second = Gang(2).run(train)
    assert [kind for kind, _ in first] == [SaveFailed, CheckpointMismatch, SaveFailed]
    assert "rank 1: the state could not be read: ZeroDivisionError: no steps" in first[0][1]
    assert "the state could not be read: ZeroDivisionError: no steps" in second[0][1]
    assert "w: rank 1 has F64 [4]" in first[1][1]
    assert "x is a builtins.object" in second[2][1]
    for step in (2, 3, 4):
        assert sum(each.startswith(f"step {step} was not saved") for each in messages(caught)) == 2
    assert [each.step for each in hw.Checkpoints(tmp_path).manifests()] == [5, 1]


def test_a_state_that_can_not_be_saved_the_first_time_is_still_refused(tmp_path):
    with hw.Checkpoints(tmp_path) as ck, warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(hw.UsageError, match=r"x is a builtins.object"):
                ck.save({"x": object()}, 1)
