"""Tables of pandas, polars and Arrow, as Arrow's stream format. No library is imported unless a value needs it.

A table comes back equal: columns, types, index, names. What Arrow would give back otherwise (a column of mixed objects, say) is
refused when it is stored, so a pandas table is read back once and compared. Only the classes themselves count: a subclass means
more than its columns.

`table_parts` says what makes two tables the same, in plain values and arrays, for the names of calls.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Iterator
from typing import Any

from headway.errors import NotDecodable
from headway.journal.codec.wire import FAMILIES, Code, Reader, Refused, StandIn, Write, Writer, a_or_an, ext, reader

EXTRA = "pip install 'headway[tables]'"
_IMPORT: dict[str, Callable[[], Any]] = {
    "pandas": lambda: importlib.import_module("pandas"),
    "polars": lambda: importlib.import_module("polars"),
    "pyarrow": lambda: importlib.import_module("pyarrow"),
}


def _library(name: str) -> Any:
    """A library of tables, imported: these are kinds of the format itself, not names found in the data."""
    try:
        return _IMPORT[name]()
    except ImportError:
        raise NotDecodable(f"a recorded table needs {name}, which is not installed here: {EXTRA}") from None


def _arrow(value: Any) -> Any:
    """pyarrow, to store a table of pandas."""
    try:
        return _IMPORT["pyarrow"]()
    except ImportError:
        raise Refused(f"is {a_or_an(type(value).__name__)} of pandas, and storing one needs pyarrow: {EXTRA}") from None


# --- writing ---------------------------------------------------------------------------------------------------------


def _stream(pa: Any, table: Any) -> memoryview:
    """A table in Arrow's stream format."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return memoryview(sink.getvalue())


def _write_arrow(w: Writer, value: Any, depth: int) -> object:
    kind = "batch" if type(value).__name__ == "RecordBatch" else "table"
    return ext(Code.TABLE, [f"arrow {kind}", w.owned(_stream(_library("pyarrow"), value))])


def _write_pandas(w: Writer, value: Any, depth: int) -> object:
    pd, pa = sys.modules["pandas"], _arrow(value)
    series = isinstance(value, pd.Series)
    frame = value.to_frame("value") if series else value
    if value.attrs:
        raise Refused("is a pandas table with attrs, which have no encoding: store them beside it, or clear them")
    try:
        data = _stream(pa, pa.Table.from_pandas(frame))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise Refused(f"is a pandas table that Arrow has no form for ({error})") from None
    freq = _frequency(value.index)
    head = ["pandas series" if series else "pandas table", freq, w.lower(value.name, depth + 1) if series else None]
    back = _pandas_from(pd, pa, data, head[0] == "pandas series", freq, value.name if series else None)
    same = pd.testing.assert_series_equal if series else pd.testing.assert_frame_equal
    try:
        same(back, value, check_exact=True, check_freq=True)
    except AssertionError as error:
        why = " ".join(str(error).split())[:200]
        raise Refused(f"is a pandas table that Arrow would give back otherwise ({why}): convert its columns first") from None
    return ext(Code.TABLE, [*head, w.owned(data)])


def _frequency(index: Any) -> str:
    return getattr(index, "freqstr", None) or ""


def _write_polars(w: Writer, value: Any, depth: int) -> object:
    pl, sink = sys.modules["polars"], io.BytesIO()
    series = isinstance(value, pl.Series)
    try:
        (value.to_frame() if series else value).write_ipc_stream(sink)
    except Exception as error:  # polars panics, too, on columns of Python objects
        raise Refused(f"is a polars table that Arrow has no form for ({error})") from None
    return ext(Code.TABLE, ["polars series" if series else "polars table", w.owned(sink.getbuffer())])


# --- reading ---------------------------------------------------------------------------------------------------------


@reader(Code.TABLE)
def _read_table(r: Reader, data: memoryview) -> Any:
    kind, *parts, place = r.read(data)
    try:
        return _build(kind, parts, r.buffer(place))
    except Exception:
        if r.lenient:
            return StandIn(str(kind))
        raise


def _build(kind: str, parts: list[Any], data: memoryview) -> Any:
    if kind.startswith("polars"):
        frame = _library("polars").read_ipc_stream(io.BytesIO(data))
        return frame.to_series(0) if kind == "polars series" else frame
    pa = _library("pyarrow")
    if kind.startswith("pandas"):
        freq, name = parts
        return _pandas_from(_library("pandas"), pa, data, kind == "pandas series", freq, name)
    table = pa.ipc.open_stream(pa.py_buffer(data)).read_all()
    if kind == "arrow batch":
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    return table


