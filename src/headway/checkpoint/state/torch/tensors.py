"""Torch tensors: their memory, and how a DTensor is placed in its whole array.

A tensor is seen through `detach()`, called when the inventory is made: a later `p.data = …` does not change what a save reads. The
memory itself is only touched when a piece is read or written, so making an inventory costs microseconds for each tensor. Host
tensors give numpy views of their storage; those on other devices are copied by torch.

A DTensor's placements are applied as cuts, from left to right as torch does. FSDP2 over tensor parallelism on the same dimension
really splits from right to left, which `_StridedShard` describes only where sizes divide; where they don't, the local size tells.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parameter import is_lazy

from headway.checkpoint.layout.sharding import DimSharding, chunk, compose, from_ranges, full, length
from headway.checkpoint.state.arrays import Local, find_code, refuse_unwritable
from headway.errors import LayoutError, UsageError

if TYPE_CHECKING:
    from headway.checkpoint.layout.pieces import Piece
    from headway.checkpoint.state.inventory import Raw

_RAW_TORCH = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.complex128}
_RAW_NUMPY = {1: "u1", 2: "u2", 4: "u4", 8: "u8", 16: "c16"}
_OF_NUMPY = frozenset({torch.float32, torch.float16, torch.float64, torch.int64, torch.int32, torch.uint8})  # the usual ones
_PLAIN = (torch.Tensor, torch.nn.Parameter)
_CODES: dict[torch.dtype, str] = {}


class TorchMemory:
    """The storage of a tensor, from the tensor's first element on, as raw elements of its size."""

    __slots__ = ("_flat", "tensor")

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self._flat: Raw | None = None

    def view(self, piece: Piece) -> Raw | None:
        """View the piece as a strided numpy array; None if it is not in host memory."""
        import numpy as np

        if self.tensor.device.type != "cpu":
            return None
        flat = self._flat if self._flat is not None else self._flatten()
        size = flat.itemsize
        strides = [stride * size for stride in piece.strides]
        return np.ndarray(piece.box.extent, flat.dtype, flat, piece.offset * size, strides)

    def read(self, piece: Piece, into: Raw) -> None:
        """Copy the piece to a row-major array."""
        view = self.view(piece)
        if view is not None:
            into[...] = view
        else:
            _as_tensor(into, self.tensor.itemsize).copy_(self._region(piece))

    def write(self, piece: Piece, values: Raw) -> None:
        """Copy a row-major array to the piece."""
        view = self.view(piece)
        if view is not None:
            view[...] = values
        else:
            self._region(piece).copy_(_as_tensor(values, self.tensor.itemsize))

    def version(self) -> int:
        """Return torch's count of in-place changes; -1 for inference tensors, which have none."""
        return -1 if self.tensor.is_inference() else int(self.tensor._version)

    def address(self) -> int:
        """Return the address of its first element."""
        return int(self.tensor.data_ptr())

    def _flatten(self) -> Raw:
        tensor = self.tensor
        if tensor.dtype in _OF_NUMPY and tensor.is_contiguous():  # the same, and ten times as fast
            self._flat = array = tensor.numpy().reshape(-1).view(_RAW_NUMPY[tensor.itemsize])
            return array
        steps = [(extent - 1) * stride for extent, stride in zip(tensor.shape, tensor.stride(), strict=True)]
        span = 1 + sum(steps) if tensor.numel() else 0
        flat = tensor.as_strided((span,), (1,)).view(_RAW_TORCH[tensor.itemsize]).numpy().view(_RAW_NUMPY[tensor.itemsize])
        self._flat = flat
        return flat

    def _region(self, piece: Piece) -> torch.Tensor:
        start = int(self.tensor.storage_offset()) + piece.offset
        region = self.tensor.as_strided(piece.box.extent, piece.strides, start)
        return region.view(_RAW_TORCH[self.tensor.itemsize])


def _as_tensor(values: Raw, itemsize: int) -> torch.Tensor:
    signed = {2: "i2", 4: "i4", 8: "i8"}.get(itemsize)
    return torch.from_numpy(values.view(signed) if signed else values)


def dtensor_type() -> type[Any] | None:
    """Return the class of DTensors; None as long as nobody has imported it."""
    module = sys.modules.get("torch.distributed.tensor")
    return getattr(module, "DTensor", None)


def local_tensor(tensor: torch.Tensor, name: str, writable: bool) -> Local:
    """Describe a tensor. Raises UsageError for a kind whose bytes are not its values."""
    inside, cuts = tensor, None
    if type(tensor) not in _PLAIN:
        dtensor = dtensor_type()
        if dtensor is not None and isinstance(tensor, dtensor):
            with torch.no_grad():
                inside = tensor.to_local()
            cuts = _dtensor_cuts(tensor, inside, name)
    _refuse_unusual(inside, name)
    inside = inside.detach()
    extent, strides = tuple(inside.shape), inside.stride()
    shape = extent if inside is tensor else tuple(tensor.shape)
    if writable:
        refuse_unwritable(name, extent, strides, not inside.is_inference())
    code = _CODES.get(inside.dtype)
    if code is None:
        code = _CODES[inside.dtype] = find_code(inside.dtype, name)
    key = (inside.data_ptr(), code, shape, strides) if 0 not in extent else None
    return Local(code, shape, extent, cuts, TorchMemory(inside), 0, strides, key)


