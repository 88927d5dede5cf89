"""The heart of the suite: any history of a store, step by step, against a model of the protocol.

Drivers come late, leases end, processes die, runs are forked and deleted, commits fail half-way, the store is closed and opened
again. After each step everything that can be read is what the model says, through every opening of the store.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule, run_state_machine_as_test
from midway import Midway
from store_model import ALIVE, DEAD, Model

from headway.errors import HeadwayError
from headway.journal.records import Ending, Row, RunSpec, RunStatus
from headway.journal.shared.limits import Ask, Rate, Want

names = st.sampled_from(["sky", "sea"])
owners = st.sampled_from(["one machine", ALIVE, DEAD])
keys = st.sampled_from([bytes([number]) * 16 for number in range(4)])
rows = st.lists(st.builds(Row, st.integers(1, 31), keys, keys, st.binary(max_size=8)), max_size=4)
endings = st.none() | st.builds(Ending, st.sampled_from(list(RunStatus)[1:]), st.none() | st.integers(0, 9), st.none())
entries = st.lists(st.tuples(keys, st.builds(Row, st.just(3), keys, keys, st.binary(max_size=8))), max_size=2)
times = st.sampled_from([10.0, 30.0])
asks = st.builds(
    Ask,
    name=st.sampled_from(["gpu", "cpu"]),
    capacity=st.none() | st.integers(2, 4),
    used=st.integers(0, 1),
    keep=st.integers(0, 3),
    rate=st.none() | st.just(Rate(3, 7.0)),
    begun=st.just(()) | st.tuples(st.floats(0, 2)),
    pending=st.integers(0, 1),
    ahead=st.integers(0, 3),
)
holders = st.sampled_from(["one machine call 1", "another machine call 1", f"{ALIVE} call 1", f"{ALIVE} call 2", f"{DEAD} call 1"])


class Broken(Exception):
    """What makes a commit fail half-way."""


def answer(ask: Callable[[], Any]) -> Any:
    """What a call returns, or the class of what it raises."""
    try:
        return ask()
    except HeadwayError as error:
        return type(error)


class Stores:
    """New stores, one after another; the same one again where a store is easier emptied than made."""

    def __init__(self, subject: Any, folder: Path) -> None:
        self._subject, self._folder = subject, folder
        self._numbers = itertools.count()
        self._kept: Any = None

    def new(self) -> Any:
        kept, self._kept = self._kept, None
        return kept or self._subject.make(self._folder / f"store-{next(self._numbers)}")

    def give_back(self, store: Any) -> None:
        if self._subject.empty is None:
            store.close()
        else:
            self._subject.empty(store)
            self._kept = store

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()


class History(RuleBasedStateMachine):
    leases = Bundle("leases")

    def __init__(self, subject: Any, stores: Stores) -> None:
        super().__init__()
        self.subject = subject
        self.stores = stores
        self.store = stores.new()
        self.other = self.second()
        self.model = Model()
        self.now = 0.0

    def second(self) -> Any:
        return self.subject.open_again(self.store.url) if self.subject.open_again else self.store

    def teardown(self) -> None:
        self.other.close()
        self.stores.give_back(self.store)

    # what happens around a store

    @initialize(target=leases, owner=owners)
    def begin(self, owner):
        self.create("sky", "demo.answer")
        return self.acquire("sky", owner, 30.0, False)

    @rule(seconds=st.sampled_from([1.0, 9.0, 10.0, 30.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def change_places(self):
        self.store, self.other = self.other, self.store

    @rule()
    def reopen(self):
        self.other.close()
        self.store = self.subject.reopen(self.store)
        self.other = self.second()

    # runs

    @rule(name=names, task=st.sampled_from(["demo.answer", "demo.other"]))
    def create(self, name, task):
        spec = RunSpec(run_id=name, task=task, args=b"\x91\x01", created=self.now)
        made = self.store.create_run(spec)
        assert made == self.model.create_run(spec, uid=made.uid)

    @rule(name=names, source=names, dropped=st.integers(0, 3))
    def fork(self, name, source, dropped):
        def keep(seq, row):
            return seq % 3 != dropped

        spec = RunSpec(run_id=name, task="demo.answer", forked_from=source)
        uid = self.model.named[source].uid if source in self.model.named else 4711
        made = answer(lambda: self.store.fork_run(spec, uid, keep))
        assert made == answer(lambda: self.model.fork_run(spec, uid, keep, uid=getattr(made, "uid", 0)))

    @rule(name=names)
    def delete(self, name):
        assert answer(lambda: self.store.delete_run(name, self.now)) == answer(lambda: self.model.delete_run(name, self.now))

    # leases

    @rule(target=leases, name=names, owner=owners, ttl_s=times, take_over=st.booleans())
    def acquire(self, name, owner, ttl_s, take_over):
        got = answer(lambda: self.store.acquire(name, owner, ttl_s, self.now, take_over=take_over))
        fence = getattr(got, "fence", 0)
        assert got == answer(lambda: self.model.acquire(name, owner, ttl_s, self.now, take_over=take_over, fence=fence))
        return got if fence else multiple()

    @rule(lease=leases)
    def renew(self, lease):
        assert answer(lambda: self.store.renew(lease, self.now)) == answer(lambda: self.model.renew(lease, self.now))

    @rule(lease=leases, status=st.sampled_from(list(RunStatus)[1:]), floor=st.none() | st.integers(0, 9))
    def release(self, lease, status, floor):
        self.store.release(lease, status, self.now, error_floor=floor)
        self.model.release(lease, status, self.now, error_floor=floor)

    # rows

    def next_seq(self, lease):
        return next((len(run.rows) + 1 for run in self.model.named.values() if run.uid == lease.uid), 1)

    @rule(lease=leases, rows=rows, cache=entries, off=st.sampled_from([0, 0, 0, 0, 0, -1, 1]), ending=endings)
    def commit(self, lease, rows, cache, off, ending):
        first = self.next_seq(lease) + off
        got = answer(lambda: self.store.commit(lease, first, rows, self.now, cache=cache, ending=ending))
        assert got == answer(lambda: self.model.commit(lease, first, rows, cache, self.now, ending))

    @rule(lease=leases, rows=rows, cache=entries, at=st.integers(0, 3), in_cache=st.booleans(), ending=endings)
    def commit_breaks_half_way(self, lease, rows, cache, at, in_cache, ending):
        def fail():
            raise Broken

        if in_cache:
            cache = Midway(cache, min(at, len(cache)), fail)
        else:
            rows = Midway(rows, min(at, len(rows)), fail)
        with contextlib.suppress(Broken, HeadwayError):  # the model is not told: nothing may have happened
            if (
                any(run.uid == lease.uid and run.is_held_by(lease) for run in self.model.named.values())
                and len(cache)
                and len(rows)
            ):
                self.store.commit(lease, self.next_seq(lease), rows, self.now, cache=cache, ending=ending)
                raise AssertionError("a commit whose rows cannot be read has not been done")

    @rule(name=names, after=st.integers(0, 6))
    def read_on(self, name, after):
        if name in self.model.named:
            run = self.model.named[name]
            assert list(self.store.rows(run.uid, after=after)) == list(enumerate(run.rows, 1))[after:]
            assert self.store.signals(run.uid, after=after) == [one for one in run.signals if one.number > after]

    # blobs

    @rule(data=st.sampled_from([b"", b"small", b"large" * 60_000]), put=st.booleans())
    def use_a_blob(self, data, put):
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if put:
            mine = bytearray(data)
            self.store.put_blob(digest, mine)
            self.model.put_blob(digest, data)
            mine[:] = b"!" * len(mine)
        got = answer(lambda: self.other.get_blob(digest))
        assert (bytes(got) if isinstance(got, memoryview) else got) == answer(lambda: self.model.get_blob(digest))
        if isinstance(got, memoryview) and len(got):
            got[0] ^= 0xFF

    # control from outside

    @rule(name=names)
    def cancel(self, name):
        assert answer(lambda: self.store.request_cancel(name, self.now)) == answer(lambda: self.model.request_cancel(name))

    @rule(name=names, signal=st.sampled_from(["go", "stop"]), value=st.binary(max_size=4))
    def send(self, name, signal, value):
        got = answer(lambda: self.store.send_signal(name, signal, value, self.now))
        number = got if isinstance(got, int) else 0
        assert got == answer(lambda: self.model.send_signal(name, signal, value, self.now, number=number))

    # limits

    @rule(
        holder=holders,
        asks=st.lists(asks, min_size=1, max_size=2, unique_by=lambda ask: ask.name),
        calls=st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=2),
        ttl_s=times,
    )
    def share(self, holder, asks, calls, ttl_s):
        names = tuple(ask.name for ask in asks)
        said = (holder, asks, [Want(names, number, starts) for number, starts in calls], self.now, ttl_s)
        assert self.store.share(*said) == self.model.share(*said)
        for other in ("another machine call 1", f"{ALIVE} call 1"):
            assert self.store.is_wanted(other, list(self.model.boards), self.now) == self.model.is_wanted(other, self.now)

    # what must hold after every step

    @invariant()
    def everything_that_can_be_read_is_what_the_model_says(self):
        for store in (self.store, self.other):
            assert store.runs() == self.model.runs()
            for name, run in self.model.named.items():
                assert store.run(name) == run.info()
                assert list(store.rows(run.uid)) == list(enumerate(run.rows, 1))
                assert store.signals(run.uid) == run.signals
                assert self.subject.rejected(store, run.uid) == run.rejected
            for number in range(4):
                assert store.cached(bytes([number]) * 16) == self.model.cache.get(bytes([number]) * 16)


QUICK = settings(max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck))
THOROUGH = settings(QUICK, max_examples=800, stateful_step_count=80)


def check(subject: Any, folder: Path, effort: settings) -> None:
    stores = Stores(subject, folder)
    less = settings(effort, max_examples=max(4, int(effort.max_examples * subject.effort)))
    run_state_machine_as_test(lambda: History(subject, stores), settings=less)
    stores.close()


def test_any_history_of_a_store_is_that_of_the_model(subject, scratch):
    check(subject, scratch, QUICK)


def test_any_history_of_a_store_behind_a_pooler_is_that_of_the_model(pooled, scratch):
    check(pooled, scratch, QUICK)


@pytest.mark.long
def test_hundreds_of_long_histories_are_those_of_the_model(subject, scratch):
    check(subject, scratch, THOROUGH)
