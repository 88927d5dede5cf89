"""What a journal's rows say of a run: finished, failed, crashed or never begun."""

from __future__ import annotations

import time

from written import T0, Journal, key_of

from headway.journal.records import Error, RunStatus, Status
from headway.observe.recorded import State


def names(keys: list[bytes], journal: Journal) -> list[str]:
    labels = {key: call.label.strip("'") for key, call in journal.recorded().calls.items()}
    return [labels[key] for key in keys]


def test_a_finished_run_is_told_as_a_tree_sorted_by_start() -> None:
    journal = Journal().outcome("root/b", 2, 3).outcome("root/a/x", 1.2, 1.4).outcome("root/a", 1, 1.5).outcome("root", 0, 4)
    recorded = journal.recorded()
    assert recorded.root == key_of("root")
    assert names(recorded.children[recorded.root], journal) == ["root/a", "root/b"]
    assert names(recorded.children[key_of("root/a")], journal) == ["root/a/x"]
    assert recorded.count()[State.OK] == 4
    assert (recorded.began, recorded.until) == (T0, T0 + 4)


def test_a_call_is_what_its_last_row_says() -> None:
    failed = Error("builtins:ValueError", "no")
    recorded = (
        Journal()
        .outcome("root/a", 0, 1, status=Status.ERROR, error=failed)
        .outcome("root/b", 0, 1)
        .start("root/b", 5, effect=True)
        .outcome("root/a", 2, 3)
        .attempt("root/c", 1, 2, retry_at=9)
        .outcome("root/d", -1, 2, status=Status.CANCELLED, reason="lost the race")
        .recorded()
    )
    a, b, c, d = (recorded.calls[key_of(f"root/{name}")] for name in "abcd")
    assert (a.state, a.started, a.error) == (State.OK, T0 + 2, None)
    assert (b.state, b.started, b.effect, b.is_over) == (State.OPEN, T0 + 5, True, False)
    assert (c.state, c.retry_at, c.attempts) == (State.RETRYING, T0 + 9, 1)
    assert c.error is not None
    assert c.error.message == "no"
    assert (d.state, d.started, d.reason) == (State.CANCELLED, 0.0, "lost the race")


def test_all_failed_attempts_of_a_call_are_kept() -> None:
    recorded = Journal().attempt("root/a", 1, 2).attempt("root/a", 3, 4).outcome("root/a", 1, 6, attempts=3).recorded()
    assert [attempt.ended for attempt in recorded.failures[key_of("root/a")]] == [T0 + 2, T0 + 4]
    assert recorded.calls[key_of("root/a")].attempts == 3


def test_a_crashed_run_shows_parents_that_only_their_children_name() -> None:
    recorded = Journal().outcome("root/plan/search", 1, 2).outcome("root/plan/read", 2, 3).recorded(RunStatus.RUNNING)
    plan, root = recorded.calls[key_of("root/plan")], recorded.calls[key_of("root")]
    assert (plan.state, plan.task, plan.started) == (State.OPEN, "", T0 + 1)
    assert (root.state, root.task, root.started) == (State.OPEN, "sky.root", T0 + 1)
    assert recorded.children[root.key] == [plan.key]
    assert len(recorded.children[plan.key]) == 2
    assert recorded.span(root) == (T0 + 1, T0 + 3)


def test_a_run_that_never_began_has_a_root() -> None:
    recorded = Journal().recorded(RunStatus.RUNNING)
    assert [call.name for call in recorded.calls.values()] == ["sky.root(…)"]


