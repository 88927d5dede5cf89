"""Who gets agents, as the staff sees them: a hirer starts agents somewhere and ends them. That is all it does.

An agent is `python -m headway.pools.agents` with one line of text on its standard input: the invitation. It dials the driver by
itself, so a hirer knows nothing of calls, connections or results, and whatever can start a command on a machine can be one: a
subprocess, ssh, Slurm's srun, a pod, a Ray actor. The agent ends when its standard input ends or when it loses its driver.

The methods of a hirer block and are called in a thread, one at a time. None of them may wait for an agent to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one agent has for its worker processes.

    Attributes:
        cpu: cores, which is how many processes it runs at a time. 0: as many as its machine has.
        gpu: graphics processors.

    Example:
        >>> str(Bundle(8, 1))
        '8 CPU + 1 GPU'
    """

    cpu: int = 1
    gpu: int = 0

    def __str__(self) -> str:
        cpu = f"{self.cpu} CPU" if self.cpu else "its machine's CPUs"
        return cpu + (f" + {self.gpu} GPU" if self.gpu else "")


@dataclass(frozen=True, slots=True)
class Offer:
    """An agent to be started.

    Attributes:
        bundle: what it needs.
        invitation: the line for its standard input. Whoever reads it can pose as the agent, so it must not stand on a command line.
    """

    bundle: Bundle
    invitation: str


class Hand(Protocol):
    """An agent that was started, or will be when there is room for it."""

    def trouble(self) -> str:
        """Say why it will not come, or came to its end; "" while it may come or works. Doesn't wait."""

    def waits_for(self) -> str:
        """Say what it waits for, where it has not come for long and that is known; else ""."""

    def dismiss(self, *, gently: bool) -> None:
        """End it, whether or not it has come, and give back what it held.

        Args:
            gently: whether it was told to end, so that it may be given a few seconds to do so.
        """


class Hirer(Protocol):
    """Starts agents."""

    bundles: Sequence[Bundle]
    """The agents it can start, all told."""

    def reach(self) -> str:
        """The address of this machine that its agents can dial: "127.0.0.1" where they run on this machine."""

    def hire(self, offers: Sequence[Offer]) -> Sequence[Hand]:
        """Start an agent for each offer, all or none.

        Args:
            offers: what is wanted.

        Returns:
            A hand for each, in the same order.

        Raises:
            Exception: none was started; the text says why, as a sentence.
        """

    def close(self) -> None:
        """End what `dismiss` has left. Also called where nothing was hired."""
