"""A checkpoint of every kind of tensor, loaded into arrays with other bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthetic import Array, Synthetic, bits, inventory

from headway.checkpoint.load.loader import Loaded, load
from headway.storage.local import LocalBackend


class WithoutPaths(LocalBackend):
    """Stands for an object store: files can be read by ranges only."""

    def path(self, file: str) -> Path | None:
        return None


def fill(made: Synthetic, arrays: Mapping[str, Array], **options: Any) -> Loaded:
    return load(options.pop("backend", made.backend), made.manifest, made.segments, inventory(arrays), **options)


def blank(made: Synthetic) -> dict[str, Array]:
    """Arrays like those of the checkpoint, with other bytes in them."""
    return {name: (bits(array) ^ 0x5A).view(array.dtype).reshape(array.shape) for name, array in made.arrays.items()}
