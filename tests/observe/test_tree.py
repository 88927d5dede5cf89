"""A run drawn as a tree: who called whom, when, and what came of it."""

from __future__ import annotations

import io

from rich.console import Console
from written import Journal, key_of

import headway as hw
from headway.journal.records import Error, RunStatus, Status
from headway.observe import tree
from headway.observe.critical import critical_path
from headway.observe.reading import read_run
from headway.observe.recorded import State
from headway.observe.tree import Fold, Line, Options


def lines_of(journal: Journal, options: Options | None = None) -> list[Line | Fold]:
    recorded = journal.recorded()
    return tree.select(recorded, critical_path(recorded), options or Options())


def drawn(journal: Journal, options: Options | None = None, status: RunStatus = RunStatus.DONE) -> list[str]:
    recorded = journal.recorded(status)
    path = critical_path(recorded)
    screen = Console(file=io.StringIO(), width=160, color_system=None)
    screen.print(tree.draw(recorded, path, tree.select(recorded, path, options or Options()), screen.width))
    assert isinstance(screen.file, io.StringIO)
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


def fan_out(number: int, *, failed: tuple[int, ...] = ()) -> Journal:
    journal = Journal()
    for i in range(number):
        status = Status.ERROR if i in failed else Status.OK
        error = Error("builtins:TimeoutError", "too slow") if i in failed else None
        journal.outcome(f"root/search{i}", i / 10, i / 10 + 0.1, status=status, error=error, cost={"tokens": 2.0})
    return journal.outcome("root", 0, number / 10 + 1)


def test_the_tree_shows_who_called_whom_when_and_what_came_of_it() -> None:
    journal = (
        Journal()
        .outcome("root/plan/ask", 0, 1, value="a plan", attempts=2, cost={"tokens": 12.0})
        .outcome("root/plan", 0, 1)
        .outcome("root/write", 1, 3, status=Status.CANCELLED, reason="lost the race")
        .outcome("root", 0, 4, status=Status.ERROR, error=Error("json:BadJson", "line 3\nis odd"))
    )
    assert drawn(journal) == [
        "call                            time  critical  cost",
        "✗ root('root')                4.00 s       25%             BadJson: line 3 is odd",
        "├─ ✓ plan('root/plan')        1.00 s         ·             None",
        "│  └─ ✓ ask('root/plan/ask')  1.00 s       25%  tokens 12  2 attempts  'a plan'",
        "└─ ■ write('root/write')      2.00 s       50%             lost the race",
    ]


def test_of_many_calls_of_a_task_a_few_are_shown_and_all_are_counted() -> None:
    lines = lines_of(fan_out(10_000, failed=(5000, 6000, 7000, 8000, 9000)))
    folded = [line for line in lines if isinstance(line, Fold)]
    shown = [line for line in lines if isinstance(line, Line)]
    assert len(folded) == 1
    assert len(lines) < 30
    assert folded[0].number + len(shown) - 1 == 10_000
    assert sum(line.call.state is State.FAILED for line in shown) == tree.ODD_SHOWN
    assert folded[0].states[State.FAILED] == 2
    assert folded[0].cost["tokens"] == 2.0 * folded[0].number


def test_a_fold_says_what_it_hides() -> None:
    text = "\n".join(drawn(fan_out(100, failed=(1, 2, 3, 4, 5))))
    assert "more search calls: " in text
    assert "2 failed" in text
    assert "all together" in text


def test_a_few_calls_of_a_task_are_all_shown() -> None:
    assert not [line for line in lines_of(fan_out(8)) if isinstance(line, Fold)]


def test_all_shows_every_call() -> None:
    lines = lines_of(fan_out(500), Options(everything=True))
    assert len(lines) == 501
    assert all(isinstance(line, Line) for line in lines)


def test_very_many_lines_are_told_without_a_table() -> None:
    lines = drawn(fan_out(3000), Options(everything=True))
    assert len(lines) == 3002
    assert lines[2].split() == ["├─", "✓", "search('root/search0')", "100", "ms", "·", "tokens", "2", "None"]


