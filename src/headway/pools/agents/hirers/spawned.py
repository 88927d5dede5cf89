"""A process of this machine that is an agent, or that brings one: started with an invitation, watched, ended.

What its workers print comes out where the driver prints. What goes to standard error does as well, and its end is kept: where
the agent does not come, that says why.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import headway

END_S = 2.0
LEAVE_S = 5.0
_TAIL_BYTES = 4096


class Spawned:
    """A process with an invitation on its standard input, which stays open until it is dismissed."""

    def __init__(self, command: Sequence[str], process: subprocess.Popen[bytes]) -> None:
        self._command, self._process = command, process
        self._tail = b""
        assert process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(process.stderr,), name="headway-agent-errors", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    def trouble(self) -> str:
        """Why it ended, with the last thing that it said."""
        code = self._process.poll()
        if code is None:
            return ""
        self._reader.join(1.0)
        lines = [line for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        said = f": {lines[-1].strip().removeprefix('headway agent: ')}" if lines else ""
        return f"{' '.join(self._command)!r:.200} ended with exit code {code}{said}"

    def waits_for(self) -> str:
        return ""

    def dismiss(self, *, gently: bool) -> None:
        """End it: by the end of its standard input, and by force where that does not help."""
        assert self._process.stdin is not None
        if gently:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVE_S)
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self, errors: IO[bytes]) -> None:
        with errors, contextlib.suppress(OSError, ValueError):
            while data := os.read(errors.fileno(), _TAIL_BYTES):
                self._tail = (self._tail + data)[-_TAIL_BYTES:]
                with contextlib.suppress(OSError):  # nobody reads ours
                    os.write(2, data)


def with_headway(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which Python finds this Headway, wherever it was imported from."""
    found = str(Path(headway.__file__).parents[1])
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, (environment.get("PYTHONPATH", ""), found)))}


def spawn_agent(command: Sequence[str], invitation: str) -> Spawned:
    """Start a command and hand it the invitation. Raises OSError where there is no such command."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=with_headway(os.environ))
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended, and `trouble` says how
        process.stdin.write(invitation.encode() + b"\n")
        process.stdin.flush()
    return Spawned(command, process)
