"""Guesses what has not changed since the last checkpoint, so that it need not be written again.

It is only a guess: the helper refers to an earlier box if the hashes agree, and writes the box otherwise (`helper/sharing.py`). A
wrong guess costs a second file, a missed one writes a box again, and neither changes a bit of what is saved. So the guess may be
cheap. A torch tensor shows a change by its version. Numpy arrays show nothing: one that was unchanged last time is expected to be
unchanged again. Before the first save, parameters that no optimizer of the state changes are expected to be in a checkpoint of an
earlier training.
"""

from __future__ import annotations

from collections.abc import Iterable

from headway.checkpoint.state.inventory import Inventory, Marks

LEAST_BYTES = 64 << 10  # of a box: a reference to a smaller one is not worth it


class Expected:
    """What one process saved last time, and in which version."""

    def __init__(self) -> None:
        self._marks: Marks = {}
        self._unchanged: frozenset[str] = frozenset()

    def names(self, inventory: Inventory) -> set[str]:
        """List the names that are expected to be as they were."""
        if not self._marks:
            trained = any(holding.guarded for holding in inventory.holdings)
            frozen = [each for each in inventory.holdings if not each.guarded and each.object.kind in ("param", "buffer")]
            return {each.name for each in frozen} if trained else set()
        now = inventory.marks
        return {name for name, mark in now.items() if name in self._unchanged or (mark[1] >= 0 and self._marks.get(name) == mark)}

    def note_saved(self, inventory: Inventory) -> None:
        """Note that a save of it has begun."""
        self._marks = inventory.marks

    def note_unchanged(self, unchanged: Iterable[str]) -> None:
        """Note that these were unchanged. Called from another thread."""
        self._unchanged = frozenset(unchanged)
