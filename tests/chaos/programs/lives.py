"""What programs share that die in one life after the other: a life is forked, and killed with SIGKILL at a moment of its own work.

A program is started as `python PROGRAM STORE RESULT RAN KILLS …`. It passes moments (`pass_moment`) and says what it does (`tell`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

_dies_at = ""  # the kind of moment; empty: never
_left = 0  # how many such moments this life still has


def tell(*words: object) -> None:
    """One write, so that a kill leaves whole lines."""
    with Path(sys.argv[3]).open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


def pass_moment(what: str) -> None:
    global _left
    _left -= what == _dies_at
    if what == _dies_at and not _left:
        tell("dies", what)
        os.kill(os.getpid(), signal.SIGKILL)


def die_and_rise(kinds: Sequence[str], live: Callable[[], object], recorded: Callable[[], Iterable[str]]) -> None:
    """Fork lives until KILLS of them died, each at a moment of the next kind, and one came to its end. After each death say what is
    recorded by then."""
    global _dies_at, _left
    kills, known = int(sys.argv[4]), set[str]()
    for life in range(kills + 1):
        _dies_at = "" if life == kills else kinds[life % len(kinds)]
        _left = 1 + life // len(kinds) % 2  # the first such moment, or the second
        if not (child := os.fork()):
            code: Any = 1
            try:
                live()
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        for name in sorted(set(recorded()) - known):
            tell("recorded", name)
            known.add(name)
        if os.WIFSIGNALED(status):
            tell("died", life)
        elif status:
            raise SystemExit(f"life {life} failed")
        elif life < kills:
            raise SystemExit(f"it ended in life {life}, before the kill when {_dies_at}: give it more to do")
