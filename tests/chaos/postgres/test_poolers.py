"""A pooler in transaction mode between clients and the server, which is started again and again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from appenders import Appender, check_register
from test_partitions import wait_for_more
from test_replies import end
from victims import often
from wounded import Pooler


@pytest.fixture
def pooler(server) -> Iterator[Pooler]:
    started = Pooler(server)
    yield started
    started.stop()


def test_a_pooler_that_is_killed_and_started_again_loses_nothing(server, pooler: Pooler, schema, notes, crowd):
    url = f"{pooler.url}?listen=off&{schema}"
    for k in range(3):
        crowd.append(Appender(url, notes, f"client{k}", 1, lease_s=20.0, gives_up_run=0.02).start())
    for _ in range(often(3)):
        wait_for_more(crowd)
        pooler.kill()
        pooler.start()
    wait_for_more(crowd)
    end(crowd)
    assert pooler.killed >= 3
    told = check_register(f"{server.url}?{schema}", notes).count()
    assert not told["info"], [one.said for one in crowd]
