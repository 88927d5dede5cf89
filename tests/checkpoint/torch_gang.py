"""Ranks that are processes with torch and gloo between them, started once and given one job after another.

Starting torch four times takes seconds, so the processes stay. A job is a function of a module next to this one: every rank calls
it with the same arguments, which are JSON, as is what it returns. Nothing hangs: a collective gives up after a minute, a job after
the time that it is given, and whenever a rank fails all are ended and the next job gets new ones. No rank outlives who started it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
import traceback
import warnings
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

START_S, COLLECTIVE_S, LAST_WORDS_S = 90.0, 60.0, 3.0


class RankFailed(Exception):
    """A job ended with an exception, or not in time."""


class TorchGang:
    """So many processes of one torch.distributed group. `folder` is for their meeting point and their messages."""

    def __init__(self, size: int, folder: Path) -> None:
        self.size, self.folder = size, folder
        self._workers: list[subprocess.Popen[bytes]] = []
        self._starts = 0

    def __enter__(self) -> TorchGang:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, job: str, timeout_s: float = 120.0, **arguments: Any) -> list[Any]:
        """What `module:function` returns on each rank. Raises RankFailed."""
        if not self._workers:
            self._start()
            timeout_s += START_S
        line = json.dumps([job, arguments]).encode() + b"\n"
        for worker in self._workers:
            assert worker.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                worker.stdin.write(line)
                worker.stdin.flush()
        said = self._answers(time.monotonic() + timeout_s)
        wrong = {rank: said.get(rank, {"error": "it said nothing in time"}) for rank in range(self.size)}
        wrong = {rank: answer for rank, answer in wrong.items() if "error" in answer}
        if wrong:
            self.close()
            told = "\n".join(f"rank {rank}: {answer['error']}\n{self._messages(rank)}" for rank, answer in wrong.items())
            raise RankFailed(f"{job} failed\n{told}")
        return [said[rank]["result"] for rank in range(self.size)]

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
        self._workers = []

    def _start(self) -> None:
        self._starts += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        meeting = self.folder / f"meeting-{self._starts}"
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        if sys.platform == "linux":
            environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
        for rank in range(self.size):
            with (self.folder / f"rank-{rank}.txt").open("wb") as messages:
                arguments = [sys.executable, __file__, str(rank), str(self.size), str(meeting)]
                pipe = subprocess.PIPE
                self._workers.append(subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=messages, env=environment))

    def _answers(self, deadline: float) -> dict[int, dict[str, Any]]:
        """An answer of each rank; after the first error, of those that have one soon."""
        said: dict[int, dict[str, Any]] = {}
        with selectors.DefaultSelector() as selector:
            for rank, worker in enumerate(self._workers):
                assert worker.stdout is not None
                selector.register(worker.stdout, selectors.EVENT_READ, rank)
            while len(said) < self.size:
                for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                    line = key.fileobj.readline()  # type: ignore[union-attr]
                    said[key.data] = json.loads(line) if line else {"error": "it died"}
                    selector.unregister(key.fileobj)
                    if "error" in said[key.data]:
                        deadline = min(deadline, time.monotonic() + LAST_WORDS_S)
                if time.monotonic() >= deadline:
                    break
        return said

    def _messages(self, rank: int) -> str:
        return (self.folder / f"rank-{rank}.txt").read_text(errors="replace")[-2000:]


# --- in the process of a rank ----------------------------------------------------------------------------------------


def serve(rank: int, size: int, meeting: str, jobs: SimpleQueue[bytes | None], answers: BinaryIO) -> None:
    """Do jobs until there are no more."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    warnings.simplefilter("error", RuntimeWarning)  # what Headway warns of
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=size, timeout=timedelta(seconds=COLLECTIVE_S)
    )
    for line in iter(jobs.get, None):
        job, arguments = json.loads(line)
        module, _, function = job.partition(":")
        try:
            answer = {"result": getattr(importlib.import_module(module), function)(**arguments)}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def listen(jobs: SimpleQueue[bytes | None]) -> None:
    """Hear of jobs, in a thread. Where whoever gives them is gone, the process ends in the middle of one."""
    for line in sys.stdin.buffer:
        jobs.put(line)
    os._exit(0)


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whoever prints is not heard as an answer
    jobs: SimpleQueue[bytes | None] = SimpleQueue()
    threading.Thread(target=listen, args=[jobs], daemon=True).start()
    serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], jobs, answers)


if __name__ == "__main__":
    main()
