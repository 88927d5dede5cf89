"""Who comes late writes nothing: neither rows nor cache entries nor the state of the run. What a late driver brought is kept aside.

A lease counts by its fence, not by its clock: one that expired is good until somebody else takes the run. A fence never comes back,
however often the store is opened again.
"""

import pytest
from midway import Midway, Rival
from store_model import DEAD

from headway.errors import LeaseLost, RunOwned, StoreError, UnknownRun
from headway.journal.owner import this_process
from headway.journal.records import Ending, Lease, RunSpec, RunStatus

KEY = b"k" * 16


def take_over(store, lease):
    store.acquire("sky", "another", 30.0, 1.0, take_over=True)


def take_over_by_the_same_owner(store, lease):
    store.acquire("sky", lease.owner, 30.0, 1.0, take_over=True)


def take_when_expired(store, lease):
    store.acquire("sky", "another", 30.0, 30.0)


def give_back(store, lease):
    store.release(lease, RunStatus.INTERRUPTED, 1.0)


def give_back_and_take_again(store, lease):
    give_back(store, lease)
    store.acquire("sky", lease.owner, 30.0, 2.0)


def pass_through_another(store, lease):
    store.release(store.acquire("sky", "another", 30.0, 1.0, take_over=True), RunStatus.DONE, 2.0)


WAYS = [take_over, take_over_by_the_same_owner, take_when_expired, give_back, give_back_and_take_again, pass_through_another]


@pytest.mark.parametrize("lose", WAYS)
def test_a_driver_that_lost_its_lease_changes_nothing_and_its_rows_are_kept_as_rejected(subject, store, lease, make_row, lose):
    store.commit(lease, 1, [make_row(1)], 0.5)
    lose(store, lease)
    before = store.run("sky")
    late = [make_row(2, b"late"), make_row(3, b"later")]
    with pytest.raises(LeaseLost, match="the lease of run 'sky' is lost"):
        store.commit(lease, 2, late, 40.0, cache=[(KEY, late[0])], ending=Ending(RunStatus.FAILED, 7))
    with pytest.raises(LeaseLost, match="the lease of run 'sky' is lost"):
        store.renew(lease, 41.0)
    store.release(lease, RunStatus.FAILED, 42.0, error_floor=7)
    assert store.run("sky") == before
    assert list(store.rows(lease.uid)) == [(1, make_row(1))]
    assert store.cached(KEY) is None
    assert subject.rejected(store, lease.uid) == [(lease.fence, 2, late[0]), (lease.fence, 3, late[1])]


def test_a_late_writer_is_told_that_it_is_late_even_where_its_rows_would_not_fit(subject, store, lease, make_row):
    take_over(store, lease)
    for first in (5, 1, 5):
        with pytest.raises(LeaseLost):
            store.commit(lease, first, [make_row(first)], 2.0)
    assert [(fence, seq) for fence, seq, _ in subject.rejected(store, lease.uid)] == [(lease.fence, seq) for seq in (5, 1, 5)]


def test_a_driver_whose_rows_do_not_fit_is_not_late(subject, store, lease, make_row):
    with pytest.raises(StoreError) as caught:
        store.commit(lease, 2, [make_row(1)], 1.0, ending=Ending(RunStatus.DONE))
    assert not isinstance(caught.value, LeaseLost)
    assert subject.rejected(store, lease.uid) == []
    assert store.run("sky").owner == lease.owner


def test_an_expired_lease_that_nobody_took_still_writes_and_can_be_renewed(store, lease, make_row):
    store.commit(lease, 1, [make_row(1)], 1000.0)
    store.renew(lease, 1001.0)
    with pytest.raises(RunOwned):
        store.acquire("sky", "another", 30.0, 1002.0)
    assert [row for _, row in store.rows(lease.uid)] == [make_row(1)]


@pytest.mark.parametrize("forged", [{"fence": 0}, {"fence": 2}, {"owner": "another"}])
def test_a_lease_that_the_store_did_not_give_writes_nothing(store, lease, make_row, forged):
    fields = {"uid": lease.uid, "run_id": "sky", "owner": lease.owner, "fence": lease.fence, "ttl_s": 30.0} | forged
    with pytest.raises(LeaseLost):
        store.commit(Lease(**fields), 1, [make_row(1)], 1.0)
    assert list(store.rows(lease.uid)) == []


