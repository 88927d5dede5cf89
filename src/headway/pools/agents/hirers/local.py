"""Agents on this machine, as subprocesses: what proves the protocol, and a process pool whose agents can be killed in tests."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Sequence

from headway.pools.agents.hirer import Bundle, Offer
from headway.pools.agents.hirers.spawned import Spawned, spawn_agent


class LocalHirer:
    """Starts `python -m headway.pools.agents` with this Python."""

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        self.bundles: Sequence[Bundle] = bundles
        self._started: list[Spawned] = []

    def reach(self) -> str:
        return "127.0.0.1"

    def hire(self, offers: Sequence[Offer]) -> Sequence[Spawned]:
        made: list[Spawned] = []
        try:
            for offer in offers:
                made.append(spawn_agent([sys.executable, "-m", "headway.pools.agents"], offer.invitation))
        except BaseException:
            for each in made:
                each.dismiss(gently=False)
            raise
        self._started = [each for each in self._started if not each.is_over] + made
        return made

    def close(self) -> None:
        for each in self._started:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                each.dismiss(gently=False)
        self._started.clear()
