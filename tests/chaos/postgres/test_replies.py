"""Connections that break at each place of a commit: what was acknowledged is there once, what was not is there once or never.

Three clients want one run through a proxy that cuts where the protocol is most hurt by it. Random kills don't come here: that the
server commits and its client never hears of it takes a cut in the microseconds between.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from appenders import Appender, check_register
from victims import LIMIT_S, often
from wire import Fault, Proxy, Statement
from wounded import WoundedServer

CUTS = (Fault.UNSENT, Fault.BEFORE_SYNC, Fault.INSIDE_SYNC, Fault.AFTER_SYNC, Fault.INSIDE_REPLY, Fault.REPLY_SWALLOWED)


def wait_for(condition: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, f"{what} did not happen in {limit_s:g} s"
        time.sleep(0.005)


def append_through(proxy: Proxy, schema: str, notes: Path, crowd: list[Appender], seed: int, clients: int = 3) -> list[Appender]:
    """Start clients that want the same run, give it to each other, and have the patience of drivers."""
    url = f"{proxy.url}?{schema}"
    started = [Appender(url, notes, f"client{k}", seed, lease_s=20.0, gives_up_run=0.02).start() for k in range(clients)]
    crowd += started
    return started


def end(crowd: list[Appender]) -> None:
    for one in crowd:
        one.stop()


def cut_commits(
    server: WoundedServer, schema: str, notes: Path, crowd: list[Appender], seed: int, faults: tuple[Fault, ...], each: int
) -> Proxy:
    """Cut commits drawn by a seed until each kind of cut was made so often."""
    drawn = random.Random(seed)

    def plan(statement: Statement) -> Fault | None:
        return drawn.choice(faults) if statement.appends and statement.number > 3 and drawn.random() < 0.3 else None

    with Proxy(server.port, plan) as proxy:
        append_through(proxy, schema, notes, crowd, seed)

        def is_enough() -> bool:
            strange = [one.said for one in crowd if one.heard.keys() - {"RunOwned"}]
            assert not strange, f"a client was told of a cut: {strange}"
            return all(proxy.struck[fault] >= each for fault in faults)

        wait_for(is_enough, f"each cut {each} times")
        end(crowd)
    return proxy


def test_commits_that_are_cut_at_each_place_are_there_once_or_never(server, schema, notes, crowd):
    proxy = cut_commits(server, schema, notes, crowd, 1, CUTS, often(6))
    told = check_register(f"{server.url}?{schema}", notes).count()
    assert proxy.committed >= 1, "no commit was made whose client did not hear of it"
    assert told["ok"] > sum(proxy.struck[fault] for fault in CUTS) > 0
    assert not told["info"], "a client that could ask again did not find out"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 2 + often(1)))
def test_hundreds_of_swallowed_replies_lose_and_double_nothing(server, schema, notes, crowd, seed):
    proxy = cut_commits(server, schema, notes, crowd, seed, (Fault.REPLY_SWALLOWED,), 200)
    check_register(f"{server.url}?{schema}", notes)
    assert proxy.committed >= 200
