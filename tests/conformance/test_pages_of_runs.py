"""Runs are read by pages: whoever lists a store with a million runs reads what is shown and no more."""

from __future__ import annotations

import pytest

from headway.journal.records import RunSpec, RunStatus
from headway.journal.store import Store, every_run

DONE, FAILED, RUNNING = RunStatus.DONE, RunStatus.FAILED, RunStatus.RUNNING


@pytest.fixture
def filled(store: Store) -> Store:
    """Seven runs: r0, r3 and r6 are done, r1 and r4 have failed, r2 and r5 are new."""
    for number in range(7):
        run_id = f"r{number}"
        store.create_run(RunSpec(run_id=run_id, task="demo.answer"))
        if number % 3 != 2:
            store.release(store.acquire(run_id, "somebody", 30.0, 0.0), DONE if number % 3 == 0 else FAILED, 1.0)
    return store


def names(found):
    return [run.spec.run_id for run in found]


def test_pages_follow_one_another_until_one_is_not_full(filled):
    first = filled.runs(most=3)
    second = filled.runs(after=first[-1].uid, most=3)
    third = filled.runs(after=second[-1].uid, most=3)
    assert [names(first), names(second), names(third)] == [["r0", "r1", "r2"], ["r3", "r4", "r5"], ["r6"]]
    assert filled.runs(after=third[-1].uid, most=3) == []


def test_the_newest_come_first_where_that_is_asked(filled):
    first = filled.runs(most=4, newest_first=True)
    assert names(first) == ["r6", "r5", "r4", "r3"]
    assert names(filled.runs(after=first[-1].uid, most=4, newest_first=True)) == ["r2", "r1", "r0"]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(
    ("statuses", "wanted"),
    [((DONE,), [0, 3, 6]), ((FAILED, RUNNING), [1, 2, 4, 5]), ((DONE, DONE), [0, 3, 6]), ((RunStatus.CANCELLED,), [])],
)
def test_only_runs_of_the_statuses_fill_a_page(filled, statuses, wanted, newest_first):
    wanted = [f"r{number}" for number in wanted]
    wanted = wanted[::-1] if newest_first else wanted
    assert names(filled.runs(statuses=statuses, newest_first=newest_first)) == wanted
    page = filled.runs(statuses=statuses, newest_first=newest_first, most=2)
    assert names(page) == wanted[:2]
    if page:
        assert names(filled.runs(after=page[-1].uid, statuses=statuses, newest_first=newest_first)) == wanted[2:]


@pytest.mark.parametrize("page", [1, 2, 7, 8])
def test_every_run_is_read_once_whatever_the_size_of_a_page(filled, page):
    assert names(every_run(filled, page=page)) == [f"r{number}" for number in range(7)]
    assert names(every_run(filled, page=page, newest_first=True)) == [f"r{number}" for number in reversed(range(7))]


def test_a_deleted_run_leaves_no_hole_that_ends_a_listing(filled):
    filled.delete_run("r2", 2.0)
    assert names(every_run(filled, page=2)) == ["r0", "r1", "r3", "r4", "r5", "r6"]
