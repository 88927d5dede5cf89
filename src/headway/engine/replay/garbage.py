"""Has Python put its searches of the whole heap for garbage off while the journal answers a program.

A resumed program that asks for a hundred thousand finished calls makes as many objects in one go, and holds them. Python takes a
growing heap for a reason to search all of it for cycles, several times over, and finds none: an eighth of the time that such a
resume takes. What the program's own code drops between two calls is young, and young objects are searched as ever.

So it lasts to the end of the loop's turn and no longer. It must never change what the program has set since, and never turn on what
is off.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

NEVER = 1 << 30  # as many searches of young objects as no turn makes


class FullSearches:
    """Python's searches of the whole heap. `at_turns_end` calls a function when the loop has done what it does now."""

    __slots__ = ("_at_turns_end", "are_put_off")

    def __init__(self, at_turns_end: Callable[[Callable[[], None]], None]) -> None:
        self._at_turns_end = at_turns_end
        self.are_put_off = False

    def put_off(self) -> None:
        """Have none until the loop's turn ends."""
        before = gc.get_threshold()
        ours = (*before[:2], NEVER)
        gc.set_threshold(*ours)
        self.are_put_off = True

        def end() -> None:
            self.are_put_off = False
            if gc.get_threshold() == ours:
                gc.set_threshold(*before)

        self._at_turns_end(end)
