"""Checkpoints of torch.distributed.checkpoint and DeepSpeed, taken over where they lie: as they were written, or not at all."""

from __future__ import annotations

import contextlib
import io
import math
import os
import pickle
import random
import sys
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made import flip
from roots import Dying

import headway as hw
from headway.checkpoint.catalog.collect import collect
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.files.manifest import Manifest, Object
from headway.checkpoint.files.stored import read_segment
from headway.checkpoint.files.write import FragmentData
from headway.checkpoint.formats.dcp.importer import import_dcp
from headway.checkpoint.formats.dcp.universal import import_universal
from headway.checkpoint.formats.in_place import Found, take_over
from headway.checkpoint.formats.pickles.inert_pickle import Made, Name, read_pickle
from headway.checkpoint.formats.pickles.torch_places import gather
from headway.checkpoint.formats.pickles.torch_zip import StoredTensor, Tree, read_torch_file, read_torch_zip
from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.load.lazy import open_checkpoint
from headway.checkpoint.state.values.tree import decode
from headway.errors import CheckpointDamaged, HeadwayError, NoCheckpoint, SaveFailed, UsageError
from headway.storage.backend import Backend
from headway.storage.opening import open_backend

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    *(torch.bool, torch.complex64, torch.complex128),
]
RAN: list[str] = []


def ran(text: str) -> str:
    RAN.append(text)
    return text


class Trap:
    """What it pickles to runs `ran`."""

    def __reduce__(self) -> Any:
        return ran, ("code",)


def save_dcp(state: dict[str, Any], folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(state, checkpoint_id=folder, no_dist=True)
    return folder


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().as_strided((tensor.numel(),), (1,)).view(torch.uint8).numpy().tobytes()


def stored(backend: Backend, manifest: Manifest) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    with open_checkpoint(backend, manifest, [read_segment(backend, ref) for ref in manifest.segments]) as opened:
        return {
            name: (known.dtype, known.shape, np.ascontiguousarray(opened[name]).tobytes())
            for name, known in manifest.objects.items()
        }


def in_place(backend: Backend, manifest: Manifest) -> dict[str, str]:
    """In which file each object is."""
    segments = [read_segment(backend, ref) for ref in manifest.segments]
    return {fragment.name: segment.file for segment in segments for fragment in segment.fragments}


# --- a pickle as data ------------------------------------------------------------------------------------------------

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=5)
    ),
    max_leaves=30,
)  # fmt: skip


@given(plain, st.sampled_from([2, 3, 4, 5]))
def test_plain_pickles_of_any_protocol_are_read(value: object, protocol: int) -> None:
    def undone(read: Any) -> Any:
        """Bytes, which protocol 2 writes as a call."""
        if isinstance(read, Made):
            assert read.what in ("_codecs.encode", "__builtin__.bytes")
            return str(read.args[0]).encode("latin1") if read.args else b""
        if isinstance(read, list | tuple):
            return type(read)(undone(item) for item in read)
        return {key: undone(item) for key, item in read.items()} if isinstance(read, dict) else read

    known = {"_codecs.encode", "__builtin__.bytes"}
    assert undone(read_pickle(pickle.dumps(value, protocol), known, "here")) == value


@pytest.mark.parametrize("protocol", range(2, 6))
def test_code_in_a_pickle_is_named_and_not_run(protocol: int) -> None:
    RAN.clear()
    with pytest.raises(UsageError, match=r"here: names test_imports.ran, .* Nothing of it was run"):
        read_pickle(pickle.dumps({"a": [Trap()]}, protocol), set(), "here")
    made = read_pickle(pickle.dumps(Trap(), protocol), {"test_imports.ran"}, "here")
    assert (made.what, made.args) == ("test_imports.ran", ("code",))
    assert RAN == []


@pytest.mark.parametrize(
    "code", [b"\x80\x02csubprocess\nPopen\n.", b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"(ios\nsystem\n.", b"\x82\x01."]
)
def test_hostile_pickles_are_refused(code: bytes) -> None:
    with pytest.raises(UsageError, match=r"subprocess.Popen|os.system|INST|EXT1"):
        read_pickle(code, {"collections.OrderedDict"}, "here")


