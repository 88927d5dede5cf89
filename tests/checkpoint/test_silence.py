"""Nothing is skipped, passed over or left out without a word."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from enum import Enum, IntEnum

import msgspec
import numpy as np
import pytest
import torch
from gang import Gang

import headway as hw
from headway.checkpoint import Layout, Replicated, Split
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.files.manifest import Head, Manifest, seal, unseal
from headway.checkpoint.layout.names import find_near
from headway.checkpoint.state.selection import Selection
from headway.errors import CheckpointDamaged, CheckpointMismatch, DeadlineExceeded, LayoutError, UsageError


@contextlib.contextmanager
def slow_disk(ck, state):
    """Saves that begin meanwhile don't end: the helper stands still."""
    ck.prepare(state)
    helper = ck._saver._client.pid
    os.kill(helper, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(helper, signal.SIGCONT)


def steps_of(root):
    return [each.step for each in hw.Checkpoints(root).manifests()]


# --- skipped saves ---------------------------------------------------------------------------------------------------


def test_skipped_saves_are_told_at_once_then_in_groups_and_the_rest_at_the_end(tmp_path, caplog):
    state = {"w": np.zeros(3)}
    with hw.Checkpoints(tmp_path, buffers=1) as ck:
        with slow_disk(ck, state):
            for step in range(1, 20):
                ck.save(state, step)
            assert [message.partition(":")[0] for message in caplog.messages] == [
                "step 2 was not saved",
                "steps 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 were not saved",
            ]
        ck.wait()
        assert caplog.messages[-1].startswith("steps 13, 14, 15, 16, 17, 18, 19 were not saved: 1 earlier save is still")
        ck.save(state, 20)
    assert len(caplog.messages) == 3
    assert steps_of(tmp_path) == [20, 1]


@pytest.mark.parametrize("make", [np.zeros, torch.zeros])
def test_the_last_state_is_saved_at_the_end_although_its_save_was_skipped(tmp_path, make, caplog):
    state = {"w": make(3), "n": 0}
    with hw.Checkpoints(tmp_path, buffers=1) as ck, slow_disk(ck, state):
        ck.save(state, 1)
        state["w"] += 1
        state["n"] = 2
        assert ck.save(state, 2).skipped
        state["w"] += 1
        ck.save(state, 3, metrics={"loss": 0.5})
    assert [message.partition(":")[0] for message in caplog.messages] == ["step 2 was not saved"]
    assert steps_of(tmp_path) == [3, 1]
    state = {"w": make(3), "n": 0}
    assert hw.Checkpoints(tmp_path).load(into=state).metrics == {"loss": 0.5}
    assert (state["w"] == 2).all()


@pytest.mark.parametrize("change", ["in place", "another array", "a value"])
def test_a_state_that_has_changed_since_is_not_saved_as_what_it_was(tmp_path, change):
    state = {"w": torch.zeros(3), "v": np.zeros(3), "n": 1}
    ck = hw.Checkpoints(tmp_path, buffers=1)
    with slow_disk(ck, state):
        ck.save(state, 1)
        ck.save(state, 2)
        if change == "in place":
            state["v"] += 1
        elif change == "another array":
            state["w"] = torch.zeros(3)
        else:
            state["n"] = 3
    with pytest.warns(RuntimeWarning, match=r"step 2, the last that was to be saved, was not: .*its state has changed since"):
        ck.close()
    assert steps_of(tmp_path) == [1]


def test_ranks_that_close_one_by_one_save_nothing_more_and_say_so(tmp_path):
    def train(member):
        state = {"w": np.zeros(3)}
        ck = hw.Checkpoints(tmp_path, ranks=member, buffers=1)
        with slow_disk(ck, state):
            ck.save(state, 1)
            ck.save(state, 2)
        ck.close()

    with pytest.warns(RuntimeWarning, match="step 2, the last that was to be saved, was not: on rank 0, 1 earlier save"):
        assert Gang(2).run(train) == [None, None]
    assert steps_of(tmp_path) == [1]


def test_a_save_that_may_not_be_skipped_waits_for_room(tmp_path):
    state = {"w": np.zeros(3)}
    with hw.Checkpoints(tmp_path, buffers=1) as ck:
        for step in range(1, 6):
            assert not ck.save(state, step, may_skip=False).skipped
    assert steps_of(tmp_path) == [5, 4, 3, 2, 1]


# --- waits that end --------------------------------------------------------------------------------------------------


def test_waits_end_when_they_should_and_say_what_is_not_done(tmp_path):
    state = {"w": np.zeros(3)}
    ck = hw.Checkpoints(tmp_path)
    with slow_disk(ck, state):
        save = ck.save(state, 1)
        with pytest.raises(TimeoutError, match=r"step 1 is not durable after 0\.01 s"):
            save.durable(0.01)
        assert ck.wait(0.01) is False
        with pytest.warns(RuntimeWarning, match="step 1 was still being written when the time to close was over"):
            ck.close(0.01)
    for _ in range(6000):
        if steps_of(tmp_path) == [1]:  # by the helper alone
            return
        time.sleep(0.01)
    raise AssertionError("the helper did not write step 1")


def test_waits_end_at_the_deadline_of_the_run(tmp_path):
    seen = []

    @hw.task
    async def train():
        state = {"w": np.zeros(3)}
        ck = hw.Checkpoints(tmp_path / "root")
        with slow_disk(ck, state):
            save = ck.save(state, 1)
            with hw.deadline(0.05):
                try:
                    save.durable()
                except DeadlineExceeded as error:
                    seen.append(str(error))
                seen.append(ck.wait())
        save.durable(60)
        ck.close()

    with contextlib.suppress(DeadlineExceeded):
        hw.run(train, store=tmp_path / "store")
    assert seen == ["step 1 is not durable when the deadline passed", False]


# --- what is passed over ---------------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        for step in (1, 2, 3):
            ck.save({"w": np.full(3, step)}, step).durable()
    return tmp_path


def manifest_of(root, step):
    (file,) = root.glob(f"steps/{step:012d}-*/manifest.json")
    return file


def newer_format(data):
    line = data.partition(b"\n")[0].replace(b'{"id"', b'{"format":2,"id"', 1)
    return seal(msgspec.Raw(line))


HARMS = {
    "a bit": (lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:], "its hash does not match"),
    "cut off": (lambda data: data[:100], "its hash does not match"),
    "empty": (lambda data: b"", r"\(0 bytes\)"),
    "of a newer format": (newer_format, "its format is 2, and this version knows 1"),
    "copied from another": (None, "the folder was copied or renamed"),
    "gone": (lambda data: None, "HEAD names a checkpoint that is gone"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_manifest_that_is_not_used_is_told_and_listed(three, harm):
    change, why = HARMS[harm]
    file = manifest_of(three, 3)
    data = change(file.read_bytes()) if change else manifest_of(three, 2).read_bytes()
    file.unlink() if data is None else file.write_bytes(data)
    state = {"w": np.zeros(3, "i8")}
    with hw.Checkpoints(three) as ck:
        with pytest.warns(RuntimeWarning, match=why) as seen:
            restored = ck.load(into=state)
        assert len(seen) == len(restored.passed_over) == 1
        assert (restored.step, state["w"].tolist()) == (2, [2, 2, 2])
        for look in (ck.latest, ck.open, ck.verify):
            with pytest.warns(RuntimeWarning, match=why):
                look()
        with pytest.warns(RuntimeWarning, match=why):
            assert list(ck.steps(state, total=3, every=1)) == [2]
        assert "passed_over=[" in repr(restored)
        assert ck.load(into=state).passed_over == ()  # what was saved since is whole


def test_a_damaged_head_is_told_and_the_newest_is_found_all_the_same(three):
    (three / "HEAD").write_bytes(b"no\n")
    with pytest.warns(RuntimeWarning, match=r"HEAD: its hash does not match"):
        restored = hw.Checkpoints(three).load(into={"w": np.zeros(3, "i8")})
    assert (restored.step, len(restored.passed_over)) == (3, 1)


def test_a_damaged_segment_and_a_damaged_manifest_are_both_listed(three):
    (segment,) = manifest_of(three, 2).parent.glob("00000.json")
    segment.write_bytes(segment.read_bytes()[:50])
    manifest_of(three, 3).write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="passed over") as seen:
        restored = hw.Checkpoints(three).load(into={"w": np.zeros(3, "i8")})
    assert (restored.step, len(restored.passed_over), len(seen)) == (1, 2, 2)


def test_all_ranks_hear_of_what_is_passed_over(three):
    manifest_of(three, 3).write_bytes(b"")

    def load(member):
        return len(hw.Checkpoints(three, ranks=member).load(into={"w": np.zeros(3, "i8")}).passed_over)

    with pytest.warns(RuntimeWarning, match="passed over"):
        assert Gang(2).run(load) == [1, 1]


def test_one_of_two_checkpoints_of_a_step_that_does_not_verify_is_told(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        for value in (1, 2):
            ck.save({"w": np.full(3, value)}, 5).durable()
    head = unseal((tmp_path / "HEAD").read_bytes(), Head, "HEAD")
    (tmp_path / head.folder / "manifest.json").write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="its hash does not match"):
        assert len(hw.Checkpoints(tmp_path).load(into={"w": np.zeros(3, "i8")}, step=5).passed_over) == 1


def test_nothing_that_verifies_is_no_fresh_start(three):
    for step in (1, 2, 3):
        manifest_of(three, step).write_bytes(b"")
    with pytest.raises(CheckpointDamaged, match="no checkpoint that verifies"):
        next(hw.Checkpoints(three).steps({"w": np.zeros(3, "i8")}, total=9, every=1))


# --- choices that fit nothing ----------------------------------------------------------------------------------------


@pytest.fixture
def trained(tmp_path):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"model": model, "opt": optimizer, "n": 3}, 1).durable()
    return tmp_path


