"""The format is what `docs/checkpoint-format.md` says: a reader made from that page reads what we save and refuses what it must."""

from __future__ import annotations

import ast
import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import msgspec
import numpy as np
import pytest
import stranger
import xxhash
from safetensors import safe_open
from synthetic import ThreadRanks, on_ranks

from headway.checkpoint.catalog.listing import newest as newest_of
from headway.checkpoint.checkpoints import Checkpoints
from headway.checkpoint.files import manifest as data
from headway.checkpoint.files.stored import read_manifest
from headway.checkpoint.layout.declared import Layout, Replicated, Split
from headway.checkpoint.layout.dtypes import NBYTES
from headway.errors import CheckpointDamaged
from headway.storage.local import LocalBackend

PAGE = (Path(__file__).parents[3] / "docs" / "checkpoint-format.md").read_text()
Array = np.ndarray[Any, Any]


def whole_state(step: int) -> dict[str, Any]:
    """All kinds of arrays that the page tells of: more than a block, rows longer than a block, no elements, no dimensions, ties."""
    rng = np.random.default_rng(step)
    weight = rng.random((3, 500, 1100), dtype="f4")
    every = {
        code: rng.integers(0, 2 if code == "BOOL" else 256, 6 * size, dtype="u1").view(_dtype(code))
        for code, size in NBYTES.items()
    }
    return {
        "rows": rng.random((1000, 1300), dtype="f4"),
        "columns": rng.random((6, 9), dtype="f8").astype(ml_dtypes.bfloat16),
        "long": rng.random((4, 1 << 20), dtype="f4"),
        "model": {"w": weight, "tied": weight, "empty": np.zeros((0, 3), "f4"), "scalar": np.array(step, "i8")},
        "every": every,
        "lr": 0.1,
        "name": "a state",
    }


def _dtype(code: str) -> Any:
    from headway.checkpoint.layout.dtypes import numpy_dtype

    return numpy_dtype(code)


def shard(state: dict[str, Any], rank: int, ranks: int) -> dict[str, Any]:
    rows, columns = np.array_split(state["rows"], ranks), np.array_split(state["columns"], ranks, axis=1)
    return {**state, "rows": rows[rank].copy(), "columns": columns[rank].copy()}


