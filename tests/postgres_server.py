"""A Postgres server for tests, on a free port, for as long as the process runs. It is started when the first test asks for one.

Debian's packages are installed where there is no server and this is root. `python tests/postgres_server.py` prints a URL and waits.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

SETTINGS = {
    "fsync": "off",  # a crash of the server is tested with a server of its own
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum_naptime": "5s",
}
PATIENCE_S = 60.0


@functools.cache
def binaries() -> Path:
    """The folder of initdb and postgres; Debian's are installed where there are none."""
    found = _find()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-yq", "--no-install-recommends", "postgresql"]):
            subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        found = _find()
    if found is None:
        raise RuntimeError("tests of the Postgres store need a server: apt-get install postgresql, or put initdb on the PATH")
    return found


def _find() -> Path | None:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name), reverse=True)
    if on_path := shutil.which("initdb"):
        places.append(Path(on_path).resolve().parent)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


class Server:
    """One server, with its data in a folder of its own."""

    def __init__(self, **settings: str) -> None:
        self.prepare(**settings)
        self._run("initdb", "-D", str(self.data), "-U", "headway", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
        self.start()

    def prepare(self, **settings: str) -> None:
        """Choose its folder and port."""
        self.process: subprocess.Popen[bytes] | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="tmp-headway-postgres-"))
        self.data = self.folder / "data"
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, self._user, self._user)
        self.settings = {**SETTINGS, **settings}
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"postgresql://headway@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        command = [str(binaries() / "postgres"), "-D", str(self.data), "-p", str(self.port), "-k", str(self.folder), *options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._as_user())
        until = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, "the server does not start"
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it: SIGQUIT at once, as a crash does; SIGINT with a checkpoint."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            self._command(*command), check=False, capture_output=True, text=True, cwd=self.folder, **self._as_user()
        )
        assert not done.returncode, done.stderr

    def _command(self, name: str, *arguments: str) -> list[str]:
        return [str(binaries() / name), *arguments]

    def _as_user(self) -> dict[str, Any]:
        """Postgres refuses to run as root."""
        return {"user": self._user, "group": self._user, "extra_groups": []} if self._user else {}


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@functools.cache
def shared_server() -> Server:
    """The server of this process."""
    server = Server()
    owner = os.getpid()
    atexit.register(lambda: server.remove() if os.getpid() == owner else None)
    return server


if __name__ == "__main__":
    print(shared_server().url, flush=True)
    sys.stdin.read()
