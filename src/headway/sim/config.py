"""How a simulated world behaves: what may happen in it, how likely that is, and how long things take."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SimConfig:
    """Probabilities, and mean times in virtual seconds (exponentially distributed).

    Example:
        >>> SimConfig.draw(random.Random(7)).shuffle >= 0
        True
    """

    shuffle: float = 0.0
    """The probability that a step of the loop runs another ready coroutine than the oldest."""
    stall: float = 0.0
    """The probability that a coroutine's step is held up while time passes for everything else."""
    stall_s: float = 0.1
    """How long it is held up. With a mean of 2 s and a probability of 0.2, one step in 2,000 waits longer than a deadline does for
    its block (`PATIENCE_S`), which no event loop would do to it. So a patience waits for that step (`World.after_ready`)."""
    any_order: bool = False
    """Whether calls that wait for room start in any order, not by rank."""
    job_s: float = 0.1
    """How long code in a pool takes, besides what it sleeps."""
    worker_dies: float = 0.0
    """The probability that the worker of a job in a process dies before it answers."""
    linger_s: float = 0.05
    """How long the writer gathers a group while nobody waits for it."""
    commit_s: float = 0.01
    """How long a commit takes."""
    group_rows: int = 4096
    """The most rows in a commit; the number is drawn from 1 to this."""
    clock_jumps_s: float = 0.0
    """By how much the wall clocks of processes differ (both ways), so that a later life may begin before an earlier one ended."""
    clock_drift: float = 0.0
    """By how much of a second they go faster or slower in each second."""

    @classmethod
    def draw(cls, choice: random.Random) -> SimConfig:
        """Draw how a world behaves, so that over many seeds each extreme is met without the others."""
        return cls(
            shuffle=choice.choice((0.0, 0.1, 0.5, 0.9)),
            stall=choice.choice((0.0, 0.0, 0.02, 0.2)),
            stall_s=choice.choice((0.01, 0.3, 2.0)),
            any_order=choice.random() < 0.5,
            job_s=choice.choice((0.01, 0.3, 3.0)),
            worker_dies=0.0,
            linger_s=choice.choice((0.0, 0.05, 1.0)),
            commit_s=choice.choice((0.0, 0.01, 1.0)),
            group_rows=choice.choice((1, 3, 4096)),
            clock_jumps_s=choice.choice((0.0, 0.0, 0.0, 5.0)),
        )


STEADY = SimConfig()
"""Everything in order: the oldest coroutine first, nothing held up, nothing dies."""
