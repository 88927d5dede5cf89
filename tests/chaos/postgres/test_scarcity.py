"""A server without room, connections or locks to give: clients wait or say what is missing, and what was acknowledged stays."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from appenders import Appender, check_register
from test_partitions import LEASE_S, wait_for_more
from test_replies import append_through, end, wait_for
from wire import Proxy
from wounded import WoundedServer

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    if os.geteuid() != 0:
        pytest.skip("a full disk needs root, to mount a small one")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "headway-small", str(folder)], check=True)
    for parent in folder.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    shutil.chown(folder, "postgres", "postgres")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room on a disk. Returns what has to be removed for there to be some again."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        while file.write(bytes(MIB // 16)):
            file.flush()
    return ballast


def test_a_full_data_disk_is_said_and_what_was_acknowledged_is_there(server: WoundedServer, small_disk, schema, notes, crowd):
    server.ask(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
    server.ask("CREATE DATABASE small TABLESPACE small")
    url = server.url.replace("/postgres", "/small") + "?" + schema
    try:
        client = Appender(url, notes, "client", 1).start()
        crowd.append(client)
        wait_for_more(crowd, 200)
        ballast = fill(small_disk)
        wait_for(lambda: client.heard["StoreFull"], "that the disk is full")
        ballast.unlink()
        wait_for_more(crowd, 200)
        end(crowd)
        check_register(url, notes)
        assert "has no room (could not extend file" in client.said["StoreFull"]
        assert "free some space on the server; what was committed is safe" in client.said["StoreFull"]
    finally:
        end(crowd)
        server.ask("DROP DATABASE small WITH (FORCE)")
        server.ask("DROP TABLESPACE small")


def test_a_disk_full_of_the_servers_own_log_stops_it_and_loses_nothing(make_server, small_disk, schema, notes, crowd):
    server = make_server(wal_recycle="off", min_wal_size="32MB", max_wal_size="32MB", wal_init_zero="on")
    server.move_wal(small_disk)
    url = f"{server.url}?{schema}"
    client = Appender(url, notes, "client", 1, lease_s=1.0).start()
    crowd.append(client)
    wait_for_more(crowd, 100)
    ballast = fill(small_disk)
    server.ask("CREATE TABLE ballast (x text)")
    with contextlib.suppress(psycopg.OperationalError):
        server.ask("INSERT INTO ballast SELECT repeat(md5(n::text), 50) FROM generate_series(1, 20000) AS n")
    wait_for(lambda: not server.is_up(), "that the server stops for want of room")
    wait_for(lambda: client.heard["ConnectionLost"], "that the client hears of it")
    ballast.unlink()
    if server.process is not None and server.process.poll() is not None:
        server.start()
    wait_for(server.is_up, "that the server is back")
    wait_for_more(crowd, 100)
    end(crowd)
    check_register(url, notes)


def test_a_server_without_a_connection_left_is_waited_for(make_server, schema, notes, crowd):
    server = make_server(max_connections="12", superuser_reserved_connections="2")
    server.ask("CREATE ROLE app LOGIN")
    server.ask("GRANT CREATE ON DATABASE postgres TO app")
    with Proxy(server.port) as proxy:
        url = f"{proxy.url.replace('headway@', 'app@')}?{schema}"
        client = Appender(url, notes, "client", 1, lease_s=30.0).start()
        crowd.append(client)
        wait_for_more(crowd)
        with contextlib.ExitStack() as held:
            proxy.cut_all()
            refused = 0
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                try:
                    held.enter_context(psycopg.connect(server.url.replace("headway@", "app@")))
                except psycopg.OperationalError:
                    refused += 1
                    proxy.cut_all()
                    time.sleep(0.02)
            assert refused, "the connections were not used up"
        wait_for_more(crowd)
        end(crowd)
    assert check_register(f"{server.url}?{schema}", notes).count().keys() == {"ok"}


@contextlib.contextmanager
def holding(server: WoundedServer, *statements: str) -> Iterator[None]:
    """A stranger's transaction that stays open."""
    with psycopg.connect(server.url, application_name="by hand") as stranger:
        for statement in statements:
            stranger.execute(statement)
        yield
        stranger.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM {}.run FOR UPDATE",
        "LOCK TABLE {}.record IN ACCESS EXCLUSIVE MODE",
        "ALTER TABLE {}.run ADD COLUMN strange integer",
    ],
)
def test_a_strangers_lock_is_waited_for_past_the_lease_and_nothing_is_lost(server, schema, notes, crowd, statement):
    for k in range(2):
        crowd.append(Appender(f"{server.url}?{schema}", notes, f"client{k}", 1, lease_s=LEASE_S).start())
    wait_for_more(crowd)
    with holding(server, statement.format(schema.partition("=")[2])):
        before = sum(one.appended for one in crowd)
        time.sleep(2 * LEASE_S)
        assert sum(one.appended for one in crowd) - before <= 40, "the lock held nobody"
    wait_for_more(crowd)
    end(crowd)
    check_register(f"{server.url}?{schema}", notes)


def test_an_old_snapshot_that_is_held_open_changes_nothing(server, schema, notes, crowd):
    with Proxy(server.port) as proxy:
        append_through(proxy, schema, notes, crowd, 1)
        wait_for_more(crowd)
        with holding(server, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", f"SELECT count(*) FROM {schema[7:]}.record"):
            wait_for_more(crowd, 200)
        end(crowd)
    assert check_register(f"{server.url}?{schema}", notes).count().keys() == {"ok"}


def test_a_server_that_takes_no_writes_for_a_while_is_waited_for(server: WoundedServer, schema, notes, crowd):
    with Proxy(server.port) as proxy:
        append_through(proxy, schema, notes, crowd, 1)
        wait_for_more(crowd)
        try:
            server.set(default_transaction_read_only="on")
            time.sleep(0.5)
            before = sum(one.appended for one in crowd)
            time.sleep(0.5)
            assert sum(one.appended for one in crowd) == before, "it took writes"
        finally:
            with psycopg.connect(server.url, autocommit=True, options="-c default_transaction_read_only=off") as by_hand:
                by_hand.execute("ALTER SYSTEM RESET default_transaction_read_only")
                by_hand.execute("SELECT pg_reload_conf()")
        wait_for_more(crowd)
        end(crowd)
    assert check_register(f"{server.url}?{schema}", notes).count().keys() == {"ok"}
