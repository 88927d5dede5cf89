"""Makes the numpy arrays and scalars of a pickle from what it says about them (`inert_pickle`).

Random states and metrics of trainers have them. Only plain element types in this machine's byte order are known.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from headway.checkpoint.formats.pickles.inert_pickle import Made, Name
from headway.errors import CheckpointDamaged, UsageError

if TYPE_CHECKING:
    import numpy as np

_MODULES = ("numpy._core.multiarray", "numpy.core.multiarray")
_ARRAYS = frozenset(f"{module}._reconstruct" for module in _MODULES)
_NUMBERS = frozenset(f"{module}.scalar" for module in _MODULES)
_ENCODE = "_codecs.encode"
NAMES = _ARRAYS | _NUMBERS | {"numpy.ndarray", "numpy.dtype", _ENCODE}
_TYPES = frozenset(
    f"{kind}{size}" for kind, sizes in {"b": "1", "i": "1248", "u": "1248", "f": "248"}.items() for size in sizes
) | {
    "c8",
    "c16",
}


def is_numpy(made: Made) -> bool:
    """Whether it is a numpy array or scalar."""
    return made.what in _ARRAYS or made.what in _NUMBERS


def numpy_of(made: Made, where: str) -> np.ndarray[Any, np.dtype[Any]] | np.generic:
    """Make the array or scalar. Raises UsageError for another element type, CheckpointDamaged if it contradicts itself."""
    import numpy as np

    try:
        if made.what in _NUMBERS:
            number: np.generic = np.frombuffer(bytes_of(made.args[1]), _dtype(made.args[0], where))[0]
            return number
        _, shape, dtype, by_columns, data = made.state
        if made.args[0] != Name("numpy", "ndarray"):
            raise TypeError("a subclass")
        flat = np.frombuffer(bytes_of(data), _dtype(dtype, where))
        if flat.size != math.prod(shape):
            raise ValueError(f"{flat.size} elements for the shape {shape}")
        return flat.reshape(shape, order="F" if by_columns else "C")
    except (TypeError, ValueError, IndexError) as error:
        raise CheckpointDamaged(f"{where}: an array of numpy that can't be made out ({error})") from None


def bytes_of(value: Any) -> bytes:
    """Return bytes, which old pickles write as `encode(text, "latin1")`. Raises TypeError for anything else."""
    if isinstance(value, Made) and value.what == _ENCODE and len(value.args) == 2 and value.args[1] == "latin1":
        return str(value.args[0]).encode("latin1")
    if not isinstance(value, bytes):
        raise TypeError("no bytes")
    return value


def _dtype(made: Any, where: str) -> np.dtype[Any]:
    import numpy as np

    name = made.args[0] if isinstance(made, Made) and made.what == "numpy.dtype" and made.args else made
    order = made.state[1] if isinstance(made, Made) and made.state else "="
    if name not in _TYPES or np.dtype(f"{order}{name}").newbyteorder("=") != np.dtype(f"{order}{name}"):
        raise UsageError(f"{where}: holds an array of numpy whose elements are {order}{name}, which can't be kept")
    dtype: np.dtype[Any] = np.dtype(name)
    return dtype