# --- tensors without memory ------------------------------------------------------------------------------------------


def lacks_memory(tensor: torch.Tensor) -> bool:
    """Whether a tensor gets its memory by being loaded: one on the meta device, or of a lazy module that was not called yet."""
    return is_lazy(tensor) or (tensor.is_meta and type(tensor) in _PLAIN)


def room_for(tensor: torch.Tensor, saved: tuple[int, ...]) -> torch.Tensor:
    """Make memory for it on the device of new tensors; for a lazy one, on its own device and of the shape that was saved."""
    if is_lazy(tensor):
        return torch.empty(saved, dtype=tensor.dtype, device=tensor.device if not tensor.is_meta else _default_device())
    return torch.empty_like(tensor, device=_default_device(), requires_grad=False)


def _default_device() -> torch.device:
    default = torch.get_default_device()
    return default if default.type != "meta" else torch.device("cpu")


def without_memory(tensor: torch.Tensor, name: str) -> Local:
    """Describe a tensor on the meta device that stays there."""
    shape = tuple(tensor.shape)
    return Local(find_code(tensor.dtype, name), shape, shape, None, TorchMemory(tensor), 0, tensor.stride(), None)


def refuse_watched(tensor: torch.Tensor, name: str) -> None:
    """Raise UsageError for a tensor on the meta device that can't be given memory where it is, without a new object."""
    if weakref.getweakrefs(tensor):
        raise UsageError(
            f"{name} is on the meta device, and something refers to it weakly, so it can't be exchanged: materialise it first "
            "(`to_empty`)"
        )


def give_memory(tensor: Any, room: torch.Tensor) -> None:
    """Give a tensor its memory. It stays the object that modules and optimizers know."""
    if is_lazy(tensor):
        lazy: Any = tensor
        lazy.data = room
        lazy.__class__ = lazy.cls_to_become
        return
    new = torch.nn.Parameter(room, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else room
    new.__dict__.update(tensor.__dict__)
    torch.utils.swap_tensors(tensor, new)  # type: ignore[no-untyped-call]  # torch does not type it


def _refuse_unusual(tensor: torch.Tensor, name: str) -> None:
    what = ""
    if is_lazy(tensor):
        what = "it is of a lazy module that was not called yet: call it once first"
    elif tensor.layout is not torch.strided:
        what = f"its layout is {tensor.layout}: convert it to a dense tensor"
    elif tensor.is_meta:
        what = "it is on the meta device, without memory: materialise it first (`to_empty`)"
    elif tensor.is_conj() or tensor.is_neg():
        what = "it is a lazily conjugated or negated view: resolve it first (`resolve_conj`, `resolve_neg`)"
    elif type(tensor) not in _PLAIN and hasattr(type(tensor), "__tensor_flatten__"):
        what = f"it is a {type(tensor).__qualname__}, made of other tensors: give those"
    elif tensor.is_quantized:
        what = "it is quantized: give its integers, scales and zero points"
    if what:
        raise UsageError(f"tensor {name} can't be kept in a checkpoint as it is: {what}")


# --- DTensor ---------------------------------------------------------------------------------------------------------


def _dtensor_cuts(tensor: Any, inside: torch.Tensor, name: str) -> tuple[DimSharding, ...] | None:
    """Find how the local tensor of a DTensor lies in it; None if it is whole."""
    mesh, placements = tensor.device_mesh, tensor.placements
    coordinate, whole = mesh.get_coordinate(), tuple(map(int, tensor.shape))
    if coordinate is None:
        return ((),) * len(whole)  # this process has no part of it
    shards = []  # (dimension, rank, ranks, how many chunks are split alike), from left to right
    for axis, placement in enumerate(placements):
        if placement.is_partial():
            raise UsageError(f"DTensor {name} is a partial sum ({placement}): redistribute it to Shard or Replicate first")
        dim = getattr(placement, "dim", None)
        if dim is not None:
            chunks = int(getattr(placement, "split_factor", 1))
            shards.append((dim % len(whole), coordinate[axis], mesh.size(axis), chunks))
    if not shards:
        return None
    plain = [(dim, rank, ranks, 1) for dim, rank, ranks, _ in reversed(shards)]
    for order in (shards, plain):
        cuts = _cuts_of(whole, order)
        if tuple(map(length, cuts)) == tuple(inside.shape) or (0 in inside.shape and 0 in map(length, cuts)):
            return cuts
    raise LayoutError(
        f"DTensor {name} of shape {whole} with placements {placements} on a mesh of {tuple(mesh.shape)} should have "
        f"{tuple(map(length, _cuts_of(whole, shards)))} at {tuple(coordinate)}, but its local tensor has {tuple(inside.shape)}"
    )


def _cuts_of(shape: tuple[int, ...], shards: list[tuple[int, int, int, int]]) -> tuple[DimSharding, ...]:
    cuts = [full(size) for size in shape]
    for dim, rank, ranks, chunks in shards:
        size = length(cuts[dim])
        ranges = []
        for each in range(chunks):
            begin, end = chunk(size, each, chunks)
            first, last = chunk(end - begin, rank, ranks)
            ranges.append((begin + first, begin + last))
        cuts[dim] = compose(cuts[dim], from_ranges(ranges))
    return tuple(cuts)
