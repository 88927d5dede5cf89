"""Without a state to load into, by the best metric, and as tensors: what is in a checkpoint, for whoever wants to look."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from gang import Gang

import headway as hw
from headway.checkpoint import Keep
from headway.checkpoint.catalog import collect
from headway.checkpoint.load.templateless import nest
from headway.errors import NoCheckpoint, UsageError


class Keeper:
    def __init__(self, **more):
        self.more = more

    def state_dict(self):
        return self.more

    def load_state_dict(self, more):
        self.more = more


@pytest.fixture
def root(tmp_path):
    tied = torch.arange(6.0).reshape(2, 3)
    state = {
        "model": {"w": tied, "same": tied, "half": torch.ones(3, dtype=torch.bfloat16)},
        "data": np.arange(3, dtype="i8"),
        "losses": [0.5, 0.25],
        "at": (3, "x"),
        "keeper": Keeper(mean=np.float32(2), rows=torch.zeros(2), names={"a"}),
    }
    with hw.Checkpoints(tmp_path) as ck:
        ck.save(state, 1).durable()
    return tmp_path


@pytest.mark.parametrize("arrays", [None, "torch", "numpy"])
def test_what_was_saved_comes_back_without_a_state_to_load_into(root, arrays):
    restored = hw.Checkpoints(root).load(arrays=arrays)
    state = restored.state
    assert (state["losses"], state["at"]) == ([0.5, 0.25], (3, "x"))
    assert state["model"]["w"] is state["model"]["same"]
    assert isinstance(state["data"], np.ndarray if arrays == "numpy" else torch.Tensor)
    assert state["model"]["w"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert "bfloat16" in str(state["model"]["half"].dtype)
    keeper = state["keeper"]
    assert type(keeper["mean"]) is np.float32
    assert torch.equal(keeper["rows"], torch.zeros(2))
    assert keeper["names"] == {"a"}
    assert restored.left == ()
    assert "state=" not in repr(restored)


def test_a_part_comes_back_alone_and_options_about_a_state_are_refused(root):
    ck = hw.Checkpoints(root)
    assert set(ck.load(select="model.*").state) == {"model"}
    for wrong in ({"strict": False}, {"arrays": "jax"}, {"into": {}, "arrays": "numpy"}):
        with pytest.raises(UsageError, match=r"load\("):
            ck.load(**wrong)


def test_every_rank_gets_all_of_it(root):
    def load(member):
        return hw.Checkpoints(root, ranks=member).load().state["model"]["w"].sum().item()

    assert Gang(2).run(load) == [15.0, 15.0]


def test_names_that_begin_others_keep_their_dots():
    assert nest({"x": 1, "x.y": 2, "x.y.z": 3, "a.b": 4}) == {"x": 1, "x.y": 2, "x.y.z": 3, "a": {"b": 4}}


WITHOUT_TORCH = """
import sys
import headway as hw