def _pandas_from(pd: Any, pa: Any, data: memoryview, series: bool, freq: str, name: Any) -> Any:
    frame = pa.ipc.open_stream(pa.py_buffer(data)).read_all().to_pandas()
    if freq and hasattr(frame.index, "freq"):
        frame.index.freq = freq
    return frame["value"].rename(name) if series else frame


# --- what makes two the same -----------------------------------------------------------------------------------------


def table_parts(value: Any) -> list[Any] | None:
    """What a table says, in plain values and arrays; None for what is no table. Equal tables have equal parts, however their
    memory is laid out."""
    parts = _PARTS.get(_kind(type(value)))
    return parts(value) if parts is not None else None


def _kind(cls: type) -> str:
    """ "pandas", "polars" or "pyarrow" for a class whose values are stored as tables; else an empty text."""
    for name, classes in _CLASSES.items():
        library: Any = sys.modules.get(name)
        if library is not None and any(cls is getattr(library, each, None) for each in classes):
            return name
    return ""


_CLASSES = {
    "pandas": ("DataFrame", "Series"),
    "polars": ("DataFrame", "Series"),
    "pyarrow": ("Table", "RecordBatch"),
}


def _pandas_parts(value: Any) -> list[Any]:
    pd: Any = sys.modules["pandas"]
    index = value.index
    levels = [index.get_level_values(level) for level in range(index.nlevels)]
    head: list[Any] = [type(value).__name__, list(index.names), [_pandas_column(pd, level.to_series()) for level in levels]]
    if isinstance(value, pd.Series):
        return [*head, value.name, _pandas_column(pd, value)]
    labels = [list(value.columns), list(value.columns.names)]
    return [*head, labels, [_pandas_column(pd, value.iloc[:, place]) for place in range(value.shape[1])]]


def _pandas_column(pd: Any, column: Any) -> list[Any]:
    dtype = column.dtype
    said = str(dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        categories = _pandas_column(pd, dtype.categories.to_series())
        return ["category", dtype.ordered, categories, column.cat.codes.to_numpy()]
    if isinstance(dtype, pd.DatetimeTZDtype):
        return [said, column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()]
    if getattr(dtype, "kind", "O") in "biufcMm" and not pd.api.types.is_extension_array_dtype(dtype):
        return [said, column.to_numpy()]
    if isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
        return [said, [str(each) for each in column]]
    missing = column.isna().to_numpy()
    return [said, [None if gone else each for each, gone in zip(column.tolist(), missing, strict=True)], missing]


def _polars_parts(value: Any) -> list[Any]:
    columns = [value] if type(value).__name__ == "Series" else value.get_columns()
    return [type(value).__name__, [_polars_column(column) for column in columns]]


def _polars_column(column: Any) -> list[Any]:
    flat = (column.dtype.is_integer() or column.dtype.is_float()) and not column.null_count()
    return [column.name, str(column.dtype), column.to_numpy() if flat else column.to_list()]


def _arrow_parts(value: Any) -> list[Any]:
    names = [[field.name, str(field.type)] for field in value.schema]
    return [type(value).__name__, names, list(_arrow_columns(value))]


def _arrow_columns(value: Any) -> Iterator[Any]:
    types = sys.modules["pyarrow"].types
    for column in value.columns:
        flat = (types.is_integer(column.type) or types.is_floating(column.type)) and not column.null_count
        yield column.to_numpy() if flat and type(value).__name__ == "Table" else column.to_pylist()


_PARTS: dict[str, Callable[[Any], list[Any]]] = {"pandas": _pandas_parts, "polars": _polars_parts, "pyarrow": _arrow_parts}
_WRITE: dict[str, Write] = {"pandas": _write_pandas, "polars": _write_polars, "pyarrow": _write_arrow}


@FAMILIES.append
def _table_family(cls: type) -> Write | None:
    """Exact classes only: a subclass (GeoDataFrame) means more than its columns."""
    return _WRITE.get(_kind(cls))


def is_table(cls: type) -> bool:
    """Whether values of this class are stored as tables."""
    return bool(_kind(cls))
