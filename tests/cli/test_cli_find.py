"""Calls are found by key, or by task and arguments."""

from __future__ import annotations

import pytest

from headway.cli.find import find_call
from headway.errors import UsageError
from headway.journal.records import NO_PARENT, Outcome, Row, RunInfo, RunSpec, RunStatus
from headway.journal.recovery.recovered import encode_body
from headway.observe.reading import build_run
from headway.observe.recorded import RecordedRun


def key(text: str) -> bytes:
    return bytes.fromhex(text.ljust(32, "0"))


@pytest.fixture
def recorded() -> RecordedRun:
    calls = [
        ("abcd1", "sky.answer", "'why'"),
        ("abcd2", "sky.search", "'blue'"),
        ("1234", "sky.search", "'blue sky'"),
        ("feed", "sky.beef", "1"),
        ("fade", "sky.beef", "10"),
    ]
    rows = [Row(3, key(k), NO_PARENT, encode_body(Outcome(task, label, 0, 1.0, 2.0))) for k, task, label in calls]
    spec = RunSpec(run_id="sky", task="sky.answer", root=key("abcd1"))
    info = RunInfo(
        uid=1,
        spec=spec,
        status=RunStatus.DONE,
        fence=1,
        owner="",
        owned_since=0.0,
        lease_until=0.0,
        cancel_requested=False,
        error_floor=0,
        ended=0.0,
        nrows=4,
    )
    return build_run(info, enumerate(rows, 1))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("1234", "1234"),
        ("ABCD2", "abcd2"),
        ("answer", "abcd1"),
        ("sky.answer", "abcd1"),
        ("search:sky", "1234"),
        ("search('blue sky')", "1234"),
        ("search('blue')", "abcd2"),
        ("beef(1)", "feed"),
        ("beef:10", "fade"),
    ],
)
def test_a_call_is_found_by_its_key_or_its_task_and_arguments(recorded: RecordedRun, wanted: str, found: str) -> None:
    assert find_call(recorded, wanted).key == key(found)


def test_an_ambiguous_name_lists_the_candidates(recorded: RecordedRun) -> None:
    with pytest.raises(UsageError) as refused:
        find_call(recorded, "search:blue")
    assert str(refused.value).splitlines() == [
        "'search:blue' names 2 calls of run 'sky'; say which by its key:",
        "  abcd2000  sky.search('blue')  ok",
        "  12340000  sky.search('blue sky')  ok",
    ]
    with pytest.raises(UsageError, match="names 2 calls"):
        find_call(recorded, "abcd")


@pytest.mark.parametrize(
    ("wanted", "near"), [("serch", "search"), ("9999", "answer, beef, search"), ("search:green", "search"), ("", "answer")]
)
def test_an_unknown_call_names_what_there_is(recorded: RecordedRun, wanted: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"has no call {wanted!r}; it has calls of {near}"):
        find_call(recorded, wanted)
