"""The critical path: which calls made a run as long as it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written import Journal, key_of

from headway.journal.records import RunStatus
from headway.observe.critical import CriticalPath, critical_path


def path_of(journal: Journal, status: RunStatus = RunStatus.DONE) -> CriticalPath:
    return critical_path(journal.recorded(status))


def shares(path: CriticalPath, *names: str) -> list[float | None]:
    return [None if (share := path.shares.get(key_of(name))) is None else round(share, 6) for name in names]


def test_calls_one_after_the_other_are_all_on_the_path() -> None:
    path = path_of(Journal().outcome("root/a", 0.5, 2.5).outcome("root/b", 2.5, 5.5).outcome("root", 0, 6))
    assert shares(path, "root/a", "root/b", "root") == [2.0, 3.0, 1.0]
    assert path.wall_s == 6.0
    assert path.fraction(key_of("root/b")) == 0.5


def test_of_parallel_calls_the_last_to_end_is_on_the_path() -> None:
    path = path_of(Journal().outcome("root/fast", 0, 1).outcome("root/slow", 0, 4).outcome("root/mid", 0, 2).outcome("root", 0, 4))
    assert shares(path, "root/slow", "root/mid", "root/fast", "root") == [4.0, None, None, 0.0]


def test_a_barrier_is_crossed_by_the_slowest_of_each_side() -> None:
    journal = Journal()
    for number, ended in enumerate((1.0, 3.0, 2.0)):
        journal.outcome(f"root/map{number}", 0, ended)
    for number, ended in enumerate((7.0, 4.0)):
        journal.outcome(f"root/reduce{number}", 3.5, ended)
    path = path_of(journal.outcome("root", 0, 7))
    assert shares(path, "root/map1", "root/reduce0", "root") == [3.0, 3.5, 0.5]
    assert shares(path, "root/map0", "root/map2", "root/reduce1") == [None, None, None]


def test_the_path_goes_down_into_nested_calls() -> None:
    path = path_of(
        Journal()
        .outcome("root/a/x/deep", 2, 5)
        .outcome("root/a/x", 1.5, 5.5)
        .outcome("root/a/y", 1, 2)
        .outcome("root/a", 1, 6)
        .outcome("root", 0, 6)
    )
    assert shares(path, "root/a/x/deep", "root/a/x", "root/a", "root") == [3.0, 1.0, 1.0, 1.0]
    assert shares(path, "root/a/y") == [None]


def test_an_argument_by_handle_leads_into_another_branch() -> None:
    path = path_of(
        Journal()
        .outcome("root/left/make", 1, 5)
        .outcome("root/left", 0.5, 9)
        .outcome("root/right/use", 5, 9.5, edges=("root/left/make",))
        .outcome("root/right", 0.5, 10)
        .outcome("root", 0, 10)
    )
    assert shares(path, "root/right/use", "root/left/make") == [4.5, 4.0]
    assert shares(path, "root/right", "root/left", "root") == [0.5, 0.5, 0.5]


def test_an_argument_that_was_there_before_the_parent_began_was_not_waited_for() -> None:
    path = path_of(
        Journal()
        .outcome("root/left/make", 1, 3)
        .outcome("root/left", 0, 9)
        .outcome("root/right/use", 5, 9.5, edges=("root/left/make",))
        .outcome("root/right", 4, 10)
        .outcome("root", 0, 10)
    )
    assert shares(path, "root/right/use", "root/right", "root", "root/left/make") == [4.5, 1.5, 4.0, None]


def test_the_segments_cover_the_wall_time_without_gaps() -> None:
    path = path_of(Journal().outcome("root/a", 1, 2).outcome("root/b", 3, 4).outcome("root", 0, 5))
    assert [(round(s.began - path.segments[0].began), round(s.ended - s.began)) for s in path.segments] == [
        (0, 1),
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 1),
    ]


def test_calls_reused_from_an_earlier_session_are_on_no_path() -> None:
    path = path_of(
        Journal()
        .outcome("root/old", 0, 50)
        .outcome("root/odd", 0, 1004)
        .outcome("root/new", 1001, 1003)
        .outcome("root", 1000, 1004)
    )
    assert shares(path, "root/old", "root/new", "root") == [None, 2.0, 2.0]
    assert path.wall_s == 4.0


def test_the_path_of_an_unfinished_run_ends_at_the_last_thing_known() -> None:
    journal = Journal().outcome("root/a", 0, 3).start("root/b", 4).outcome("root/b/x", 5, 8)
    path = path_of(journal, RunStatus.RUNNING)
    assert shares(path, "root/a", "root/b", "root/b/x") == [3.0, 1.0, 3.0]
    assert path.wall_s == 8.0


def test_a_run_that_took_no_time_has_a_path_of_no_length() -> None:
    path = path_of(Journal().outcome("root/a", 0, 0).outcome("root", 0, 0))
    assert (path.wall_s, path.segments) == (0.0, [])


@st.composite
def journals(draw: st.DrawFn) -> Journal:
    """Calls in a tree, each within its parent, with random edges to calls that ended before."""
    times = st.integers(0, 30)
    spans = {"root": (0, 30)}
    journal = Journal()
    for number in range(draw(st.integers(0, 25))):
        parent = draw(st.sampled_from(sorted(spans)))
        low, high = spans[parent]
        began, ended = sorted((min(max(draw(times), low), high), min(max(draw(times), low), high)))
        path = f"{parent}/c{number}"
        spans[path] = (began, ended)
        edges = draw(st.lists(st.sampled_from(sorted(spans)), max_size=2))
        journal.outcome(path, began, ended, edges=tuple(edge for edge in edges if spans[edge][1] <= began))
    return journal.outcome("root", 0, 30)


@settings(max_examples=150, deadline=None)
@given(journals())
def test_whatever_the_graph_every_moment_belongs_to_one_call(journal: Journal) -> None:
    recorded = journal.recorded()
    path = critical_path(recorded)
    assert sum(path.shares.values()) == pytest.approx(30.0)
    assert path.wall_s == pytest.approx(30.0)
    for before, after in zip(path.segments, path.segments[1:], strict=False):
        assert before.ended == after.began
    for segment in path.segments:
        began, ended = recorded.span(recorded.calls[segment.key])
        assert began <= segment.began < segment.ended <= ended
