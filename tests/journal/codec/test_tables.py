"""Tables of pandas, polars and Arrow: stored, read back equal, and named by what they say."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import headway as hw
from headway.engine.identity.canonical import canonical
from headway.journal.codec.codec import decode, encode


def there_and_back(value: Any) -> Any:
    head, buffers = encode(value)
    return decode(head, [memoryview(part) for part in buffers])


NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
FRAMES = {
    "numbers": pd.DataFrame({"a": [1, 2, 3], "b": [0.5, float("nan"), -1.0], "c": [True, False, True]}),
    "texts": pd.DataFrame({"a": ["x", None, "zü"]}),
    "large": pd.DataFrame({"a": np.arange(100_000), "b": np.arange(100_000) * 0.5}),
    "empty": pd.DataFrame({"a": pd.Series([], dtype="int64")}),
    "nothing": pd.DataFrame(),
    "nullable": pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}),
    "categories": pd.DataFrame({"a": pd.Categorical(["b", "a", None], categories=["b", "a"], ordered=True)}),
    "times": pd.DataFrame({"a": [pd.Timestamp(NOON), pd.NaT], "b": pd.to_timedelta([1, 2], unit="s")}),
    "named index": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key")),
    "range from 5": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(5, 9, 2)),
    "dates": pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2026-01-01", periods=2, freq="D")),
    "levels": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["k", None])),
    "numbers as labels": pd.DataFrame([[1, 2]], columns=[10, 20]),
    "periods": pd.DataFrame({"a": pd.period_range("2026-01", periods=2, freq="M")}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_pandas_table_comes_back_equal(name):
    frame = FRAMES[name]
    back = there_and_back(frame)
    pd.testing.assert_frame_equal(back, frame, check_exact=True, check_freq=True)
    assert type(back.index) is type(frame.index)
    assert canonical(back) == canonical(frame)


@pytest.mark.parametrize("series", [pd.Series([1, 2]), pd.Series(["a"], name="x", index=[7]), pd.Series([1.0], name=("a", 1))])
def test_a_pandas_series_comes_back_equal(series):
    back = there_and_back(series)
    pd.testing.assert_series_equal(back, series, check_exact=True)
    assert canonical(back) == canonical(series)


POLARS = {
    "numbers": pl.DataFrame({"a": [1, None, 3], "b": [0.5, float("nan"), -1.0]}),
    "kinds": pl.DataFrame({"a": [Decimal("1.5")], "b": [NOON], "c": [[1, 2]], "d": [{"x": 1}], "e": ["ü"], "f": [None]}),
    "categories": pl.DataFrame({"a": ["x", "y"]}, schema={"a": pl.Categorical}),
    "enum": pl.DataFrame({"a": ["x", "y"]}, schema={"a": pl.Enum(["y", "x"])}),
    "nothing": pl.DataFrame(),
    "small": pl.DataFrame({"a": [1]}, schema={"a": pl.Int8}),
}


@pytest.mark.parametrize("name", POLARS)
def test_a_polars_table_comes_back_equal(name):
    frame = POLARS[name]
    back = there_and_back(frame)
    assert back.schema == frame.schema
    assert back.equals(frame)
    assert canonical(back) == canonical(frame)


def test_a_polars_series_and_arrow_tables_come_back_equal():
    series = pl.Series("s", [1, None])
    assert there_and_back(series).equals(series)
    assert there_and_back(series).name == "s"
    table = pa.table({"a": [1, None], "b": [["x"], []]}).replace_schema_metadata({"by": "hand"})
    assert there_and_back(table).equals(table, check_metadata=True)
    batch = table.to_batches()[0]
    assert there_and_back(batch).equals(batch)
    none = table.schema.empty_table()
    assert there_and_back(none).equals(none)
    assert canonical(there_and_back(table)) == canonical(table)


def test_equal_tables_have_equal_names_however_they_lie_in_memory():
    whole = pa.table({"a": list(range(10))})
    parts = pa.concat_tables([whole.slice(0, 3), whole.slice(3)])
    assert canonical(parts) == canonical(whole)
    longer = pd.DataFrame({"a": range(20), "b": "x"})
    assert canonical(longer.iloc[5:10]) == canonical(longer.iloc[5:10].copy())
    assert canonical(pl.concat([pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]})], rechunk=False)) == canonical(
        pl.DataFrame({"a": [1, 2]})
    )


def test_different_tables_have_different_names():
    base = pd.DataFrame({"a": [1, 2]})
    others = [
        pd.DataFrame({"a": [1, 3]}),
        pd.DataFrame({"b": [1, 2]}),
        pd.DataFrame({"a": [1.0, 2.0]}),
        pd.DataFrame({"a": [1, 2]}, index=[1, 2]),
        pd.DataFrame({"a": [1, 2]}, index=pd.Index([0, 1], name="i")),
        pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(0, 0), (1, 1)])),
        pd.DataFrame({"a": ["1", "2"]}),
        pd.DataFrame({"a": pd.array([1, 2], dtype="Int64")}),
        pl.DataFrame({"a": [1, 2]}),
        pa.table({"a": [1, 2]}),
        pd.Series([1, 2], name="a"),
    ]
    assert len({canonical(each) for each in [base, *others]}) == 1 + len(others)


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"a": [1, "x"]}),
        pd.DataFrame({"a": [object()]}),
        pd.DataFrame({"a": [(1, 2)]}),
        type("Frame", (pd.DataFrame,), {})({"a": [1]}),
    ],
)
def test_what_would_come_back_otherwise_is_refused(value):
    with pytest.raises(hw.NotEncodable):
        encode(value)


def test_attrs_are_refused_by_name():
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = "m"
    with pytest.raises(hw.NotEncodable, match="attrs"):
        encode(frame)


def test_calls_take_and_give_tables(go):
    ran: list[int] = []

    @hw.task
    async def double(frame: pd.DataFrame) -> pd.DataFrame:
        ran.append(len(frame))
        return frame * 2

    @hw.task
    async def program() -> float:
        first = await double(pd.DataFrame({"a": np.arange(50_000)}))
        return float((await double(first))["a"].sum())

    expected = float(np.arange(50_000).sum() * 4)
    assert go(program) == go(program) == expected
    assert ran == [50_000, 50_000]


def test_a_call_that_changes_its_table_fails(go):
    @hw.task
    async def spoil(frame: pd.DataFrame) -> int:
        frame["b"] = 1
        return 1

    @hw.task
    async def program() -> int:
        return await spoil(pd.DataFrame({"a": [1]}))

    with pytest.raises(hw.ArgumentChanged):
        go(program)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_missing_library_is_named_with_the_extra(library):
    made = {"pandas": FRAMES["numbers"], "polars": POLARS["numbers"], "pyarrow": pa.table({"a": [1]})}[library]
    head, _ = encode(made)
    program = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from headway.journal.codec.codec import decode\n"
        "print(decode(bytes.fromhex(sys.argv[1]), (), lenient=True))\n"
        "try:\n    decode(bytes.fromhex(sys.argv[1]))\nexcept Exception as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program, bytes(head).hex()], capture_output=True, text=True, check=True).stdout
    assert "headway[tables]" in said
    assert library in said
