"""Rows, blobs, the cache, signals and limits: the same on every store."""

import hashlib
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.errors import LeaseLost, StoreDamaged, UnknownRun
from headway.journal.owner import this_process
from headway.journal.records import Row, RunSpec, RunStatus

kinds = st.integers(1, 31)
keys = st.binary(min_size=16, max_size=16)
batches = st.lists(st.lists(st.builds(Row, kinds, keys, keys, st.binary(max_size=300)), max_size=40), max_size=6)


def digest_of(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=batches, after=st.integers(0, 60))
def test_rows_come_back_in_order_whatever_the_batches_were(store, batches, after):
    info = store.create_run(RunSpec(run_id=f"run-{len(store.runs())}", task="t"))
    lease = store.acquire(info.spec.run_id, "me", 30.0, 0.0)
    rows: list[Row] = []
    for batch in batches:
        store.commit(lease, len(rows) + 1, batch, 1.0)
        rows += batch
    assert list(store.rows(info.uid, after=after)) == list(enumerate(rows, 1))[after:]
    assert store.run(info.spec.run_id).nrows == len(rows)


@pytest.mark.parametrize("size", [1, 2, 3, 4095, 4096, 4097, 9001])
def test_a_batch_of_any_size_is_one_commit(store, lease, make_row, size):
    rows = [make_row(number, b"x" * (number % 50)) for number in range(size)]
    store.commit(lease, 1, rows, 1.0)
    store.commit(lease, size + 1, [make_row(1)], 2.0)
    assert [row for _, row in store.rows(lease.uid)] == [*rows, make_row(1)]


def test_a_reader_sees_whole_batches_while_a_writer_commits(store, lease, make_row):
    sizes: list[int] = []

    def write() -> None:
        for batch in range(40):
            store.commit(lease, batch * 7 + 1, [make_row(batch)] * 7, 1.0)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        sizes.append(sum(1 for _ in store.rows(lease.uid)))
    writer.join()
    assert all(size % 7 == 0 for size in sizes)
    assert sum(1 for _ in store.rows(lease.uid)) == 280


def test_rows_of_two_runs_do_not_mix(store, lease, make_row):
    store.create_run(RunSpec(run_id="sea", task="t"))
    other = store.acquire("sea", "somebody", 30.0, 0.0)
    store.commit(lease, 1, [make_row(1)], 1.0)
    store.commit(other, 1, [make_row(2)], 1.0)
    store.commit(lease, 2, [make_row(3)], 1.0)
    assert [row for _, row in store.rows(lease.uid)] == [make_row(1), make_row(3)]
    assert [row for _, row in store.rows(other.uid)] == [make_row(2)]


def test_rows_of_an_unknown_run_are_refused(store):
    with pytest.raises(UnknownRun):
        list(store.rows(4711))


def test_the_cache_answers_across_runs_with_the_newest_entry(store, lease, make_row):
    key = b"k" * 16
    assert store.cached(key) is None
    store.commit(lease, 1, [make_row(1)], 1.0, cache=[(key, make_row(1, b"old"))])
    store.commit(lease, 2, [], 2.0, cache=[(key, make_row(2, b"new"))])
    assert store.cached(key) == make_row(2, b"new")


def test_a_late_writer_does_not_reach_the_cache(store, lease, make_row):
    store.acquire("sky", "another", 30.0, 1.0, take_over=True)
    with pytest.raises(LeaseLost):
        store.commit(lease, 1, [make_row(1)], 1.0, cache=[(b"k" * 16, make_row(1))])
    assert store.cached(b"k" * 16) is None


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
def test_a_blob_comes_back_as_memory_of_the_callers_own(store, size):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    store.put_blob(digest_of(data), memoryview(data))
    store.put_blob(digest_of(data), bytearray(data))
    got = store.get_blob(digest_of(data))
    assert bytes(got) == data
    assert not got.readonly
    if size:
        got[0] = got[0] ^ 0xFF
    assert bytes(store.get_blob(digest_of(data))) == data


def test_a_blob_of_another_shape_is_stored_as_its_bytes(store):
    data = memoryview(bytes(range(24))).cast("B", [2, 3, 4])
    store.put_blob(digest_of(data.tobytes()), data)
    assert bytes(store.get_blob(digest_of(data.tobytes()))) == data.tobytes()


def test_a_missing_blob_is_damage_and_is_named(store):
    with pytest.raises(StoreDamaged, match=f"blob {'ab' * 16} is missing"):
        store.get_blob(b"\xab" * 16)


