"""Arrays and tensors as raw bytes: dtype, shape, buffer. Neither library is imported unless a value needs it.

A decoded array owns writable memory, as the one that was stored did; it is a view of the given buffer where that is
writable. Fortran order is kept. Object arrays have no raw bytes and are refused. A tensor is stored from wherever it
lives and comes back on the CPU; shared storage, hooks and the graph that made it are not part of the value.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from headway.errors import NotDecodable
from headway.journal.codec.wire import FAMILIES, Code, Reader, Refused, StandIn, Write, Writer, ext, reader


def _library(name: str) -> Any:
    """numpy or torch, imported: these two are kinds of the format itself, not names found in the data."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise NotDecodable(f"a recorded value needs {name}, which is not installed here: pip install {name}") from None


# --- numpy -----------------------------------------------------------------------------------------------------------


def describe_dtype(dtype: Any) -> object:
    np = sys.modules["numpy"]
    if dtype.kind == "T":
        raise Refused("is an array of variable-length strings, which has no raw bytes: use .astype('U') or a list")
    if dtype.hasobject:
        raise Refused("is an array of Python objects, which has no raw bytes: return a list, or an array of a numeric dtype")
    if dtype.names is None and dtype.subdtype is None and np.dtype(dtype.str) != dtype:
        return {"name": dtype.name}  # an extension dtype, such as bfloat16 of ml_dtypes
    return np.lib.format.dtype_to_descr(dtype)


def _read_dtype(np: Any, descr: Any) -> Any:
    if isinstance(descr, dict):
        try:
            return np.dtype(descr["name"])
        except TypeError:
            raise NotDecodable(
                f"a recorded array has dtype {descr['name']}, which no loaded library defines: import ml_dtypes"
            ) from None
    return np.lib.format.descr_to_dtype(_tuples(descr))


def _tuples(descr: Any) -> Any:
    """What msgpack turned into lists, as numpy wants it: a list of tuples whose own parts are tuples, too."""
    if not isinstance(descr, list):
        return descr
    return [tuple(tuple(x) if isinstance(x, list) and i == 2 else _tuples_in(x) for i, x in enumerate(f)) for f in descr]


def _tuples_in(part: Any) -> Any:
    if isinstance(part, list) and part and isinstance(part[0], list):
        return _tuples(part)  # the fields of a nested structured dtype
    return tuple(part) if isinstance(part, list) else part  # a (title, name) pair


def _write_array(w: Writer, value: Any, depth: int) -> object:
    np = sys.modules["numpy"]
    descr = describe_dtype(value.dtype)
    fortran = value.ndim > 1 and value.flags.f_contiguous and not value.flags.c_contiguous
    rows = value.T if fortran else value
    flat = _row_major(np, rows, own=w.copy)
    place = w.owned(memoryview(flat.reshape(-1).view(np.uint8)) if value.nbytes else b"")
    return ext(Code.ARRAY, [descr, list(value.shape), fortran, place])


def _row_major(np: Any, rows: Any, *, own: bool) -> Any:
    """The same values, one after the other in memory; in memory of their own where asked."""
    if rows.dtype.names is not None:  # the gaps between fields hold anything, which has no place in a record
        whole = np.zeros(rows.shape, rows.dtype)
        _copy_fields(whole, rows)
        return whole
    if rows.flags.c_contiguous:
        return rows.copy() if own else rows
    return np.ascontiguousarray(rows)


def _copy_fields(into: Any, rows: Any) -> None:
    """Field by field, because an assignment of all of them may take the gaps along (numpy 2.5 does)."""
    for name in rows.dtype.names:
        if rows[name].dtype.names is not None:
            _copy_fields(into[name], rows[name])
        else:
            into[name] = rows[name]


@reader(Code.ARRAY)
def _read_array(r: Reader, data: memoryview) -> Any:
    descr, shape, fortran, place = r.read(data)
    try:
        return _build_array(r, descr, shape, fortran, place)
    except Exception:
        if r.lenient:
            return StandIn("array", f"{descr} {shape}")
        raise