@pytest.mark.parametrize(
    ("key", "options", "why"),
    [
        ("model", {"select": lambda name: name.startswith("modle.")}, "select= says yes to none of the 5 names"),
        ("model", {"select": "modle.*"}, "near to it: model.bias"),
        ("model", {"select": ["model.*", "op.*"]}, r"select='op.\*' fits none"),
        ("net", {"strict": False}, "nothing that would be loaded into this state.*The state has net"),
        ("net", {"select": "model.*", "strict": False}, "nothing that would be loaded"),
    ],
)
def test_a_load_that_would_load_nothing_is_refused(trained, key, options, why):
    model = torch.nn.Linear(2, 2)
    before = model.weight.detach().clone()
    with pytest.raises(CheckpointMismatch, match=why):
        hw.Checkpoints(trained).load(into={key: model}, **options)
    assert torch.equal(model.weight, before)


def test_a_part_of_the_state_that_gets_nothing_is_told(trained):
    state = {"net": torch.nn.Linear(2, 2), "n": 0}
    with pytest.warns(RuntimeWarning, match="step 1 has nothing of net: that stays as it is"):
        restored = hw.Checkpoints(trained).load(into=state, strict=False)
    assert restored.loaded == ("n",)
    assert restored.missing == ("net.bias", "net.weight")
    assert set(restored.left) == {"model.weight", "model.bias", "opt.group.model.weight", "opt.group.model.bias"}
    assert repr(restored).startswith("Restored(step=1, id='")
    assert "1 loaded, 4 left in the checkpoint (model.bias, " in repr(restored).replace("model.weight, model.bias", "model.bias, ")


