"""A pooler in transaction mode between clients and the server, which is killed and started again and again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from appenders import Appender, check_register
from test_partitions import wait_for_more
from test_replies import end
from victims import often

from pooler import Pooler
from postgres_server import shared_server


@pytest.fixture
def pooler() -> Iterator[Pooler]:
    started = Pooler()
    yield started
    started.remove()


def test_a_pooler_that_is_killed_and_started_again_loses_nothing(pooler: Pooler, notes, crowd):
    schema = f"schema=restarts_{pooler.port}"
    for k in range(3):
        url = f"{pooler.url}?listen=off&{schema}"
        crowd.append(Appender(url, notes, f"client{k}", 1, lease_s=20.0, gives_up_run=0.02).start())
    killed = 0
    for _ in range(often(3)):
        wait_for_more(crowd)
        pooler.stop()
        killed += 1
        pooler.start()
    wait_for_more(crowd)
    end(crowd)
    assert killed >= 3
    told = check_register(f"{shared_server().url}?{schema}", notes).count()
    assert not told["info"], [one.said for one in crowd]
