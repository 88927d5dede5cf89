"""What the tests of agents share: staffs of real agents, and a look at their processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

from poolbench import Bench

from headway.pools.agents.hirer import Bundle
from headway.pools.agents.hirers.local import LocalHirer
from headway.pools.agents.process import FarProcessPool
from headway.pools.agents.staff import Staff

AGENT = f"{sys.executable} -m headway.pools.agents"


class Watched(LocalHirer):
    """A local hirer that remembers the processes of its agents."""

    def __init__(self, bundles):
        super().__init__(bundles)
        self.pids = []

    def hire(self, offers):
        made = super().hire(offers)
        self.pids += [each.pid for each in made]
        return made


def a_staff(*bundles, hirer=None, beat_s=0.5, patience_s=30.0, come_s=60.0, idle_s=60.0):
    """Agents on this machine, one for each number of processes."""
    hirer = hirer or Watched([Bundle(cpu) for cpu in bundles])
    return hirer, Staff([hirer], beat_s=beat_s, patience_s=patience_s, come_s=come_s, idle_s=idle_s)


def run(staff, scenario):
    """Run a coroutine function with a bench around a process pool of these agents."""

    async def main():
        bench = Bench(FarProcessPool(staff))
        try:
            return await scenario(bench)
        finally:
            await bench.pool.close()

    return asyncio.run(main())


def family(pid):
    """The process ids of a process's descendants that are alive, zombies left out."""
    found, parents = [], {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
                if state != "Z":
                    parents.setdefault(int(parent), []).append(int(folder.name))
    todo = [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def alive(pid):
    """Whether a process is there and no zombie."""
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False
