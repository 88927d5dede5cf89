"""Vectors of cases, compared by their cosine with a query's. Needs numpy; importing it needs nothing.

A vector travels as float32 bytes inside of a memory's record, so a text is embedded once, by whoever puts it in.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from headway.errors import UsageError
from headway.extras import explain_missing


def pack(vector: Sequence[float]) -> bytes:
    """A vector as the record of a case has it."""
    return array("f", vector).tobytes()


class Directions:
    """The vectors of some cases, each of length 1, by number."""

    def __init__(self) -> None:
        self._rows: Any = None  # float32, (room, dimensions); made when the first vector comes
        self._places: dict[int, int] = {}  # number -> row
        self._free: list[int] = []
        self.dropped = b""
        """The vector that was dropped last, for a case that is written again with the same text."""

    def add(self, number: int, packed: bytes) -> None:
        """A vector more; empty bytes for none."""
        if not packed:
            return
        with explain_missing("Memory(embedder=…)"):
            import numpy as np
        row = np.frombuffer(packed, np.float32)
        if self._rows is None:
            self._rows = np.zeros((16, len(row)), np.float32)
        if len(row) != self._rows.shape[1]:
            return  # of another embedder; a search says that cases lack a vector
        place = self._free.pop() if self._free else len(self._places)
        if place >= len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[place] = row / max(float(np.linalg.norm(row)), 1e-12)
        self._places[number] = place

    def drop(self, number: int) -> None:
        """A vector less, where there is one."""
        place = self._places.pop(number, None)
        self.dropped = b"" if place is None else self._rows[place].tobytes()
        if place is not None:
            self._rows[place] = 0.0
            self._free.append(place)

    def scores(self, vector: Sequence[float], wanted: int) -> dict[int, float]:
        """The cosine of each case with a query.

        Raises:
            UsageError: fewer than `wanted` have a vector, or they are of another length.
        """
        if len(self._places) < wanted:
            raise UsageError(
                f"{wanted - len(self._places)} of {wanted} cases have no vector of this embedder: put all cases of a memory in "
                "through a Memory with the same embedder"
            )
        if not self._places:
            return {}
        with explain_missing("Memory(embedder=…)"):
            import numpy as np
        asked = np.asarray(vector, np.float32)
        if asked.shape != (self._rows.shape[1],):
            raise UsageError(
                f"the embedder gave {asked.shape[0]} numbers for a query and {self._rows.shape[1]} for cases: use the same one"
            )
        found = self._rows @ (asked / max(float(np.linalg.norm(asked)), 1e-12))
        return {number: float(found[place]) for number, place in self._places.items()}