RULES = [Split("rows", 0, "tp"), Split("columns", 1, "tp", size=9), Replicated("*")]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints by two processes (threads that stand for them)."""
    root = tmp_path_factory.mktemp("format") / "root"

    def save(ranks: ThreadRanks) -> None:
        layout = Layout(RULES, axes={"tp": (ranks.rank, ranks.size)})
        with Checkpoints(root, layout=layout, ranks=ranks, provenance={"code": "0a1b"}) as checkpoints:
            for step in (10, 20):
                state = shard(whole_state(step), ranks.rank, ranks.size)
                checkpoints.save(state, step=step, metrics={"val_loss": 1 / step}).durable()

    assert on_ranks(["one", "one"], save) == [None, None]
    return root


def arrays_of(state: dict[str, Any], prefix: str = "") -> dict[str, Array]:
    found: dict[str, Array] = {}
    for key, value in state.items():
        if isinstance(value, dict):
            found |= arrays_of(value, f"{prefix}{key}.")
        elif isinstance(value, np.ndarray):
            found[prefix + key] = value
    return found


def test_a_stranger_reads_every_array_to_the_last_bit(saved: Path) -> None:
    found = stranger.newest(saved)
    expected = arrays_of(whole_state(20))
    assert set(found.manifest["objects"]) == set(expected)
    for name, array in expected.items():
        known = found.manifest["objects"][name]
        assert (_dtype(known["dtype"]), tuple(known["shape"])) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes(), name
    assert found.manifest["values"] == {"lr": 0.1, "name": "a state"}
    assert found.manifest["objects"]["model.tied"]["alias_of"] == "model.w"
    assert {part.extent[0] for part in found.parts["rows"]} == {500}
    assert {len(part.hashes) // 32 for part in found.parts["long"]} == {4}
    assert len(found.parts["columns"]) == 2


def test_the_numbers_of_a_manifest_are_those_of_its_files(saved: Path) -> None:
    found = stranger.newest(saved)
    objects = {name: known for name, known in found.manifest["objects"].items() if not known.get("alias_of")}
    assert found.manifest["coverage"] == {
        "objects": len(found.manifest["objects"]),
        "fragments": sum(len(segment["fragments"]) for segment in found.segments),
        "nbytes": sum(array.nbytes for name, array in arrays_of(whole_state(20)).items() if name in objects),
    }
    assert (found.manifest["step"], found.manifest["serial"]) == (20, 2)
    first = stranger.Checkpoint(saved, min(path.relative_to(saved).as_posix() for path in saved.glob("steps/*")))
    assert found.manifest["parent"] == first.manifest["id"]
    assert first.manifest["metrics"] == {"val_loss": 0.1}
    assert first.manifest["provenance"] == {"code": "0a1b"}
    assert [segment["writer"] for segment in found.segments] == ["00000", "00001"]


def test_data_files_are_laid_out_as_the_page_says(saved: Path) -> None:
    found = stranger.newest(saved)
    for segment in found.segments:
        raw = segment["path"].read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        assert (8 + length) % 4096 == 0
        assert segment["header_nbytes"] == 8 + length
        assert xxhash.xxh3_128_hexdigest(raw[: 8 + length]) == segment["header_hash"]
        header = json.loads(raw[8 : 8 + length])
        assert header.pop("__metadata__") == {"format": "headway", "id": found.manifest["id"]}
        keys, order, at = [], [], 0
        for name, offset, extent, start, _ in segment["fragments"]:
            known = found.manifest["objects"][name]
            is_whole = extent == known["shape"]
            keys.append(name if is_whole else f"{name}@{','.join(map(str, offset))}+{','.join(map(str, extent))}")
            order.append((-stranger.SIZES[known["dtype"]], name, offset, extent))
            entry = header[keys[-1]]
            assert entry["dtype"] == {"C128": "F64", "C32": "F16", "F4_X2": "F4"}.get(known["dtype"], known["dtype"])
            shape = [*extent, 2] if known["dtype"] in ("C128", "C32") else extent
            assert entry["shape"] == (shape if known["dtype"] != "F4_X2" else [*extent[:-1], 2 * extent[-1]] if extent else [2])
            assert entry["data_offsets"][0] == at == start - 8 - length
            assert start % stranger.SIZES[known["dtype"]] == 0
            at = entry["data_offsets"][1]
        assert keys == list(header)
        assert order == sorted(order)
        assert 8 + length + at == len(raw)


def test_the_safetensors_library_opens_the_data_files(saved: Path) -> None:
    found = stranger.newest(saved)
    expected = arrays_of(whole_state(20))
    seen = 0
    for segment in found.segments:
        with safe_open(segment["path"], framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - a file of safetensors is no dictionary
                tensor = file.get_tensor(key)
                name, _, box = key.partition("@")
                if box:
                    offset, extent = (tuple(map(int, numbers.split(","))) for numbers in box.split("+"))
                    where = tuple(slice(b, b + e) for b, e in zip(offset, extent, strict=True))
                else:
                    where = (...,)
                mine = np.ascontiguousarray(expected[name][where])
                assert tensor.contiguous().reshape(-1).view(_bytes()).numpy().tobytes() == mine.tobytes(), key
                seen += 1
    assert seen == found.manifest["coverage"]["fragments"]


def _bytes() -> Any:
    import torch

    return torch.uint8


def test_the_newest_is_found_without_head(saved: Path, tmp_path: Path) -> None:
    root = _copied(saved, tmp_path)
    (root / "HEAD").unlink()
    assert stranger.newest(root).manifest["step"] == 20
    newest = next(root.glob("steps/*20-*/manifest.json"))
    newest.write_bytes(b"x" + newest.read_bytes())
    assert stranger.newest(root).manifest["step"] == 10
    assert newest_of(LocalBackend(root)).manifest.step == 10


@pytest.mark.parametrize("where", ["manifest.json", "00000.json", "00001.json", "00000.safetensors", "00001.safetensors"])
def test_a_flipped_bit_is_refused_wherever_it_is(saved: Path, tmp_path: Path, where: str) -> None:
    root = _copied(saved, tmp_path)
    (file,) = root.glob(f"steps/*20-*/{where}")
    content = bytearray(file.read_bytes())
    for at in (30, len(content) // 2, len(content) - 2):
        if where.endswith("safetensors") and at == 30:
            continue  # the header is for other tools
        content[at] ^= 1
        file.write_bytes(content)
        with pytest.raises(stranger.Refused):
            checkpoint = stranger.Checkpoint(root, file.parent.relative_to(root).as_posix())
            for name in checkpoint.parts:
                checkpoint[name]
        content[at] ^= 1


def test_a_manifest_of_a_later_format_is_refused_by_us_too(saved: Path, tmp_path: Path) -> None:
    root = _copied(saved, tmp_path)
    (file,) = root.glob("steps/*20-*/manifest.json")
    later = json.loads(file.read_bytes().partition(b"\n")[0]) | {"format": 2, "unknown": 1}
    line = json.dumps(later).encode()
    file.write_bytes(line + b"\n" + xxhash.xxh3_128_hexdigest(line).encode() + b"\n")
    folder = file.parent.relative_to(root).as_posix()
    with pytest.raises(stranger.Refused, match="format"):
        stranger.Checkpoint(root, folder)
    with pytest.raises(CheckpointDamaged, match="its format is 2"):
        read_manifest(LocalBackend(root), folder)


def test_fields_that_a_reader_does_not_know_are_ignored_by_us(saved: Path, tmp_path: Path) -> None:
    root = _copied(saved, tmp_path)
    (file,) = root.glob("steps/*20-*/manifest.json")
    line = json.dumps(json.loads(file.read_bytes().partition(b"\n")[0]) | {"colour": "blue"}).encode()
    file.write_bytes(line + b"\n" + xxhash.xxh3_128_hexdigest(line).encode() + b"\n")
    assert read_manifest(LocalBackend(root), file.parent.relative_to(root).as_posix()).step == 20


def _copied(saved: Path, to: Path) -> Path:
    import shutil

    return Path(shutil.copytree(saved, to / "copy"))


# --- the page and the code -------------------------------------------------------------------------------------------


def test_the_reader_knows_nothing_of_headway() -> None:
    tree = ast.parse(Path(stranger.__file__).read_text())
    roots = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    roots |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert roots - sys.stdlib_module_names == {"numpy", "xxhash"}


def table_of(heading: str, column: int) -> dict[str, list[str]]:
    """Rows of the table under a heading, by the code in a column."""
    section = PAGE.split(f"\n### {heading}\n")[1].split("\n#")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| ")]
    return {row[column].strip("`"): row for row in rows[1:]}


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        (data.Head, 0),
        (data.Manifest, 0),
        (data.Object, 0),
        (data.SegmentRef, 0),
        (data.Coverage, 0),
        (data.Measured, 0),
        (data.Segment, 0),
        (data.Fragment, 1),
        (data.Phase, 1),
    ],
)
def test_the_page_lists_the_fields_that_there_are(kind: type[msgspec.Struct], column: int) -> None:
    rows = table_of(kind.__name__, column)
    assert list(rows) == list(kind.__struct_fields__) if column else set(rows) == set(kind.__struct_fields__)
    if kind in (data.Manifest, data.Object):
        for field in msgspec.structs.fields(kind):
            told = rows[field.name][2].strip("`")
            default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory
            if default is msgspec.NODEFAULT:
                assert told == "", field.name
            else:
                assert json.loads(told) == (default() if callable(default) else default), field.name


def test_the_page_lists_the_element_types_and_the_block_rule() -> None:
    section = PAGE.split("## Element types")[1].split("##")[0]
    assert set(re.findall(r"`([A-Z][A-Z0-9_]+)`", section)) == set(NBYTES)
    assert stranger.SIZES == NBYTES
    assert data.BLOCK_BYTES == stranger.BLOCK
    assert data.block_nbytes((1000, 3000), 4) == 4_188_000
    assert "blocks of 349 rows, 4,188,000 bytes; the third\nand last has 302 rows" in PAGE


def test_the_example_of_the_page_is_a_checkpoint(tmp_path: Path) -> None:
    for name, text in re.findall(r"```sealed (\S+)\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    headers = re.findall(r"```json\n(\{\"__metadata__.*?)\n```", PAGE)
    bodies = re.findall(r"the data `([0-9a-f]+)`", PAGE)
    (folder,) = tmp_path.glob("steps/*")
    for number, (header, body) in enumerate(zip(headers, bodies, strict=True)):
        content = bytes.fromhex("f80f000000000000") + header.encode().ljust(4088) + bytes.fromhex(body)
        (folder / f"{number:05d}.safetensors").write_bytes(content)
        segment, _ = stranger.unseal((folder / f"{number:05d}.json").read_bytes())
        assert xxhash.xxh3_128_hexdigest(content[:4096]) == segment["header_hash"]
    found = stranger.newest(tmp_path)
    assert np.array_equal(found["model.w"].reshape(-1).view("f4"), np.arange(6, dtype="f4"))
    assert found["same"].reshape(-1).view(ml_dtypes.bfloat16)[0] == 1
    with Checkpoints(tmp_path) as checkpoints:
        state = {"model": {"w": np.zeros((2, 3), "f4"), "scale": np.array(0, ml_dtypes.bfloat16)}, "lr": 0.0}
        state["same"] = state["model"]["scale"]
        assert checkpoints.load(into=state).step == 120
    assert np.array_equal(state["model"]["w"], np.arange(6).reshape(2, 3))
    assert (float(state["same"]), state["lr"]) == (1.0, 0.1)
