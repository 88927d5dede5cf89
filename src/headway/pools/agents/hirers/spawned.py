"""A process of this machine that is an agent, or that brings one: started with an invitation, watched, ended."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO

END_S = 2.0
_TAIL_BYTES = 4096


class Spawned:
    """A process that was started with an invitation on its standard input, which stays open until it is dismissed."""

    def __init__(self, command: Sequence[str], process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        self._command, self._process, self._said = command, process, said

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
        said = self._last_line()
        return f"{' '.join(self._command)!r:.200} ended with exit code {code}" + (f": {said}" if said else "")

    def waits_for(self) -> str:
        return ""

    def dismiss(self) -> None:
        """End it: by the end of its standard input, and by force where that does not help."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def _last_line(self) -> str:
        try:
            self._said.seek(max(0, self._said.seek(0, 2) - _TAIL_BYTES))
            lines = [line for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        except ValueError:  # it was dismissed
            return ""
        return lines[-1].strip().removeprefix("headway agent: ") if lines else ""


def spawn_agent(command: Sequence[str], invitation: str) -> Spawned:
    """Start a command and hand it the invitation. Its standard output and error go into a file, whose end `trouble` quotes. Raises
    OSError where there is no such command."""
    said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, and `trouble` says how
            process.stdin.write(invitation.encode() + b"\n")
            process.stdin.flush()
    except BaseException:
        said.close()
        raise
    return Spawned(command, process, said)
