"""What a save expects to find as it was in the checkpoint before, so that it need not be written again.

Only a guess: the helper refers to an earlier box where its hashes say so, and writes it otherwise (`helper/sharing.py`). A wrong
guess costs a second file, and a missed one writes what is there already; neither costs a bit. So the guess may be cheap. A tensor
of torch tells by its version. Arrays of numpy tell nothing: what was unchanged the last time is expected to be the next time. And
when nothing was saved yet, parameters that no optimizer of the state changes are expected to be there since the training that
went before.
"""

from __future__ import annotations

from collections.abc import Iterable

from headway.checkpoint.state.inventory import Inventory

LEAST_BYTES = 64 << 10  # of a box: smaller ones are not worth a place in another file


class Expected:
    """What one process saved the last time, and how it was."""

    def __init__(self) -> None:
        self._marks: dict[str, tuple[int, int]] = {}
        self._unchanged: frozenset[str] = frozenset()

    def names(self, inventory: Inventory) -> set[str]:
        """The names of what is expected to be as it was."""
        if not self._marks:
            trained = any(holding.guarded for holding in inventory.holdings)
            frozen = [each for each in inventory.holdings if not each.guarded and each.object.kind in ("param", "buffer")]
            return {each.name for each in frozen} if trained else set()
        now = marks_of(inventory)
        return {name for name, mark in now.items() if name in self._unchanged or (mark[1] >= 0 and self._marks.get(name) == mark)}

    def saved(self, inventory: Inventory) -> None:
        """A save of it has begun."""
        self._marks = marks_of(inventory)

    def found(self, unchanged: Iterable[str]) -> None:
        """These were as they had been. Called from another thread."""
        self._unchanged = frozenset(unchanged)


def marks_of(inventory: Inventory) -> dict[str, tuple[int, int]]:
    """Where each array is, and its version."""
    return {each.name: (each.memory.address(), each.memory.version()) for each in inventory.holdings}
