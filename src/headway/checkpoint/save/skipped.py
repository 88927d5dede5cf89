"""Saves that were skipped because earlier ones were still being written: how they are reported, and what becomes of the last.

The logger `headway.checkpoint` reports them (on stderr, unless the program configures it): the first at once, later ones in groups
(10, then 100, …), and the rest when the program waits or closes. So a disk that is always too slow is reported without filling the
log.

The state of the last call of `save` must not be lost, and nobody knows before `close` which call is the last. So a skipped save is
remembered with a mark of its state. From the mark `close` sees whether the state is still the same and can be saved under that step
after all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import xxhash

from headway.checkpoint.layout.declared import Layout
from headway.checkpoint.layout.dtypes import raw_dtype
from headway.checkpoint.state.inventory import Inventory

_SHOWN = 10
_log = logging.getLogger("headway.checkpoint")


@dataclass(frozen=True, slots=True)
class Missed:
    """A save that was skipped. `inventory` keeps the memory that `mark` was taken of from being used for something else."""

    state: Any
    layout: Layout | None
    step: int
    metrics: dict[str, float]
    why: str
    inventory: Inventory
    mark: str


class Skips:
    """Skipped steps that were not reported yet."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._why = ""
        self._enough = 1

    def note(self, step: int, why: str) -> bool:
        """Remember a skipped save; return whether it is time to report it."""
        self._steps.append(step)
        self._why = why
        return len(self._steps) >= self._enough

    def forget(self, step: int) -> None:
        """Forget a skipped step that was saved after all."""
        self._steps = [each for each in self._steps if each != step]

    def say(self) -> None:
        """Report the skipped saves that were not reported yet."""
        steps, self._steps = self._steps, []
        if steps:
            self._enough *= 10
            _log.warning("%s not saved: %s", name_steps(steps), self._why)


def name_steps(steps: Sequence[int]) -> str:
    """Write steps as the subject of a sentence.

    >>> name_steps([3]), name_steps([3, 4])
    ('step 3 was', 'steps 3, 4 were')
    """
    if len(steps) == 1:
        return f"step {steps[0]} was"
    more = f" and {len(steps) - _SHOWN} more, up to {steps[-1]}," if len(steps) > _SHOWN else ""
    return f"steps {', '.join(map(str, steps[:_SHOWN]))}{more} were"


def mark_of(inventory: Inventory) -> str:
    """Hash what tells this state from any other that the program may have: the values, and for each array its address and version,
    or its bytes if changes move no version (numpy)."""
    mark = xxhash.xxh3_128(msgspec.msgpack.encode(inventory.values))
    for holding in inventory.holdings:
        address, version = inventory.marks[holding.name]
        mark.update(msgspec.msgpack.encode((holding.name, holding.object, address, version)))
        for piece in holding.pieces if version < 0 else ():
            into: np.ndarray[Any, np.dtype[Any]] = np.empty(piece.box.extent, raw_dtype(holding.object.dtype))
            holding.memory.read(piece, into)
            mark.update(into.tobytes())
    return mark.hexdigest()
