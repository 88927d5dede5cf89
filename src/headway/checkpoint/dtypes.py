"""Element types by the names that safetensors uses, in numpy and torch.

Bytes are moved, never converted, so an element type is mostly a size: arrays are viewed as unsigned integers of that size while
they are copied. The names matter at the edges, where an array is handed to numpy (bfloat16 and the 8-bit floats through
ml_dtypes) or to torch.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from headway.errors import UsageError

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
_ML_DTYPES = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
NBYTES = {code: {"BOOL": 1, "BF16": 2}.get(code) or int(re.findall(r"\d+", code)[0]) // 8 for code in (*_NUMPY, *_ML_DTYPES)}
_TORCH = {**_NUMPY, **_ML_DTYPES}
_CODES = {name: code for code, name in _TORCH.items()}
_RAW = {1: "u1", 2: "u2", 4: "u4", 8: "u8", 16: "c16"}


def code_of(dtype: Any) -> str:
    """The name of a numpy or torch dtype. Raises UsageError for one that has no raw bytes or no name here.

    Example:
        >>> import numpy
        >>> code_of(numpy.dtype("float32"))
        'F32'
    """
    name = str(dtype).removeprefix("torch.")
    code = _CODES.get(name)
    if code is None:
        raise UsageError(
            f"elements of type {name} can't be kept in a checkpoint: convert them to one of {', '.join(sorted(_CODES))}"
        )
    return code


def numpy_dtype(code: str) -> Any:
    """The numpy dtype of a name. Raises UsageError where it needs ml_dtypes and that is not installed."""
    numpy = importlib.import_module("numpy")
    if code in _NUMPY:
        return numpy.dtype(_NUMPY[code])
    try:
        return numpy.dtype(getattr(importlib.import_module("ml_dtypes"), _ML_DTYPES[code]))
    except ImportError:
        raise UsageError(f"arrays of {_ML_DTYPES[code]} need ml_dtypes: pip install ml_dtypes") from None


def torch_dtype(code: str) -> Any:
    """The torch dtype of a name."""
    return getattr(importlib.import_module("torch"), _TORCH[code])


def raw_dtype(code: str) -> Any:
    """A numpy dtype of the same size that numpy copies fast."""
    return importlib.import_module("numpy").dtype(_RAW[NBYTES[code]])
