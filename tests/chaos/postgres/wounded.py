"""A Postgres server that is hurt: its backends, its postmaster, its disk and its standby."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from postgres_server import PATIENCE_S, Server

DURABLE = {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "16MB", "max_connections": "60"}
LOOK_S = 0.01
NOTICES_S = 5.0  # within which a backend notices that its postmaster is gone


class WoundedServer(Server):
    """A server with hands on its processes."""

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Ask it by a connection that no test hurts."""
        with psycopg.connect(self.url, autocommit=True, application_name="by hand") as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def backends(self, where: str = "true") -> list[int]:
        """The processes of clients, without those by hand."""
        query = "SELECT pid FROM pg_stat_activity WHERE backend_type='client backend' AND application_name<>'by hand' AND "
        return [pid for (pid,) in self.ask(query + where)]

    def children(self) -> list[int]:
        """All processes below the postmaster."""
        assert self.process is not None
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def terminate_backends(self, most: int = 1) -> int:
        """End sessions as an administrator does. Returns how many."""
        query = (
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE backend_type='client backend' "
            "AND application_name<>'by hand' ORDER BY random() LIMIT %s) AS chosen"
        )
        return int(self.ask(query, most)[0][0])

    def kill_backend(self) -> bool:
        """SIGKILL one: the postmaster ends all others and recovers. Return whether there was one."""
        with contextlib.suppress(psycopg.OperationalError):  # it is not back from the last time
            for pid in self.backends():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    return True
        return False

    def kill_postmaster(self) -> None:
        """SIGKILL the postmaster, and start it again when its children are gone. They end by themselves when they notice, but for
        one that waits for a lock in memory whose holder has ended: that is killed, as an administrator does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None
        began = time.monotonic()
        while left := self.survivors():
            assert time.monotonic() < began + PATIENCE_S, "backends outlive their postmaster"
            if time.monotonic() > began + NOTICES_S:
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(LOOK_S)
        self.start()

    def survivors(self) -> list[int]:
        """All processes that work in its folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "cwd").readlink() == self.data:
                    found.append(int(process.name))
        return found

    def crash(self) -> None:
        """`pg_ctl stop -m immediate`, and start it again."""
        self.stop(signal.SIGQUIT)
        self.start()

    def set(self, **settings: str | None) -> None:
        """Change settings while it runs; None resets one."""
        for name, value in settings.items():
            self.ask(f"ALTER SYSTEM RESET {name}" if value is None else f"ALTER SYSTEM SET {name} = '{value}'")
        self.ask("SELECT pg_reload_conf()")

    def copy(self, source: str, **settings: str) -> WoundedServer:
        """Start a standby that streams from this server as `source` (a conninfo)."""
        made = object.__new__(WoundedServer)
        made.prepare(**{**self.settings, **settings})
        made._run("pg_basebackup", "-d", source, "-D", str(made.data), "-R", "-X", "stream", "-c", "fast")
        made.start()
        return made

    def is_up(self) -> bool:
        return answers(self.url)

    def move_wal(self, folder: Path) -> None:
        """Have it keep its log on another disk."""
        self.stop(signal.SIGINT)
        shutil.move(self.data / "pg_wal", folder / "pg_wal")
        if self._user:
            for moved in (folder / "pg_wal", *(folder / "pg_wal").rglob("*")):
                shutil.chown(moved, self._user, self._user)
        (self.data / "pg_wal").symlink_to(folder / "pg_wal")
        self.start()

    @contextlib.contextmanager
    def frozen(self, pids: list[int]) -> Iterator[None]:
        """SIGSTOP some of its processes for a while."""
        stopped = []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        try:
            yield
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
