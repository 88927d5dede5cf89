"""Large results of agents that go into the blob store by themselves, where agent and driver see the same one."""

from __future__ import annotations

import os

import numpy as np
import pytest
from crew import a_staff, run

import headway as hw
from headway.pools.agents import direct
from headway.pools.agents.hired import Hired
from headway.pools.agents.wire import frames
from headway.pools.agents.wire.frames import Link
from headway.pools.workers import messages
from headway.storage.blobs import hash_blob

LARGE = 300_000
"""Numbers of 8 bytes: more than a blob in a table has."""


@hw.task(pool="process")
def count_to(n: int) -> dict[str, np.ndarray]:
    return {"small": np.arange(10), "large": np.arange(n)}


@pytest.fixture
def arrived(monkeypatch):
    """The kinds of frames with results that this process has received, and the most bytes that one had."""
    kinds = []
    receive = Link.receive

    def noted(self):
        got = receive(self)
        for frame in got:
            if frame.kind == frames.STORED:
                kinds.append("stored")
                assert len(frame.body) < 5000
            elif frame.fd is not None:
                kinds.append("sent")
        return got

    monkeypatch.setattr(Link, "receive", noted)
    return kinds


def test_a_large_result_is_put_into_the_store_by_the_agent_and_journaled_as_any_other(tmp_path, arrived):
    pools = {"process": Hired("local:1cpu")}
    found = hw.run(count_to, LARGE, store=tmp_path, run_id="a", pools=pools)
    assert arrived == ["stored"]
    assert np.array_equal(found["large"], np.arange(LARGE))
    found["large"][:] = 7
    assert np.array_equal(hw.run(count_to, LARGE, store=tmp_path, run_id="a")["large"], np.arange(LARGE))
    assert list(found["small"]) == list(range(10))


def test_without_a_store_a_large_result_comes_over_the_connection(arrived):
    assert len(hw.run(count_to, LARGE, store=None, pools={"process": Hired("local:1cpu")})["large"]) == LARGE
    assert arrived == ["sent"]


def test_an_agent_that_sees_another_store_sends_its_results(tmp_path, arrived, monkeypatch):
    put = direct.leave_probe

    def elsewhere(place):  # a folder of this name on another machine
        name = put(place)
        for file in (tmp_path / "blobs").rglob("*"):
            if file.is_file():
                file.unlink()
        return name

    monkeypatch.setattr(direct, "leave_probe", elsewhere)
    _, staff = a_staff(1)
    staff.use_blobs(str(tmp_path))

    async def scenario(b):
        assert np.array_equal(await b.value("echo", np.arange(LARGE)), np.arange(LARGE))

    run(staff, scenario)
    assert arrived == ["sent"]


def test_only_large_buffers_of_results_are_put_there(tmp_path):
    probe = direct.leave_probe(str(tmp_path))
    blobs = direct.reach(str(tmp_path), probe)
    assert blobs is not None
    assert direct.reach(str(tmp_path), b"x" * 16) is None
    assert direct.reach("", b"") is None
    buffers = [b"small", bytes(direct.DIRECT_BYTES), os.urandom(direct.DIRECT_BYTES + 1)]
    payload, fd = messages.pack(b"head", buffers)
    done = frames_of(messages.Done(4, payload))
    assert direct.is_large(done)
    assert not direct.is_large(frames_of(messages.Stopped(4)))
    assert not direct.is_large(b"\x93\xa4what\x01\x02")
    stored = direct.put_result(blobs, done, fd)
    os.close(fd)
    assert stored == direct.Stored(4, [b"head", b"small", buffers[1], None], [hash_blob(buffers[2])])
    found = direct.fetch(blobs, stored)
    assert (found.head, [bytes(each) for each in found.buffers], [bytes(each) for each in found.own]) == (b"head", buffers, buffers)


def frames_of(message):
    """A message as it crosses the line."""
    import msgspec

    return msgspec.msgpack.encode(message)
