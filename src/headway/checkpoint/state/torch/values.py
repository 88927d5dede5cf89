"""Torch values that are neither arrays nor plain: element types, and quantized tensors as integers with their scales.

A tree marks them `$dtype` and `$quantized`. They occur in the state of quantized modules.
"""

from __future__ import annotations

from typing import Any

import torch

from headway.errors import CheckpointMismatch

_AFFINE = (torch.per_tensor_affine, torch.per_tensor_symmetric)
_BY_CHANNEL = (torch.per_channel_affine, torch.per_channel_symmetric)


def take_apart(value: object) -> tuple[str, Any] | None:
    """Return the mark of such a value and what it is made of; None for any other value."""
    if isinstance(value, torch.dtype):
        return "$dtype", str(value).removeprefix("torch.")
    if (
        not isinstance(value, torch.Tensor)
        or not value.is_quantized
        or value.dtype not in (torch.qint8, torch.quint8, torch.qint32)
    ):
        return None
    if value.qscheme() in _AFFINE:
        return "$quantized", {"ints": value.int_repr(), "scale": value.q_scale(), "zero_point": value.q_zero_point()}
    if value.qscheme() in _BY_CHANNEL:
        scales, zero_points = value.q_per_channel_scales(), value.q_per_channel_zero_points()
        axis = value.q_per_channel_axis()
        return "$quantized", {"ints": value.int_repr(), "scales": scales, "zero_points": zero_points, "axis": axis}
    return None


def put_together(mark: str, parts: Any) -> Any:
    """Make the value that `take_apart` took apart."""
    if mark == "$dtype":
        kind = getattr(torch, str(parts), None)
        if not isinstance(kind, torch.dtype):
            raise CheckpointMismatch(f"the checkpoint has the element type {parts}, which torch {torch.__version__} does not know")
        return kind
    if "axis" in parts:
        build = torch._make_per_channel_quantized_tensor
        return build(parts["ints"], parts["scales"], parts["zero_points"], parts["axis"])
    return torch._make_per_tensor_quantized_tensor(parts["ints"], parts["scale"], parts["zero_point"])
