"""The face: saving, loading, going on, and what happens when something is wrong."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest
import torch
from gang import Gang

import headway as hw
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.save.saver import Saver
from headway.checkpoint.state.torch.tensors import TorchMemory
from headway.errors import CheckpointConflict, CheckpointDamaged, CheckpointMismatch, NoCheckpoint, SaveFailed, UsageError


def state_of(value, size=1000):
    return {"w": np.full(size, value, "float32"), "b": np.full((3, 4), value), "step": int(value), "note": f"at {value}"}


def same(state, value):
    return (state["w"] == value).all() and (state["b"] == value).all() and state["step"] == value and state["note"] == f"at {value}"


def test_what_was_saved_is_loaded(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        ck.save(state_of(7), 7, metrics={"loss": 0.5}).durable()
        ck.save(state_of(8), 8).durable()
        state = state_of(0)
        assert ck.load(into=state).step == 8
        assert same(state, 8)
        assert ck.load(into=state, step=7).metrics == {"loss": 0.5}
        assert same(state, 7)
        assert [each.step for each in ck.manifests()] == [8, 7]
        assert ck.latest().parent == ck.manifests()[1].id


def test_a_metric_that_is_no_number_is_left_out_and_the_state_is_saved(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        with pytest.warns(RuntimeWarning, match="the metric loss=nan is not kept"):
            ck.save(state_of(7), 7, metrics={"loss": float("nan"), "seen": 3}).durable()
        assert ck.latest().metrics == {"seen": 3}


def test_steps_are_integers_of_any_library(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        ck.save(state_of(7), np.int64(7)).durable()
        ck.save(state_of(8), torch.tensor(8)).durable()
        assert [each.step for each in ck.manifests()] == [8, 7]
        assert ck.load(into=state_of(0), step=np.int64(7)).step == 7
        assert list(ck.steps(state_of(0), total=np.int64(9), every=np.int64(5))) == [8]


@pytest.mark.parametrize("step", [-1, 1.5, "x", None, 2**63, 10**30])
def test_what_is_no_step_is_refused_with_a_sentence(tmp_path, step):
    with hw.Checkpoints(tmp_path) as ck:
        with pytest.raises(UsageError, match=r"give an integer|0 or more|below 2\*\*63"):
            ck.save(state_of(7), step)
        with pytest.raises((UsageError, NoCheckpoint), match=r"names no checkpoint|has no checkpoint"):
            ck.load(into=state_of(0), step=step)
        assert ck.manifests() == ()


def test_what_is_no_number_is_refused_with_a_sentence(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        with pytest.raises(UsageError, match="the metric loss is 'low': give a number"):
            ck.save(state_of(7), 7, metrics={"loss": "low"})
        with pytest.raises(UsageError, match="the metric loss is "):
            ck.save(state_of(7), 7, metrics={"loss": 10**400})
        with pytest.raises(UsageError, match="give numbers by name"):
            ck.save(state_of(7), 7, metrics={"\udcff": 1.0})
        for counts in ({"total": 2.5, "every": 1}, {"total": 5, "every": 0.5}):
            with pytest.raises(UsageError, match=r"steps\((total|every)=…\) is .*: give an integer"):
                next(ck.steps(state_of(0), **counts))


def test_threads_that_save_at_once_save_one_after_another(tmp_path):
    together = threading.Barrier(6)

    def save(number):
        together.wait(60)
        ck.save(state_of(number), number).durable()

    with hw.Checkpoints(tmp_path, buffers=6) as ck, ThreadPoolExecutor(6) as threads:
        list(threads.map(save, range(6)))
        found = ck.manifests()
        assert sorted(each.step for each in found) == list(range(6))
        assert [each.serial for each in found] == [6, 5, 4, 3, 2, 1]


def test_threads_that_save_first_share_one_helper(tmp_path, monkeypatch):
    made = []

    def make(*args, **options):
        made.append(Saver(*args, **options))
        if len(made) == 1:
            second.start()
            second.join(0.2)  # it would get here as well, if it did not wait for this one
        return made[-1]

    monkeypatch.setattr("headway.checkpoint.checkpoints.Saver", make)
    with hw.Checkpoints(tmp_path) as ck:
        second = threading.Thread(target=lambda: ck.save(state_of(2), 2).durable())
        ck.save(state_of(1), 1).durable()
        second.join(60)
        assert len(made) == 1
        assert sorted(each.step for each in ck.manifests()) == [1, 2]


@pytest.mark.parametrize("way", [msgspec.json, msgspec.msgpack])
def test_no_decoder_is_made_at_its_first_use(tmp_path, monkeypatch, way):
    """Two threads that make the first decoder of a type at once crash msgspec, and with it the program (seen with 0.22.0)."""
    decode = way.decode

    def decode_known(data, **options):
        assert not isinstance(options.get("type"), msgspec.StructMeta), f"{options['type']} has no decoder yet"
        return decode(data, **options)

    monkeypatch.setattr(way, "decode", decode_known)

    def save_and_load(member):
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            ck.save(state_of(7), 7).durable()
            ck.pin(7)
            ck.gc(Keep(last=1))
            return ck.load(into=state_of(0)).step

    assert Gang(2).run(save_and_load) == [7, 7]


FORKS = """
import os, sys
import numpy as np
import headway as hw

