"""Element types and shapes as the header of a safetensors file gives them, and back.

Three types differ. Safetensors has no complex numbers of 16 and of 4 bytes (`C128`, `C32`), so these are stored as real and
imaginary parts, with one more dimension. Its `F4` counts elements of half a byte, while torch counts bytes that hold two: our
`F4_X2` has torch's shape, and in the header the last dimension is twice as long.
"""

from __future__ import annotations

from headway.checkpoint.layout.dtypes import NBYTES


def to_safetensors(code: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Return the element type and shape that a safetensors header gives for an array.

    Example:
        >>> to_safetensors("F4_X2", (3, 8)), to_safetensors("C32", (3,)), to_safetensors("F32", (3,))
        (('F4', (3, 16)), ('F16', (3, 2)), ('F32', (3,)))
    """
    if code == "F4_X2":
        return "F4", (*shape[:-1], 2 * shape[-1]) if shape else (2,)
    if code in ("C128", "C32"):
        return ("F64" if code == "C128" else "F16"), (*shape, 2)
    return code, shape


def from_safetensors(dtype: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]] | None:
    """Return what an array in a safetensors header is here; None for an unknown element type, or an odd half byte."""
    if dtype == "F4":
        return ("F4_X2", (*shape[:-1], shape[-1] // 2)) if shape and shape[-1] % 2 == 0 else None
    return (dtype, shape) if dtype in NBYTES and dtype not in ("C32", "F4_X2") else None
