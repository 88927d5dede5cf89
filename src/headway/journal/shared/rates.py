"""A rate: at most so many starts in any window of a length, never twice as many.

A bucket of tokens lets a full bucket through and what flows in meanwhile, so twice the rate in its first window. Here the times of
starts are kept, and one more may begin when fewer than the rate have begun within the last window. A rate of more than `SLICES`
keeps its starts by slices of the window, each counted at its latest start: memory is bounded, no window holds more than the rate,
and what is lost is less than a slice. This file must never forget a start before its window is over.
"""

from __future__ import annotations

import math
from bisect import insort

SLICES = 200

Marks = list[tuple[float, int]]  # (when, how many), in order


def whole_rate(rate: float, per_s: float) -> tuple[int, float]:
    """How many starts, and the seconds in which they are allowed.

    A fraction of a start can't begin: 2.5 in 10 s are 2, for a window with 3 would hold too many. Less than one is one in a longer
    window.

    >>> whole_rate(10, 60), whole_rate(2.5, 10), whole_rate(0.5, 10)
    ((10, 60.0), (2, 10.0), (1, 20.0))
    """
    return (math.floor(rate + 1e-9), float(per_s)) if rate >= 1 else (1, per_s / rate)


def add_mark(marks: Marks, at: float, count: int, most: int, length_s: float) -> None:
    """Note that `count` began at a time. Starts of one slice are counted at the latest of them."""
    if most > SLICES:
        piece = length_s / SLICES
        for place in range(len(marks) - 1, -1, -1):
            when, number = marks[place]
            if when // piece == at // piece:
                marks[place] = (max(when, at), number + count)
                return
            if when < at:
                break
    insort(marks, (at, count))


def drop_marks(marks: Marks, now: float, length_s: float) -> None:
    """Forget starts whose window is over."""
    over = 0
    while over < len(marks) and marks[over][0] + length_s <= now:
        over += 1
    del marks[:over]


def next_room(marks: Marks, most: int, length_s: float, slack_s: float = 0.0) -> tuple[float, int]:
    """The first time at which one more may begin though `marks` hold all that are allowed, and how many may then, those included
    that are free at most `slack_s` later. `(-inf, n)` where n may begin at once, `(inf, 0)` where none ever may.

    >>> next_room([(1.0, 2), (3.0, 1)], 3, 10.0)
    (11.0, 2)
    """
    held = sum(count for _, count in marks)
    if held < most:
        return -math.inf, most - held
    at = limit = math.inf
    for when, count in marks:
        if held < most and when + length_s > limit:
            break
        held -= count
        if held < most:
            at = when + length_s
            limit = min(limit, at + slack_s)
    return (at, most - held) if held < most else (math.inf, 0)


class Window:
    """The starts of one process, by a clock that nobody sets."""

    def __init__(self, rate: float, per_s: float) -> None:
        self.most, self.length_s = whole_rate(rate, per_s)
        self.marks: Marks = []
        self.held = 0
        self.pending = 0  # promised to calls whose code has not begun

    def set(self, rate: float, per_s: float) -> None:
        """Set another rate. Starts under the former one still count."""
        self.most, self.length_s = whole_rate(rate, per_s)

    def wait_s(self, now: float) -> float:
        """Seconds until one more may start: 0 now, inf where that depends on when those begin that have been promised."""
        marks = self.marks
        if marks and marks[0][0] + self.length_s <= now:
            drop_marks(marks, now, self.length_s)
            self.held = sum(count for _, count in marks)
        if self.held + self.pending < self.most:
            return 0.0
        left = self.held + self.pending - self.most
        for when, count in marks:
            if left < count:
                return max(1e-6, when + self.length_s - now)
            left -= count
        return math.inf

    def drop_promise(self) -> None:
        """One that was promised never begins. There may be none: a block of the same name began to count later."""
        self.pending = max(0, self.pending - 1)

    def begun(self, now: float) -> None:
        """A promised one has begun."""
        self.drop_promise()
        self.held += 1
        marks = self.marks
        if self.most <= SLICES and (not marks or marks[-1][0] <= now):
            marks.append((now, 1))
        else:
            add_mark(marks, now, 1, self.most, self.length_s)
