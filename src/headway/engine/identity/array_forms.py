"""The canonical forms of arrays, tensors and what describes them: what arrays hold, row-major and little-endian, whatever their
layout and device.

Their bytes are digested, not kept. Inside `sampling`, only samples of large ones are digested: enough to notice most changes
quickly, never enough to name a call.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from msgspec import Raw

from headway.journal.codec import arrays
from headway.journal.codec.tables import is_table
from headway.journal.codec.wire import Code, ext, pack

Lower = Callable[[Any, int], object]
LowerItems = Callable[[Iterable[Any], int, object], list[object]]
LowerFields = Callable[[Mapping[str, Any], int, object], list[object]]
ARRAY_BYTES = 256 * 1024
"""Of larger arrays `sampling` takes samples."""
_SAMPLES, _SAMPLE_BYTES = 64, 1024
_sampling = threading.local()


@contextmanager
def sampling() -> Iterator[None]:
    """Let large arrays count by samples of their bytes, in this thread."""
    _sampling.on = True
    try:
        yield
    finally:
        _sampling.on = False


def library_kind(cls: type) -> str:
    """Which kind of value of numpy, torch or a library of tables a class is: array, scalar, tensor, array type or table; "" for
    none. Subclasses may mean more than their elements, so only the libraries' own classes count."""
    np: Any = sys.modules.get("numpy")
    if np is not None:
        if issubclass(cls, np.ndarray):
            return "array" if cls in (np.ndarray, np.memmap) else ""
        if issubclass(cls, np.generic) and cls.__module__ == "numpy":
            return "scalar"
        if issubclass(cls, np.dtype):
            return "array type"
    torch: Any = sys.modules.get("torch")
    if torch is not None and cls in (torch.Tensor, torch.nn.Parameter):
        return "tensor"
    if torch is not None and cls in (torch.dtype, torch.device, torch.Size):
        return "array type"
    return "table" if is_table(cls) else ""


def lower_array(value: Any, depth: int, lower_items: LowerItems, lower_fields: LowerFields) -> object:
    """An array of numpy: by its bytes where it is made of numbers, else by its fields or items, as the walk lowers those."""
    np: Any = sys.modules["numpy"]
    dtype = value.dtype
    if dtype.hasobject or dtype.kind == "T":  # Python objects, or strings of any length
        return ext(Code.ARRAY, [dtype.kind, list(value.shape), lower_items(value.ravel().tolist(), depth, value)])
    if dtype.names is not None:
        fields = {name: value[name] for name in dtype.names}
        return ext(Code.ARRAY, [list(dtype.names), list(value.shape), *lower_fields(fields, depth, value)])
    little = dtype.newbyteorder("<")
    rows = np.ascontiguousarray(value, little)
    if dtype.char in "gG":
        rows = _clear_gaps(np, rows)
    data = rows.reshape(-1).view(np.uint8) if rows.nbytes else b""
    name = arrays.describe_dtype(little)
    return ext(Code.ARRAY, [Raw(pack(name)), list(value.shape), _digest_content(data)])


def lower_array_scalar(value: Any, depth: int, lower: Lower) -> object:
    """A scalar of numpy; every NaN is one."""
    np: Any = sys.modules["numpy"]
    array = np.asarray(value)
    if array.dtype.names is not None:
        return ext(Code.ARRAY_SCALAR, lower(array, depth))
    little = array.astype(array.dtype.newbyteorder("<"))
    if little.dtype.kind in "fc" and little != little:
        little = np.atleast_1d(little)
        parts = (little,) if little.dtype.kind == "f" else (little.real, little.imag)
        for part in parts:
            part[part != part] = np.nan
    if little.dtype.char in "gG":
        little = _clear_gaps(np, little)
    return ext(Code.ARRAY_SCALAR, [Raw(pack(arrays.describe_dtype(little.dtype))), little.tobytes()])


def _clear_gaps(np: Any, rows: Any) -> Any:
    """The same long doubles, with nothing in the bytes that a processor with numbers of 80 bits leaves as they were."""
    if np.finfo(np.longdouble).nmant != 63:
        return rows
    cleared = rows.copy()
    cleared.reshape(-1).view(np.uint8).reshape(-1, np.dtype(np.longdouble).itemsize)[:, 10:] = 0
    return cleared


def describe(value: Any) -> list[object]:
    """What describes arrays, in plain values: an element type of numpy or torch, a shape or a device of torch."""
    if type(value).__module__.startswith("numpy"):
        return ["numpy.dtype", arrays.describe_dtype(value.newbyteorder("<"))]
    return [f"torch.{type(value).__name__}", list(value) if isinstance(value, tuple) else str(value)]


def lower_tensor(value: Any) -> object:
    """A tensor of torch, on whatever device."""
    arrays.check_tensor(value)
    data = arrays.tensor_bytes(sys.modules["torch"], value) if value.numel() else b""
    return ext(Code.TENSOR, [str(value.dtype), list(value.shape), _digest_content(data)])


def _digest_content(data: Any) -> bytes:
    """What stands for the bytes of an array."""
    if getattr(_sampling, "on", False) and len(data) > ARRAY_BYTES:
        step = (len(data) - _SAMPLE_BYTES) // (_SAMPLES - 1)
        data = b"".join(bytes(data[at * step : at * step + _SAMPLE_BYTES]) for at in range(_SAMPLES))
    return hashlib.blake2b(data, digest_size=16).digest()
