"""What differs between two checkpoints, against numpy."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import Array, Synthetic, make, random_array, random_cuts

from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.load.diff import Changed, Diff, Recast, diff
from headway.checkpoint.load.lazy import open_checkpoint


def compare(a: Synthetic, b: Synthetic) -> Diff:
    with (
        open_checkpoint(a.backend, a.manifest, a.segments) as before,
        open_checkpoint(b.backend, b.manifest, b.segments) as after,
    ):
        return diff(before, after)


def test_a_checkpoint_is_the_same_as_itself_without_reading_it(tmp_path: Path) -> None:
    made = make(tmp_path, {"w": random_array((100, 100), "F32", 1), "s": random_array((), "I64", 2)}, values={"lr": 1.0})
    found = compare(made, made)
    assert found.same
    assert found.equal == ("s", "w")
    assert found.bytes_read == 0
    assert str(found) == "= 2 tensors are equal"


def test_what_was_added_removed_and_recast_is_named(tmp_path: Path) -> None:
    zeros = np.zeros(4)
    a = make(tmp_path / "a", {"old": zeros, "shape": zeros, "type": zeros, "kept": zeros}, values={"lr": 1.0, "gone": 2, "same": 3})
    b = make(
        tmp_path / "b",
        {"new": zeros, "shape": np.zeros((2, 2)), "type": np.zeros(4, "f4"), "kept": zeros},
        values={"lr": 0.5, "here": 2, "same": 3},
    )
    found = compare(a, b)
    assert (found.added, found.removed, found.equal) == (("new",), ("old",), ("kept",))
    assert found.recast == (Recast("shape", "F64 [4]", "F64 [2, 2]"), Recast("type", "F64 [4]", "F32 [4]"))
    assert (found.values_added, found.values_removed, found.values_changed) == (("here",), ("gone",), ("lr",))
    assert not found.same
    assert str(found).splitlines() == [
        "+ new",
        "+ here",
        "- old",
        "- gone",
        "! shape: F64 [4] -> F64 [2, 2]",
        "! type: F64 [4] -> F32 [4]",
        "~ lr",
        "= 1 tensors are equal",
    ]


def test_only_blocks_that_differ_are_read(tmp_path: Path) -> None:
    before = random_array((4096, 1024), "U32", 1)
    after = before.copy()
    after[3000, 7] += 2
    found = compare(make(tmp_path / "a", {"w": before}), make(tmp_path / "b", {"w": after}))
    (changed,) = found.changed
    assert (changed.name, changed.elements, changed.changed, changed.max_abs) == ("w", 4 << 20, 1, 2.0)
    assert found.bytes_read == 2 * (4 << 20)
    assert "~ w: 1 of 4,194,304 elements, at most 2" in str(found)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_two_fragmentations_give_the_differences_that_numpy_finds(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rng = data.draw(st.randoms())
    shape = data.draw(st.lists(st.integers(0, 6), max_size=3).map(tuple))
    code = data.draw(st.sampled_from(["I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "F32", "F64", "C64"]))
    before = random_array(shape, code, 1)
    if code[0] in "FC":  # numbers, not random bits
        before = np.random.default_rng(1).standard_normal(shape).astype(before.dtype).reshape(shape)
    after = before.copy()
    for _ in range(rng.randrange(4)):
        if after.size:
            after.reshape(-1)[rng.randrange(after.size)] = 1 + rng.randrange(100)
    a, b = (
        make(tmp_path_factory.mktemp("diff"), {"w": array}, {"w": [(rng.randrange(3), box) for box in random_cuts(shape, 4, rng)]})
        for array in (before, after)
    )
    found = compare(a, b)
    count, largest, relative = _by_numpy(before, after)
    if not count:
        assert found.equal == ("w",)
        return
    (changed,) = found.changed
    assert (changed.elements, changed.changed) == (before.size, count)
    assert changed.max_abs == pytest.approx(largest)
    assert changed.max_relative == pytest.approx(relative)


def _by_numpy(before: Array, after: Array) -> tuple[int, float, float]:
    x, y = before.reshape(-1).tolist(), after.reshape(-1).tolist()  # Python's numbers: exact integers
    pairs = [(p, q) for p, q in zip(x, y, strict=True) if p != q]
    if not pairs:
        return 0, 0.0, 0.0
    return len(pairs), max(abs(p - q) for p, q in pairs), max(abs(p - q) / max(abs(p), abs(q)) for p, q in pairs)


@pytest.mark.parametrize(
    ("before", "after", "changed", "max_abs", "relative"),
    [
        (1.0, math.nan, 1, math.inf, math.inf),
        (math.inf, 1.0, 1, math.inf, math.inf),
        (math.nan, math.nan, 0, 0.0, 0.0),
        (0.0, -0.0, 1, 0.0, 0.0),
        (0.0, 3.0, 1, 3.0, 1.0),
        (2.0, -2.0, 1, 4.0, 2.0),
        (math.inf, -math.inf, 1, math.inf, math.inf),
    ],
)
def test_numbers_that_are_no_numbers_differ_infinitely(
    tmp_path: Path, before: float, after: float, changed: int, max_abs: float, relative: float
) -> None:
    found = compare(make(tmp_path / "a", {"w": np.array([before, 7])}), make(tmp_path / "b", {"w": np.array([after, 7])}))
    assert found.changed == ((Changed("w", 2, 1, max_abs, relative),) if changed else ())


def test_integers_are_compared_exactly(tmp_path: Path) -> None:
    low, high = np.array([-(2**63), 2**62]), np.array([2**63 - 1, 2**62 + 1])
    found = compare(make(tmp_path / "a", {"w": low}), make(tmp_path / "b", {"w": high}))
    assert found.changed[0].max_abs == float(2**64 - 1)
    one = compare(make(tmp_path / "c", {"w": low[1:]}), make(tmp_path / "d", {"w": high[1:]}))
    assert one.changed[0].max_abs == 1.0


def test_small_float_types_and_bool_are_compared(tmp_path: Path) -> None:
    import ml_dtypes

    a = {"b": np.array([1, 2], ml_dtypes.bfloat16), "t": np.array([True, False]), "e": np.array([1, 2], ml_dtypes.float8_e4m3fn)}
    b = {"b": np.array([1, 4], ml_dtypes.bfloat16), "t": np.array([True, True]), "e": np.array([3, 2], ml_dtypes.float8_e4m3fn)}
    found = compare(make(tmp_path / "a", a), make(tmp_path / "b", b))
    assert [(each.name, each.changed, each.max_abs) for each in found.changed] == [("b", 1, 2.0), ("e", 1, 2.0), ("t", 1, 1.0)]


def test_aliases_are_compared_by_what_they_stand_for(tmp_path: Path) -> None:
    w = np.arange(4.0)
    tied = make(tmp_path / "a", {"w": w}, aliases={"head": "w"})
    untied = make(
        tmp_path / "b", {"w": w, "head": np.array([0.0, 1, 2, 4])}, {"head": [(0, Box((0,), (3,))), (1, Box((3,), (1,)))]}
    )
    found = compare(tied, untied)
    assert found.equal == ("w",)
    assert found.changed == (Changed("head", 4, 1, 1.0, 0.25),)


def test_a_rearranged_checkpoint_is_the_same(tmp_path: Path) -> None:
    rng = random.Random(1)
    array = random_array((300, 70), "BF16", 5)
    a = make(tmp_path / "a", {"w": array}, {"w": [(rng.randrange(3), box) for box in random_cuts((300, 70), 9, rng)]})
    b = make(tmp_path / "b", {"w": array})
    assert compare(a, b).same
    assert compare(a, b).bytes_read == 2 * array.nbytes
