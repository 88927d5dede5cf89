"""Progress for people: lines where there is no terminal, and a summary at the end."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from headway.events import (
    BudgetChanged,
    BudgetOpened,
    CallEnded,
    CallProgress,
    CallSpawned,
    CallStarted,
    CallWaits,
    DeadlineOpened,
    RunEnded,
    RunStarted,
    Warned,
)
from headway.observe import display
from headway.observe.progress import Progress
from headway.observe.tally import Tally


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def console(*, tty: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=tty, width=120, color_system=None, legacy_windows=False)


def text_of(printed: Console) -> str:
    assert isinstance(printed.file, io.StringIO)
    return printed.file.getvalue()


def begin(progress: Progress, *, resumed: bool = False) -> None:
    progress(RunStarted(at=0.0, run_id="sky", task="answer", store="s", recorded=4312 * resumed, resumed=resumed))


def call(progress: Progress, number: int, at: float, *, task: str = "search", end: bool = True) -> None:
    key = f"{task}{number}"
    progress(CallSpawned(at=at, key=key, parent="", task=task, label=""))
    progress(CallStarted(at=at, key=key, task=task, attempt=1, pool="inline"))
    if end:
        progress(CallEnded(at=at, key=key, parent="", task=task, status="ok", started=at, attempts=1, cost={}))


def finish(progress: Progress, at: float, status: str = "done") -> None:
    progress(RunEnded(at=at, run_id="sky", status=status, calls=1, reused=0))


def test_without_a_terminal_a_line_is_printed_every_five_seconds(clock: Clock) -> None:
    with Progress(screen := console(tty=False), clock=clock) as progress:
        begin(progress)
        for number in range(24):
            call(progress, number, at=number / 2)
        finish(progress, at=12.0)
    lines = text_of(screen).splitlines()
    assert len(lines) == 3
    assert lines[0] == "sky 5.00 s: 10 done, 1 queued; 2 calls/s"
    assert lines[1] == "sky 10.0 s: 20 done, 1 queued; 2 calls/s"
    assert lines[2] == "✓ sky done in 12.0 s: 24 done"


def test_a_short_run_prints_its_summary_only(clock: Clock) -> None:
    with Progress(screen := console(tty=False), clock=clock) as progress:
        begin(progress)
        call(progress, 1, at=0.5)
        finish(progress, at=1.0, status="failed")
    assert text_of(screen) == "✗ sky failed in 1.00 s: 1 done\n"


def test_on_a_terminal_only_the_summary_stays(clock: Clock) -> None:
    with Progress(screen := console(tty=True), clock=clock) as progress:
        begin(progress)
        call(progress, 1, at=0.5)
        finish(progress, at=1.0)
    shown = text_of(screen)
    before, summary, after = shown.rpartition("✓ sky done in 1.00 s: 1 done\n")
    assert summary
    assert not after
    assert before.endswith("\x1b[2K")  # the display above it was wiped
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is back


def test_a_display_that_is_closed_without_an_end_gives_the_cursor_back(clock: Clock) -> None:
    progress = Progress(screen := console(tty=True), clock=clock)
    begin(progress)
    progress.close()
    progress.close()
    assert text_of(screen).count("\x1b[?25h") == 1


def test_the_view_says_what_there_is_to_say(clock: Clock) -> None:
    progress = Progress(console(tty=False), clock=clock)
    begin(progress, resumed=True)
    for number in range(3):
        call(progress, number, at=1.0, end=number > 0)
    progress(BudgetOpened(at=1.0, scope="b", parent="", limits={"tokens": 20_000.0}))
    progress(BudgetChanged(at=1.0, scope="b", spent={"tokens": 4311.0}, reserved={"tokens": 500.0}, closed=False))
    progress(DeadlineOpened(at=1.0, key="search0", deadline=62.0))
    clock.now = 2.0
    screen = console(tty=False)
    screen.print(progress.view())
    shown = text_of(screen)
    for part in (
        "sky  answer  2.00 s",
        "1 calls/s",
        "deadline in 1 min 0 s",
        "goes on from 4,312 recorded results",
        "2 done   1 running",
        "4,311 of 20,000 (500 reserved)",
    ):
        assert part in shown


def test_how_far_a_call_is_is_shown_until_it_ends(clock: Clock) -> None:
    progress = Progress(console(tty=False), clock=clock)

    def far(done: float) -> None:
        progress(CallProgress(at=1.0, key="train1", task="train", done=done, total=200, numbers={"loss": done / 100}))

    def shown() -> str:
        screen = console(tty=False)
        screen.print(progress.view())
        screen.print(display.line(progress.tally, now=2.0, rate=0.0))
        return text_of(screen)

    begin(progress)
    call(progress, 1, at=0.5, task="train", end=False)
    far(10)
    far(20)
    assert "   20 of 200, loss 0.2\n" in shown()
    assert "; train 20 of 200, loss 0.2; " in shown()
    assert "10 of 200" not in shown()
    progress(CallEnded(at=2.0, key="train1", parent="", task="train", status="ok", started=0.5, attempts=1, cost={}))
    assert "of 200" not in shown()
    far(30)  # a thread that nobody waits for any more
    assert "of 200" not in shown()


def test_hundreds_of_budgets_and_tasks_take_a_few_lines(clock: Clock) -> None:
    progress = Progress(console(tty=False), clock=clock)
    begin(progress)
    progress(BudgetOpened(at=0.0, scope="root", parent="", limits={"tokens": 100.0}))
    for number in range(300):
        call(progress, number, at=0.0, task=f"task{number}")
        progress(BudgetOpened(at=0.0, scope=f"b{number}", parent="root", limits={"tokens": 10.0}))
    screen = console(tty=False)
    screen.print(progress.view())
    shown = text_of(screen)
    assert "… 292 more tasks" in shown
    assert "… 298 more budgets inside" in shown
    assert len(shown.splitlines()) < 18


def test_a_warning_is_shown_once_and_many_are_cut_off(clock: Clock) -> None:
    progress = Progress(screen := console(tty=False), clock=clock)
    for number in range(20):
        progress(Warned(at=0.0, message="the disk is slow"))
        progress(Warned(at=0.0, message=f"number {number}"))
    lines = text_of(screen).splitlines()
    assert lines[0] == "warning: the disk is slow"
    assert lines[-1] == "warning: number 3 (later warnings are not shown here)"
    assert len(lines) == 5


def test_what_a_program_prints_to_a_pipe_is_not_touched(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    with Progress(screen := console(tty=True), clock=clock) as progress:
        begin(progress)
        print("a result")
        finish(progress, at=1.0)
    assert pipe.getvalue() == "a result\n"
    assert "a result" not in text_of(screen)


def test_the_units_of_budgets_that_calls_wait_for_are_shown_until_they_do_not() -> None:
    tally = Tally()
    for key in ("a", "b"):
        tally(CallWaits(at=0.0, key=key, task="sample", name="tokens", until=None, budget=True))
    assert "waits for budget tokens (2 calls)" in display.line(tally, 1.0, 0.0).plain
    for key in ("a", "b"):
        tally(CallWaits(at=1.0, key=key, task="sample", name="tokens", until=None, over=True, budget=True))
    assert "waits" not in display.line(tally, 1.0, 0.0).plain