def test_an_optimizer_that_is_called_otherwise_and_gets_nothing_is_told(trained):
    model = torch.nn.Linear(2, 2)
    state = {"model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1), "n": 0}
    with pytest.warns(RuntimeWarning, match="step 1 has nothing of optimizer: that stays as it is"):
        hw.Checkpoints(trained).load(into=state, strict=False)
    assert state["optimizer"].param_groups[0]["lr"] == 0.1


def test_patterns_choose_with_or_without_the_first_word(trained):
    state = {"model": torch.nn.Linear(2, 2)}
    assert hw.Checkpoints(trained).load(into=state, select="weight").loaded == ("model.weight",)
    restored = hw.Checkpoints(trained).load(into=state, select=["*.weight", "bias"])
    assert set(restored.loaded) == {"model.weight", "model.bias"}
    assert "n" in restored.left
    with pytest.raises(UsageError, match="give a pattern"):
        Selection([3])
    assert find_near("modle.w", ["model.w", "opt.lr"]) == ["model.w"]


def test_a_rule_of_the_loads_layout_that_fits_nothing_is_refused(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"up": {"weight": np.zeros((4, 2))}}, 1).durable()
    layout = Layout([Split("*.uq.weight", dim=0, axis="tp"), Replicated("*")], axes={"tp": (0, 1), "pp": (0, 2)})
    with pytest.raises(LayoutError, match="fits none"):
        hw.Checkpoints(tmp_path).load(into={"up": {"weight": np.zeros((4, 2))}}, layout=layout)


def test_a_name_that_an_open_checkpoint_lacks_is_answered_with_names_near_to_it(trained):
    with hw.Checkpoints(trained).open() as opened:
        with pytest.raises(KeyError, match=r"near to it: model\.weight"):
            opened["modle.weight"]
        assert "modle.weight" not in opened


