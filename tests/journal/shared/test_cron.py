"""Lines of cron: what they name, and when they are due where clocks are changed."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import UsageError
from headway.journal.shared.cron import next_due, parse_cron

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def show(moment: float | None, zone: str) -> str:
    assert moment is not None
    return datetime.datetime.fromtimestamp(moment, zoneinfo.ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %z")


def due(line: str, after: str, count: int, zone: str = "UTC") -> list[str]:
    moment: float | None = at(after)
    found = []
    for _ in range(count):
        assert moment is not None
        moment = next_due(parse_cron(line), zone, moment)
        found.append(show(moment, zone))
    return found


@pytest.mark.parametrize(
    ("line", "times"),
    [
        ("*/20 * * * *", ["2026-01-01 00:20", "2026-01-01 00:40", "2026-01-01 01:00"]),
        ("30 2 * * *", ["2026-01-01 02:30", "2026-01-02 02:30", "2026-01-03 02:30"]),
        ("0 9-17/4 * * mon-fri", ["2026-01-01 09:00", "2026-01-01 13:00", "2026-01-01 17:00", "2026-01-02 09:00"]),
        ("0 0 29 feb *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("0 12 13 * fri", ["2026-01-02 12:00", "2026-01-09 12:00", "2026-01-13 12:00"]),
        ("0 12 */2 * fri", ["2026-01-09 12:00", "2026-01-23 12:00"]),
        ("5,7 0 1 1,jun *", ["2026-01-01 00:05", "2026-01-01 00:07", "2026-06-01 00:05"]),
        ("10/25 3 * * 7", ["2026-01-04 03:10", "2026-01-04 03:35", "2026-01-11 03:10"]),
        ("@daily", ["2026-01-02 00:00"]),
        ("@hourly", ["2026-01-01 01:00"]),
        ("@weekly", ["2026-01-04 00:00"]),
        ("@monthly", ["2026-02-01 00:00"]),
        ("@yearly", ["2027-01-01 00:00"]),
        ("@every 90m", ["2026-01-01 01:30", "2026-01-01 03:00"]),
        ("59 23 31 12 *", ["2026-12-31 23:59"]),
        ("* * 1 1 *", ["2026-01-01 00:01", "2026-01-01 00:02"]),
    ],
)
def test_a_line_is_due_when_it_says(line, times):
    assert due(line, "2026-01-01T00:00:00+00:00", len(times)) == [f"{time} +0000" for time in times]


def test_a_line_of_every_hour_skips_the_days_that_it_does_not_name():
    assert due("59 * 3 * *", "2026-01-03T22:59:00+00:00", 2) == ["2026-01-03 23:59 +0000", "2026-02-03 00:59 +0000"]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("* * * *", "4 fields"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of the month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day of the week"),
        ("* * * * sunny-day", "day of the week"),
        ("5-1 * * * *", "a range goes up"),
        ("*/0 * * * *", "a step is 1 or more"),
        ("a b c d e", "minute"),
        ("1; * * * *", "minute"),
        ("@sometimes", "1 fields"),
        ("@every soon", "@every 90s"),
        ("@every 0s", "@every 90s"),
        ("", "0 fields"),
    ],
)
def test_what_is_no_line_is_refused_with_the_field(line, word):
    with pytest.raises(UsageError, match=word):
        parse_cron(line)


def test_a_day_that_no_year_has_is_never_due():
    assert next_due(parse_cron("0 0 30 feb *"), "UTC", 0.0) is None
    assert next_due(parse_cron("0 * 30 feb *"), "UTC", 0.0) is None


def test_a_zone_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="no time zone 'Mars/Olympus'"):
        next_due(parse_cron("0 0 * * *"), "Mars/Olympus", 0.0)


def test_a_time_that_a_day_lacks_comes_as_much_later_as_the_clock_was_put_forward():
    assert due("30 2 * * *", "2026-03-28T00:00:00+01:00", 3, BERLIN) == [
        "2026-03-28 02:30 +0100",
        "2026-03-29 03:30 +0200",
        "2026-03-30 02:30 +0200",
    ]
    assert due("15 2 * * *", "2026-10-03T10:00:00+10:30", 2, LORD_HOWE) == ["2026-10-04 02:45 +1100", "2026-10-05 02:15 +1100"]


def test_a_time_that_a_day_has_twice_comes_once():
    assert due("30 2 * * *", "2026-10-24T12:00:00+02:00", 2, BERLIN) == ["2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"]
    assert due("30 1 * * *", "2026-10-31T12:00:00-04:00", 2, NEW_YORK) == ["2026-11-01 01:30 -0400", "2026-11-02 01:30 -0500"]


def test_two_times_that_a_change_makes_one_are_one():
    assert due("30 2,3 * * *", "2026-03-29T00:00:00+01:00", 2, BERLIN) == ["2026-03-29 03:30 +0200", "2026-03-30 02:30 +0200"]


def test_a_line_of_every_hour_goes_by_real_time_through_both_changes():
    assert due("*/30 * * * *", "2026-03-29T01:10:00+01:00", 3, BERLIN) == [
        "2026-03-29 01:30 +0100",
        "2026-03-29 03:00 +0200",
        "2026-03-29 03:30 +0200",
    ]
    assert due("30 * * * *", "2026-10-25T01:10:00+02:00", 4, BERLIN) == [
        "2026-10-25 01:30 +0200",
        "2026-10-25 02:30 +0200",
        "2026-10-25 02:30 +0100",
        "2026-10-25 03:30 +0100",
    ]


def test_midnight_that_a_day_lacks_is_no_trap():
    assert due("0 0 * * *", "2024-09-07T12:00:00-04:00", 2, "America/Santiago") == [
        "2024-09-08 01:00 -0300",
        "2024-09-09 00:00 -0300",
    ]


@given(
    st.sampled_from(["30 2 * * *", "0 */3 * * *", "*/17 * * * *", "0 0 * * mon", "5 1,2,3 * * *", "@every 7m"]),
    st.sampled_from(["UTC", BERLIN, NEW_YORK, LORD_HOWE, "Asia/Kathmandu", "Pacific/Apia"]),
    st.floats(0, 2e9),
    st.floats(0, 5e5),
)
def test_the_next_time_is_later_and_the_same_from_wherever_one_looks(line, zone, moment, apart):
    cron = parse_cron(line)
    first = next_due(cron, zone, moment)
    assert first is not None
    assert first > moment
    later = next_due(cron, zone, moment + apart)
    assert later is not None
    assert later >= first
    if moment + apart < first:
        assert later == first
