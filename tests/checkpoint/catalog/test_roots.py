"""A root is what was meant, or is refused before anything is made; and a training begins at what was imported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gang import Gang
from safetensors.torch import save_file

import headway as hw
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.formats.safetensors_files import import_safetensors
from headway.errors import CheckpointError, CheckpointMismatch, UsageError
from headway.storage.opening import open_backend


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def save(root, step=1):
    with hw.Checkpoints(root) as ck:
        ck.save({"w": np.zeros(3)}, step).durable()


@pytest.mark.parametrize("make", [str, Path])
def test_the_home_of_a_user_is_not_a_folder_that_is_called_tilde(home, make):
    save(make("~/runs"))
    assert (home / "runs" / "HEAD").is_file()
    assert list(Path().iterdir()) == []
    with pytest.raises(UsageError, match="Could not determine home directory"):
        hw.Checkpoints("~nobody-of-this-name/runs")


def test_a_url_that_lost_a_slash_is_told_or_refused(home):
    with pytest.warns(RuntimeWarning, match=r"write 's3://bucket/x' for the object store"):
        assert hw.Checkpoints("s3:/bucket/x").root == str(Path.cwd() / "s3:" / "bucket" / "x")
    with pytest.raises(UsageError, match=r"write 'gs://bucket/x', as text"):
        hw.Checkpoints(Path("gs://bucket/x"))
    assert hw.Checkpoints("c:/x").root.endswith("/c:/x")  # of a name that nobody takes for a store
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("root", ["", " ", Path("a-file"), "a-file/below", "a-file/below/it"])
def test_what_can_be_no_folder_is_refused_before_a_training_starts(home, root):
    Path("a-file").write_text("something")
    with pytest.raises(UsageError, match=r"is a file|name a folder"):
        next(hw.Checkpoints(root).steps({"w": np.zeros(3)}, total=3, every=1))
    assert Path("a-file").read_text() == "something"


def test_a_root_that_can_not_be_written_is_refused_before_the_first_step(tmp_path):
    state = {"w": np.zeros(3)}
    with pytest.raises(CheckpointError, match="cannot be written"):
        next(hw.Checkpoints("/proc/checkpoints").steps(state, total=3, every=1))
    for error in Gang(2).run(lambda member: next(hw.Checkpoints("/proc/it", ranks=member).steps(state, total=3, every=1))):
        assert isinstance(error, CheckpointError)


def test_a_training_that_is_done_needs_not_write(tmp_path, monkeypatch):
    save(tmp_path, 3)
    monkeypatch.setattr("headway.checkpoint.loop.refuse_unwritable", None)
    assert list(hw.Checkpoints(tmp_path).steps({"w": np.zeros(3)}, total=3, every=1)) == []


def test_roots_lie_beside_each_other_and_not_in_what_is_collected(tmp_path):
    save(tmp_path)
    for part in ("steps", "steps/eval", "clock/x"):
        with pytest.raises(UsageError, match=r"lies in (steps|clock)/ of the checkpoints in"):
            hw.Checkpoints(tmp_path / part)
    save(tmp_path / "eval")
    with hw.Checkpoints(tmp_path) as ck:
        for step in (2, 3):
            ck.save({"w": np.zeros(3)}, step).durable()
        ck.gc(Keep(last=1))
    assert hw.Checkpoints(tmp_path / "eval").latest().step == 1


def test_collecting_looks_at_nothing_but_the_parts_of_a_root(tmp_path):
    save(tmp_path)
    (tmp_path / "mail").mkdir()
    for place in ("mail", "steps", "."):
        (tmp_path / place / ".letter.partial").write_text("dear")
    assert {Path(file).name for file in hw.Checkpoints(tmp_path).gc().swept} == {".letter.partial"}
    assert (tmp_path / "mail" / ".letter.partial").read_text() == "dear"
    assert not (tmp_path / "steps" / ".letter.partial").exists()


def test_a_relative_root_stays_where_it_was_when_the_program_goes_elsewhere(home, monkeypatch):
    ck = hw.Checkpoints("runs")
    monkeypatch.chdir(home.parent)
    with ck:
        ck.save({"w": np.zeros(3)}, 1).durable()
    assert (home.parent / "work" / "runs" / "HEAD").is_file()


def test_options_that_can_not_be_meant_are_refused(tmp_path):
    for wrong in ({"buffers": 0}, {"deadline_s": 0}, {"deadline_s": float("nan")}, {"keep": 3}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            hw.Checkpoints(tmp_path, **wrong)


NO_NUMPY = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import headway as hw
try:
    hw.Checkpoints
except hw.UsageError as error:
    print(error)
"""


# --- a training that begins at an import -----------------------------------------------------------------------------


@pytest.fixture
def imported(tmp_path):
    base = torch.nn.Linear(2, 2)
    save_file(base.state_dict(), tmp_path / "model.safetensors")
    import_safetensors(open_backend(tmp_path / "root"), tmp_path / "model.safetensors", step=0, prefix="model.")
    return tmp_path / "root", base


def test_a_training_begins_at_an_imported_model_and_says_what_is_fresh(imported):
    root, base = imported
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    state = {"model": model, "opt": optimizer, "seen": 0}
    with hw.Checkpoints(root) as ck:
        training = ck.steps(state, total=2, every=1)
        with pytest.warns(RuntimeWarning, match="step 0 was imported and has nothing of opt, seen: that begins as it is"):
            assert next(training) == 0
        assert torch.equal(model.weight, base.weight)
        for step in training:
            state["seen"] = step
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    state["seen"] = 5
    assert list(hw.Checkpoints(root).steps(state, total=2, every=1)) == []  # its own: all of it, and no warning
    assert state["seen"] == 1


def test_an_import_that_has_half_of_a_model_is_no_beginning(imported):
    root, _ = imported
    model = torch.nn.Sequential()
    model.weight, model.bias = (torch.nn.Parameter(torch.zeros(shape)) for shape in ((2, 2), (2,)))
    model.head = torch.nn.Linear(2, 1)
    with pytest.raises(CheckpointMismatch, match=r"the import does not fit the state: it lacks model.head.weight"):
        next(hw.Checkpoints(root).steps({"model": model}, total=2, every=1))
    with pytest.raises(CheckpointMismatch, match=r"model.bias is in the checkpoint .*, but not in the state\n  model.weight"):
        next(hw.Checkpoints(root).steps({"net": torch.nn.Linear(2, 2)}, total=2, every=1))
    assert not model.weight.any()


def test_a_training_s_own_state_is_needed_whole_and_the_error_says_how_to_begin_anew(tmp_path):
    model = torch.nn.Linear(2, 2)
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"model": model}, 5).durable()
        with pytest.raises(CheckpointMismatch) as caught:
            next(ck.steps({"model": model, "opt": torch.optim.SGD(model.parameters())}, total=9, every=1))
    assert 'give that a root of its own, and load before its steps(): Checkpoints(old).load(into=state, select="model.*")' in str(
        caught.value.__notes__
    )