@settings(max_examples=300)
@given(st.binary(max_size=60), st.integers(0, 2**31))
def test_broken_pickles_are_damage_and_never_another_exception(junk: bytes, seed: int) -> None:
    good = bytearray(pickle.dumps({"a": [1, (2.5, "x")], "b": OrderedDict(c=1)}, 4))
    rng = random.Random(seed)
    for _ in range(3):
        good[rng.randrange(2, len(good))] = rng.randrange(256)
    for data in (junk, bytes(good), bytes(good[: rng.randrange(len(good))])):
        with contextlib.suppress(CheckpointDamaged, UsageError):
            read_pickle(data, {"collections.OrderedDict"}, "here")


def test_an_object_that_is_built_stays_inert() -> None:
    made = read_pickle(
        pickle.dumps(OrderedDict(a=Name("x", "y")), 4), {"collections.OrderedDict", f"{Name.__module__}.Name"}, "here"
    )
    assert made.what == "collections.OrderedDict"
    assert made.entries["a"].args == ("x", "y")


# --- torch.save files ------------------------------------------------------------------------------------------------


def saved(value: object, **options: Any) -> io.BytesIO:
    data = io.BytesIO()
    torch.save(value, data, **options)
    return data


def read(value: object, **options: Any) -> Tree:
    data = saved(value, **options)
    return read_torch_zip(data, 0, data.getbuffer().nbytes, "here")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_of_every_type_are_places_in_the_file(dtype: torch.dtype, tmp_path: Path) -> None:
    tensor = torch.randint(0, 2, (3, 8), dtype=torch.uint8).repeat(1, dtype.itemsize).view(dtype)
    data = b"some bytes before" + saved({"t": tensor, "tail": tensor[1:, 2:]}).getvalue()
    tree = read_torch_zip(io.BytesIO(data), 17, len(data) - 17, "here")
    assert isinstance(tree, dict)
    whole, tail = tree["t"], tree["tail"]
    assert isinstance(whole, StoredTensor)
    assert isinstance(tail, StoredTensor)
    assert whole.contiguous
    assert not tail.contiguous
    assert data[whole.start : whole.start + tensor.nbytes] == raw(tensor)
    assert gather(tail, io.BytesIO(data), "here").tobytes() == raw(tensor[1:, 2:])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=4), st.integers(0, 2**31))
def test_any_view_of_a_storage_is_gathered_as_torch_sees_it(shape: list[int], seed: int) -> None:
    rng = random.Random(seed)
    tensor = torch.arange(1000.0)[rng.randrange(5) :][: math.prod(shape)].reshape(shape)
    tensor = tensor.permute(rng.sample(range(len(shape)), len(shape)))
    if shape and rng.random() < 0.5:
        tensor = tensor[tuple(slice(rng.randrange(2), None, rng.randrange(1, 3)) for _ in shape)]
    data = saved(tensor)
    found = read_torch_zip(data, 0, data.getbuffer().nbytes, "here")
    assert isinstance(found, StoredTensor)
    assert gather(found, data, "here").tobytes() == raw(tensor)
    assert found.contiguous == tensor.is_contiguous()


def test_parameters_and_values_of_all_plain_kinds_are_read() -> None:
    value = {
        "p": torch.nn.Parameter(torch.ones(2)),
        "d": OrderedDict(a=1, b=[1.5, None, True]),
        "t": (1, ("x", b"\xff\x00")),
        "size": torch.Size([2, 3]),
        "set": {1, "a"},
        "z": 2 + 3j,
        "counter": Counter([5, 5, 6]),
        "big": 10**30,
        3: "three",
    }
    found = read(value)
    assert isinstance(found, dict)
    assert isinstance(found.pop("p"), StoredTensor)
    assert found == {key: item for key, item in value.items() if key != "p"}


