"""MCP servers as programs of their own, on each transport."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from headway.tools import McpServer

HERE = Path(__file__).parent
WILD = str(HERE / "wild_server.py")


class Wild:
    """The wild server on one transport, and what it has done."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        if kind == "http":
            with socket.create_server(("127.0.0.1", 0)) as free:
                self._port = free.getsockname()[1]

    def server(self, **options: object) -> McpServer:
        """Where it is."""
        if self.kind == "stdio":
            return McpServer(name="wild", command=[sys.executable, WILD, str(self.folder)], **options)  # type: ignore[arg-type]
        if self.kind == "http":
            self.keep_up()
            return McpServer(name="wild", url=f"http://127.0.0.1:{self._port}/mcp", **options)  # type: ignore[arg-type]
        import wild_server

        return McpServer(name="wild", target=wild_server.make(self.folder), **options)  # type: ignore[arg-type]

    def keep_up(self) -> None:
        """Start the server that listens, where it does not run."""
        if self._process is not None and self._process.poll() is None:
            return
        self._process = subprocess.Popen(
            [sys.executable, WILD, str(self.folder), str(self._port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("the wild server does not listen")

    def start_again(self) -> None:
        """Start the server that listens once more, when it has ended."""
        assert self._process is not None
        self._process.wait(timeout=60)
        self.keep_up()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> list[str]:
        """What it has done, in its order."""
        return (self.folder / "log").read_text().splitlines() if (self.folder / "log").exists() else []

    async def until(self, line: str) -> None:
        """Wait until it has done this."""
        await until(lambda: line in self.log)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")