def test_budgets_are_told_with_what_is_held() -> None:
    recorded = (
        Journal()
        .budget("root/outer", {"tokens": 1000.0})
        .budget("root/inner", {"tokens": 100.0}, outer="root/outer")
        .start("root/a", 1, reserved={"tokens": 50.0}, budget="root/inner")
        .outcome("root/a", 1, 2, cost={"tokens": 30.0}, budget="root/inner")
        .start("root/b", 2, reserved={"tokens": 40.0}, budget="root/inner")
        .outcome("root/c", 1, 2, cost={"tokens": 7.0}, budget="root/outer")
        .recorded(RunStatus.RUNNING)
    )
    outer, inner = recorded.budgets
    assert (outer.depth, outer.spent, outer.held) == (0, {"tokens": 37.0}, {"tokens": 40.0})
    assert (inner.depth, inner.spent, inner.held) == (1, {"tokens": 30.0}, {"tokens": 40.0})
    assert inner.outer == outer.key
    assert inner.call == key_of("root")


def test_what_was_charged_of_a_reservation_is_not_held_any_more() -> None:
    recorded = (
        Journal()
        .budget("root/budget", {"tokens": 1000.0})
        .start("root/a", 1, reserved={"tokens": 50.0}, budget="root/budget")
        .charge("root/a", {"tokens": 20.0}, budget="root/budget")
        .recorded(RunStatus.RUNNING)
    )
    assert (recorded.budgets[0].spent, recorded.budgets[0].held) == ({"tokens": 20.0}, {"tokens": 30.0})
    assert recorded.calls[key_of("root/a")].cost == {"tokens": 20.0}


def test_a_call_that_charged_in_several_budgets_costs_their_sum() -> None:
    recorded = (
        Journal()
        .budget("root/inner", {"tokens": 100.0})
        .charge("root/a", {"tokens": 5.0}, budget="root/inner")
        .charge("root/a", {"tokens": 8.0}, budget="root/inner")
        .outcome("root/a", 0, 1, cost={"usd": 1.0})
        .recorded()
    )
    assert recorded.calls[key_of("root/a")].cost == {"tokens": 8.0, "usd": 1.0}
    assert recorded.spent() == {"tokens": 8.0, "usd": 1.0}


def test_a_failed_call_that_charges_again_is_open_again() -> None:
    recorded = Journal().outcome("root/a", 0, 1, status=Status.ERROR).charge("root/a", {"tokens": 5.0}).recorded(RunStatus.RUNNING)
    assert recorded.calls[key_of("root/a")].state is State.OPEN


def test_the_first_deadline_is_told() -> None:
    assert Journal().deadline("root/d1", 60).deadline("root/a/d2", 30).recorded().deadline == T0 + 60


def test_a_value_is_previewed_in_a_few_words_whatever_it_is() -> None:
    journal = Journal()
    for name, value in (("none", None), ("text", "x" * 500), ("set", {1}), ("error", KeyError(42))):
        journal.outcome(f"root/{name}", 0, 1, value=value)
    previews = {call.label.strip("'"): call.preview(30) for call in journal.recorded().calls.values()}
    assert previews["root/none"] == "None"
    assert previews["root/text"] == "'" + "x" * 28 + "…"
    assert previews["root/set"] == "{1}"
    assert "42" in previews["root/error"]


def test_damaged_bytes_of_a_value_do_not_stop_the_story() -> None:
    journal = Journal().outcome("root/a", 0, 1)
    call = journal.recorded().calls[key_of("root/a")]
    broken = type(call)(call.key, call.parent, 1, State.OK, value=b"\xc1\xff")
    assert broken.preview().startswith("<cannot be shown: ")


def test_a_hundred_thousand_calls_are_told_in_about_a_second() -> None:
    journal = Journal()
    for number in range(1000):
        journal.outcome(f"root/group{number % 10}/call{number}", number, number + 1, value=number, cost={"tokens": 1.0})
    rows = journal.rows
    journal.rows = [row._replace(key=row.key[:8] + n.to_bytes(8, "big")) for n in range(100) for row in rows]
    began = time.process_time()
    recorded = journal.recorded()
    assert len(recorded.calls) >= 100_000
    assert time.process_time() - began < 4.0  # about 0.6 on a quiet machine
