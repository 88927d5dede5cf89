"""Where arrays come from: one description of an array in memory, whatever library made it.

A `Local` is what numpy, torch and DTensor arrays have in common: an element type, a shape as the library sees it, how much of
that is in this process, and the memory. This module has the numpy half and asks `torch_state` for the other, only where torch is
loaded: who uses numpy alone never imports it.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from headway.checkpoint.layout.boxes import whole
from headway.checkpoint.layout.dtypes import code_of, raw_dtype
from headway.checkpoint.layout.pieces import Piece, pieces_of, whole_piece
from headway.checkpoint.layout.placing import Place
from headway.checkpoint.layout.sharding import DimSharding, compose
from headway.checkpoint.state.inventory import HostMemory, Memory
from headway.errors import UsageError


class Local(NamedTuple):
    """An array as this process has it. `shape` is what its library says; `extent` is what is here of it, and `cuts` how that lies
    in `shape` (None: it is the same). `offset` and `strides` are in elements of `memory`. `key` tells tied arrays."""

    code: str
    shape: tuple[int, ...]
    extent: tuple[int, ...]
    cuts: tuple[DimSharding, ...] | None
    memory: Memory
    offset: int
    strides: tuple[int, ...]
    key: tuple[Any, ...] | None

    def pieces(self, place: Place) -> tuple[Piece, ...]:
        """What is here of the whole array at a place."""
        if (place.cuts is None and self.cuts is None) or 0 in place.shape:
            return whole_piece(place.shape, self.offset, self.strides)
        outer, inner = place.cuts or self.cuts or (), self.cuts
        both = tuple(map(compose, outer, inner)) if place.cuts is not None and inner is not None else outer
        return pieces_of(both, whole(self.extent), self.offset, self.strides)


def torch_loaded() -> bool:
    """Whether torch objects can be there at all."""
    return "torch" in sys.modules


def is_numpy_array(value: object) -> bool:
    """Whether it is an array of numpy's."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def is_tensor(value: object) -> bool:
    """Whether it is a tensor of torch's, a DTensor too."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value: object) -> bool:
    """Whether it is an array that `local_of` describes."""
    return is_numpy_array(value) or is_tensor(value)


def is_numpy_scalar(value: object) -> bool:
    """Whether it is one number of numpy's: it has an element type and no memory of its own."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def local_of(value: Any, name: str, writable: bool) -> Local:
    """An array of numpy or torch. `name` is for messages; `writable`: it will be written to. Raises UsageError for an array whose
    memory can't be used as it is."""
    if is_tensor(value):
        from headway.checkpoint.state.torch.tensors import local_tensor

        return local_tensor(value, name, writable)
    return _local_array(value, name, writable)


def _local_array(array: Any, name: str, writable: bool) -> Local:
    import numpy as np

    if isinstance(array, np.ma.MaskedArray):
        raise UsageError(f"{name} is a masked array, whose mask would be lost: give its `data` and its `mask`")
    code, size = code_named(array.dtype, name), array.itemsize
    if any(stride % size for stride in array.strides):
        raise UsageError(f"{name}: a numpy array whose strides {array.strides} are no multiples of its {size} bytes: copy it first")
    strides = tuple(stride // size for stride in array.strides)
    if writable:
        refuse_unwritable(name, array.shape, strides, array.flags.writeable)
    flat, first = _flat(array, strides)
    key = (array.__array_interface__["data"][0], code, array.shape, strides) if array.size else None
    return Local(code, array.shape, array.shape, None, HostMemory(flat.view(raw_dtype(code)), array), first, strides, key)


def _flat(array: Any, strides: tuple[int, ...]) -> tuple[Any, int]:
    """All memory between an array's lowest and highest element, and where its first element is in that."""
    import numpy as np

    if array.flags.c_contiguous:
        return array.reshape(-1), 0
    lowest = array[tuple(slice(-1, None) if stride < 0 else slice(0, 1) for stride in strides)]
    span = 1 + sum((extent - 1) * abs(stride) for extent, stride in zip(array.shape, strides, strict=True))
    first = sum((extent - 1) * -stride for extent, stride in zip(array.shape, strides, strict=True) if stride < 0)
    return np.lib.stride_tricks.as_strided(lowest, (span,), (array.itemsize,)), first


def code_named(dtype: Any, name: str) -> str:
    """The name of an element type. Raises UsageError, naming the array, for one that can't be kept."""
    try:
        return code_of(dtype)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def refuse_unwritable(name: str, shape: tuple[int, ...], strides: tuple[int, ...], writable: bool) -> None:
    """Refuse memory that can't take an array: read-only, or the same element twice (as `expand` and `broadcast_to` give)."""
    if not writable:
        raise UsageError(f"{name} can't be loaded into: it is read-only")
    if 0 not in shape and any(stride == 0 and extent > 1 for extent, stride in zip(shape, strides, strict=True)):
        raise UsageError(f"{name} can't be loaded into: several of its elements are one place in memory (expanded): copy it first")
