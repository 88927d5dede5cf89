"""A batch of texts to train on, as every one of these models takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

IGNORED = -100  # what torch's cross entropy leaves out


@dataclass(frozen=True)
class Batch:
    """B texts of at most T tokens.

    Attributes:
        tokens: [B, T + 1], input and, one further, target; filled up at their ends.
        learn: [B, T] the targets that count, `IGNORED` elsewhere.
        states: [B, T] whether a state ends at a token.
        well: [B, T] whether such a state can still end well.
    """

    tokens: Ints
    learn: Ints
    states: Bools
    well: Bools

    def __len__(self) -> int:
        return len(self.tokens)

    def rows(self, which: slice) -> Batch:
        """Some of its texts, without the columns that none of them needs."""
        learn, states = self.learn[which], self.states[which]
        used = np.flatnonzero(((learn != IGNORED) | states).any(0))
        length = int(used[-1]) + 1 if len(used) else 1
        return Batch(self.tokens[which, : length + 1], learn[:, :length], states[:, :length], self.well[which, :length])