def test_a_rule_about_a_metric_that_nobody_measures_removes_nothing(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        for step in (1, 2, 3):
            ck.save({"w": np.zeros(1)}, step, metrics={"val_loss": 1 / step}).durable()
        with pytest.raises(UsageError, match="'val_los', which no checkpoint has; they have val_loss"):
            ck.gc(Keep(last=1, best=("val_los", "min", 1)))
        with pytest.raises(UsageError, match="no checkpoint has that id"):
            ck.gc(Keep(last=1, pins=frozenset({"abcd"})))
    assert steps_of(tmp_path) == [3, 2, 1]
    ck = hw.Checkpoints(tmp_path, keep=Keep(last=1, best=("val_los", "min", 1)))
    ck.save({"w": np.zeros(1)}, 4, metrics={"val_loss": 1.0}).durable()
    with pytest.warns(RuntimeWarning, match=r"old checkpoints could not be removed: .*val_los"):
        ck.close()
    assert steps_of(tmp_path) == [4, 3, 2, 1]


# --- values keep their type ------------------------------------------------------------------------------------------


class Phase(IntEnum):
    WARM = 1
    COLD = 2


class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"


SAVED = [
    3,
    3.0,
    True,
    "3",
    b"3",
    None,
    3 + 0j,
    np.int64(3),
    np.float32(3),
    np.bool_(1),
    [3],
    (3,),
    [],
    (),
    [(1, 2.0)],
    ([1],),
    2**60,
    -0.0,
]


@pytest.mark.parametrize("saved", SAVED, ids=lambda each: f"{type(each).__name__} {each!r}")
def test_what_is_loaded_has_the_type_that_was_saved(tmp_path, saved):
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"x": saved, "w": np.zeros(1)}, 1).durable()
        for there in (0, 0.5, False, "", b"", None, np.float64(1), [], (), [0], (0, 0)):
            state = {"x": there, "w": np.ones(1)}
            if isinstance(there, list | tuple) and not isinstance(saved, list | tuple):
                with pytest.raises(CheckpointMismatch, match="x"):
                    ck.load(into=state)
                assert state["w"] == 1
                continue
            ck.load(into=state)
            assert type(state["x"]) is type(saved)
            assert repr(state["x"]) == repr(saved)


def test_members_of_enums_come_back_as_what_they_are(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"phase": Phase.COLD, "modes": [Mode.FAST, Mode.SLOW], "w": np.zeros(1)}, 1).durable()
        state = {"phase": Phase.WARM, "modes": [Mode.SLOW, Mode.SLOW], "w": np.zeros(1)}
        ck.load(into=state)
        assert state["phase"] is Phase.COLD
        assert state["modes"] == [Mode.FAST, Mode.SLOW]
        state["phase"], state["w"][:] = 0, 5
        with pytest.raises(CheckpointMismatch, match="phase was saved as a member of the enum Phase"):
            ck.load(into=state)
        assert state["w"] == 5
        ck.save({"phase": 2, "mode": "never", "w": np.zeros(1)}, 2).durable()  # as earlier versions did
        state = {"phase": Phase.WARM, "mode": "", "w": np.zeros(1)}
        ck.load(into=state)
        assert state["phase"] is Phase.COLD
        with pytest.raises(CheckpointMismatch, match="no member for the 'never' that was saved"):
            ck.load(into={"phase": Phase.WARM, "mode": Mode.FAST, "w": np.zeros(1)})


class Metres(float):
    pass


@pytest.mark.parametrize("value", [np.str_("x"), np.bytes_(b"x"), Metres(1), [1, [np.str_("x")]], {"a": (Metres(1),)}])
def test_a_value_that_would_come_back_as_another_type_is_refused_when_it_is_saved(tmp_path, value):
    with hw.Checkpoints(tmp_path) as ck, pytest.raises(UsageError, match=r"x.* is a .*, a kind of (str|bytes|float) that would"):
        ck.save({"x": value}, 1)


class Keeper:
    def __init__(self, **more):
        self.more = more

    def state_dict(self):
        return self.more

    def load_state_dict(self, more):
        self.more = more


def test_sets_and_bytes_of_objects_keep_whether_they_can_be_changed(tmp_path):
    tree = {"a": frozenset({1}), "b": {2}, "c": bytearray(b"x"), "d": b"x", "e": (1, [2]), "f": {1: "a"}}
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"k": Keeper(**tree)}, 1).durable()
        other = Keeper()
        ck.load(into={"k": other})
    assert other.more == tree
    assert [type(each) for each in other.more.values()] == [type(each) for each in tree.values()]


def test_a_checkpoint_of_an_earlier_version_has_the_parts_of_tuples_one_by_one(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"w": np.zeros(1), "betas": {"0": 0.9, "1": 0.99}}, 1).durable()  # which gives the names that it gave
        assert list(unseal(manifest_of(tmp_path, 1).read_bytes(), Manifest, "it").values) == ["betas.0", "betas.1"]
        state = {"w": np.zeros(1), "betas": (0.0, 0.0)}
        ck.load(into=state)
    assert state["betas"] == (0.9, 0.99)
