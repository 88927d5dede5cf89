"""Files of other programs, and a trap in them that nothing may run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed.checkpoint as dcp

from headway.checkpoint.files.manifest import Manifest
from headway.checkpoint.files.stored import read_segment
from headway.checkpoint.load.lazy import open_checkpoint
from headway.storage.backend import Backend

RAN: list[str] = []


def ran(text: str) -> str:
    RAN.append(text)
    return text


class Trap:
    """What it pickles to runs `ran`."""

    def __reduce__(self) -> Any:
        return ran, ("code",)


def save_dcp(state: dict[str, Any], folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # DCP's own
        dcp.save(state, checkpoint_id=folder, no_dist=True)
    return folder


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().as_strided((tensor.numel(),), (1,)).view(torch.uint8).numpy().tobytes()


def stored(backend: Backend, manifest: Manifest) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    with open_checkpoint(backend, manifest, [read_segment(backend, ref) for ref in manifest.segments]) as opened:
        return {
            name: (known.dtype, known.shape, np.ascontiguousarray(opened[name]).tobytes())
            for name, known in manifest.objects.items()
        }


def in_place(backend: Backend, manifest: Manifest) -> dict[str, str]:
    """In which file each object is."""
    segments = [read_segment(backend, ref) for ref in manifest.segments]
    return {fragment.name: segment.file for segment in segments for fragment in segment.fragments}
