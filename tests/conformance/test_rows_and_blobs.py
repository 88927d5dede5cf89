"""Rows, the cache, signals and limits: the same on every store."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from word import await_change, steady_version

from headway.errors import LeaseLost, UnknownRun
from headway.journal.owner import this_process
from headway.journal.records import Row, RunSpec
from headway.journal.shared.limits import Ask, Want

numbers = itertools.count()
kinds = st.integers(1, 31)
keys = st.binary(min_size=16, max_size=16)
batches = st.lists(st.lists(st.builds(Row, kinds, keys, keys, st.binary(max_size=300)), max_size=40), max_size=6)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=batches, after=st.integers(0, 60))
def test_rows_come_back_in_order_whatever_the_batches_were(store, batches, after):
    info = store.create_run(RunSpec(run_id=f"run-{next(numbers)}", task="t"))
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


def test_rows_of_two_runs_do_not_mix(store, lease, make_row):
    store.create_run(RunSpec(run_id="sea", task="t"))
    other = store.acquire("sea", "somebody", 30.0, 0.0)
    store.commit(lease, 1, [make_row(1)], 1.0)
    store.commit(other, 1, [make_row(2)], 1.0)
    store.commit(lease, 2, [make_row(3)], 1.0)
    assert [row for _, row in store.rows(lease.uid)] == [make_row(1), make_row(3)]
    assert [row for _, row in store.rows(other.uid)] == [make_row(2)]


@pytest.mark.parametrize("after", [0, 1, 1999, 2000, 2001, 4095, 4096, 4097, 4999, 5000, 5001, 10**6])
def test_rows_are_read_on_from_any_place(store, lease, make_row, after):
    rows = [make_row(number) for number in range(5000)]
    for start in range(0, 5000, 1700):
        store.commit(lease, start + 1, rows[start : start + 1700], 1.0)
    assert list(store.rows(lease.uid, after=after)) == list(enumerate(rows, 1))[after:]


def test_rows_of_two_runs_that_take_turns_are_each_in_the_order_of_their_commits(store, lease, make_row):
    store.create_run(RunSpec(run_id="sea", task="t"))
    other = store.acquire("sea", "somebody", 30.0, 0.0)
    rows = [make_row(number) for number in range(60)]
    for start in range(0, 60, 4):
        for turn, drawn in ((lease, rows), (other, rows[::-1])):
            store.commit(turn, start + 1, drawn[start : start + 4], 1.0)
    assert list(store.rows(lease.uid)) == list(enumerate(rows, 1))
    assert list(store.rows(other.uid)) == list(enumerate(rows[::-1], 1))


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


def test_signals_are_numbered_and_belong_to_their_run(store, lease):
    sea = store.create_run(RunSpec(run_id="sea", task="t"))
    first = store.send_signal("sky", "go", b"1", 1.0)
    store.send_signal("sea", "go", b"2", 2.0)
    second = store.send_signal("sky", "stop", b"3", 3.0)
    assert first < second
    assert [(s.number, s.name, s.value, s.at) for s in store.signals(lease.uid)] == [
        (first, "go", b"1", 1.0),
        (second, "stop", b"3", 3.0),
    ]
    assert [s.value for s in store.signals(lease.uid, after=first)] == [b"3"]
    assert [s.value for s in store.signals(sea.uid)] == [b"2"]
    with pytest.raises(UnknownRun):
        store.send_signal("nowhere", "go", b"", 1.0)


def test_a_change_is_noticed(store, lease):
    before = steady_version(store, lease.uid)
    store.request_cancel("sky", 1.0)
    await_change(store, lease.uid, before)


def test_a_run_that_is_made_again_has_no_signal_of_the_one_that_is_forgotten(subject, tmp_path):
    store = subject.make(tmp_path / "store")
    for value in (b"1", b"2", b"3"):
        uid = store.create_run(RunSpec(run_id="sea", task="t")).uid
        store.send_signal("sea", "go", value, 1.0)
        assert [sent.value for sent in store.signals(uid)] == [value]
        store.delete_run("sea", 2.0)
        store = subject.reopen(store)
    store.close()


def test_a_fork_numbers_its_signals_after_those_of_its_source(store, lease):
    of_source = [store.send_signal("sky", "go", b"", 1.0) for _ in range(3)]
    store.fork_run(RunSpec(run_id="fork", task="t"), lease.uid, lambda seq, row: True)
    assert store.send_signal("fork", "go", b"", 2.0) > max(of_source)


def place(store, holder, now, *, used=0, wants=1, capacity=1, ttl_s=10.0):
    """How many places the holder may use after saying this."""
    wanted = [Want(("gpu",), wants)] if wants else []
    return store.share(holder, [Ask("gpu", capacity=capacity, used=used)], wanted, now, ttl_s)["gpu"].room


def test_places_are_never_given_beyond_the_capacity(store):
    assert place(store, "a", 0.0, wants=2, capacity=3) == 2
    assert place(store, "b", 1.0, wants=2, capacity=3) == 1
    assert store.share("b", [Ask("cpu", capacity=3)], [Want(("cpu",), 3)], 1.0, 10.0)["cpu"].room == 3
    assert place(store, "a", 2.0, wants=0, capacity=3) == 0
    assert place(store, "c", 2.0, wants=1, capacity=3) == 1
    assert place(store, "b", 2.5, used=1, wants=0, capacity=3) == 1
    assert place(store, "c", 3.0, used=1, wants=2, capacity=3) == 2


def test_a_place_whose_time_is_up_is_free(store):
    assert place(store, "a", 0.0) == 1
    assert place(store, "b", 9.0) == 0
    assert place(store, "b", 10.0) == 1


def test_a_holder_that_says_so_again_keeps_its_place_longer(store):
    assert place(store, "a", 0.0) == 1
    assert place(store, "a", 9.0, used=1, wants=0) == 1
    assert place(store, "b", 15.0) == 0


def test_the_place_of_a_dead_process_is_free_at_once_and_that_of_a_live_one_never(store):
    dead = this_process().replace("(started ", "(started 1")
    assert place(store, f"{dead} driver 1", 0.0, ttl_s=1e9) == 1
    assert place(store, f"{this_process()} driver 1", 1.0) == 1
    assert place(store, f"{this_process()} driver 2", 1e6) == 0


def test_who_waits_is_known_and_who_does_not_holds_no_place(store):
    place(store, "a", 0.0)
    assert not store.is_wanted("a", ["gpu"], 1.0)
    place(store, "b", 1.0)
    assert store.is_wanted("a", ["gpu", "nothing of this name"], 1.0)
    assert not store.is_wanted("b", ["gpu"], 1.0)
    assert not store.is_wanted("a", ["cpu"], 1.0)


def test_who_is_gone_waits_no_more(store):
    place(store, "a", 0.0)
    place(store, "b", 1.0, ttl_s=10.0)
    assert store.is_wanted("a", ["gpu"], 10.0)
    assert not store.is_wanted("a", ["gpu"], 11.0)
    place(store, this_process().replace("(started ", "(started 1"), 12.0, capacity=2, wants=2)
    assert not store.is_wanted("a", ["gpu"], 12.0)
    place(store, this_process(), 12.0, wants=2)
    assert store.is_wanted("a", ["gpu"], 1e6)


@pytest.mark.parametrize("asked", ["gpu", "cpu"])
def test_a_long_silent_process_keeps_its_places_when_the_store_is_opened_again(subject, tmp_path, asked):
    store = subject.make(tmp_path / "store")
    assert place(store, this_process(), 0.0, wants=2, capacity=2) == 2
    store = subject.reopen(store)
    store.share("b", [Ask(asked, capacity=2)], [], 1e6, 10.0)
    assert place(store, "b", 1e6, wants=1, capacity=2) == 0
    store.close()


def test_a_limit_is_found_again_after_opening_the_store_again(subject, tmp_path):
    store = subject.make(tmp_path / "store")
    assert place(store, "a", 0.0) == 1
    store = subject.reopen(store)
    assert place(store, "b", 1.0) == 0
    store.close()