def _build_array(r: Reader, descr: Any, shape: list[int], fortran: bool, place: bytes | int) -> Any:
    np = _library("numpy")
    dtype = _read_dtype(np, descr)
    if dtype.itemsize == 0 or 0 in shape:
        return np.zeros(shape, dtype, order="F" if fortran else "C")
    flat = np.frombuffer(_writable(r.buffer(place)), np.uint8).view(dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _writable(data: memoryview) -> memoryview | bytearray:
    return bytearray(data) if data.readonly else data


def _write_array_scalar(w: Writer, value: Any, depth: int) -> object:
    np = sys.modules["numpy"]
    return ext(Code.ARRAY_SCALAR, [describe_dtype(value.dtype), _row_major(np, np.asarray(value), own=False).tobytes()])


@reader(Code.ARRAY_SCALAR)
def _read_array_scalar(r: Reader, data: memoryview) -> Any:
    descr, raw = r.read(data)
    try:
        np = _library("numpy")
        dtype = _read_dtype(np, descr)
        return np.frombuffer(raw, dtype)[0] if dtype.itemsize else np.zeros((), dtype)[()]
    except NotDecodable:
        if r.lenient:
            return StandIn("number", descr)
        raise


# --- torch -----------------------------------------------------------------------------------------------------------


def tensor_bytes(torch: Any, value: Any) -> Any:
    """The elements of a strided tensor in row-major order, as a flat uint8 array on the CPU; a view where it can be."""
    plain = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
    return plain.reshape(-1).view(torch.uint8).numpy()


def check_tensor(value: Any) -> None:
    if str(value.layout) != "torch.strided" or value.is_quantized or value.is_meta:
        raise Refused("is a sparse, quantized or meta tensor, which has no raw bytes: return a dense tensor on a device")


def _write_tensor(w: Writer, value: Any, depth: int) -> object:
    torch = sys.modules["torch"]
    check_tensor(value)
    kind = "parameter" if isinstance(value, torch.nn.Parameter) else "tensor"
    head = [kind, str(value.dtype).rpartition(".")[2], list(value.shape), bool(value.requires_grad and value.is_leaf)]
    if not value.numel():
        return ext(Code.TENSOR, [*head, b""])
    flat = tensor_bytes(torch, value)
    if w.copy and value.device.type == "cpu":
        flat = flat.copy()
    return ext(Code.TENSOR, [*head, w.owned(memoryview(flat))])


@reader(Code.TENSOR)
def _read_tensor(r: Reader, data: memoryview) -> Any:
    kind, name, shape, grad, place = r.read(data)
    try:
        return _build_tensor(r, kind, name, shape, grad, place)
    except Exception:
        if r.lenient:
            return StandIn("tensor", f"{name} {shape}")
        raise


def _build_tensor(r: Reader, kind: str, name: str, shape: list[int], grad: bool, place: bytes | int) -> Any:
    torch = _library("torch")
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise NotDecodable(f"a recorded tensor has dtype {name}, which this version of torch does not have")
    if 0 in shape:
        value = torch.empty(shape, dtype=dtype)
    else:
        value = torch.frombuffer(_writable(r.buffer(place)), dtype=torch.uint8).view(dtype).reshape(shape)
    if kind == "parameter":
        return torch.nn.Parameter(value, requires_grad=grad)
    return value.requires_grad_(grad) if grad else value


# --- which classes these are -----------------------------------------------------------------------------------------


@FAMILIES.append
def _array_family(cls: type) -> Write | None:
    """Exact classes only: a subclass (masked array, DTensor) means more than its bytes."""
    np: Any = sys.modules.get("numpy")
    if np is not None:
        if cls is np.ndarray:
            return _write_array
        if issubclass(cls, np.generic) and cls.__module__ == "numpy":
            return _write_array_scalar
    torch: Any = sys.modules.get("torch")
    if torch is not None and cls in (torch.Tensor, torch.nn.Parameter):
        return _write_tensor
    return None
