"""Times of the clock on the wall, by a line of cron, in any time zone.

Five fields: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday). A field is `*`, a number, a name, a range
`1-5`, a step `*/10` or `8-18/2`, or a list of these. Where both kinds of day are given, either will do, as in every cron.
`@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly` stand for lines, and `@every 90s` (s, m, h, d) counts from 1970.

When clocks are changed, a line that names hours is due once on each day that it names: at a time that the day has twice, the first
time; at one that the day lacks, as much after the hour was left out as it would have been into it (02:30 is 03:30). A line of every
hour goes by real time: it is due in both of the hours that look alike, and in none that is not there.

This is 150 lines of our own because what a due time is must be the same on every machine that fires it.
"""

from __future__ import annotations

import datetime
import functools
import re
import zoneinfo
from typing import NamedTuple

from headway.errors import UsageError

_DAYS = 366 * 9  # the longest time between two 29ths of February
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = {
    name: number
    for number, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}
_WEEKDAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Cron(NamedTuple):
    """A line of cron."""

    minutes: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()  # 0 is Sunday
    any_day: bool = True  # the field of days of the month begins with a star
    any_weekday: bool = True
    every_s: int = 0  # and nothing else

    def is_on(self, day: datetime.date) -> bool:
        """Whether the line names this day."""
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (in_month and in_week) if self.any_day or self.any_weekday else (in_month or in_week)


@functools.lru_cache(maxsize=1024)
def parse_cron(line: str) -> Cron:
    """Read a line of cron.

    >>> parse_cron("*/30 8-9 * * mon").minutes
    (0, 30)

    Raises:
        UsageError: it is none.
    """
    text = " ".join(line.lower().split())
    if text.startswith("@every"):
        match = re.fullmatch(r"@every ?(\d+)([smhd])", text)
        if match is None or not int(match[1]):
            raise UsageError(f"cron line {line!r}: write the time between two runs as in '@every 90s' (s, m, h, d)")
        return Cron(every_s=int(match[1]) * _UNITS[match[2]])
    fields = _NICKNAMES.get(text, text).split()
    if len(fields) != 5:
        raise UsageError(
            f"cron line {line!r} has {len(fields)} fields, not 5: minute, hour, day of the month, month, day of the week; "
            "'30 2 * * mon' is 02:30 on Mondays"
        )
    minute, hour, day, month, weekday = fields
    return Cron(
        minutes=tuple(sorted(_read(line, "minute", minute, 0, 59))),
        hours=tuple(sorted(_read(line, "hour", hour, 0, 23))),
        days=_read(line, "day of the month", day, 1, 31),
        months=_read(line, "month", month, 1, 12, _MONTHS),
        weekdays=frozenset(number % 7 for number in _read(line, "day of the week", weekday, 0, 7, _WEEKDAYS)),
        any_day=day[0] in "*?",
        any_weekday=weekday[0] in "*?",
    )


def _read(line: str, what: str, field: str, first: int, last: int, names: dict[str, int] | None = None) -> frozenset[int]:
    """The numbers that a field names."""
    found: set[int] = set()
    for part in field.split(","):
        match = re.fullmatch(r"(?:([*?])|(\w+)(?:-(\w+))?)(?:/(\d+))?", part)
        if match is None:
            raise UsageError(f"cron line {line!r}: {part!r} is no {what}: write a number, a range, a step or a list of these")
        star, low, high, step = match.groups()
        begin = first if star else _number(line, what, low, first, last, names)
        end = last if star or (step and not high) else _number(line, what, high or low, first, last, names)
        if begin > end or step == "0":
            raise UsageError(f"cron line {line!r}: {part!r} names no {what}: a range goes up, a step is 1 or more")
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def _number(line: str, what: str, text: str, first: int, last: int, names: dict[str, int] | None) -> int:
    number = (names or {}).get(text[:3]) if not text.isdigit() else int(text)
    if number is None or not first <= number <= last:
        raise UsageError(f"cron line {line!r}: {text!r} is no {what}: it goes from {first} to {last}")
    return number


def find_zone(name: str) -> zoneinfo.ZoneInfo:
    """The time zone of a name. Raises UsageError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"there is no time zone {name!r} here: name one as in 'Europe/Berlin', or 'UTC'; where the system has none at all, "
            "pip install tzdata"
        ) from error


def next_due(cron: Cron, zone: str, after: float) -> float | None:
    """The first time after `after` at which a line is due, in seconds since 1970; None where it never is, as on 30 February."""
    if cron.every_s:
        return float((int(after // cron.every_s) + 1) * cron.every_s)
    where = find_zone(zone)
    if len(cron.hours) == 24:
        return _next_of_every_hour(cron, where, after)
    day = datetime.datetime.fromtimestamp(after, where).date() - datetime.timedelta(days=1)
    for _ in range(_DAYS):
        if cron.is_on(day) and (left := [at for at in _times_of(cron, where, day) if at > after]):
            return min(left)
        day += datetime.timedelta(days=1)
    return None


def _times_of(cron: Cron, where: zoneinfo.ZoneInfo, day: datetime.date) -> list[float]:
    """When a line is due on a day. A time that is not there is read by the clock of before the change."""
    times = [datetime.time(hour, minute) for hour in cron.hours for minute in cron.minutes]
    return [datetime.datetime.combine(day, time, where).timestamp() for time in times]


def _next_of_every_hour(cron: Cron, where: zoneinfo.ZoneInfo, after: float) -> float | None:
    at = (int(after // 60) + 1) * 60
    until = after + _DAYS * 86_400
    while at < until:
        local = datetime.datetime.fromtimestamp(at, where)
        if not cron.is_on(local.date()):
            midnight = datetime.datetime.combine(local.date() + datetime.timedelta(days=1), datetime.time(), where)
            at = max(at + 60, int(midnight.timestamp()) // 60 * 60)
        elif local.minute in cron.minutes:
            return float(at)
        else:
            at += 60
    return None