def test_random_states_of_numpy_are_read() -> None:
    state = {"legacy": np.random.RandomState(1).get_state(), "columns": np.arange(6.0).reshape(2, 3).T, "number": np.float32(2.5)}
    found: Any = read(state)
    assert found["legacy"][0] == "MT19937"
    assert np.array_equal(found["legacy"][1], state["legacy"][1])
    assert np.array_equal(found["columns"], state["columns"])
    assert (found["number"], found["number"].dtype) == (2.5, np.float32)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (Trap(), "here: names test_imports.ran"),
        ({"a": [torch.nn.Linear(1, 1)]}, "here: names torch.nn.modules.linear.Linear"),
        (torch.device("cpu"), "here: names torch.device"),
        (torch.float32, "here: holds torch.float32 itself"),
        (torch.ones(1, dtype=torch.complex64).conj(), "conjugated or negated"),
        ({(1, 2): 3}, r"a dict has the key \(1, 2\)"),
        (np.array(["text"]), "whose elements are"),
        (np.arange(2, dtype=">i4"), "whose elements are"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_is_refused_by_name(value: object, says: str) -> None:
    RAN.clear()
    with pytest.raises(UsageError, match=says):
        read(value)
    assert RAN == []


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UsageError, match="nested more than"):
        read(endless)


def test_files_of_the_old_format_and_of_torchscript_are_refused(tmp_path: Path) -> None:
    torch.save({"a": 1}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointDamaged, match=r"old.pt: not a whole torch.save file"):
        read_torch_file(tmp_path / "old.pt")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a/b", "c")
    with pytest.raises(UsageError, match=r"other.zip: a zip archive without data.pkl"):
        read_torch_file(tmp_path / "other.zip")


def forged(value: object, edit: Callable[[str, bytes], bytes], method: int = zipfile.ZIP_STORED) -> Tree:
    """What is read where each record of a torch.save file was edited and the archive is whole again."""
    data = io.BytesIO()
    with zipfile.ZipFile(saved(value)) as source, zipfile.ZipFile(data, "w", method) as target:
        for name in source.namelist():
            target.writestr(name, edit(name.rpartition("/")[2], source.read(name)))
    return read_torch_zip(data, 0, data.getbuffer().nbytes, "here")


def test_a_tensor_that_reaches_beyond_its_storage_is_damage() -> None:
    tensor = torch.arange(12.0).reshape(3, 4)
    assert isinstance(forged(tensor, lambda name, data: data), StoredTensor)
    for shape in (b"K\x03K\x05\x86", b"K\x04K\x04\x86", b"M\xff\xffK\x04\x86"):
        with pytest.raises(CheckpointDamaged, match=r"that its storage of 48 bytes can't hold"):
            forged(tensor, lambda name, data, shape=shape: data.replace(b"K\x03K\x04\x86", shape))


def test_numbers_of_another_byte_order_and_compressed_files_are_refused() -> None:
    other = {"little": b"big", "big": b"little"}[sys.byteorder]
    with pytest.raises(UsageError, match=r"-endian, this machine's are"):
        forged(torch.ones(3), lambda name, data: other if name == "byteorder" else data)
    with pytest.raises(UsageError, match="is compressed or encrypted"):
        forged(torch.ones(300), lambda name, data: data, zipfile.ZIP_DEFLATED)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**31))
