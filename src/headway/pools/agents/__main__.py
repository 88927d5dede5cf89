"""`python -m headway.pools.agents`: an agent. The first line of its standard input is its invitation; the rest stays open."""

from __future__ import annotations

import os
import sys

from headway.errors import UsageError
from headway.pools.agents.agent import DISMISSED, GONE, Refused, run_agent
from headway.pools.agents.wire.invitation import MOST_BYTES, read_invitation


def _read_line(fd: int) -> str:
    """The first line, and nothing of what comes after it."""
    line = bytearray()
    while len(line) < MOST_BYTES and not line.endswith(b"\n"):
        got = os.read(fd, 1)
        if not got:
            break
        line += got
    return line.decode(errors="replace")


def main() -> int:
    """Serve the driver of the invitation. Returns the exit code."""
    hirer = sys.stdin.fileno()
    try:
        why = run_agent(read_invitation(_read_line(hirer)), hirer)
    except (UsageError, Refused) as error:
        sys.stderr.write(f"headway agent: {error}\n")
        return 2
    if why not in (DISMISSED, GONE):  # the end of its hirer is how most agents are dismissed
        sys.stderr.write(f"headway agent: {why}; its workers are ended\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
