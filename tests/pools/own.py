"""Pools that somebody brings: one on the executors of Python, and one whose code runs behind a socket."""

from __future__ import annotations

import asyncio
import concurrent.futures
import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import headway as hw
from headway.pools import Answer, Demand, Job, Traits, pack, run_packed, unpack

AGENT = Path(__file__).with_name("agent.py")


class ExecutorPool:
    """Jobs in the processes of a `concurrent.futures.ProcessPoolExecutor`, which can't stop one that runs."""

    traits = Traits(imports=True, copies=True, cancel="abandoned")

    def __init__(self, size: int = 2) -> None:
        self._size = size
        self._running: dict[Job, concurrent.futures.Future[bytes]] = {}
        self._executor: concurrent.futures.ProcessPoolExecutor | None = None

    def free(self, need: Demand) -> int:
        return self._size - len(self._running)

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None) -> None:
        self._loop, self._emit = asyncio.get_running_loop(), emit

    def submit(self, job: Job) -> None:
        data = pack(job)
        if self._executor is None:
            spawn = multiprocessing.get_context("spawn")
            self._executor = concurrent.futures.ProcessPoolExecutor(self._size, mp_context=spawn)
        self._running[job] = future = self._executor.submit(run_packed, data)
        future.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._ended, job, future))

    def cancel(self, job: Job) -> bool:
        return False

    async def close(self) -> None:
        running, self._running = list(self._running), {}
        for job in running:
            job.on_done(Answer(cancelled=True))
        if self._executor is not None:
            for process in list((self._executor._processes or {}).values()):
                process.kill()
            await asyncio.to_thread(self._executor.shutdown)
            self._executor = None

    def _ended(self, job: Job, future: concurrent.futures.Future[bytes]) -> None:
        if self._running.pop(job, None) is None:
            return
        if isinstance(error := future.exception(), BrokenProcessPool):
            self._executor = None  # a death breaks them all; the next job gets new ones
            job.on_done(Answer(error=hw.WorkerDied(f"a process of the executor died: {error}")))
        else:
            job.on_done(unpack(job, future.result(), self._emit))


class SocketPool:
    """Jobs behind a socket: an agent runs each in a process of its own, and kills it when the connection is closed."""

    traits = Traits(imports=True, copies=True, cancel="killed")

    def __init__(self, size: int = 2, address: tuple[str, int] | None = None) -> None:
        self._size, self._address = size, address
        self._running: dict[Job, asyncio.Task[bytes]] = {}
        self._agent: subprocess.Popen[str] | None = None

    def free(self, need: Demand) -> int:
        return self._size - len(self._running)

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None) -> None:
        self._emit = emit
        if self._address is None:
            self._agent = subprocess.Popen([sys.executable, str(AGENT)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
            assert self._agent.stdout is not None
            self._address = ("127.0.0.1", int(self._agent.stdout.readline()))

    def submit(self, job: Job) -> None:
        self._running[job] = task = asyncio.get_running_loop().create_task(self._converse(pack(job)))
        task.add_done_callback(lambda _: self._ended(job, task))

    def cancel(self, job: Job) -> bool:
        self._running[job].cancel()
        return True

    async def close(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._agent is not None:
            assert self._agent.stdin is not None
            self._agent.stdin.close()  # it ends what it runs, and leaves
            await asyncio.to_thread(self._agent.__exit__, None, None, None)
            self._agent, self._address = None, None

    def _ended(self, job: Job, task: asyncio.Task[bytes]) -> None:
        del self._running[job]
        if task.cancelled():
            job.on_done(Answer(cancelled=True))
        elif (error := task.exception()) is not None:
            job.on_done(Answer(error=hw.WorkerDied(f"the agent closed the connection: {error}")))
        else:
            job.on_done(unpack(job, task.result(), self._emit))

    async def _converse(self, data: bytes) -> bytes:
        assert self._address is not None
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(len(data).to_bytes(8, "big") + data)
            await writer.drain()
            return await reader.readexactly(int.from_bytes(await reader.readexactly(8), "big"))
        finally:
            writer.close()