@example(1277)  # a place in the archive that is no place in a file
@example(21275)  # a record that says that it is compressed
def test_a_broken_archive_never_gives_another_exception(seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(saved({"w": torch.arange(20.0).reshape(4, 5), "lr": 0.1}).getvalue())
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    data = data[: rng.randrange(len(data)) if rng.random() < 0.3 else None]
    with contextlib.suppress(HeadwayError):
        read_torch_zip(io.BytesIO(data), 0, len(data), "here")


# --- torch.distributed.checkpoint ------------------------------------------------------------------------------------


def model_state() -> dict[str, Any]:
    torch.manual_seed(1)
    return {
        "model": {
            "w": torch.randn(700, 801),
            "half": torch.randn(5, dtype=torch.float32).to(torch.bfloat16),
            "empty": torch.zeros(0, 3),
            "columns": torch.randn(4, 6).t(),
            "step": torch.tensor(7),
        },
        "opt": {"lr": 0.1, "betas": (0.9, 0.99), "nothing": None, "list": [torch.ones(2), 3]},
        "rng": torch.get_rng_state(),
    }


def test_a_dcp_folder_is_a_checkpoint_without_a_copy(tmp_path: Path) -> None:
    state = model_state()
    folder = save_dcp(state, tmp_path / "dcp")
    backend = open_backend(tmp_path / "root")
    manifest = import_dcp(backend, folder, step=40)
    found = stored(backend, manifest)
    for name, tensor in state["model"].items():
        assert found[f"model.{name}"][1:] == (tuple(tensor.shape), raw(tensor))
    assert found["rng"][2] == raw(state["rng"])
    assert found["opt.list.0"][2] == raw(torch.ones(2))
    assert {name: decode(value, lambda mark, its: None) for name, value in manifest.values.items()} == {
        "opt.lr": 0.1,
        "opt.betas": (0.9, 0.99),
        "opt.nothing": None,
        "opt.list.1": 3,
    }
    places = in_place(backend, manifest)
    assert {name for name, file in places.items() if not file.startswith(str(folder))} == {"model.columns"}  # transposed: copied
    assert sum(stat.nbytes for _, stat in backend.files("")) < 20_000
    assert hw.Checkpoints(tmp_path / "root").verify().whole


def test_it_is_loaded_like_any_other(tmp_path: Path) -> None:
    state = model_state()
    folder = save_dcp({"model": state["model"], "lr": 0.1}, tmp_path / "dcp")
    with hw.Checkpoints(tmp_path / "root") as ck:
        import_dcp(ck.backend, folder, step=40)
        mine = {"model": {name: torch.zeros_like(tensor) for name, tensor in state["model"].items()}, "lr": 0.0}
        assert ck.load(into=mine).step == 40
        assert all(torch.equal(mine["model"][name], tensor) for name, tensor in state["model"].items())
        assert mine["lr"] == 0.1


def test_names_can_be_changed_on_the_way(tmp_path: Path) -> None:
    folder = save_dcp({"app": {"w": torch.ones(2), "lr": 0.5}}, tmp_path / "dcp")
    manifest = import_dcp(open_backend(tmp_path / "root"), folder, rename=lambda name: name.replace("app.", "model."))
    assert (set(manifest.objects), set(manifest.values)) == ({"model.w"}, {"model.lr"})


def test_a_copy_does_not_need_the_dcp_folder_any_more(tmp_path: Path) -> None:
    folder = save_dcp(model_state(), tmp_path / "dcp")
    backend = open_backend(tmp_path / "root")
    manifest = import_dcp(backend, folder, copy=True)
    folder.rename(tmp_path / "away")
    assert stored(backend, manifest)["model.w"][2] == raw(model_state()["model"]["w"])


def test_a_collector_leaves_an_import_on_its_way_alone(tmp_path: Path) -> None:
    root = open_backend(tmp_path / "root")
    folder = save_dcp(model_state(), tmp_path / "dcp")
    collected = []

    def collecting() -> None:
        collected.append(collect(root, Keep(last=1), grace_s=0))

    changes = Dying(root, then=dict.fromkeys(range(1, 20), collecting))
    manifest = import_dcp(changes, folder, copy=True)
    assert len(collected) > 3
    assert stored(root, manifest)["model.w"][2] == raw(model_state()["model"]["w"])


def test_an_import_that_fails_half_way_leaves_no_data_behind(tmp_path: Path) -> None:
    root = open_backend(tmp_path / "root")

    def breaks() -> memoryview:
        raise OSError(5, "the source is gone")

    parts = [FragmentData("w", Object("F32", (2,)), Box((0,), (2,)), breaks)]
    with pytest.raises(OSError, match="the source is gone"):
        take_over(root, Found((), parts, {}, {}), step=1)
    assert [path for path in (tmp_path / "root").rglob("*") if path.is_file()] == []
    wrong = [FragmentData("w", Object("F32", (2,)), Box((0,), (2,)), np.zeros(3, "float32"))]
    with pytest.raises(UsageError, match=r"w\[0:2\]: 12 bytes were given, it has 8"):
        take_over(root, Found((), wrong, {}, {}), step=1)


def test_two_tensors_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = save_dcp({"a": {"w": torch.ones(2)}, "b": {"w": torch.ones(3)}}, tmp_path / "dcp")
    with pytest.raises(UsageError, match=r"two tensors are both called w: F32 \[\d\] and F32 \[\d\]"):
        import_dcp(open_backend(tmp_path / "root"), folder, rename=lambda name: name.rpartition(".")[2])


def test_code_in_dcp_metadata_is_named_and_not_run(tmp_path: Path) -> None:
    folder = save_dcp({"w": torch.ones(2)}, tmp_path / "dcp")
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    metadata.planner_data = Trap()
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    RAN.clear()
    with pytest.raises(UsageError, match=r"\.metadata: names test_imports.ran"):
        import_dcp(open_backend(tmp_path / "root"), folder)
    assert RAN == []
    dcp.FileSystemReader(folder).read_metadata()
    assert RAN == ["code"]  # DCP's own reader does run it


def test_code_in_a_value_of_dcp_is_named_and_not_run(tmp_path: Path) -> None:
    RAN.clear()
    folder = save_dcp({"w": torch.ones(2), "value": Trap()}, tmp_path / "dcp")
    with pytest.raises(UsageError, match=r"value in .*__0_0.distcp: names test_imports.ran"):
        import_dcp(open_backend(tmp_path / "root"), folder)
    assert RAN == []


def edited(folder: Path, edit: Any) -> None:
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    edit(metadata)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


def test_a_flipped_bit_in_a_dcp_file_is_found_when_it_is_imported(tmp_path: Path) -> None:
    folder = save_dcp({"w": torch.arange(1000.0), "b": torch.ones(3)}, tmp_path / "dcp")
    data = (folder / "__0_0.distcp").read_bytes()
    flip(folder / "__0_0.distcp", data.index(raw(torch.arange(1000.0))) + 1234)
    backend = open_backend(tmp_path / "root")
    with pytest.raises(CheckpointDamaged, match=r"w in .*__0_0.distcp: bytes \d+ to \d+ are not what was written"):
        import_dcp(backend, folder)
    assert list(backend.files("steps")) == []
    import_dcp(backend, folder, check=False)  # what its owner may still ask for


def test_a_dcp_file_that_changed_since_is_damage_with_a_name(tmp_path: Path) -> None:
    folder = save_dcp({"w": torch.arange(1000.0)}, tmp_path / "dcp")
    backend = open_backend(tmp_path / "root")
    manifest = import_dcp(backend, folder)
    flip(folder / "__0_0.distcp", (folder / "__0_0.distcp").read_bytes().index(raw(torch.arange(1000.0))) + 1234)
    with pytest.raises(CheckpointDamaged, match=r"tensor w: block 0 in .*__0_0.distcp"):
        stored(backend, manifest)


def test_what_is_missing_from_a_dcp_folder_is_named(tmp_path: Path) -> None:
    backend = open_backend(tmp_path / "root")
    folder = save_dcp({"w": torch.ones(4, 2)}, tmp_path / "dcp")
    edited(folder, lambda metadata: metadata.state_dict_metadata["w"].chunks.clear())
    with pytest.raises(SaveFailed, match=r"w: nobody wrote \[0:4, 0:2\]"):
        import_dcp(backend, folder)
    save_dcp({"w": torch.ones(4, 2)}, folder)
    edited(folder, lambda metadata: metadata.storage_data.clear())
    with pytest.raises(CheckpointDamaged, match=r"does not say where w\[0:4, 0:2\] is"):
        import_dcp(backend, folder)
    save_dcp({"w": torch.ones(4, 2)}, folder)
    (folder / "__0_0.distcp").unlink()
    with pytest.raises(NoCheckpoint, match=r"__0_0.distcp: is missing"):
        import_dcp(backend, folder)
    (folder / ".metadata").unlink()
    with pytest.raises(NoCheckpoint, match=r"has no file .metadata"):
        import_dcp(backend, folder)


def test_metadata_that_contradicts_its_files_is_damage(tmp_path: Path) -> None:
    folder = save_dcp({"w": torch.ones(4, 2), "v": torch.ones(3)}, tmp_path / "dcp")

    def exchange(metadata: Any) -> None:
        one, other = list(metadata.storage_data)
        data = metadata.storage_data
        data[one], data[other] = data[other], data[one]

    edited(folder, exchange)
    with pytest.raises(CheckpointDamaged, match=r"w\[0:4, 0:2\] of type F32 should be there, and F32 \[3\] is"):
        import_dcp(open_backend(tmp_path / "root"), folder)


def test_a_dcp_folder_that_points_outside_is_refused(tmp_path: Path) -> None:
    folder = save_dcp({"w": torch.ones(4, 2)}, tmp_path / "dcp")

    def outside(metadata: Any) -> None:
        for place in metadata.storage_data.values():
            place.relative_path = "../secrets"

    edited(folder, outside)
    with pytest.raises(UsageError, match=r"refers to \.\./secrets, outside of the folder"):
        import_dcp(open_backend(tmp_path / "root"), folder)


# --- DeepSpeed -------------------------------------------------------------------------------------------------------


def universal(folder: Path, parameters: dict[str, torch.Tensor], tag: str = "global_step100_universal") -> Path:
    """A universal checkpoint as ds_to_universal.py leaves it."""
    for name, weight in parameters.items():
        place = folder / tag / "zero" / name
        place.mkdir(parents=True)
        torch.save({"param": weight, "cat_dim": 0}, place / "fp32.pt")
        torch.save({"param": weight * 2, "cat_dim": 0}, place / "exp_avg.pt")
        torch.save({"param": weight**2}, place / "exp_avg_sq.pt")
        torch.save(torch.tensor(100.0) if name.endswith("bias") else 100, place / "step.pt")
    torch.save({"optimizer_state_dict": {}}, folder / tag / "zero" / "optimizer_state.pt")
    torch.save({"module": None}, folder / tag / "mp_rank_00_model_states.pt")
    (folder / "latest_universal").write_text(tag)
    return folder


PARAMETERS = {"module.0.weight": torch.randn(4, 3), "module.0.bias": torch.randn(4)}


def test_a_universal_checkpoint_is_loaded_into_a_model_and_its_optimizer(tmp_path: Path) -> None:
    universal(tmp_path / "ds", PARAMETERS)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4))
    optimizer = torch.optim.Adam(model.parameters())
    with hw.Checkpoints(tmp_path / "root") as ck:
        manifest = import_universal(ck.backend, tmp_path / "ds")
        assert (manifest.step, manifest.objects["opt.state.model.0.weight.exp_avg"].kind) == (100, "moment")
        assert ck.load(into={"model": model, "opt": optimizer}, strict=False).step == 100
    assert torch.equal(model[0].weight, PARAMETERS["module.0.weight"])
    moments = optimizer.state[model[0].bias]
    assert torch.equal(moments["exp_avg_sq"], PARAMETERS["module.0.bias"] ** 2)
    assert moments["step"] == 100
    assert optimizer.state[model[0].weight]["step"] == 100


