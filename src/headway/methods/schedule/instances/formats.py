"""Problems from files: PSPLIB's `.sm` for projects, and the standard text of job shops.

    read_psplib(Path("j301_1.sm").read_text())
    read_job_shop("3 2\\n0 3 1 2\\n1 4 0 1\\n0 2 1 2\\n", name="tiny")

Both are read whole or refused with the line that is wrong. Only renewable resources and one mode are read: a file that has more is
refused, because leaving that out would make another problem of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import dropwhile, islice, takewhile

from headway.errors import UsageError
from headway.methods.schedule.instances.generate import shop_of
from headway.methods.schedule.problem import Activity, Problem, Resource

_COUNTS = {"jobs": r"jobs.*:\s*(\d+)", "renewable": r"-\s*renewable\s*:\s*(\d+)", "others": r"-\s*(?:non|doubly).*:\s*(\d+)"}


SMALL = """\
jobs (incl. supersource/sink ):  3
RESOURCES
  - renewable                 :  1   R
  - nonrenewable              :  0   N
PRECEDENCE RELATIONS:
jobnr.    #modes  #successors   successors
   1        1          1           2
   2        1          1           3
   3        1          0
REQUESTS/DURATIONS:
jobnr. mode duration  R 1
  1      1     0       0
  2      1     4       2
  3      1     0       0
RESOURCEAVAILABILITIES:
  R 1
   3
"""
"""The least file of PSPLIB: one job between a first and a last one that take no time."""


def read_psplib(text: str, name: str = "") -> Problem:
    """Read a project with one mode, as PSPLIB has them (`.sm`).

    Args:
        text: what is in the file.
        name: what the problem is called.

    Returns:
        Activities are called by their numbers, "1" to "n"; the first and the last take no time. Resources are "R1", "R2", ….

    Raises:
        UsageError: a section or a number is missing, or the file has several modes or resources that are not renewable.

    Example:
        >>> problem = read_psplib(SMALL)
        >>> problem["2"]
        Activity(name='2', duration=4, after=('1',), uses={'R1': 2}, release=0, deadline=None, due=None, weight=1)

    Source:
        Kolisch and Sprecher, 1997.
    """
    where = f"PSPLIB file {name!r}" if name else "PSPLIB file"
    jobs, renewable = (_count(text, what, where) for what in ("jobs", "renewable"))
    if any(int(found) for found in re.findall(_COUNTS["others"], text)):
        raise UsageError(f"{where}: it has resources that are not renewable, which are not read")
    after: dict[int, list[str]] = {number: [] for number in range(1, jobs + 1)}
    for line, row in _section(text, "PRECEDENCE RELATIONS", jobs, where):
        number, modes, count, *behind = row
        if modes != 1:
            raise UsageError(f"{where}, line {line}: job {number} has {modes} modes: only one mode is read")
        if len(behind) != count or any(other not in after for other in behind):
            raise UsageError(f"{where}, line {line}: job {number} has {count} successors from 1 to {jobs}, not {behind}")
        for other in behind:
            after[other].append(str(number))
    activities = []
    for line, row in _section(text, "REQUESTS/DURATIONS", jobs, where):
        if len(row) != 3 + renewable:
            raise UsageError(f"{where}, line {line}: {len(row)} numbers: a job, its mode, a duration and {renewable} amounts")
        number, _, duration, *amounts = row
        uses = {f"R{place}": amount for place, amount in enumerate(amounts, 1) if amount}
        activities.append(Activity(str(number), duration, tuple(after.get(number, ())), uses))
    ((line, capacities),) = _section(text, "RESOURCEAVAILABILITIES", 1, where)
    if len(capacities) != renewable:
        raise UsageError(f"{where}, line {line}: {len(capacities)} capacities for {renewable} resources")
    return Problem(tuple(activities), tuple(Resource(f"R{place}", size) for place, size in enumerate(capacities, 1)), name=name)


def read_job_shop(text: str, name: str = "") -> Problem:
    """Read a job shop in the standard text: a line with the numbers of jobs and machines, then a line for each job.

    Args:
        text: what is in the file. A job's line has a machine and a duration for each of its activities; lines that begin with "#"
            are passed over.
        name: what the problem is called.

    Returns:
        Activity "3.0" is the first one of job 3, "m2" is machine 2; both count from 0.

    Raises:
        UsageError: a line is missing, or has too few or senseless numbers.

    Example:
        >>> problem = read_job_shop("2 2\\n0 3 1 2\\n1 4 0 1\\n")
        >>> problem["1.1"]
        Activity(name='1.1', duration=1, after=('1.0',), uses={'m0': 1}, release=0, deadline=None, due=None, weight=1)

    Source:
        The "standard specification" of the OR-Library (Beasley, 1990).
    """
    where = f"job shop {name!r}" if name else "job shop"
    rows = [(line, words) for line, words in _lines(text) if words and not words[0].startswith("#")]
    if not rows or len(rows[0][1]) != 2:
        raise UsageError(f"{where}: the first line must have the numbers of jobs and machines, such as: 10 5")
    (jobs, machines), rows = _whole(where, *rows[0]), rows[1:]
    if len(rows) != jobs:
        raise UsageError(f"{where}: {len(rows)} lines for {jobs} jobs")
    shop = []
    for line, words in rows:
        numbers = _whole(where, line, words)
        if len(numbers) != 2 * machines or any(not 0 <= machine < machines for machine in numbers[::2]):
            raise UsageError(f"{where}, line {line}: {machines} pairs of a machine (0 to {machines - 1}) and a duration")
        shop.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return shop_of(shop, name)


def _count(text: str, what: str, where: str) -> int:
    found = re.search(_COUNTS[what], text)
    if not found:
        raise UsageError(f"{where}: no number of {what}: is it a file of PSPLIB?")
    return int(found[1])


def _section(text: str, title: str, count: int, where: str) -> Iterator[tuple[int, list[int]]]:
    """The rows of numbers under a title, each with the number of its line."""
    lines = list(_lines(text))
    begin = next((place for place, (_, words) in enumerate(lines) if " ".join(words).startswith(title)), None)
    if begin is None:
        raise UsageError(f"{where}: there is no section {title}")
    filled = [(line, words) for line, words in lines[begin + 1 :] if words]
    below = dropwhile(lambda row: not row[1][0][0].isdigit(), filled)  # headings of columns
    rows = list(islice(takewhile(lambda row: row[1][0][0].isdigit(), below), count))
    if len(rows) < count:
        raise UsageError(f"{where}: section {title} has {len(rows)} of {count} rows")
    for line, words in rows:
        yield line, _whole(where, line, words)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split()) for number, line in enumerate(text.splitlines(), 1))


def _whole(where: str, line: int, words: list[str]) -> list[int]:
    try:
        return [int(word) for word in words]
    except ValueError:
        raise UsageError(f"{where}, line {line}: {' '.join(words)[:60]!r}: whole numbers") from None
