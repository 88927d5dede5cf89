"""Sessions and servers that are ended, killed and frozen under three clients: what was acknowledged outlives them all."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest
from appenders import RUN, Appender, check_register
from test_partitions import wait_for_more
from test_replies import append_through, end, wait_for
from victims import often
from wire import Proxy
from wounded import WoundedServer

LEASE_S = 0.6


def terminate(server: WoundedServer) -> int:
    return server.terminate_backends(2)


def kill_one(server: WoundedServer) -> int:
    return int(server.kill_backend())


def kill_postmaster(server: WoundedServer) -> int:
    server.kill_postmaster()
    return 1


def stop_at_once(server: WoundedServer) -> int:
    server.crash()
    return 1


@pytest.mark.parametrize("hurt", [terminate, kill_one, kill_postmaster, stop_at_once])
def test_what_was_acknowledged_outlives_sessions_and_servers(server, schema, notes, crowd, hurt: Callable[[WoundedServer], int]):
    struck = 0
    with Proxy(server.port) as proxy:
        append_through(proxy, schema, notes, crowd, 1)
        for _ in range(often(3)):
            wait_for_more(crowd)
            struck += hurt(server)
        wait_for_more(crowd)
        end(crowd)
    assert struck >= 3
    told = check_register(f"{server.url}?{schema}", notes).count()
    assert not told["info"], [one.said for one in crowd]


def session_of_owner(server: WoundedServer, schema: str) -> int:
    return int(server.ask(f"SELECT backend FROM {schema.partition('=')[2]}.run WHERE run_id=%s", RUN)[0][0])


@pytest.mark.parametrize("state", ["idle", "active"])
def test_a_session_that_is_frozen_for_longer_than_a_lease_disturbs_nobody_when_it_wakes(server, schema, notes, crowd, state):
    """A frozen session that holds the run keeps others from it until it wakes. One that does not loses it to them."""
    frozen = Appender(f"{server.url}?{schema}", notes, "frozen", 2, lease_s=LEASE_S).start()
    crowd.append(frozen)
    wait_for_more(crowd)
    session = session_of_owner(server, schema)

    def is_caught() -> bool:
        os.kill(session, signal.SIGSTOP)
        if server.ask("SELECT state FROM pg_stat_activity WHERE pid=%s", session) == [(state,)]:
            return True
        os.kill(session, signal.SIGCONT)
        return False

    wait_for(is_caught, f"that the session is caught while it is {state}")
    with server.frozen([session]):
        heir = Appender(f"{server.url}?{schema}", notes, "heir", 2, lease_s=5.0).start()
        crowd.append(heir)
        if state == "idle":
            wait_for_more([heir])
        else:
            time.sleep(2 * LEASE_S)
    wait_for_more(crowd)
    if state == "idle":
        wait_for(lambda: frozen.heard["LeaseLost"], "that the late one is fenced")
    end(crowd)
    check_register(f"{server.url}?{schema}", notes)


def test_a_server_that_is_frozen_for_longer_than_a_lease_goes_on(server: WoundedServer, schema, notes, crowd):
    for k in range(3):
        crowd.append(Appender(f"{server.url}?{schema}", notes, f"client{k}", 3, lease_s=LEASE_S).start())
    for _ in range(often(1)):
        wait_for_more(crowd)
        assert server.process is not None
        with server.frozen([server.process.pid, *server.children()]):
            before = sum(one.appended for one in crowd)
            time.sleep(2 * LEASE_S)
            assert sum(one.appended for one in crowd) - before <= 60, "a frozen server answered"
        wait_for_more(crowd)
    end(crowd)
    check_register(f"{server.url}?{schema}", notes)
