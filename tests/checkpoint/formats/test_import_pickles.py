"""Files of torch are read without running what is in them: every type, every view, and nothing but plain data."""

from __future__ import annotations

import contextlib
import io
import math
import pickle
import random
import sys
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_files import RAN, Trap, raw
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headway.checkpoint.formats.pickles.inert_pickle import Made, Name, read_pickle
from headway.checkpoint.formats.pickles.torch_places import gather
from headway.checkpoint.formats.pickles.torch_zip import StoredTensor, Tree, read_torch_file, read_torch_zip
from headway.errors import CheckpointDamaged, HeadwayError, UsageError

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    *(torch.bool, torch.complex64, torch.complex128),
]
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
    with pytest.raises(UsageError, match=r"here: names foreign_files.ran, .* Nothing of it was run"):
        read_pickle(pickle.dumps({"a": [Trap()]}, protocol), set(), "here")
    made = read_pickle(pickle.dumps(Trap(), protocol), {"foreign_files.ran"}, "here")
    assert (made.what, made.args) == ("foreign_files.ran", ("code",))
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
        (Trap(), "here: names foreign_files.ran"),
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
