"""Agents that a command line starts: ssh, srun, docker run -i, kubectl run -i, or a script of yours.

The command must run `python -m headway.pools.agents` somewhere and pass its standard input on to it, which begins with the
invitation. The agent ends when its standard input ends, so a command that is killed takes its agent along.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import subprocess
from collections.abc import Sequence

from headway.errors import UsageError
from headway.pools.agents.hirer import Bundle, Offer
from headway.pools.agents.hirers.spawned import Spawned, spawn_agent


def split_command(text: str, whole: str) -> list[str]:
    """A command line as its parts. Raises UsageError for one that can't be begun."""
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"hire {whole!r}: {error}") from error
    if not parts:
        raise UsageError(f"hire {whole!r}: there is no command after cmd:")
    if shutil.which(parts[0]) is None:
        raise UsageError(f"hire {whole!r}: this machine has no command {parts[0]!r}")
    return parts


def own_address() -> str:
    """The address of this machine that others see, where it has one; else the loopback. Sends nothing."""
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((far, 9))
            return str(sock.getsockname()[0])
    return "127.0.0.1"


class CommandHirer:
    """Starts one agent by a command line.

    Args:
        command: its parts.
        bundle: what the agent may use.
        address: the address of this machine that the agent dials; found out where it is empty.
    """

    def __init__(self, command: Sequence[str], bundle: Bundle, address: str = "") -> None:
        self._command, self._address = command, address
        self.bundles: Sequence[Bundle] = [bundle]
        self._started: list[Spawned] = []

    def reach(self) -> str:
        return self._address or own_address()

    def hire(self, offers: Sequence[Offer]) -> Sequence[Spawned]:
        made = [spawn_agent(self._command, offer.invitation) for offer in offers]
        self._started = [each for each in self._started if not each.is_over] + made
        return made

    def close(self) -> None:
        for each in self._started:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                each.dismiss(gently=False)
        self._started.clear()
