"""Waits until nothing else uses the machine: on few cores, any other work is most of what would be measured."""

from __future__ import annotations

import time
from pathlib import Path

CALM_SHARE = 0.1
_LOOK_S = 0.5


def busy_share() -> float:
    """Which share of the cores' time was used in the last half second, by whoever; disk waits count."""
    used, total = _jiffies()
    time.sleep(_LOOK_S)
    used_then, total_then = _jiffies()
    return (used_then - used) / max(1, total_then - total)


def wait_for_calm(patience_s: float) -> float:
    """Return when other work uses less than a tenth of the machine, or after so many seconds. How much it uses."""
    until = time.monotonic() + patience_s
    while (share := busy_share()) > CALM_SHARE and time.monotonic() < until:
        pass
    return share


def _jiffies() -> tuple[int, int]:
    numbers = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    idle = numbers[3]
    return sum(numbers) - idle, sum(numbers)
