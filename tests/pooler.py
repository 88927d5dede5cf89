"""A pooler in transaction mode, as Debian has it: every transaction may get another session of the server."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from postgres_server import PATIENCE_S, _free_port, shared_server


def find_pgbouncer() -> str:
    """Its program; Debian's is installed where there is none."""
    found = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-yq", "--no-install-recommends", "pgbouncer"]):
            subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        found = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if found is None:
        raise RuntimeError("tests of poolers need pgbouncer: apt-get install pgbouncer")
    return found


class Pooler:
    """A pooler in front of the server of this process."""

    def __init__(self, *, size: int = 4) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tmp-headway-pooler-"))
        self.port = _free_port()
        server = shared_server()
        (self.folder / "users").write_text('"headway" ""\n')
        (self.folder / "ini").write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={server.port} user=headway\n"
            f"[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={self.port}\nunix_socket_dir=\nauth_type=trust\n"
            f"auth_file={self.folder}/users\npool_mode=transaction\ndefault_pool_size={size}\nserver_reset_query_always=1\n"
            f"server_reset_query=DISCARD ALL\nmax_client_conn=200\n"
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://headway@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        user = None
        if os.geteuid() == 0:  # it refuses to run as root
            user = "postgres"
            pwd.getpwnam(user)
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, user, user)
        options = {"user": user, "group": user, "extra_groups": []} if user else {}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [find_pgbouncer(), str(self.folder / "ini")], stdout=log, stderr=log, cwd=self.folder, **options
            )
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                psycopg.connect(self.url).close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
                assert time.monotonic() < until, "the pooler does not start"
                time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
