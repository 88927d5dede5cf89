"""Functions that tests run on agents: they say where they run, and end what they run on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import headway as hw


def agent_of(pid: int) -> int:
    """The agent of a worker process: the parent of the server that forked it."""
    server = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return int(Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()[1])


@hw.task(pool="process")
def kill_my_agent(folder: str, times: int) -> int:
    """Kill the agent of this call, in its first attempts."""
    attempt = hw.call().attempt
    Path(folder, f"{attempt}-{os.getpid()}").touch()
    if attempt <= times:
        os.kill(agent_of(os.getpid()), signal.SIGKILL)
        time.sleep(1000)
    return attempt


@hw.task(pool="gang", processes=2)
def meet_across(folder: str, deaths: int) -> list[list[str]]:
    """What each member knows of its place. In the first attempts rank 1 is killed while rank 0 waits for it in a collective."""
    import torch.distributed as dist

    attempt, rank = hw.call().attempt, dist.get_rank()
    Path(folder, f"{attempt}-{rank}-{os.getpid()}").touch()
    dist.barrier()
    if rank == 1 and attempt <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    mine = [os.environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")]
    found: list[list[str]] = [[], []]
    dist.all_gather_object(found, [*mine, str(agent_of(os.getpid()))])
    return found


@hw.task(pool="process")
def double(x: int) -> int:
    return 2 * x


@hw.task(pool="gang", processes=1)
def asking_gang(x: int) -> int:
    return hw.wait(double(x)) + 2
