"""Element types by the names that safetensors uses, in numpy and torch.

Bytes are moved, never converted, so an element type is mostly a size: arrays are viewed as unsigned integers of that size while
they are copied. The names matter at the edges, where an array is handed to numpy (bfloat16 and the 8-bit floats through
ml_dtypes) or to torch.

Three types differ in a file: see `files/header_types.py`.
"""

from __future__ import annotations

import functools
import importlib
import re
from typing import Any

from headway.errors import UsageError
from headway.extras import explain_missing

_NUMPY = {
    "BOOL": "bool",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "C128": "complex128",
}
_ML_DTYPES = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
_STRUCTURED = {"C32": [("real", "<f2"), ("imag", "<f2")], "F4_X2": [("pair", "u1")]}  # what numpy has no type for
_NBYTES = {"BOOL": 1, "BF16": 2, "F4_X2": 1}
NBYTES = {code: _NBYTES.get(code) or int(re.findall(r"\d+", code)[0]) // 8 for code in (*_NUMPY, *_ML_DTYPES, *_STRUCTURED)}
_TORCH = {**_NUMPY, **_ML_DTYPES, "C32": "complex32", "F4_X2": "float4_e2m1fn_x2"}
_CODES = {name: code for code, name in _TORCH.items()} | {str(fields): code for code, fields in _STRUCTURED.items()}
_RAW = {1: "u1", 2: "u2", 4: "u4", 8: "u8", 16: "c16"}


def code_of(dtype: Any) -> str:
    """Return the name of a numpy or torch dtype. Raises UsageError for one that has no raw bytes or no name here.

    Example:
        >>> import numpy
        >>> code_of(numpy.dtype("float32"))
        'F32'
    """
    name = str(dtype).removeprefix("torch.")
    code = _CODES.get(name)
    if code is None:
        bits = ", or give their bytes, `.view(torch.uint8)`" if str(dtype).startswith("torch.") else ""
        known = ", ".join(sorted(_TORCH.values()))
        raise UsageError(f"elements of type {name} can't be kept in a checkpoint: convert them to one of {known}{bits}")
    return code


def numpy_dtype(code: str) -> Any:
    """Return the numpy dtype of a name: for `C32` one with a real and an imaginary part, for `F4_X2` one byte for a pair. Raises
    UsageError if it needs ml_dtypes and that is not installed."""
    numpy = importlib.import_module("numpy")
    if code in _NUMPY:
        return numpy.dtype(_NUMPY[code])
    if code in _STRUCTURED:
        return numpy.dtype(_STRUCTURED[code])
    with explain_missing(f"an array of {_ML_DTYPES[code]}"):
        ml_dtypes = importlib.import_module("ml_dtypes")
    return numpy.dtype(getattr(ml_dtypes, _ML_DTYPES[code]))


def torch_dtype(code: str) -> Any:
    """Return the torch dtype of a name. Raises UsageError if torch is too old to have it."""
    torch = importlib.import_module("torch")
    kind = getattr(torch, _TORCH[code], None)
    if kind is None:
        raise UsageError(f"torch {torch.__version__} has no {_TORCH[code]}: use a newer one")
    return kind


@functools.cache  # asked for every slice of every copy
def raw_dtype(code: str) -> Any:
    """Return a numpy dtype of the same size that numpy copies fast."""
    return importlib.import_module("numpy").dtype(_RAW[NBYTES[code]])


def as_tensor(raw: Any, code: str) -> Any:
    """View raw numpy elements as a torch tensor of this type. They share their memory."""
    with explain_missing("a tensor of torch"):
        torch = importlib.import_module("torch")
    signed = {2: "i2", 4: "i4", 8: "i8"}.get(NBYTES[code])
    tensor = torch.from_numpy(raw if signed is None else raw.view(signed))
    return tensor.view(torch_dtype(code))
