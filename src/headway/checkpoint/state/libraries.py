"""Describes arrays in memory in one way, whatever library made them.

This module has the numpy half of `local_of`. It asks `torch/tensors.py` for the other half only if torch is loaded, so a program
that uses numpy alone never imports torch.
"""

from __future__ import annotations

import sys
from typing import Any

from headway.checkpoint.layout.dtypes import raw_dtype
from headway.checkpoint.state.arrays import Local, find_code, refuse_unwritable
from headway.checkpoint.state.inventory import HostMemory
from headway.errors import UsageError


def is_torch_loaded() -> bool:
    """Whether torch is loaded, without which there are no objects of it."""
    return "torch" in sys.modules


def is_numpy_array(value: object) -> bool:
    """Whether it is a numpy array."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def is_tensor(value: object) -> bool:
    """Whether it is a torch tensor. A DTensor is one."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value: object) -> bool:
    """Whether it is an array that `local_of` describes."""
    return is_numpy_array(value) or is_tensor(value)


def is_numpy_scalar(value: object) -> bool:
    """Whether it is a numpy scalar, which has an element type but no memory of its own."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def local_of(value: Any, name: str, writable: bool) -> Local:
    """Describe an array of numpy or torch. `name` is for messages; `writable`: it will be written to. Raises UsageError for an
    array whose memory can't be used as it is."""
    if is_tensor(value):
        from headway.checkpoint.state.torch.tensors import local_tensor

        return local_tensor(value, name, writable)
    return _local_array(value, name, writable)


def _local_array(array: Any, name: str, writable: bool) -> Local:
    import numpy as np

    if isinstance(array, np.ma.MaskedArray):
        raise UsageError(f"{name} is a masked array, whose mask would be lost: give its `data` and its `mask`")
    code, size = find_code(array.dtype, name), array.itemsize
    if any(stride % size for stride in array.strides):
        raise UsageError(f"{name}: a numpy array with strides {array.strides}, not multiples of its {size} bytes: copy it first")
    strides = tuple(stride // size for stride in array.strides)
    if writable:
        refuse_unwritable(name, array.shape, strides, array.flags.writeable)
    flat, first = _flat(array, strides)
    key = (array.__array_interface__["data"][0], code, array.shape, strides) if array.size else None
    return Local(code, array.shape, array.shape, None, HostMemory(flat.view(raw_dtype(code)), array), first, strides, key)


def _flat(array: Any, strides: tuple[int, ...]) -> tuple[Any, int]:
    """Return all memory between an array's lowest and highest element, and where its first element is in that."""
    import numpy as np

    if array.flags.c_contiguous:
        return array.reshape(-1), 0
    lowest = array[tuple(slice(-1, None) if stride < 0 else slice(0, 1) for stride in strides)]
    span = 1 + sum((extent - 1) * abs(stride) for extent, stride in zip(array.shape, strides, strict=True))
    first = sum((extent - 1) * -stride for extent, stride in zip(array.shape, strides, strict=True) if stride < 0)
    return np.lib.stride_tricks.as_strided(lowest, (span,), (array.itemsize,)), first
