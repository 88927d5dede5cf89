"""Seeing what the code of a call does besides computing: writing files, starting processes, using the network, holding the loop.

Python tells of such things through its audit events, whatever library does them. They are attributed to the call whose code runs.
Times here are real ones: how long a step of the loop held it is nothing a virtual clock could say.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from headway.engine.call import Call, current
from headway.engine.tasks.spec import TASKS
from headway.pools.current import worker_call
from headway.sim.check.findings import Finding, Kind
from headway.sim.loop import is_step
from headway.sim.universe import Universe

HOLDS_S = 0.1
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_CHANGES = {
    "os.remove": "removes {!r}",
    "os.rename": "renames {!r}",
    "os.mkdir": "makes the folder {!r}",
    "os.rmdir": "removes the folder {!r}",
    "os.truncate": "truncates {!r}",
    "shutil.copyfile": "copies {!r}",
    "shutil.move": "moves {!r}",
    "shutil.rmtree": "removes {!r}",
    "os.symlink": "makes the link {1!r}",
    "os.link": "makes the link {1!r}",
    "os.chmod": "changes the mode of {!r}",
    "os.utime": "changes the times of {!r}",
    "smtplib.send": "sends mail",
    "ftplib.sendcmd": "sends an FTP command",
}
_OUTSIDE = {
    "socket.connect": "connects to {1!r}",
    "urllib.Request": "asks {!r}",
    "subprocess.Popen": "starts the program {!r}",
    "os.system": "runs the command {!r}",
    "sqlite3.connect": "opens the database {!r}",
}
_HELPER = "headway.checkpoint.helper"  # writes checkpoints, which are there to be found again
_PATHS = sysconfig.get_paths()
_IGNORED = (os.devnull, "/proc/", "/dev/", *(os.path.join(_PATHS[name], "") for name in ("stdlib", "purelib")))  # noqa: PTH118

_listener: Callable[[str, tuple[Any, ...]], None] | None = None
_hooked = False


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _listener is not None:
        _listener(event, args)


class Watch:
    """What calls did while a block ran."""

    def __init__(self, found: Callable[[Finding], None]) -> None:
        self._found = found
        self._busy = False

    @contextlib.contextmanager
    def watching(self, universe: Universe) -> Iterator[None]:
        """Report what happens in this universe meanwhile."""
        global _listener, _hooked
        if not _hooked:
            sys.addaudithook(_hook)
            _hooked = True
        before, _listener = _listener, self._hear_audit_event
        universe.run_step = self._run_timed
        try:
            yield
        finally:
            _listener = before
            universe.run_step = None

    def _run_timed(self, handle: asyncio.Handle) -> None:
        """Run a step of the loop, and see how long it held it."""
        context = handle._context if is_step(handle) else None  # type: ignore[attr-defined]  # asyncio's own
        began = time.perf_counter()
        handle._run()
        held_s = time.perf_counter() - began
        frame = context.get(current) if context is not None else None  # the first step of a call says whose it is
        if held_s > HOLDS_S and frame is not None and frame.call.spec.pool == "inline":
            self._say(
                Kind.BLOCKS_THE_LOOP,
                _of(frame.call),
                f"ran {held_s * 1000:.0f} ms without awaiting; meanwhile no other call goes on.",
                'Make it a plain `def` task with pool="thread" (or "process"), or await what it waits for.',
            )

    def _hear_audit_event(self, event: str, args: tuple[Any, ...]) -> None:
        if self._busy or (who := _who()) is None:
            return
        self._busy = True
        try:
            self._judge(event, args, who)
        finally:
            self._busy = False

    def _judge(self, event: str, args: tuple[Any, ...], who: Who) -> None:
        if event == "subprocess.Popen" and _HELPER in args[1]:
            return
        if (text := _OUTSIDE.get(event)) is not None:
            self._say(
                Kind.REACHES_OUT,
                who,
                f"{text.format(*args)}.",
                "If that changes something outside, mark the task effect=True; if it only reads or computes, nothing is wrong.",
            )
            return
        if event == "open":
            path, _, flags = args
            if not isinstance(path, (str, bytes)) or not flags & _WRITES or _is_scratch(os.fsdecode(path)):
                return
            what = f"writes to {path!r}"
        elif (text := _CHANGES.get(event)) is not None:
            if isinstance(args[0], (str, bytes)) and _is_scratch(os.fsdecode(args[0])):
                return
            what = text.format(*args)
        else:
            return
        if not who.is_effect:
            self._say(
                Kind.EFFECT_NOT_MARKED,
                who,
                f"{what}, and a crash before its result is recorded makes it happen again.",
                "Mark the task effect=True, and make it safe to repeat with hw.call().idempotency_key or verify=.",
            )

    def _say(self, kind: Kind, who: Who, what: str, advice: str) -> None:
        self._found(Finding(kind, who.task, who.call, what, advice))


def _is_scratch(path: str) -> bool:
    """Whether files there are of no use after the program ends. A file without a name is opened by its folder's."""
    return path == tempfile.gettempdir() or path.startswith((*_IGNORED, os.path.join(tempfile.gettempdir(), "tmp")))  # noqa: PTH118 - what tempfile makes


class Who(NamedTuple):
    """Whose code runs now."""

    task: str
    call: str
    is_effect: bool


def _who() -> Who | None:
    if (worker := worker_call()) is not None:
        spec = TASKS.get(worker.facts.task)
        return Who(worker.facts.task, worker.facts.task, spec is not None and spec.effect)
    frame = current.get()
    return _of(frame.call) if frame is not None else None


def _of(call: Call) -> Who:
    return Who(call.spec.name, call.describe(), call.spec.effect)
