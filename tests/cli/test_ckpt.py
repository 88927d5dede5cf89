"""`headway ckpt` on real checkpoints: three steps of a small state, saved once and copied for each test that changes them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import Answer, Folder

from headway.checkpoint.catalog.leases import open_leased
from headway.checkpoint.checkpoints import Checkpoints

STEPS = (10, 20, 30)
HEADER = 4096


def arrays_at(step: int) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    model = {"embed": rng.random((1000, 1500), dtype="f4"), "bias": np.arange(5, dtype="f2"), "frozen": np.int64(4)}
    model["embed"][step] += 1
    return {"model": model, "lr": 1 / step, "notes": ["of", step]}


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ckpt") / "runs"
    with Checkpoints(root, provenance={"code": "0a1b"}) as checkpoints:
        for step in STEPS:
            checkpoints.save(arrays_at(step), step=step, metrics={"val_loss": abs(step - 20) + 0.5}).durable()
    return root


@pytest.fixture
def root(saved: Path, folder: Folder) -> str:
    """By its name in the current folder; not to be changed."""
    (folder.path / "runs").symlink_to(saved)
    return "runs"


@pytest.fixture
def copy(saved: Path, folder: Folder) -> str:
    """A copy that may be changed."""
    shutil.copytree(saved, folder.path / "runs")
    return "runs"


def ckpt(folder: Folder, *args: str) -> Answer:
    return folder.headway("ckpt", *args)


def data_of(folder: Folder, step: int) -> Path:
    (file,) = (folder.path / "runs").glob(f"steps/{step:012d}-*/00000.safetensors")
    return file


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def ids(folder: Folder) -> dict[int, str]:
    return {each["step"]: each["id"] for each in ckpt(folder, "ls", "runs", "--json").json["checkpoints"]}


def test_ls_shows_every_checkpoint_with_its_size_its_metrics_and_its_parent(folder: Folder, root: str) -> None:
    listed = ckpt(folder, "ls", root, "--json").json["checkpoints"]
    assert [each["step"] for each in listed] == [10, 20, 30]
    assert [each["metrics"]["val_loss"] for each in listed] == [10.5, 0.5, 10.5]
    assert [each["parent"] for each in listed] == ["", listed[0]["id"], listed[1]["id"]]
    assert [each["newest"] for each in listed] == [False, False, True]
    assert {each["nbytes"] for each in listed} == {6_000_000 + 10 + 8}
    assert {each["damaged"] for each in listed} == {""}
    lines = ckpt(folder, "ls", root).out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [[str(step), id] for step, id in ids(folder).items()]
    assert ["newest" in line for line in lines] == [False, False, False, True]
    assert "5.72 MiB" in lines[1]
    assert "val_loss 10.5" in lines[1]


def test_ls_marks_what_is_pinned_and_what_is_damaged(folder: Folder, copy: str) -> None:
    ckpt(folder, "pin", copy, "10")
    data_of(folder, 20).unlink()
    with data_of(folder, 30).open("ab") as file:
        file.truncate(5000)
    listed = ckpt(folder, "ls", copy, "--json").json["checkpoints"]
    assert [each["pinned"] for each in listed] == [True, False, False]
    assert listed[0]["damaged"] == ""
    assert listed[1]["damaged"].endswith("00000.safetensors is missing")
    assert "has 5,000 bytes instead of" in listed[2]["damaged"]
    out = ckpt(folder, "ls", copy).out
    assert "pinned" in out
    assert out.count("damaged: ") == 2


def test_ls_says_why_a_manifest_is_not_used(folder: Folder, copy: str) -> None:
    flip(data_of(folder, 30).with_name("manifest.json"), 20)
    answer = ckpt(folder, "ls", copy)
    assert "not used: " in answer.out
    assert "its hash does not match its content" in answer.out
    assert [each["newest"] for each in ckpt(folder, "ls", copy, "--json").json["checkpoints"]] == [False, True]


def test_metrics_that_do_not_verify_are_told_by_ls_and_verify(folder: Folder, copy: str) -> None:
    Checkpoints(folder.path / copy).add_metrics(20, {"later": 0.5})
    (file,) = (folder.path / copy / "metrics").iterdir()
    flip(file, 20)
    answer = ckpt(folder, "ls", copy)
    assert "metrics of step 20: " in answer.out + answer.err
    (note,) = ckpt(folder, "ls", copy, "--json").json["notes"]
    assert file.name in note
    assert ckpt(folder, "verify", copy, "20").code == 3
    assert ckpt(folder, "verify", copy, "30").code == 0


def test_ls_of_an_empty_folder_says_so(folder: Folder) -> None:
    Path("empty").mkdir()
    answer = ckpt(folder, "ls", "empty")
    assert (answer.code, answer.out, answer.err) == (0, "", "no checkpoints in empty yet\n")


def test_show_tells_arrays_values_writers_and_provenance(folder: Folder, root: str) -> None:
    shown = ckpt(folder, "show", root, "20", "--json").json
    assert shown["step"] == 20
    assert shown["objects"]["model.embed"] == {"dtype": "F32", "shape": [1000, 1500]}
    assert shown["objects"]["model.frozen"] == {"dtype": "I64", "shape": []}
    assert shown["values"]["lr"] == 0.05
    assert shown["provenance"] == {"code": "0a1b"}
    (writer,) = shown["writers"]
    assert (writer["writer"], writer["fragments"]) == ("00000", 3)
    assert {"copy", "hash", "write"} <= {phase["name"] for phase in writer["phases"]}
    assert shown["straggler"]["writer"] == "00000"
    out = ckpt(folder, "show", root, "20").out
    for told in ("step 20", "1000×1500", "F16", "5.72 MiB", '"0a1b"', "00000.safetensors", "val_loss 0.5", "lr", "0.05", "copy"):
        assert told in out


def test_show_without_a_step_is_the_newest_and_a_pattern_narrows_it(folder: Folder, root: str) -> None:
    assert ckpt(folder, "show", root).out.startswith("step 30")
    out = ckpt(folder, "show", root, "latest", "model.e*").out
    assert "model.embed" in out
    assert "model.bias" not in out
    assert "lr" not in out


def test_show_finds_a_checkpoint_by_the_beginning_of_its_id(folder: Folder, root: str) -> None:
    found = ids(folder)[10]
    assert ckpt(folder, "show", root, found[:6]).out.startswith("step 10")


def test_show_draws_who_was_busy_with_what(folder: Folder, root: str) -> None:
    answer = ckpt(folder, "show", root, "--timeline", "time.svg")
    assert (answer.code, answer.out) == (0, "")
    assert "time.svg" in answer.err
    assert ET.parse("time.svg").getroot().tag.endswith("svg")
    assert "write" in Path("time.svg").read_text()
    answer = ckpt(folder, "show", root, "--timeline", "no such folder/time.svg")
    assert answer.code == 2
    assert "cannot be written to no such folder/time.svg" in answer.err


def test_show_goes_on_where_a_segment_is_damaged(folder: Folder, copy: str) -> None:
    flip(data_of(folder, 30).with_suffix(".json"), 30)
    answer = ckpt(folder, "show", copy)
    assert "model.embed" in answer.out
    assert "00000.json" in answer.out
    assert ckpt(folder, "show", copy, "--json").json["writers"][0]["damaged"]


def test_verify_of_a_whole_checkpoint_ends_well(folder: Folder, root: str) -> None:
    answer = ckpt(folder, "verify", root, "10")
    assert answer.code == 0
    assert answer.out.startswith("step 10")
    assert "whole" in answer.out
    assert ckpt(folder, "verify", root, "--all", "--json").json["whole"] is True


@pytest.mark.parametrize(
    ("at", "kind", "tensors", "block"),
    [
        (HEADER + 8 + 5_000_000, "block", ["model.embed"], 1),
        (HEADER + 8 + 6_000_000 + 3, "block", ["model.bias"], 0),
        (100, "header", [], -1),
    ],
)
def test_verify_names_tensor_file_and_block_of_a_flipped_bit(
    folder: Folder, copy: str, at: int, kind: str, tensors: list[str], block: int
) -> None:
    flip(data_of(folder, 20), at)
    answer = ckpt(folder, "verify", copy, "20", "--json")
    assert answer.code == 3
    (problem,) = answer.json["checkpoints"][0]["report"]["problems"]
    assert (problem["kind"], problem["tensors"], problem["block"]) == (kind, tensors, block)
    assert problem["file"].endswith("00000.safetensors")
    answer = ckpt(folder, "verify", copy, "20")
    assert answer.code == 3
    assert "damaged" in answer.out
    assert problem["text"] in answer.out
    for name in tensors:
        assert f"what can't be loaded: {name}. Put the files back" in answer.err


def test_verify_all_tells_whole_from_damaged(folder: Folder, copy: str) -> None:
    flip(data_of(folder, 20), HEADER)
    answer = ckpt(folder, "verify", copy, "--all")
    assert answer.code == 3
    verdicts = [line.partition("; ")[0].rpartition(": ")[2] for line in answer.out.splitlines() if line.startswith("step")]
    assert verdicts == ["whole", "damaged", "whole"]


def test_verify_of_the_newest_does_not_pass_over_a_newer_one_in_silence(folder: Folder, copy: str) -> None:
    flip(data_of(folder, 30).with_name("manifest.json"), 20)
    answer = ckpt(folder, "verify", copy)
    assert answer.code == 3
    assert "manifest.json" in answer.out
    assert "step 20" in answer.out
    answer = ckpt(folder, "verify", copy, "30")
    assert answer.code == 3
    assert "its hash does not match its content" in answer.err


def test_diff_tells_what_changed_and_by_how_much(folder: Folder, root: str) -> None:
    found = ckpt(folder, "diff", root, "10", "30", "--json").json
    (changed,) = found["changed"]
    assert (changed["name"], changed["elements"], changed["changed"]) == ("model.embed", 1_500_000, 3000)
    assert changed["max_abs"] == pytest.approx(1, rel=1e-6)
    assert found["values_changed"] == ["lr", "notes"]
    out = ckpt(folder, "diff", root, "10", "30").out
    for told in ("step 10", "step 30", "model.embed", "3,000", "0.20%", "~ lr", "2 arrays equal"):
        assert told in out
    assert "the same state, to the last bit" in ckpt(folder, "diff", root, "10", "10").out


def test_export_writes_a_file_that_safetensors_opens(folder: Folder, root: str) -> None:
    from safetensors.numpy import load_file

    answer = ckpt(folder, "export", root, "20", "out.safetensors", "--select", "model.*", "--strip", "model.", "--json")
    assert answer.json["files"] == ["out.safetensors"]
    loaded = load_file("out.safetensors")
    assert set(loaded) == {"embed", "bias", "frozen"}
    for name, array in arrays_at(20)["model"].items():
        assert np.array_equal(loaded[name], array)
    again = ckpt(folder, "export", root, "out.safetensors", "--safetensors")
    assert again.code == 2
    assert "nothing is overwritten" in again.err


def test_export_tells_of_names_that_it_does_not_write(folder: Folder) -> None:
    embedding = np.zeros((3, 2))
    with Checkpoints(folder.path / "tied") as checkpoints:
        checkpoints.save({"model": {"embed": embedding, "head": embedding}}, step=1).durable()
    assert "model.head is tied to model.embed" in ckpt(folder, "export", "tied", "out.safetensors").err
    answer = ckpt(folder, "export", "tied", "other.safetensors", "--strip", "model.", "--json")
    assert answer.json["tied"] == {"head": "embed"}


def test_export_deals_a_large_model_to_several_files(folder: Folder, root: str) -> None:
    answer = ckpt(folder, "export", root, "model", "--shard-size", "1MiB")
    names = [line.split()[0] for line in answer.out.splitlines()]
    assert names == [
        "model/model-00001-of-00003.safetensors",
        "model/model-00002-of-00003.safetensors",
        "model/model-00003-of-00003.safetensors",
        "model/model.safetensors.index.json",
    ]
    assert "step 30" in answer.err


def test_what_was_exported_comes_back_by_import(folder: Folder, root: str) -> None:
    ckpt(folder, "export", root, "model", "--shard-size", "1MiB", "--select", "model.*", "--strip", "model.")
    parts = [str(path) for path in sorted(Path("model").glob("*.safetensors"))]
    answer = ckpt(folder, "import", "new", *parts, "--step", "5", "--prefix", "model.", "--json")
    assert answer.json["source"] == "safetensors"
    assert answer.json["copied"] is False
    copied = ckpt(folder, "import", "new", "model", "--step", "6", "--prefix", "model.", "--copy", "--force")
    assert "keep those where they are" not in copied.err
    shutil.rmtree("model")
    assert [each["damaged"] == "" for each in ckpt(folder, "ls", "new", "--json").json["checkpoints"]] == [False, True]
    state = {"model": {name: np.zeros_like(array) for name, array in arrays_at(1)["model"].items()}}
    with Checkpoints("new") as checkpoints:
        checkpoints.load(into=state, step=6)
    for name, array in arrays_at(30)["model"].items():
        assert np.array_equal(state["model"][name], array)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_folder_of_torch_distributed_checkpoint_is_recognised(folder: Folder) -> None:
    import torch
    import torch.distributed.checkpoint as dcp

    dcp.save({"w": torch.arange(6.0).reshape(2, 3)}, checkpoint_id="theirs", no_dist=True)
    answer = ckpt(folder, "import", "new", "theirs", "--step", "3")
    assert answer.code == 0, answer.err
    assert "from dcp" in answer.out
    assert ckpt(folder, "show", "new", "3", "--json").json["objects"]["w"]["shape"] == [2, 3]


def test_reshard_tells_what_each_rank_would_read(folder: Folder, root: str) -> None:
    options = ("--dry-run", "--ranks", "4", "--hosts", "2", "--split", "*.embed:1", "--bandwidth", "1GB")
    told = ckpt(folder, "reshard", root, *options, "--json").json
    assert [rank["host"] for rank in told["ranks"]] == ["host0", "host0", "host1", "host1"]
    assert {rank["fills_nbytes"] for rank in told["ranks"]} == {1_500_000 + 10 + 8}
    assert told["reads_nbytes"] == 2 * (6_000_000 + 10 + 8)  # each host needs every block once
    assert told["predicted_s"] == pytest.approx(6_000_018 / 1e9 + 1_500_018 / 5e9)
    assert "predicted: 0.0063 s at 1 GB/s" in ckpt(folder, "reshard", root, *options).out
    assert ckpt(folder, "reshard", root, "20", "--dry-run", "--ranks", "1", "--json").json["bandwidth"] > 0


def test_reshard_deals_rows_as_fsdp_does(folder: Folder, root: str) -> None:
    told = ckpt(folder, "reshard", root, "--dry-run", "--ranks", "3", "--split", "*:0", "--bandwidth", "1GB", "--json").json
    rows, biases = (334, 334, 332), (2, 2, 1)
    assert [rank["fills_nbytes"] for rank in told["ranks"]] == [6000 * w + 2 * b + 8 for w, b in zip(rows, biases, strict=True)]


def test_moments_are_resharded_as_their_parameters(folder: Folder) -> None:
    import torch

    layer = torch.nn.Linear(8, 6)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 8)).sum().backward()
    optimizer.step()
    with Checkpoints("trained") as checkpoints:
        checkpoints.save({"model": layer, "opt": optimizer}, step=1).durable()
    told = ckpt(folder, "reshard", "trained", "--dry-run", "--ranks", "2", "--split", "model.weight:0", "--json").json
    weight, bias, steps = 8 * 6 * 4 // 2, 6 * 4, 2 * 4
    assert [rank["fills_nbytes"] for rank in told["ranks"]] == [3 * weight + 3 * bias + steps] * 2


def test_reshard_without_dry_run_says_that_there_is_nothing_to_convert(folder: Folder, root: str) -> None:
    answer = ckpt(folder, "reshard", root, "--ranks", "2")
    assert (answer.code, answer.out) == (2, "")
    assert "needs no conversion" in answer.err
    assert "--dry-run" in answer.err


def test_a_pin_keeps_a_checkpoint_and_gc_says_why_others_stay(folder: Folder, copy: str) -> None:
    assert "pinned: it stays" in ckpt(folder, "pin", copy, "10").out
    assert "was pinned before" in ckpt(folder, "pin", copy, "10").out
    dry = ckpt(folder, "gc", copy, "--keep-last", "1", "--dry-run")
    lines = [line.split() for line in dry.out.splitlines()]
    assert [line[:2] for line in lines[1:4]] == [["stays", "10"], ["goes", "20"], ["stays", "30"]]
    assert "would remove 1 checkpoint; 3 files" in dry.out
    assert sorted(ids(folder)) == [10, 20, 30]
    assert "removed 1 checkpoint; 3 files" in ckpt(folder, "gc", copy, "--keep-last", "1").out
    assert sorted(ids(folder)) == [10, 30]
    assert "unpinned" in ckpt(folder, "unpin", copy, "10").out
    assert "was not pinned" in ckpt(folder, "unpin", copy, "10").out
    ckpt(folder, "gc", copy, "--keep-last", "1")
    assert sorted(ids(folder)) == [30]


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ((), [10, 20, 30]),
        (("--best", "val_loss:min:1"), [20, 30]),
        (("--keep-every", "20"), [20, 30]),
        (("--keep-last", "2"), [20, 30]),
        (("--keep-last", "1"), [30]),
    ],
)
def test_gc_keeps_what_a_rule_keeps(folder: Folder, copy: str, rules: tuple[str, ...], left: list[int]) -> None:
    ckpt(folder, "gc", copy, *rules)
    assert sorted(ids(folder)) == left


def test_gc_leaves_what_is_being_read(folder: Folder, copy: str) -> None:
    from headway.storage.opening import open_backend

    with open_leased(open_backend(copy), 10):
        report = ckpt(folder, "gc", copy, "--keep-last", "1", "--json").json
    assert [each["step"] for each in report["removed"]] == [20]
    assert sorted(ids(folder)) == [10, 30]


def test_bench_measures_and_leaves_the_folder_as_it_was(folder: Folder) -> None:
    answer = ckpt(folder, "bench", "here", "--size", "8MiB", "--repeats", "2", "--json")
    told = answer.json
    assert told["nbytes"] == 8 << 20
    assert told["written_nbytes"] >= 8 << 20  # each save writes all of it, though the state does not change
    assert told["read_nbytes"] >= 8 << 20
    assert min(value for name, value in told.items() if name.endswith(("_s", "_rate"))) > 0
    assert list(Path("here").iterdir()) == []
    out = ckpt(folder, "bench", "here", "--size", "1MiB", "--repeats", "1").out
    for told in ("save: blocked", "save: durable", "load, verified", "disk: write", "GB/s"):
        assert told in out


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("ls", "nowhere"), 3, "there is no folder nowhere"),
        (("verify", "nowhere"), 3, "there is no folder nowhere"),
        (("export", "nowhere", "x.safetensors"), 3, "there is no folder nowhere"),
        (("gc", "nowhere", "--keep-last", "1"), 3, "there is no folder nowhere"),
        (("ls", "runs/HEAD"), 3, "is a file: give the folder it is in"),
        (("show", "runs", "40"), 3, "has no checkpoint '40'. There are 3: 10 ("),
        (("pin", "runs", "40"), 3, "has no checkpoint '40'"),
        (("diff", "runs", "10", "40"), 3, "has no checkpoint '40'"),
        (("show", "runs", "10", "opt.*"), 2, "nothing in step 10 is called 'opt.*'"),
        (("verify", "runs", "10", "--all"), 2, "drop 10 or --all"),
        (("export", "runs", "10"), 2, "where to? Write: headway ckpt export runs [STEP] FILE.safetensors"),
        (("export", "runs", "10", "20", "x"), 2, "where to?"),
        (("export", "runs", "x", "--select", "nothing"), 2, "no array matches 'nothing'"),
        (("export", "runs", "x", "--shard-size", "5 apples"), 2, "--shard-size '5 apples' is no size: write 5GB"),
        (("export", "runs", "x.safetensors", "--shard-size", "5GB"), 2, "give a folder instead of x.safetensors"),
        (("import", "new", "nothing.safetensors", "--step", "1"), 3, "there is no file or folder nothing.safetensors"),
        (("import", "new", "runs/HEAD", "--step", "1"), 2, "runs/HEAD is none of what can be imported"),
        (("reshard", "runs", "--dry-run"), 2, "--dry-run needs --ranks N"),
        (("reshard", "runs", "--dry-run", "--ranks", "2", "--hosts", "3"), 2, "--hosts 3: give 1 to 2, as there are 2 ranks"),
        (("reshard", "runs", "--dry-run", "--ranks", "2", "--split", "*"), 2, "--split '*': write 'PATTERN:DIMENSION'"),
        (("reshard", "runs", "--dry-run", "--ranks", "2", "--split", "embed:0"), 2, "--split 'embed:0' fits none of 3 tensors"),
        (("reshard", "runs", "--dry-run", "--ranks", "2", "--split", "*.bias:1"), 2, "with a dimension 1"),
        (("gc", "runs", "--best", "val_loss"), 2, "--best 'val_loss': write METRIC:min:N"),
        (("gc", "runs", "--best", "val_loss:least:2"), 2, "write METRIC:min:N"),
        (("gc", "runs", "--keep-last", "0"), 2, "Invalid value for '--keep-last'"),
        (("bench", "s3://bucket"), 2, "bench measures a folder of this machine"),
        (("bench", "here", "--size", "12"), 2, "give at least 1MiB"),
        (("bench", "here", "--size", "900000TiB"), 2, "there is no memory for a state of this size"),
        (("import", "new", "runs"), 2, "runs is none of what can be imported"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(folder: Folder, root: str, args: tuple[str, ...], code: int, said: str) -> None:
    answer = ckpt(folder, *args)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert not Path("nowhere").exists()
    assert not Path("new").exists()


def test_a_damaged_checkpoint_is_not_exported(folder: Folder, copy: str) -> None:
    flip(data_of(folder, 30), HEADER + 20)
    answer = ckpt(folder, "export", copy, "30", "x.safetensors")
    assert answer.code == 3
    assert "model.embed" in answer.err
    assert not Path("x.safetensors").exists()


def test_a_model_without_a_step_is_not_imported(folder: Folder, root: str) -> None:
    ckpt(folder, "export", root, "x.safetensors")
    answer = ckpt(folder, "import", "new", "x.safetensors")
    assert answer.code == 2
    assert "add --step N" in answer.err
    other = shutil.copyfile("x.safetensors", "y.safetensors")
    answer = ckpt(folder, "import", "new", "x.safetensors", other, "runs/HEAD", "--step", "1")
    assert answer.code == 2
    assert "several files are imported together if" in answer.err


def test_without_the_libraries_a_command_says_what_to_install(folder: Folder, root: str) -> None:
    program = "import sys; sys.modules['xxhash'] = None; from headway.cli import main; main()"
    command = [sys.executable, "-c", program, "ckpt", "ls", root]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "headway ckpt needs xxhash: pip install 'headway[numpy]'\n"


def test_help_imports_nothing_that_is_slow(folder: Folder) -> None:
    program = (
        "import sys; from headway.cli.app import app\n"
        "try: app(['ckpt', '--help'])\n"
        "except SystemExit: print(*[name for name in ('numpy', 'torch', 'xxhash', 'obstore') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("export", "runs", "out", "--select", "modle.*"), "near to it: model.bias"),
        (("export", "runs", "out", "--select", "lr"), "(values are not exported)"),
        (("export", "runs", "out", "--strip", "modle."), "it begins none of the 3 names"),
        (("show", "runs", "latest", "modle.*"), "near to it: model.bias"),
        (("gc", "runs", "--best", "val_los:min:1"), "no checkpoint has such a metric; they have val_loss"),
        (("gc", "runs", "--keep-every", "1000"), "no step is a multiple of it (the newest are 30, 20, 10)"),
    ],
)
def test_a_name_that_matches_nothing_is_an_error_that_shows_what_there_is(
    folder: Folder, copy: str, words: tuple[str, ...], said: str
) -> None:
    answer = ckpt(folder, *words)
    assert answer.code == 2
    assert said in answer.err
    assert len(ids(folder)) == 3
    assert not Path("out").exists()


@pytest.mark.parametrize("command", ["show", "verify", "pin", "export"])
def test_a_command_about_the_newest_says_what_it_passes_over(folder: Folder, copy: str, command: str) -> None:
    data_of(folder, 30).with_name("manifest.json").write_bytes(b"")
    answer = ckpt(folder, command, copy, *(["out.safetensors"] if command == "export" else ["latest"]))
    assert "its hash does not match its content (0 bytes)" in answer.err + answer.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("gc", "mail", "--keep-last", "1"), 3, "mail has neither HEAD nor steps/, so it is no root"),
        (("gc", "s3:/bucket", "--keep-last", "1"), 2, "write 's3://bucket', as text"),
        (("export", "runs", "runs/out"), 2, "lies in the checkpoints themselves"),
        (("export", "runs", "runs"), 2, "lies in the checkpoints themselves"),
        (("export", "runs", "10", "model.safetensor"), 2, "name a file that ends in .safetensors"),
        (("export", "runs", "10", "model.pt"), 2, "name a file that ends in .safetensors"),
        (("export", "runs", "10", "mail"), 2, "mail has a model already (old.safetensors)"),
        (("export", "runs", "10", "mail/old.safetensors"), 2, "is there already"),
        (("import", "runs", "mail/old.safetensors", "--step", "0"), 2, "has checkpoints, the newest of step 30"),
        (("import", "mail/old.safetensors", "runs", "--step", "0"), 2, "runs is none of what can be imported"),
        (("import", "mail/old.safetensors", "mail/old.safetensors", "--step", "0"), 2, "can't be a folder: it is a file"),
        (("show", "runs", "--timeline", "mail/old.safetensors"), 2, "is there already and is no SVG picture"),
        (("unpin", "mail", "10"), 3, "no checkpoint"),
    ],
)
def test_a_typo_destroys_nothing(folder: Folder, copy: str, words: tuple[str, ...], code: int, said: str) -> None:
    Path("mail").mkdir()
    ckpt(folder, "export", copy, "10", "mail/old.safetensors")
    Path("mail/.letter.partial").write_text("dear")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    answer = ckpt(folder, *words)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    after = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert after == before


def test_an_id_alone_is_no_place_to_export_to(folder: Folder, copy: str) -> None:
    answer = ckpt(folder, "export", copy, ids(folder)[10][:6])
    assert (answer.code, "is a checkpoint. Where to?" in answer.err) == (2, True)


def test_an_import_becomes_the_newest_of_a_root_only_where_that_is_said(folder: Folder, copy: str) -> None:
    ckpt(folder, "export", copy, "10", "model.safetensors")
    answer = ckpt(folder, "import", copy, "model.safetensors", "--step", "0", "--force", "--json")
    assert answer.code == 0
    assert ckpt(folder, "show", copy, "--json").json["step"] == 0


def test_a_picture_replaces_an_older_one(folder: Folder, root: str) -> None:
    for _ in range(2):
        assert ckpt(folder, "show", root, "--timeline", "time.svg").code == 0


def test_events_are_appended_to_events_alone(folder: Folder) -> None:
    Path("train.py").write_text("import headway\n")
    answer = folder.headway("run", "train.py:main", "--events", "train.py")
    assert answer.code != 0
    assert Path("train.py").read_text() == "import headway\n"
