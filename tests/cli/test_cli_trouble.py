"""What the command line says when something fails: a sentence, a traceback of the user's own, an exit code."""

from __future__ import annotations

import errno

import pytest

from headway.cli.trouble import sentence, tell, user_traceback
from headway.errors import BudgetExceeded, HeadwayError, Interrupted, RunCancelled, StoreFull, UnknownRun, UsageError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BudgetExceeded("no money"), 1),
        (UsageError("no such option"), 2),
        (UnknownRun("no run"), 3),
        (RunCancelled("it was cancelled"), 3),
        (StoreFull(errno.ENOSPC, "the disk is full"), 3),
        (Interrupted("stopped"), 130),
    ],
)
def test_an_error_is_a_sentence_and_an_exit_code(error: HeadwayError, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(error, full=False) == code
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"{sentence(error)}\n")
    assert "Errno" not in printed.err


def test_a_traceback_keeps_causes_and_groups_of_the_user() -> None:
    def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ExceptionGroup("both", [ValueError("one"), TypeError("two")]) from error

    with pytest.raises(ExceptionGroup) as raised:
        fail()
    told = user_traceback(raised.value)
    for part in ("KeyError: 'inner'", "ExceptionGroup: both", "ValueError: one", "TypeError: two", "in fail"):
        assert part in told


def test_an_error_that_the_runtime_met_on_its_way_is_not_told() -> None:
    try:
        exec(compile("raise RuntimeError('no running event loop')", "/x/asyncio/loop.py", "exec"))
    except RuntimeError:
        try:
            raise ValueError("mine")
        except ValueError as error:
            told = user_traceback(error)
    assert "event loop" in told  # this test's own frame is in it

    context = RuntimeError("no running event loop")
    mine = ValueError("mine")
    mine.__context__ = context
    assert "event loop" not in user_traceback(mine)