def test_its_bytes_stay_where_they_are_and_what_is_not_imported_is_listed(tmp_path: Path) -> None:
    folder = universal(tmp_path / "ds", PARAMETERS)
    backend = open_backend(tmp_path / "root")
    manifest = import_universal(backend, folder / "global_step100_universal", model="net", optimizer="adam")
    places = in_place(backend, manifest)
    assert {name for name, file in places.items() if not file.startswith(str(folder))} == {"adam.state.net.0.weight.step"}
    assert manifest.provenance["not_imported"] == ["mp_rank_00_model_states.pt", "zero/optimizer_state.pt"]
    assert stored(backend, manifest)["adam.state.net.0.weight.exp_avg"][2] == raw(PARAMETERS["module.0.weight"] * 2)


def test_a_universal_checkpoint_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    backend = open_backend(tmp_path / "root")
    folder = universal(tmp_path / "ds", PARAMETERS)
    place = folder / "global_step100_universal" / "zero" / "module.0.weight"
    torch.save({"param": torch.ones(2)}, place / "exp_avg.pt")
    with pytest.raises(CheckpointDamaged, match=r"exp_avg.pt: has shape \[2\], the weight beside it \[4, 3\]"):
        import_universal(backend, folder)
    (place / "fp32.pt").unlink()
    with pytest.raises(NoCheckpoint, match=r"module.0.weight: fp32.pt is missing"):
        import_universal(backend, folder)
    with pytest.raises(NoCheckpoint, match=r"has no folder zero"):
        import_universal(backend, tmp_path)