def test_a_blob_with_other_bytes_is_never_returned(store):
    store.put_blob(digest_of(b"right"), b"wrong")
    with pytest.raises(StoreDamaged, match="is damaged"):
        store.get_blob(digest_of(b"right"))


def test_signals_are_numbered_and_belong_to_their_run(store, lease):
    sea = store.create_run(RunSpec(run_id="sea", task="t"))
    first = store.send_signal("sky", "go", b"1", 1.0)
    other = store.send_signal("sea", "go", b"2", 2.0)
    second = store.send_signal("sky", "stop", b"3", 3.0)
    assert first < other < second
    assert [(s.number, s.name, s.value, s.at) for s in store.signals(lease.uid)] == [
        (first, "go", b"1", 1.0),
        (second, "stop", b"3", 3.0),
    ]
    assert [s.value for s in store.signals(lease.uid, after=first)] == [b"3"]
    assert [s.value for s in store.signals(sea.uid)] == [b"2"]
    with pytest.raises(UnknownRun):
        store.send_signal("nowhere", "go", b"", 1.0)


def test_a_change_is_noticed(store, lease):
    before = store.changed()
    assert store.changed() == before
    store.request_cancel("sky", 1.0)
    assert store.changed() != before


def test_slots_are_never_given_beyond_the_capacity(store):
    assert store.take_slot("gpu", "a", 2, 3, 0.0, 10.0)
    assert not store.take_slot("gpu", "b", 2, 3, 1.0, 10.0)
    assert store.take_slot("gpu", "b", 1, 3, 1.0, 10.0)
    assert store.take_slot("cpu", "b", 3, 3, 1.0, 10.0)
    store.free_slot("gpu", "a")
    assert store.take_slot("gpu", "c", 2, 3, 2.0, 10.0)


def test_a_slot_whose_time_is_up_is_free(store):
    assert store.take_slot("gpu", "a", 1, 1, 0.0, 10.0)
    assert not store.take_slot("gpu", "b", 1, 1, 9.0, 10.0)
    assert store.take_slot("gpu", "b", 1, 1, 10.0, 10.0)


def test_a_holder_that_takes_its_slot_again_keeps_it_longer(store):
    assert store.take_slot("gpu", "a", 1, 1, 0.0, 10.0)
    assert store.take_slot("gpu", "a", 1, 1, 9.0, 10.0)
    assert not store.take_slot("gpu", "b", 1, 1, 15.0, 10.0)


def test_the_slot_of_a_dead_process_is_free_at_once(store):
    dead = this_process().replace("(started ", "(started 1")
    assert store.take_slot("gpu", f"{dead} call 1", 1, 1, 0.0, 1e9)
    assert store.take_slot("gpu", f"{this_process()} call 1", 1, 1, 1.0, 1e9)
    assert not store.take_slot("gpu", f"{this_process()} call 2", 1, 1, 2.0, 1e9)


def test_a_rate_lets_a_burst_through_and_then_its_pace(store):
    waits = [store.take_rate("api", 2.0, 10.0, 0.0) for _ in range(4)]
    assert waits == [0.0, 0.0, 5.0, 10.0]
    assert store.take_rate("api", 2.0, 10.0, 100.0) == 0.0
    assert store.take_rate("other", 2.0, 10.0, 0.0) == 0.0


@given(gaps=st.lists(st.floats(0, 8), min_size=5, max_size=40))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_window_of_a_rate_ever_sees_more_than_its_burst_and_pace(store, gaps):
    name = f"api-{store.changed()}-{len(gaps)}-{sum(gaps)}"
    now, used = 1e6, []
    for gap in gaps:
        now += gap
        used.append(now + store.take_rate(name, 3.0, 6.0, now))
    for start, first in enumerate(used):
        for end in range(start, len(used)):
            assert end - start + 1 <= 3 + (used[end] - first) / 2 + 1e-3


def test_many_threads_share_a_store(store):
    def drive(number: int) -> None:
        store.create_run(RunSpec(run_id=f"run-{number}", task="t"))
        lease = store.acquire(f"run-{number}", "somebody", 30.0, 0.0)
        for seq in range(1, 21):
            store.commit(lease, seq, [Row(3, bytes([number]) * 16, b"\0" * 16, b"%d" % seq)], 0.0)
        store.release(lease, RunStatus.DONE, 1.0)

    threads = [threading.Thread(target=drive, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run in store.runs():
        assert run.status is RunStatus.DONE
        assert [row.body for _, row in store.rows(run.uid)] == [b"%d" % seq for seq in range(1, 21)]