ck = hw.Checkpoints(sys.argv[1])
ck.save({"w": np.ones(3)}, 1).durable()
child = os.fork()
if not child:
    ck.load(into={"w": np.zeros(3)})
    ck.save({"w": np.ones(3)}, 2).durable(60)
    ck.close()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
ck.load(into={"w": np.zeros(3)})
ck.close()
"""


def test_a_fork_saves_with_a_helper_of_its_own(tmp_path):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS, tmp_path], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    assert [each.step for each in hw.Checkpoints(tmp_path).manifests()] == [2, 1]


def test_another_process_loads_what_was_saved_here(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        ck.save(state_of(7), 7).durable()
    state = state_of(0)
    hw.Checkpoints(tmp_path).load(into=state)
    assert same(state, 7)


def test_nothing_to_load_is_said_with_the_place(tmp_path):
    with pytest.raises(NoCheckpoint, match="has no checkpoint yet"):
        hw.Checkpoints(tmp_path).load(into=state_of(0))


def test_a_loop_goes_on_where_it_was_saved_last(tmp_path):
    state, seen = state_of(0), []
    with hw.Checkpoints(tmp_path) as ck:
        for step in ck.steps(state, total=10, every=3):
            if step == 8:
                break
            state["w"] += 1
            seen.append(step)
        assert seen == list(range(8))
    state, seen = state_of(0), []
    with hw.Checkpoints(tmp_path) as ck:
        for step in ck.steps(state, total=10, every=3):
            state["w"] += 1
            seen.append(step)
    assert seen == [6, 7, 8, 9]
    assert (state["w"] == 10).all()
    assert hw.Checkpoints(tmp_path).latest().step == 10
    assert list(hw.Checkpoints(tmp_path).steps(state, total=10, every=3)) == []


def test_a_save_that_finds_no_room_is_skipped_and_said(tmp_path):
    events = []

    def train(member):
        with hw.Checkpoints(tmp_path, ranks=member, buffers=1, on_event=events.append) as ck:
            os.kill(first := _helper_of(ck), signal.SIGSTOP)
            try:
                slow, skipped = ck.save(state_of(1), 1), ck.save(state_of(2), 2)
            finally:
                os.kill(first, signal.SIGCONT)
            ck.wait()
            ck.save(state_of(3), 3).durable()
            return slow.skipped, skipped.skipped

    for first, second in Gang(2).run(train):
        assert not first
        assert second == "on rank 0, 1 earlier save is still being written: save less often, or to a faster disk"
    skipped = [event for event in events if isinstance(event, hw.events.CheckpointSkipped)]
    assert sorted((event.rank, event.step) for event in skipped) == [(0, 2), (1, 2)]
    assert [each.step for each in hw.Checkpoints(tmp_path).manifests()] == [3, 1]


def _helper_of(ck):
    ck.prepare(state_of(0))
    return ck._saver._client.pid


def test_a_failed_save_warns_and_training_goes_on(tmp_path):
    events = []
    with hw.Checkpoints(tmp_path / "root", on_event=events.append) as ck:
        ck.save(state_of(1), 1).durable()
        shutil.rmtree(tmp_path / "root" / "steps")
        (tmp_path / "root" / "steps").write_text("in the way")
        lost = ck.save(state_of(2), 2)
        with pytest.raises(SaveFailed):
            lost.durable()
        (tmp_path / "root" / "steps").unlink()
        with pytest.warns(RuntimeWarning, match="step 2 was not saved"):
            ck.save(state_of(3), 3).durable()
        assert [event.step for event in events if isinstance(event, hw.events.CheckpointFailed)] == [2]
        state = state_of(0)
        assert ck.load(into=state).step == 3
        assert same(state, 3)


@pytest.mark.parametrize("odd", ["\udcff", pytest.param(10**5000, id="a number of 5001 digits")])
def test_a_value_that_has_no_form_in_a_checkpoint_ends_no_training(tmp_path, odd):
    state = {"w": np.zeros(3), "file": "a"}

    def train():
        with hw.Checkpoints(tmp_path, buffers=9) as ck:
            for step in ck.steps(state, total=4, every=1):
                state["file"] = odd if step == 1 else "b"

    with pytest.warns(RuntimeWarning, match="step 2 was not saved"):
        train()
    assert sorted(each.step for each in hw.Checkpoints(tmp_path).manifests()) == [1, 3, 4]


def flip(root, manifest, at=-1):
    file = next((root / manifest.folder).glob("*.safetensors"))
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    return file.name


def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        ck.save(state_of(1), 1).durable()
        ck.save(state_of(2), 2).durable()
        name = flip(tmp_path, ck.latest())
        state = state_of(0)
        with pytest.warns(RuntimeWarning, match=rf"step 2 is passed over.*{name}"):
            restored = ck.load(into=state)
        assert restored.step == 1
        assert len(restored.passed_over) == 1
        assert same(state, 1)
        state = state_of(0)
        with pytest.raises(CheckpointDamaged, match=r"w|b"):
            ck.load(into=state, step=2)
        assert same(state, 0)
        flip(tmp_path, ck.manifests()[1])
        with pytest.warns(RuntimeWarning), pytest.raises(CheckpointDamaged, match="no checkpoint that verifies"):
            ck.load(into=state)
        with pytest.warns(RuntimeWarning), pytest.raises(CheckpointDamaged, match="no checkpoint that verifies"):
            next(ck.steps(state, total=3, every=1))
        assert same(state, 0)


def test_a_state_that_does_not_fit_is_refused_with_names(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        ck.save(state_of(1), 1).durable()
        for wrong, name in [
            ({**state_of(0), "w": np.zeros(999, "float32")}, "w is F32"),
            ({**state_of(0), "new": np.zeros(3)}, r"new is in the state \(F64 \[3\]\), but not in the checkpoint"),
            (
                {name: value for name, value in state_of(0).items() if name != "b"},
                r"b is in the checkpoint .*, but not in",
            ),
        ]:
            with pytest.raises(CheckpointMismatch, match=name):
                ck.load(into=wrong)
        state = {**state_of(0), "new": np.zeros(3)}
        with pytest.warns(RuntimeWarning, match="step 1 has nothing of new: that stays as it is"):
            ck.load(into=state, strict=False)
        assert same(state, 1)
        less = {"w": np.zeros(1000, "float32")}
        ck.load(into=less, strict=False)
        assert (less["w"] == 1).all()
        state = state_of(0)
        ck.load(into=state, select=lambda name: name == "b")
        assert (state["b"] == 1).all()
        assert (state["w"] == 0).all()


def test_a_state_that_can_never_be_saved_is_refused_at_once(tmp_path):
    with hw.Checkpoints(tmp_path) as ck, pytest.raises(UsageError, match=r"sock.*can't be kept"):
        ck.save({"sock": object()}, 1)


def test_ranks_share_the_writing_and_any_number_of_them_loads(tmp_path):
    def save(member):
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            save = ck.save(state_of(5, size=100_000), 5)
            save.durable()
            return save.nbytes

    sizes = Gang(3).run(save)
    assert max(sizes) < 420_000  # the largest array is one rank's, the rest another's

    def load(member):
        state = state_of(0, size=100_000)
        read = hw.Checkpoints(tmp_path, ranks=member).load(into=state).bytes_read
        return same(state, 5), read

    for size in (1, 2, 4):
        done = Gang(size).run(load)
        assert all(right for right, _ in done)
        assert sum(read for _, read in done) == 400_000 + 96  # each byte once, however many ranks


def test_ranks_that_contradict_each_other_all_hear_of_it(tmp_path):
    def save(member):
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            return ck.save({"w": np.zeros(3), "n": member.rank}, 5)

    for error in Gang(2).run(save):
        assert isinstance(error, CheckpointMismatch)
        assert "n: rank 1 has 1, an earlier one 0" in str(error)

    def load(member):
        return hw.Checkpoints(tmp_path, ranks=member).load(into={"w": np.zeros(3)})

    for error in Gang(2).run(load):
        assert isinstance(error, NoCheckpoint)
    with hw.Checkpoints(tmp_path) as ck:
        for step in (1, 2):
            ck.save({"w": np.zeros(3)}, step).durable()

    def load_another(member):
        return hw.Checkpoints(tmp_path, ranks=member).load(into={"w": np.zeros(3)}, step=1 + member.rank)

    for error in Gang(2).run(load_another):
        assert isinstance(error, CheckpointMismatch)
        assert "rank 0 loads 1 and rank 1 loads 2" in str(error)


def test_an_optimizer_step_waits_for_the_copy(tmp_path):
    model = torch.nn.Linear(2000, 2000)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with hw.Checkpoints(tmp_path) as ck:
        for number in range(3):
            model.load_state_dict(before)
            model(torch.ones(1, 2000)).sum().backward()
            save = ck.save({"model": model, "opt": optimizer}, number)
            optimizer.step()
            save.durable()
            opened = ck.open(number)
            assert all(np.array_equal(opened[f"model.{name}"], value.numpy()) for name, value in before.items())
            opened.close()


def test_a_change_without_the_guard_is_found(tmp_path, monkeypatch):
    model = torch.nn.Linear(30, 30)
    go_on, read = threading.Event(), TorchMemory.read

    def slow(memory, piece, into):
        if threading.current_thread() is not threading.main_thread():
            assert go_on.wait(60)
        read(memory, piece, into)

    monkeypatch.setattr(TorchMemory, "read", slow)
    with hw.Checkpoints(tmp_path) as ck:
        save = ck.save({"model": model, "opt": torch.optim.SGD(model.parameters())}, 1)
        with torch.no_grad():
            model.weight.add_(1)
        go_on.set()
        with pytest.raises(SaveFailed, match=r"model.weight was changed while it was being copied.*call `guard\(\)`"):
            save.durable()
        with pytest.warns(RuntimeWarning, match="step 1 was not saved"):
            ck.wait()


def test_old_checkpoints_go_as_new_ones_come(tmp_path):
    with hw.Checkpoints(tmp_path, keep=Keep(last=2, every=4)) as ck:
        for step in range(1, 9):
            ck.save(state_of(step), step).durable()
    assert [each.step for each in hw.Checkpoints(tmp_path).manifests()] == [8, 7, 4]
    with hw.Checkpoints(tmp_path) as ck:
        ck.pin(7)
        ck.gc(Keep(last=1))
        assert [each.step for each in ck.manifests()] == [8, 7]


def test_two_trainers_on_one_root_meet(tmp_path):
    with hw.Checkpoints(tmp_path) as one, hw.Checkpoints(tmp_path) as other:
        one.save(state_of(1), 1).durable()
        other.save(state_of(2), 2).durable()
        lost = one.save(state_of(3), 3)
        with pytest.raises(CheckpointConflict, match="another program saves to this root"):
            lost.durable()
        with pytest.warns(RuntimeWarning, match="another program"):
            one.wait()


def test_a_root_that_lost_its_head_is_saved_to_again(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        for step in (1, 2):
            ck.save(state_of(step), step).durable()
    (tmp_path / "HEAD").unlink()
    with hw.Checkpoints(tmp_path) as ck:
        ck.save(state_of(3), 3).durable()
        assert [(each.step, each.serial) for each in ck.manifests()] == [(3, 3), (2, 2), (1, 1)]
        assert ck.latest().step == 3