def test_depth_bounds_the_levels_and_says_what_is_below() -> None:
    journal = Journal().outcome("root/a/b/c", 0, 1).outcome("root/a/b", 0, 1).outcome("root/a", 0, 1).outcome("root", 0, 1)
    lines = lines_of(journal, Options(depth=1))
    assert [(line.call.task, line.hidden) for line in lines if isinstance(line, Line)] == [("sky.root", 0), ("sky.a", 2)]
    assert len(lines_of(journal, Options(depth=0))) == 1
    assert "2 calls below" in "\n".join(drawn(journal, Options(depth=1)))


def test_a_task_is_shown_with_those_who_called_it() -> None:
    journal = (
        Journal()
        .outcome("root/a/search", 0, 1)
        .outcome("root/a/read", 0, 1)
        .outcome("root/a", 0, 1)
        .outcome("root/b", 0, 1)
        .outcome("root", 0, 1)
    )
    lines = lines_of(journal, Options(task="search"))
    assert [line.call.task for line in lines if isinstance(line, Line)] == ["sky.root", "sky.a", "sky.search"]


def test_a_deep_wide_tree_takes_a_screen_or_two_but_shows_the_critical_path() -> None:
    journal = Journal()
    for a in range(8):
        for b in range(8):
            for c in range(8):
                slow = 5.0 if (a, b, c) == (3, 4, 5) else 0.5
                journal.outcome(f"root/x{a}/y{b}/z{c}", 0, slow)
            journal.outcome(f"root/x{a}/y{b}", 0, 5.0 if (a, b) == (3, 4) else 0.5)
        journal.outcome(f"root/x{a}", 0, 5.0 if a == 3 else 0.5)
    lines = lines_of(journal.outcome("root", 0, 5))
    assert len(lines) < 2 * tree.LINES
    assert key_of("root/x3/y4/z5") in {line.call.key for line in lines if isinstance(line, Line)}


def test_a_call_chain_of_any_depth_can_be_shown() -> None:
    journal = Journal()
    path = "root" + "/down" * 3000
    while path:
        journal.outcome(path, 0, 1)
        path = path.rpartition("/")[0]
    assert len(lines_of(journal, Options(everything=True))) == 3001


def test_open_calls_of_a_crashed_run_are_marked() -> None:
    journal = Journal().start("root/send", 1, effect=True).outcome("root/plan/search", 0, 3)
    text = "\n".join(drawn(journal, status=RunStatus.RUNNING))
    assert "… root(…)" in text
    assert "an effect: it may have happened" in text
    assert f"… call {key_of('root/plan').hex()[:8]}" in text


def test_square_brackets_in_arguments_are_no_markup() -> None:
    text = "\n".join(drawn(Journal().outcome("root/a", 0, 1, label="['[red]', 1]").outcome("root", 0, 1)))
    assert "a(['[red]', 1])" in text


@hw.task
async def add_up(numbers: list[int]) -> int:
    return sum(numbers)


@hw.task
async def add_all() -> int:
    return sum(await hw.gather(add_up([1, 2, 3, 4, 5]), add_up([1, 2, 3, 4, 6]), add_up([7])))


def test_rows_that_read_alike_are_told_apart_by_their_keys() -> None:
    store = hw.MemoryStore()
    hw.run(add_all, store=store, run_id="run")
    recorded = read_run(store, "run")
    screen = Console(file=io.StringIO(), width=160, color_system=None)
    path = critical_path(recorded)
    screen.print(tree.draw(recorded, path, tree.select(recorded, path), screen.width))
    assert isinstance(screen.file, io.StringIO)
    rows = [line for line in screen.file.getvalue().splitlines() if "add_up" in line]
    keys = [call.key.hex()[:8] for call in recorded.calls.values() if call.label == "list of 5"]
    assert len(keys) == 2
    assert [sum(f"add_up(list of 5)  {key}" in row for row in rows) for key in keys] == [1, 1]
    assert [row for row in rows if "[7]" in row and "add_up([7])   " in row]