def test_the_lease_of_one_run_does_not_write_to_another(store, lease, make_row):
    sea = store.create_run(RunSpec(run_id="sea", task="t"))
    store.acquire("sea", "another", 30.0, 0.0)
    with pytest.raises(LeaseLost):
        store.commit(Lease(uid=sea.uid, run_id="sea", owner=lease.owner, fence=lease.fence, ttl_s=30.0), 1, [make_row(1)], 1.0)
    assert list(store.rows(sea.uid)) == []


def test_the_driver_of_a_deleted_run_does_not_write_to_one_that_has_its_name_now(subject, store, lease, make_row):
    store.commit(lease, 1, [make_row(1)], 1.0)
    take_over(store, lease)
    with pytest.raises(LeaseLost):
        store.commit(lease, 2, [make_row(2)], 1.0)
    store.delete_run("sky", 100.0)
    again = store.create_run(RunSpec(run_id="sky", task="t"))
    assert subject.rejected(store, lease.uid) == []  # forgotten with the run
    store.acquire("sky", lease.owner, 30.0, 100.0)
    before = store.run("sky")
    for write in (lambda: store.commit(lease, 1, [make_row(1)], 101.0), lambda: store.renew(lease, 101.0)):
        with pytest.raises((LeaseLost, UnknownRun)):
            write()
    store.release(lease, RunStatus.DONE, 102.0)
    assert store.run("sky") == before
    assert list(store.rows(again.uid)) == []


def test_a_run_is_not_deleted_under_a_live_driver_but_when_its_lease_is_over(store, lease):
    with pytest.raises(RunOwned):
        store.delete_run("sky", 29.0)
    assert store.delete_run("sky", 30.0) == 0


def test_a_run_whose_driver_is_dead_may_be_deleted(store):
    store.create_run(RunSpec(run_id="sky", task="t"))
    store.acquire("sky", DEAD, 1e9, 0.0)
    assert store.delete_run("sky", 1.0) == 0


def test_fences_grow_however_often_the_store_is_opened_again(subject, tmp_path):
    store = subject.make(tmp_path / "store")
    store.create_run(RunSpec(run_id="sky", task="t"))
    fences = []
    for number in range(5):
        fences.append(store.acquire("sky", this_process(), 10.0, 20.0 * number).fence)
        store = subject.reopen(store)
    store.close()
    assert sorted(set(fences)) == fences


def test_a_lease_is_good_in_every_opening_of_its_store(subject, tmp_path, make_row):
    store = subject.make(tmp_path / "store")
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", this_process(), 30.0, 0.0)
    store = subject.reopen(store)
    store.commit(lease, 1, [make_row(1)], 1.0)
    with pytest.raises(RunOwned):
        store.acquire("sky", this_process(), 30.0, 2.0)
    store = subject.reopen(store)
    assert [row for _, row in store.rows(lease.uid)] == [make_row(1)]
    store.close()


@pytest.mark.parametrize("at", [0, 4500])
def test_a_run_taken_over_in_the_middle_of_a_commit_has_all_of_it_or_nothing(openings, make_row, at):
    store, rival_store = openings(), openings()
    uid = store.create_run(RunSpec(run_id="sky", task="t")).uid
    lease = store.acquire("sky", "somebody", 30.0, 0.0)
    rows = [make_row(number) for number in range(5000)]

    def take():
        taken = rival_store.acquire("sky", "another", 30.0, 1.0, take_over=True)
        return taken, rival_store.run("sky").nrows

    rival = Rival(take)
    try:
        store.commit(lease, 1, Midway(rows, at, rival.enter), 1.0)
    except LeaseLost:
        rows = []
    taken, seen = rival.result()
    assert seen == len(rows)
    with pytest.raises(LeaseLost):
        store.commit(lease, len(rows) + 1, [make_row(1)], 2.0)
    rival_store.commit(taken, len(rows) + 1, [make_row(2)], 3.0)
    assert [row for _, row in store.rows(uid)] == [*rows, make_row(2)]
