"""The processes that hold one state together. Saving and loading need only one thing of them: to exchange small messages.

Exchanges happen on the caller's thread only, in the order in which all ranks call, so they can never mix with the collectives of
the training (a background thread that uses the training's group deadlocks it sooner or later).
"""

from __future__ import annotations

import importlib
import socket
import sys
from pathlib import Path
from typing import Any, Protocol


class Ranks(Protocol):
    rank: int
    size: int

    def exchange(self, data: bytes) -> list[bytes]:
        """Send a message to all ranks and receive theirs, by rank. All ranks must call it."""
        ...

    def hosts(self) -> list[str]:
        """Say on which machine each rank is."""
        ...


class Alone:
    """One process."""

    rank = 0
    size = 1

    def exchange(self, data: bytes) -> list[bytes]:
        return [data]

    def hosts(self) -> list[str]:
        return [host()]


class TorchRanks:
    """The ranks of a torch.distributed group (None: all), over a backend for CPU tensors (gloo) or for this rank's GPU (NCCL)."""

    def __init__(self, group: Any = None) -> None:
        self._dist = importlib.import_module("torch.distributed")
        self._torch = importlib.import_module("torch")
        self._group = group
        self.rank: int = self._dist.get_rank(group)
        self.size: int = self._dist.get_world_size(group)
        self._hosts: list[str] | None = None

    def exchange(self, data: bytes) -> list[bytes]:
        torch, dist = self._torch, self._dist
        device = "cuda" if dist.get_backend(self._group) == "nccl" else "cpu"
        sizes = torch.empty(self.size, dtype=torch.int64, device=device)
        mine = torch.tensor([len(data)], dtype=torch.int64, device=device)
        dist.all_gather(list(sizes.split(1)), mine, group=self._group)
        lengths = sizes.tolist()
        room = max(1, *lengths)
        padded = torch.zeros(room, dtype=torch.uint8)
        padded[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else padded[:0]
        every = torch.empty(self.size * room, dtype=torch.uint8, device=device)
        dist.all_gather(list(every.split(room)), padded.to(device), group=self._group)
        flat = every.cpu().numpy()
        return [flat[rank * room : rank * room + length].tobytes() for rank, length in enumerate(lengths)]

    def hosts(self) -> list[str]:
        if self._hosts is None:
            self._hosts = [name.decode() for name in self.exchange(host().encode())]
        return self._hosts


def ranks_here() -> Ranks:
    """Find the ranks of this process's training: those of torch.distributed if it is initialised, else this process alone."""
    torch = sys.modules.get("torch")
    dist = getattr(torch, "distributed", None)
    if dist is not None and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        return TorchRanks()
    return Alone()


def host() -> str:
    """Name this machine. Only processes that share a page cache get the same name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return f"{socket.gethostname()}/{boot}"
