"""Turns tensors of a `torch.save` file into what an import takes over: a place in the file if possible, else a copy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

from headway.checkpoint.files.manifest import Json, Object, PlannedFragment
from headway.checkpoint.files.write import FragmentData
from headway.checkpoint.formats.in_place import ForeignFragment
from headway.checkpoint.formats.pickles.torch_zip import StoredTensor, Tree
from headway.checkpoint.layout.boxes import Box, whole
from headway.checkpoint.layout.dtypes import NBYTES, code_of, raw_dtype
from headway.checkpoint.state.libraries import is_array, is_numpy_scalar
from headway.checkpoint.state.values.tree import encode
from headway.errors import CheckpointDamaged


def to_json(tree: Tree, name: str) -> tuple[Json, dict[str, StoredTensor], dict[str, Any]]:
    """Convert a value to JSON, and its tensors and numpy arrays and scalars to parts, under names that begin with `name`.

    Raises UsageError for what can't be kept."""
    tensors: dict[str, StoredTensor] = {}
    arrays: dict[str, Any] = {}

    def keep(its: str, leaf: object) -> str | None:
        if isinstance(leaf, StoredTensor):
            tensors[its] = leaf
            return "$tensor"
        if is_array(leaf) or is_numpy_scalar(leaf):
            arrays[its] = leaf
            return "$array" if is_array(leaf) else "$scalar"
        return None

    return encode(tree, name, keep), tensors, arrays


def array_part(name: str, array: Any) -> FragmentData:
    """Make a part of a numpy array or scalar."""
    return FragmentData(name, Object(code_of(array.dtype), array.shape), whole(array.shape), array)


def locate_or_copy(name: str, known: Object, box: Box, tensor: StoredTensor, file: Path) -> ForeignFragment | FragmentData:
    """Refer to a tensor in a file if its elements are in row-major order, else copy it from there."""
    if tensor.contiguous:
        return ForeignFragment(file, PlannedFragment(name, known, *box, tensor.start))

    def data() -> Any:
        with file.open("rb") as source:
            return gather(tensor, source, str(file))

    return FragmentData(name, known, box, data)


def gather(tensor: StoredTensor, source: BinaryIO, where: str) -> Any:
    """Read the elements of a tensor in row-major order, as a numpy array of raw elements."""
    import numpy as np
    from numpy.lib.stride_tricks import as_strided

    size = NBYTES[tensor.dtype]
    steps = [(extent - 1) * stride for extent, stride in zip(tensor.shape, tensor.strides, strict=True)]
    nbytes = (1 + sum(steps)) * size if math.prod(tensor.shape) else 0
    source.seek(tensor.start)
    data = source.read(nbytes)
    if len(data) != nbytes:
        raise CheckpointDamaged(f"{where}: ends before the tensor at byte {tensor.start} does: the file is not whole")
    flat = np.frombuffer(data, raw_dtype(tensor.dtype))
    return np.ascontiguousarray(as_strided(flat, tensor.shape, [stride * size for stride in tensor.strides]))