state = hw.Checkpoints(sys.argv[1]).load(select=["model.w", "data"]).state
assert "torch" not in sys.modules
print(state["model"]["w"].sum(), type(state["data"]).__name__)
"""


def test_a_program_without_torch_gets_arrays_of_numpy(root):
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, root], capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.stderr) == ("15.0 ndarray\n", "")


# --- tensors of an open checkpoint -----------------------------------------------------------------------------------

TYPES = [torch.bfloat16, torch.float16, torch.float64, torch.bool, torch.uint8, torch.int64, torch.complex128, torch.float8_e4m3fn]


@pytest.mark.parametrize("dtype", TYPES)
def test_an_open_checkpoint_gives_tensors_of_every_type_without_ml_dtypes(tmp_path, monkeypatch, dtype):
    tensor = torch.arange(12).reshape(3, 4).to(dtype)
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"w": tensor}, 1).durable()
        monkeypatch.setitem(sys.modules, "ml_dtypes", None)
        with ck.open() as opened:
            assert opened["w"].tensor().dtype == dtype
            for index in (..., slice(1, 3), (slice(None), slice(None, None, 2)), (1, 2), (..., -1)):
                mine, its = opened["w"].tensor(index), tensor[index]
                assert mine.shape == its.shape
                assert not mine.ndim or torch.equal(mine.contiguous().view(torch.uint8), its.contiguous().view(torch.uint8))
                assert str(mine.tolist()) == str(its.tolist())
            if dtype is torch.bfloat16:
                with pytest.raises(UsageError, match="needs ml_dtypes: pip install"):
                    opened["w"][:]


# --- the best, and metrics that come later ---------------------------------------------------------------------------


@pytest.fixture
def measured(tmp_path):
    with hw.Checkpoints(tmp_path) as ck:
        for step, loss in ((1, 0.5), (2, 0.1), (3, 0.1), (4, 0.9)):
            ck.save({"w": np.full(2, step)}, step, metrics={"val:loss": loss}).durable()
        ck.save({"w": np.full(2, 5)}, 5).durable()
    return tmp_path


def test_the_best_checkpoint_is_found_by_any_metric_and_the_newer_of_equal_ones(measured):
    ck = hw.Checkpoints(measured)
    assert ck.load(into={"w": np.zeros(2, "i8")}, step="best:val:loss:min").step == 3
    assert ck.load(into={"w": np.zeros(2, "i8")}, step="best:val:loss:max").step == 4
    assert hw.Checkpoints(measured, keep=Keep(best=("val:loss", "max", 2))).open("best").manifest.step == 4
    for wrong, why in (
        ("best", "by which metric"),
        ("best:", "write best:METRIC:min"),
        ("best:val:loss:least", "'min' or 'max'"),
        ("best:val:los:min", "no checkpoint has the metric 'val:los'; they have val:loss"),
    ):
        with pytest.raises(UsageError, match=why):
            ck.load(into={"w": np.zeros(2, "i8")}, step=wrong)
    with pytest.raises(NoCheckpoint):
        hw.Checkpoints(measured / "other").load(into={}, step="best:loss:min")


def test_metrics_that_do_not_verify_are_said_and_what_may_be_the_best_stays(measured):
    ck, keep = hw.Checkpoints(measured), Keep(last=1, best=("val:loss", "min", 1))
    ck.add_metrics(1, {"val:loss": 0.01})
    (file,) = (measured / "metrics").iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.warns(RuntimeWarning, match=rf"metrics of step 1: .*{file.name}"):
        assert ck.load(into={"w": np.zeros(2, "i8")}, step="best:val:loss:min").step == 3
    with pytest.warns(RuntimeWarning, match="metrics of step 1"):
        assert ck.metrics_of(1) == {"val:loss": 0.5}
    assert [problem.kind for problem in ck.verify(1).problems] == ["metrics"]
    assert ck.verify(3).whole
    report = ck.gc(keep)
    assert [each.step for each in ck.manifests()] == [5, 3, 1]
    assert any(note.startswith("step 1 stays: ") and file.name in note for note in report.notes)
    ck.gc(Keep(last=1))
    assert [each.step for each in ck.manifests()] == [5]
    assert not file.exists()


def test_metrics_come_later_and_count_for_the_best_and_for_what_is_kept(measured):
    ck = hw.Checkpoints(measured)
    ck.add_metrics(4, {"val:loss": 0.05, "acc": np.float32(0.5)})
    ck.add_metrics(4, {"acc": 0.75})
    ck.add_metrics(1, {"acc": 0.25})
    assert ck.metrics_of(4) == {"val:loss": 0.05, "acc": 0.75}
    restored = ck.load(into={"w": np.zeros(2, "i8")}, step="best:val:loss:min")
    assert (restored.step, restored.metrics) == (4, {"val:loss": 0.05, "acc": 0.75})
    assert ck.verify(4).whole
    ck.gc(Keep(last=1, best=("acc", "max", 1)))
    assert [each.step for each in ck.manifests()] == [5, 4]
    assert len(list((measured / "metrics").iterdir())) == 2  # those of step 1 went with it
    for wrong in ({}, {"acc": float("nan")}, {"acc": "high"}):
        with pytest.raises(UsageError, match=r"add_metrics|give a number"):
            ck.add_metrics(4, wrong)
    with pytest.raises(NoCheckpoint):
        ck.add_metrics(7, {"acc": 1})


def test_a_metric_of_a_checkpoint_that_came_during_a_collection_stays(measured, monkeypatch):
    ck = hw.Checkpoints(measured)
    survey = collect.survey

    def survey_and_evaluate(*args, **options):
        seen = survey(*args, **options)
        with hw.Checkpoints(measured) as other:
            step = max(each.step for each in other.manifests()) + 1
            other.save({"w": np.full(2, step)}, step).durable()
            other.add_metrics(step, {"val:loss": 0.01})
        return seen

    monkeypatch.setattr(collect, "survey", survey_and_evaluate)
    ck.gc(Keep(last=1))
    monkeypatch.undo()
    assert ck.metrics_of(6) == ck.metrics_of(7) == {"val:loss": 0.01}


@pytest.mark.parametrize("step", ["lastest", "newest", "Best:val:loss:min", "bst:val:loss:min"])
def test_a_name_that_is_nearly_one_of_a_checkpoint_is_told_what_names_are(measured, step):
    with pytest.raises(NoCheckpoint, match="To name one, give a step, an id, 'latest', or the best by a metric"):
        hw.Checkpoints(measured).open(step)


@pytest.mark.parametrize("wrong", [3.0, {1: 2.0}, ["val_loss"]])
def test_metrics_that_have_no_names_are_refused(measured, wrong):
    with hw.Checkpoints(measured) as ck:
        with pytest.raises(UsageError, match=r"give numbers by name, such as {'val_loss': 0.3}"):
            ck.save({"w": np.full(2, 9)}, 9, metrics=wrong)
        with pytest.raises(UsageError, match="give numbers by name"):
            ck.add_metrics(4, wrong)


def test_the_best_is_that_of_those_that_were_kept(measured):
    assert hw.Checkpoints(measured).open("best:val:loss:min").manifest.step == 3
    hw.Checkpoints(measured).gc(Keep(last=2))
    assert hw.Checkpoints(measured).open("best:val:loss:min").manifest.step == 4
    ck = hw.Checkpoints(measured, keep=Keep(last=1, best=("val:loss", "min", 1)))
    ck.gc()
    assert [each.step for each in ck.manifests()] == [5, 4]
    assert ck.open("best").manifest.step == 4


# --- of a run --------------------------------------------------------------------------------------------------------

PROGRAM = """
import numpy as np
import headway as hw

@hw.task
async def train(seed: int) -> int:
    with hw.checkpoints() as ck, hw.checkpoints("best") as best:
        ck.save({"w": np.zeros(3)}, seed).durable()
        best.save({"w": np.zeros(3)}, 7).durable()
    return seed

@hw.task
async def main() -> list[int]:
    return await hw.gather(train(1), train(2))

hw.run(main, run_id="sky")
"""


def test_the_checkpoints_of_a_run_are_listed_by_its_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def headway(*words):
        return subprocess.run([sys.executable, "-m", "headway", "ckpt", *words], capture_output=True, text=True, timeout=100)

    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=100)
    listed = json.loads(headway("ls", "sky", "--json").stdout)
    assert listed["run"] == "sky"
    found = sorted((each["task"].rpartition(".")[2], each["name"], each["checkpoints"][0]["step"]) for each in listed["roots"])
    assert found == [("train", "", 1), ("train", "", 2), ("train", "best", 7), ("train", "best", 7)]
    assert "best" in headway("ls", "sky").stdout
    missing = headway("ls", "skj")
    assert missing.returncode == 3
    assert "did you mean 'sky'?" in missing.stderr
    assert headway("ls", "no/such").returncode == 3
