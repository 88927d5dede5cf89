"""Runs, who drives them, and what happens to a driver that comes too late: the same on every store."""

import subprocess
import sys
from pathlib import Path

import pytest

from headway.errors import LeaseLost, RunMismatch, RunOwned, StoreError, UnknownRun
from headway.journal.owner import is_alive, this_process
from headway.journal.records import COSTED, Ending, Kind, Row, RunSpec, RunStatus

NAME_OF_A_PROCESS = "from headway.journal.owner import this_process; print(this_process())"


def dead_owner() -> str:
    done = subprocess.run([sys.executable, "-c", NAME_OF_A_PROCESS], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_run_is_found_again_as_it_was_created(store):
    spec = RunSpec(run_id="sky", task="demo.answer", args=b"\x91\x01", blobs=(b"b" * 16,), root=b"r" * 16, created=12.5)
    made = store.create_run(spec)
    assert made.spec == spec
    assert (made.status, made.owner, made.nrows, made.fence) == (RunStatus.RUNNING, "", 0, 0)
    assert store.run("sky") == made
    assert store.runs() == [made]


def test_creating_a_run_twice_returns_the_first_one(store):
    first = store.create_run(RunSpec(run_id="sky", task="demo.answer"))
    assert store.create_run(RunSpec(run_id="sky", task="demo.other")) == first


def test_a_new_run_that_is_begun_is_owned_as_if_it_had_been_acquired(store):
    spec = RunSpec(run_id="sky", task="demo.answer")
    info, lease = store.begin_run(spec, "somebody", 30.0, 2.0)
    assert info == store.run("sky")
    assert (info.spec, info.status, info.owner, info.owned_since, info.lease_until) == (spec, "running", "somebody", 2.0, 32.0)
    assert lease is not None
    assert (lease.uid, lease.run_id, lease.owner, lease.fence, lease.ttl_s) == (info.uid, "sky", "somebody", info.fence, 30.0)
    with pytest.raises(RunOwned):
        store.acquire("sky", "another", 30.0, 3.0)
    store.commit(lease, 1, [Row(Kind.OUTCOME, b"k" * 16, b"p" * 16, b"body")], 3.0)
    store.release(lease, RunStatus.INTERRUPTED, 4.0)
    assert store.acquire("sky", "another", 30.0, 5.0).fence > lease.fence


@pytest.mark.parametrize("status", [RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED])
@pytest.mark.parametrize("floor", [None, 1])
def test_a_commit_gives_the_run_back_as_a_release_after_it_does(store, status, floor):
    row = Row(Kind.OUTCOME, b"k" * 16, b"p" * 16, b"body")
    infos = []
    for name in ("sky", "sea"):
        store.create_run(RunSpec(run_id=name, task="t"))
        lease = store.acquire(name, this_process(), 30.0, 1.0)
        store.commit(lease, 1, [row], 2.0)
        store.request_cancel(name, 2.0)
        if name == "sky":
            store.commit(lease, 2, [row, row], 3.0, ending=Ending(status, floor))
        else:
            store.commit(lease, 2, [row, row], 3.0)
            store.release(lease, status, 3.0, error_floor=floor)
        with pytest.raises(LeaseLost, match="this driver gave it back before"):
            store.commit(lease, 4, [row], 4.0)
        info = store.run(name)
        assert [seq for seq, _ in store.rows(info.uid)] == [1, 2, 3]
        infos.append((info.status, info.owner, info.lease_until, info.ended, info.cancel_requested, info.error_floor, info.nrows))
    assert infos[0] == infos[1]


def test_a_run_that_is_there_is_not_begun_again(store, lease):
    before = store.run("sky")
    assert store.begin_run(RunSpec(run_id="sky", task="demo.other"), "another", 30.0, 1.0) == (before, None)
    assert store.run("sky") == before


def test_an_unknown_run_is_named_with_near_misses(store):
    store.create_run(RunSpec(run_id="blue-sky", task="t"))
    with pytest.raises(UnknownRun, match=r"no run 'blue-skye' in .*did you mean 'blue-sky'\?"):
        store.run("blue-skye")


def test_every_acquire_gets_a_higher_fence(store, lease):
    store.release(lease, RunStatus.INTERRUPTED, 1.0)
    again = store.acquire("sky", "somebody", 30.0, 2.0)
    assert again.fence > lease.fence
    assert store.run("sky").owned_since == 2.0


def test_a_run_with_a_live_lease_is_owned_and_the_message_says_what_to_do(store, lease):
    with pytest.raises(RunOwned, match=r"'sky' is driven by somebody.*headway cancel sky.*take_over=True"):
        store.acquire("sky", "another", 30.0, 29.0)


def test_an_expired_lease_of_another_machine_is_taken_over(store, lease):
    assert store.acquire("sky", "another", 30.0, 30.0).fence > lease.fence


def test_a_renewed_lease_lasts_longer(store, lease):
    store.renew(lease, 25.0)
    assert store.run("sky").lease_until == 55.0
    with pytest.raises(RunOwned):
        store.acquire("sky", "another", 30.0, 54.0)


@pytest.mark.parametrize("back_s", [3600.0, 365 * 86_400.0])
def test_a_lease_from_before_the_clock_was_set_back_lasts_no_longer_than_a_lease(store, back_s):
    store.create_run(RunSpec(run_id="sky", task="t"))
    then = 1.7e9
    store.acquire("sky", "another machine", 30.0, then)
    with pytest.raises(RunOwned):
        store.acquire("sky", "me", 30.0, then - back_s)
    with pytest.raises(RunOwned):
        store.acquire("sky", "me", 30.0, then - back_s + 29.0)
    assert store.acquire("sky", "me", 30.0, then - back_s + 30.0).owner == "me"


@pytest.mark.parametrize("back_s", [3600.0, 365 * 86_400.0])
def test_a_living_driver_keeps_its_run_from_one_whose_clock_was_set_back(store, back_s):
    store.create_run(RunSpec(run_id="sky", task="t"))
    then = 1.7e9
    lease = store.acquire("sky", "another machine", 30.0, then)
    for now in (0.0, 10.0, 20.0, 30.0, 40.0):
        with pytest.raises(RunOwned):
            store.acquire("sky", "me", 30.0, then - back_s + now)
        store.renew(lease, then - back_s + now)


def test_a_live_process_cannot_drive_one_run_twice(store):
    store.create_run(RunSpec(run_id="sky", task="t"))
    store.acquire("sky", this_process(), 30.0, 0.0)
    with pytest.raises(RunOwned):
        store.acquire("sky", this_process(), 30.0, 1.0)


def test_the_run_of_a_dead_process_is_taken_over_at_once(store):
    store.create_run(RunSpec(run_id="sky", task="t"))
    owner = dead_owner()
    assert is_alive(owner) is False
    first = store.acquire("sky", owner, 1e9, 0.0)
    assert store.acquire("sky", this_process(), 30.0, 1.0).fence > first.fence


def test_take_over_takes_a_live_run_and_its_old_driver_is_told(store, lease, make_row):
    taken = store.acquire("sky", "another", 30.0, 1.0, take_over=True)
    with pytest.raises(LeaseLost, match="another drives it since"):
        store.renew(lease, 2.0)
    with pytest.raises(LeaseLost, match="another drives it since"):
        store.commit(lease, 1, [make_row(1)], 2.0)
    store.commit(taken, 1, [make_row(2)], 3.0)
    assert [row for _, row in store.rows(lease.uid)] == [make_row(2)]


def test_a_lease_that_was_given_back_writes_no_more(store, lease, make_row):
    store.release(lease, RunStatus.DONE, 1.0)
    with pytest.raises(LeaseLost, match="gave it back"):
        store.commit(lease, 1, [make_row(1)], 2.0)
    assert list(store.rows(lease.uid)) == []


def test_releasing_a_lost_lease_changes_nothing(store, lease):
    store.acquire("sky", "another", 30.0, 1.0, take_over=True)
    before = store.run("sky")
    store.release(lease, RunStatus.FAILED, 2.0, error_floor=7)
    assert store.run("sky") == before


def test_a_released_run_has_its_status_end_and_error_floor(store, lease):
    store.release(lease, RunStatus.FAILED, 9.0, error_floor=4)
    run = store.run("sky")
    assert (run.status, run.ended, run.error_floor, run.owner) == (RunStatus.FAILED, 9.0, 4, "")
    again = store.acquire("sky", "somebody", 30.0, 10.0)
    assert (store.run("sky").status, store.run("sky").ended) == (RunStatus.RUNNING, 0.0)
    store.release(again, RunStatus.INTERRUPTED, 11.0)
    assert (store.run("sky").error_floor, store.run("sky").ended) == (4, 0.0)


def test_a_cancel_request_is_seen_and_ends_with_the_run(store, lease):
    store.request_cancel("sky", 1.0)
    assert store.run("sky").cancel_requested
    store.release(lease, RunStatus.CANCELLED, 2.0)
    assert not store.run("sky").cancel_requested
    store.request_cancel("sky", 3.0)
    assert not store.run("sky").cancel_requested  # nothing is left to cancel
    with pytest.raises(UnknownRun):
        store.request_cancel("nowhere", 1.0)


def test_a_fork_has_the_rows_of_its_source_without_what_is_dropped(store, lease, make_row):
    rows = [
        make_row(1),
        make_row(2),
        make_row(7, kind=Kind.DECISION, parent=2),
        make_row(3, kind=3 | COSTED),
        make_row(8, kind=Kind.DECISION | COSTED, parent=2),
        make_row(9, kind=Kind.OUTCOME, parent=2),
    ]
    store.commit(lease, 1, rows, 1.0)
    fork = store.fork_run(RunSpec(run_id="fork", task="t", forked_from="sky"), lease.uid, lambda seq, row: seq not in (2, 5))
    assert fork.nrows == 4
    assert list(store.rows(fork.uid)) == list(enumerate([rows[0], rows[2], rows[3], rows[5]], 1))
    assert [row for _, row in store.rows(lease.uid)] == rows
    taken = store.acquire("fork", "somebody", 30.0, 2.0)
    store.commit(taken, 5, [make_row(10)], 3.0)
    assert store.run("fork").nrows == 5


def test_a_fork_of_many_rows_keeps_them_all(store, lease, make_row):
    rows = [make_row(number) for number in range(5000)]
    store.commit(lease, 1, rows, 1.0)
    fork = store.fork_run(RunSpec(run_id="fork", task="t"), lease.uid, lambda seq, row: seq != 18)
    assert [row for _, row in store.rows(fork.uid)] == rows[:17] + rows[18:]


def test_a_fork_with_everything_and_its_source_go_on_apart(store, lease, make_row):
    store.commit(lease, 1, [make_row(1), make_row(2)], 1.0)
    fork = store.fork_run(RunSpec(run_id="fork", task="t"), lease.uid, lambda seq, row: True)
    taken = store.acquire("fork", "another", 30.0, 2.0)
    store.commit(taken, 3, [make_row(3)], 3.0)
    store.commit(lease, 3, [make_row(4), make_row(5)], 3.0)
    store.commit(taken, 4, [make_row(6)], 3.0)
    assert [row for _, row in store.rows(fork.uid)] == [make_row(number) for number in (1, 2, 3, 6)]
    assert [row for _, row in store.rows(lease.uid)] == [make_row(number) for number in (1, 2, 4, 5)]


def test_a_fork_cannot_take_the_name_of_a_run(store, lease):
    with pytest.raises(RunMismatch, match="'sky' is taken"):
        store.fork_run(RunSpec(run_id="sky", task="t"), lease.uid, lambda seq, row: True)
    with pytest.raises(UnknownRun):
        store.fork_run(RunSpec(run_id="fork", task="t"), 99, lambda seq, row: True)
    assert len(store.runs()) == 1


def test_a_deleted_run_is_gone_and_its_number_is_not_used_again(store, lease, make_row):
    store.commit(lease, 1, [make_row(1)], 1.0)
    store.send_signal("sky", "go", b"", 1.0)
    with pytest.raises(RunOwned):
        store.delete_run("sky", 2.0)
    store.release(lease, RunStatus.DONE, 3.0)
    assert store.delete_run("sky", 4.0) == 1
    with pytest.raises(UnknownRun):
        store.run("sky")
    with pytest.raises(UnknownRun):
        store.delete_run("sky", 5.0)
    with pytest.raises(UnknownRun):
        list(store.rows(lease.uid))
    assert store.signals(lease.uid) == []
    assert store.create_run(RunSpec(run_id="sky", task="t")).uid > lease.uid


def test_a_row_that_would_leave_a_gap_is_refused(store, lease, make_row):
    store.commit(lease, 1, [make_row(1)], 1.0)
    for wrong in (1, 3):
        with pytest.raises(StoreError, match=f"has 1 rows, so row {wrong} cannot follow"):
            store.commit(lease, wrong, [make_row(2)], 2.0)
    assert [row for _, row in store.rows(lease.uid)] == [make_row(1)]


def test_the_root_of_checkpoints_is_absolute_and_made_by_nobody(store):
    root = store.checkpoint_root("a run/with a slash")
    if root is not None:
        assert "://" in root or Path(root).is_absolute()
        assert not Path(root).exists()
        assert root != store.checkpoint_root("another")