def test_code_in_a_universal_checkpoint_is_named_and_not_run(tmp_path: Path) -> None:
    folder = universal(tmp_path / "ds", PARAMETERS)
    torch.save({"param": Trap()}, folder / "global_step100_universal" / "zero" / "module.0.weight" / "exp_avg.pt")
    RAN.clear()
    with pytest.raises(UsageError, match=r"exp_avg.pt: names test_imports.ran"):
        import_universal(open_backend(tmp_path / "root"), folder)
    assert RAN == []


def test_a_flipped_bit_in_a_universal_checkpoint_is_found(tmp_path: Path) -> None:
    folder = universal(tmp_path / "ds", PARAMETERS)
    file = folder / "global_step100_universal" / "zero" / "module.0.weight" / "fp32.pt"
    flip(file, file.read_bytes().index(raw(PARAMETERS["module.0.weight"])) + 5)
    with pytest.raises(CheckpointDamaged, match=r"model.0.weight in .*fp32.pt"):
        import_universal(open_backend(tmp_path / "root"), folder)


def test_the_step_of_a_folder_with_another_name_has_to_be_said(tmp_path: Path) -> None:
    folder = universal(tmp_path / "ds", PARAMETERS, tag="mine")
    with pytest.raises(UsageError, match="give step="):
        import_universal(open_backend(tmp_path / "root"), folder)
    assert import_universal(open_backend(tmp_path / "root"), folder, step=5).step == 5
    (folder / "latest_universal").write_text(os.fspath(tmp_path))
    with pytest.raises(UsageError, match="is no folder beside it"):
        import_universal(open_backend(tmp_path / "root"), folder)


