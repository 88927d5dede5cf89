"""What runs here does not stop when it is told to. The process ends all the same, soon, and what was finished is journaled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from victims import PROGRAMS

import headway as hw

LIMIT_S = 60.0  # how long a process of these may take on a busy machine; each has less than 13 s by itself
TOLD: dict[str, tuple[str, list[Any]]] = {
    "swallows, SIGTERM": ("swallows", [signal.SIGTERM]),
    "swallows, SIGTERM twice": ("swallows", [signal.SIGTERM] * 2),
    "swallows, Ctrl-C twice": ("swallows", [signal.SIGINT] * 2),
    "swallows, headway cancel": ("swallows", ["cancel"]),
    "swallows, cancel and SIGTERM twice": ("swallows", ["cancel", signal.SIGTERM, signal.SIGTERM]),
    "blocks, Ctrl-C twice": ("blocks", [signal.SIGINT] * 2),
    "spins, SIGTERM twice": ("spins", [signal.SIGTERM] * 2),
    "spins, SIGTERM": ("spins", [signal.SIGTERM]),
    "a thread of the loop, Ctrl-C twice": ("waits_in_a_thread_of_the_loop", [signal.SIGINT] * 2),
    "a thread of the pool, Ctrl-C twice": ("never_returns", [signal.SIGINT] * 2),
    "a generator and a task left, nothing": ("leaves_a_generator", []),
}
FORCED = ("blocks, Ctrl-C twice", "spins, SIGTERM twice", "spins, SIGTERM")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[int, str, Path]]]:
    """All of them side by side: how each ended, and what it said."""
    folder = tmp_path_factory.mktemp("obstinate")
    started: dict[str, tuple[subprocess.Popen[str], Path]] = {}
    for number, (name, (what, _)) in enumerate(TOLD.items()):
        store = folder / str(number)
        command = [sys.executable, str(PROGRAMS / "obstinate.py"), str(store), what]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started[name] = process, store
    try:
        for name, (process, _) in started.items():
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", name
        for turn in range(3):
            for name, (process, store) in started.items():
                tell(process, store, TOLD[name][1][turn : turn + 1])
            time.sleep(1)  # two signals of a kind that come together are one
        ends = {}
        for name, (process, store) in started.items():
            out, err = process.communicate(timeout=LIMIT_S)
            ends[name] = process.returncode, out + err, store
        yield ends
    finally:
        for process, _ in started.values():
            process.kill()
            process.communicate()


def tell(process: subprocess.Popen[str], store: Path, words: list[Any]) -> None:
    for word in words:
        if word == "cancel":
            hw.cancel("stop", store=store)
        else:
            os.kill(process.pid, word)


@pytest.mark.long
@pytest.mark.parametrize("name", list(TOLD))
def test_a_process_that_is_told_to_end_does(ended, name):
    code, said, store = ended[name]
    with hw.SqliteStore(store) as opened:
        run = opened.run("stop")
        assert sum(1 for _ in opened.rows(run.uid)) >= 5
    if name.endswith("nothing"):
        assert (code, run.status) == (0, "done"), said
        assert "is left behind" in said
        return
    assert run.status == ("cancelled" if name.endswith("cancel") else "interrupted")
    assert "headway resume stop" in said
    forced = "the run could not end" in said
    assert forced == (name in FORCED)
    assert code == (128 + TOLD[name][1][-1] if forced else 1)
    if forced:
        assert "has blocked the event loop, at" in said
    elif name.startswith("swallows"):
        assert said.count("swallows() still ran when the run had ended") + said.count("swallows() was asked to stop") == 1
    assert "was never awaited" not in said
    assert "was destroyed" not in said
    assert "Exception ignored" not in said
