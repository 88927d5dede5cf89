"""What does not fit is told in the same words, whoever asks: each kind of misfit, through each way into a load."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import headway as hw
from headway.checkpoint import Layout, Split
from headway.checkpoint.catalog.listing import newest
from headway.checkpoint.files.stored import read_segments
from headway.checkpoint.formats.safetensors_files import import_safetensors
from headway.checkpoint.load.loader import load
from headway.checkpoint.state.walk import take
from headway.errors import CheckpointMismatch
from headway.storage.opening import open_backend

SAVED = {"w": np.arange(8, dtype="float32").reshape(4, 2), "b": np.ones(3)}

KINDS: dict[str, tuple[dict[str, Any], Layout | None, str]] = {
    "shape": ({**SAVED, "w": np.zeros((4, 3), "float32")}, None, "w is F32 [4, 3] in the state and F32 [4, 2] in the checkpoint"),
    "dtype": ({**SAVED, "w": np.zeros((4, 2))}, None, "w is F64 [4, 2] in the state and F32 [4, 2] in the checkpoint"),
    "layout": (
        SAVED,
        Layout([Split("w", dim=0, axis="tp"), Split("b", dim=0, axis="tp")], axes={"tp": (0, 2)}),
        "w is F32 [8, 2] in the state and F32 [4, 2] in the checkpoint",
    ),
    "missing": ({**SAVED, "new": np.zeros(2, "int64")}, None, "new is in the state (I64 [2]), but not in the checkpoint"),
    "extra": ({"w": SAVED["w"]}, None, "b is in the checkpoint (F64 [3]), but not in the state"),
    "array": ({**SAVED, "note": np.zeros(2)}, None, "note is an array (F64 [2]) in the state and a plain value in the checkpoint"),
    "value": ({**SAVED, "b": 1.5}, None, "b is a plain value in the state and an array (F64 [3]) in the checkpoint"),
    "missing value": ({**SAVED, "lr": 0.1}, None, "lr is in the state (a plain value), but not in the checkpoint"),
}


def with_note(state: dict[str, Any]) -> dict[str, Any]:
    return {"note": "as it was", **state}


def through_checkpoints(root: Path, state: dict[str, Any], layout: Layout | None) -> None:
    with hw.Checkpoints(root) as ck:
        ck.load(into=with_note(state), layout=layout)


def through_a_selection(root: Path, state: dict[str, Any], layout: Layout | None) -> None:
    with hw.Checkpoints(root) as ck:
        ck.load(into=with_note(state), layout=layout, select=["w", "b", "note", "new", "lr"])


def through_an_opened_one(root: Path, state: dict[str, Any], layout: Layout | None) -> None:
    """As a program does that brings its own inventory: it opens a checkpoint, and fills what it holds."""
    with hw.Checkpoints(root).open() as opened:
        backend = open_backend(root)
        load(backend, opened.manifest, read_segments(backend, opened.manifest), take(with_note(state), layout))


WAYS: list[Callable[[Path, dict[str, Any], Layout | None], None]] = [
    through_checkpoints,
    through_a_selection,
    through_an_opened_one,
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    with hw.Checkpoints(folder) as ck:
        ck.save(with_note(SAVED), step=1).durable()
    return folder


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.removeprefix("through_"))
@pytest.mark.parametrize("kind", KINDS)
def test_each_way_into_a_load_says_the_same(root: Path, kind: str, way: Callable[..., None]) -> None:
    state, layout, why = KINDS[kind]
    if kind == "extra" and way is through_a_selection:
        pytest.skip("a selection leaves out what it does not name, and asks for no more than the state has")
    mine = {name: each.copy() if isinstance(each, np.ndarray) else each for name, each in state.items()}
    with pytest.raises(CheckpointMismatch, match=re.escape(why)) as caught:
        way(root, mine, layout)
    assert str(caught.value).startswith("checkpoint ")
    assert "Nothing was changed" in str(caught.value)
    for name, each in mine.items():
        assert np.array_equal(each, state[name])


@pytest.mark.parametrize("kind", ["shape", "dtype", "missing", "extra", "value"])
def test_an_import_says_the_same(tmp_path: Path, kind: str) -> None:
    save_file(SAVED, str(tmp_path / "model.safetensors"))
    backend = open_backend(tmp_path / "root")
    import_safetensors(backend, tmp_path / "model.safetensors")
    assert newest(backend).manifest is not None
    state, layout, why = KINDS[kind]
    with hw.Checkpoints(tmp_path / "root") as ck, pytest.raises(CheckpointMismatch, match=re.escape(why)):
        ck.load(into=dict(state), layout=layout)


def test_a_name_that_an_opened_checkpoint_lacks_is_told_with_what_is_near(root: Path) -> None:
    with hw.Checkpoints(root).open() as opened, pytest.raises(KeyError, match="does not have it among the 2 names"):
        opened["ww"]


def test_no_more_than_ten_are_listed(root: Path) -> None:
    many = {f"x{at:02d}": np.zeros(1) for at in range(14)}
    with hw.Checkpoints(root) as ck, pytest.raises(CheckpointMismatch) as caught:
        ck.load(into=with_note({**SAVED, **many}))
    text = str(caught.value)
    assert text.count("but not in the checkpoint") == 10
    assert "\n  and 4 more\n" in text