# --- optimizers of DCP -----------------------------------------------------------------------------------------------


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2, bias=False)
        self.register_buffer("seen", torch.zeros(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(self.up(x))


def stepped(make: Callable[[torch.nn.Module], torch.optim.Optimizer]) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    net = Net()
    optimizer = make(net)
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return net, optimizer


def two_groups(net: torch.nn.Module, lr: Any = 0.1) -> torch.optim.Optimizer:
    groups = [{"params": [net.up.weight], "weight_decay": 0.5}, {"params": [net.up.bias, net.down.weight]}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.8, 0.95))


def tensors_of(optimizer: torch.optim.Optimizer) -> list[Any]:
    return [[(name, value.tolist()) for name, value in slots.items()] for slots in optimizer.state_dict()["state"].values()]


def groups_of(optimizer: torch.optim.Optimizer) -> list[Any]:
    return [{**group, "lr": float(group["lr"])} for group in optimizer.state_dict()["param_groups"]]


def dcp_of(net: torch.nn.Module, optimizer: Any, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

        return get_state_dict(net, optimizer, options=StateDictOptions(**options))


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)], ids=["number", "tensor"])
def test_moments_and_hyperparameters_of_dcp_load_into_an_optimizer(tmp_path: Path, flat: bool, lr: Any) -> None:
    net, optimizer = stepped(lambda net: two_groups(net, lr))
    model, opt = dcp_of(net, optimizer, flatten_optimizer_state_dict=flat)
    folder = save_dcp({"model": model, "opt": opt, "epoch": 3}, tmp_path / "dcp")
    manifest = import_dcp(open_backend(tmp_path / "root"), folder, step=5)
    assert "notes" not in manifest.provenance
    other = Net()
    fresh = two_groups(other, 0.7)
    state = {"model": other, "opt": fresh, "epoch": 0}
    assert hw.Checkpoints(tmp_path / "root").load(into=state).step == 5
    assert (state["epoch"], tensors_of(fresh), groups_of(fresh)) == (3, tensors_of(optimizer), groups_of(optimizer))
    assert all(torch.equal(mine, its) for mine, its in zip(other.parameters(), net.parameters(), strict=True))


