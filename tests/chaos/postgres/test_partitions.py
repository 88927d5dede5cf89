"""Networks that are slow, silent, cut or closed for a while between clients and the server."""

from __future__ import annotations

import time

from appenders import Appender, check_register
from test_replies import append_through, end, wait_for
from victims import LIMIT_S, often
from wire import Fault, Proxy, Statement
from wounded import WoundedServer

LEASE_S = 0.6
SOON_S = 20.0  # for what takes a moment, on a busy machine


def at(numbers: set[int], fault: Fault):
    return lambda statement: fault if statement.number in numbers else None


def appended(crowd: list[Appender]) -> int:
    return sum(one.appended for one in crowd)


def wait_for_more(crowd: list[Appender], rows: int = 20, limit_s: float = LIMIT_S) -> None:
    before = appended(crowd)
    wait_for(lambda: appended(crowd) > before + rows, "that somebody appends", limit_s)


def test_slow_commits_are_just_slow(server, schema, notes, crowd):
    with Proxy(server.port, lambda statement: Fault.DELAYED if statement.appends else None) as proxy:
        append_through(proxy, schema, notes, crowd, 1)
        wait_for(lambda: proxy.struck[Fault.DELAYED] > 10, "ten slow commits")
        end(crowd)
    told = check_register(f"{server.url}?{schema}", notes).count()
    assert set(told) == {"ok"}


def test_connections_that_are_all_cut_and_refused_for_a_while_are_made_again(server, schema, notes, crowd):
    with Proxy(server.port) as proxy:
        append_through(proxy, schema, notes, crowd, 2)
        for _ in range(often(3)):
            wait_for_more(crowd)
            with proxy.refusing():
                refused = proxy.struck["refused"]
                proxy.cut_all()
                wait_for(lambda refused=refused: proxy.struck["refused"] > refused + 5, "that clients are refused")
        wait_for_more(crowd)
        end(crowd)
    assert proxy.struck["all cut"] >= 3
    told = check_register(f"{server.url}?{schema}", notes).count()
    assert not told["info"], "a client did not wait for the server to come back"


def test_a_network_that_is_silent_for_longer_than_a_lease_lets_others_go_on_and_fences_who_was_behind_it(
    server, schema, notes, crowd
):
    with Proxy(server.port) as proxy:
        behind = Appender(f"{proxy.url}?{schema}", notes, "behind", 3, lease_s=LEASE_S).start()
        crowd.append(behind)
        for number in range(often(1)):
            wait_for_more([behind])
            with proxy.half_open():
                beside = Appender(f"{server.url}?{schema}", notes, f"beside{number}", 3, lease_s=LEASE_S).start()
                crowd.append(beside)
                wait_for_more([beside])
            wait_for(lambda number=number: behind.heard["LeaseLost"] > number, "that the late one is fenced")
            beside.stop()
        wait_for_more([behind])
        end(crowd)
    assert proxy.struck["half-open"]
    assert "the lease of run 'register' is lost: beside0 life" in behind.said["LeaseLost"]
    check_register(f"{server.url}?{schema}", notes)


def test_a_server_that_never_answers_a_commit_and_then_cuts_has_committed_once(server, schema, notes, crowd):
    with Proxy(server.port, at({5, 9, 20}, Fault.MUTE), delay_s=0.3) as proxy:
        append_through(proxy, schema, notes, crowd, 4)
        wait_for(lambda: proxy.struck[Fault.MUTE] == 3, "that commits are not answered")
        wait_for_more(crowd)
        end(crowd)
    assert proxy.committed == 3
    told = check_register(f"{server.url}?{schema}", notes).count()
    assert not told["info"]


def test_a_driver_goes_on_although_its_old_session_still_holds_its_run(server: WoundedServer, schema, notes, crowd):
    """The server has not heard that the connection is gone: between Execute and Sync the session waits with the run's lock."""
    with Proxy(server.port, at({5, 12}, Fault.SYNC_HELD)) as proxy:
        append_through(proxy, schema, notes, crowd, 5, clients=1)
        wait_for(lambda: proxy.struck[Fault.SYNC_HELD] == 2, "that it goes on, and is cut once more", SOON_S)
        wait_for_more(crowd)
        end(crowd)
    told = check_register(f"{server.url}?{schema}", notes).count()
    assert not told["info"]


def test_a_driver_takes_over_from_one_that_is_gone_whose_session_still_holds_the_run(server: WoundedServer, schema, notes, crowd):
    taken = False

    def plan(statement: Statement) -> Fault | None:
        nonlocal taken
        if statement.number == 5:
            return Fault.REPLY_SWALLOWED  # so that the session is not the one that took the run
        if statement.number == 6:
            proxy.refuses = taken = True
            return Fault.SYNC_HELD
        return None

    with Proxy(server.port, plan) as proxy:
        gone = Appender(f"{proxy.url}?{schema}", notes, "gone", 6, lease_s=LEASE_S).start()
        crowd.append(gone)
        wait_for(lambda: taken, "that the first is gone")
        gone.ended.set()
        time.sleep(0.1)
        assert server.backends("state='active' AND wait_event='ClientRead'"), "no session is left"
        heir = Appender(f"{server.url}?{schema}", notes, "heir", 6, lease_s=5.0).start()
        crowd.append(heir)
        wait_for_more([heir], limit_s=SOON_S)
        heir.stop()
        assert not server.backends("state='active' AND wait_event='ClientRead'"), "it was left alone"
    check_register(f"{server.url}?{schema}", notes)