def test_several_optimizers_deeper_down_and_words_of_wrappers_are_understood(tmp_path: Path) -> None:
    net, adam = stepped(lambda net: torch.optim.AdamW(net.up.parameters(), lr=0.1))
    critic, sgd = stepped(lambda net: torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.9))
    one, other = dcp_of(net, adam), dcp_of(critic, sgd)
    wrapped = {f"module._orig_mod.{name}": value for name, value in one[0].items()}
    tree = {"app": {"model": wrapped, "optim": one[1]}, "critic": {"model": other[0], "optim": other[1]}}
    folder = save_dcp(tree, tmp_path / "dcp")
    manifest = import_dcp(open_backend(tmp_path / "root"), folder, rename=lambda name: "run." + name)
    assert "run.app.optim.state.run.app.model.up.weight.exp_avg" in manifest.objects
    net2, critic2 = Net(), Net()
    adam2, sgd2 = torch.optim.AdamW(net2.up.parameters()), torch.optim.SGD(critic2.parameters(), lr=1.0, momentum=0.9)
    state = {"run": {"app": {"model": net2, "optim": adam2}, "critic": {"model": critic2, "optim": sgd2}}}
    hw.Checkpoints(tmp_path / "root").load(into=state)
    assert tensors_of(adam2) == tensors_of(adam)
    assert (tensors_of(sgd2), sgd2.param_groups[0]["lr"]) == (tensors_of(sgd), 0.2)


def test_an_optimizer_whose_parameters_are_numbers_or_in_two_places_is_kept_as_it_is_and_told(tmp_path: Path) -> None:
    net, optimizer = stepped(two_groups)
    backend = open_backend(tmp_path / "root")
    numbered = {"model": net.state_dict(), "opt": optimizer.state_dict()}
    manifest = import_dcp(backend, save_dcp(numbered, tmp_path / "numbered"), step=1)
    assert "opt has numbers instead of names" in str(manifest.provenance["notes"])
    assert {"opt.state.0.exp_avg", "opt.state.2.step"} < set(manifest.objects)
    assert manifest.values["opt.param_groups.0.lr"] == 0.1
    model, opt = dcp_of(net, optimizer)
    twice = {"one": model, "two": {name: value.clone() for name, value in model.items()}, "opt": opt}
    manifest = import_dcp(backend, save_dcp(twice, tmp_path / "twice"), step=2)
    assert "one, two have them all" in str(manifest.provenance["notes"])
    assert "opt.state.up.weight.exp_avg" in manifest.objects
    ema = {"model": model, "ema": {name: value.clone() for name, value in model.items()}, "opt": opt}
    manifest = import_dcp(backend, save_dcp(ema, tmp_path / "ema"), step=3)
    assert "opt.state.model.up.weight.exp_avg" in manifest.objects


def test_a_model_alone_loses_the_words_of_its_wrappers(tmp_path: Path) -> None:
    state = {f"module.{name}": value for name, value in Net().state_dict().items()}
    manifest = import_dcp(open_backend(tmp_path / "root"), save_dcp(state, tmp_path / "dcp"), rename=lambda name: f"model.{name}")
    assert sorted(manifest.objects) == ["model.down.weight", "model.seen", "model.up.bias", "model.up.weight"]
