"""Lays out a picture of time: the axis, lanes for overlapping calls, and the number of running calls where there are too many to
draw.

Pure geometry, in seconds on one side and pixels on the other. It knows nothing of colours or of SVG.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

BREAK_PX = 26.0
BREAK_ABOVE = 0.25  # idle times longer than this part of the busy time are cut out


class Piece(NamedTuple):
    """A stretch of time that is drawn without a break."""

    began: float
    ended: float
    left: float
    right: float


class Axis:
    """Time to pixels, with long idle times (a run that was resumed the next day) cut out.

    >>> axis = Axis([(0.0, 10.0), (1000.0, 1010.0)], left=0.0, right=226.0)
    >>> [axis.x(t) for t in (0.0, 10.0, 1000.0, 1010.0)]
    [0.0, 100.0, 126.0, 226.0]
    """

    def __init__(self, spans: Sequence[tuple[float, float]], left: float, right: float) -> None:
        busy = _union(spans) or [(0.0, 1.0)]
        total = sum(ended - began for began, ended in busy)
        kept = [busy[0]]
        for began, ended in busy[1:]:
            if began - kept[-1][1] > max(1.0, BREAK_ABOVE * total):
                kept.append((began, ended))
            else:
                kept[-1] = (kept[-1][0], ended)
        if kept[-1][1] <= kept[0][0]:
            kept = [(kept[0][0], kept[0][0] + 1e-3)]
        gap = min(BREAK_PX, (right - left) / (2 * len(kept)))
        scale = (right - left - gap * (len(kept) - 1)) / max(1e-9, sum(ended - began for began, ended in kept))
        self.pieces: list[Piece] = []
        at = left
        for began, ended in kept:
            width = (ended - began) * scale
            self.pieces.append(Piece(began, ended, at, at + width))
            at += width + gap
        self.scale = scale
        self._begins = [piece.began for piece in self.pieces]

    @property
    def origin(self) -> float:
        return self.pieces[0].began

    def x(self, time: float) -> float:
        """The pixel of a time."""
        piece = self.pieces[max(0, bisect_right(self._begins, time) - 1)]
        return min(piece.right, max(piece.left, piece.left + (time - piece.began) * self.scale))

    def ticks(self, apart_px: float = 90.0) -> list[tuple[float, float]]:
        """`(seconds since the origin, pixel)` at round numbers of seconds, about `apart_px` apart."""
        step = _round_step(apart_px / self.scale)
        found: list[tuple[float, float]] = []
        for piece in self.pieces:
            number = math.ceil((piece.began - self.origin) / step - 1e-9)
            while number * step <= piece.ended - self.origin + 1e-9 * step:
                pixel = self.x(self.origin + number * step)
                if not found or pixel - found[-1][1] > apart_px / 2:
                    found.append((number * step, pixel))
                number += 1
        return found


def _union(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for began, ended in sorted(spans):
        if joined and began <= joined[-1][1]:
            if ended > joined[-1][1]:
                joined[-1] = (joined[-1][0], ended)
        else:
            joined.append((began, max(began, ended)))
    return joined


def _round_step(least: float) -> float:
    """The next 1, 2 or 5 times a power of ten.

    >>> [_round_step(s) for s in (0.03, 0.7, 3.0, 41.0)]
    [0.05, 1.0, 5.0, 50.0]
    """
    size = 10.0 ** math.floor(math.log10(max(least, 1e-9)))
    return next((round(size * m, 12) for m in (1, 2, 5) if size * m >= least * (1 - 1e-9)), round(size * 10, 12))


def pack(spans: Sequence[tuple[float, float]]) -> list[int]:
    """A lane for each span, as few lanes as there are spans at the same time, each span in the lowest free one; of spans that
    begin together the longest comes first.

    >>> pack([(0, 3), (1, 2), (2, 4), (3, 5)])
    [0, 1, 1, 0]
    """
    lanes = [0] * len(spans)
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    opened = 0
    for i in sorted(range(len(spans)), key=lambda i: (spans[i][0], -spans[i][1])):
        began, ended = spans[i]
        while busy and busy[0][0] <= began:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, opened = opened, opened + 1
        lanes[i] = lane
        heapq.heappush(busy, (ended, lane))
    return lanes


def running(spans: Iterable[tuple[float, float]], left: float, width: float, bins: int) -> list[float]:
    """How many of the spans, given in pixels, ran on average in each of `bins` equal stretches of `width` pixels.

    >>> running([(0.0, 4.0), (1.0, 2.0)], left=0.0, width=4.0, bins=4)
    [1.0, 2.0, 1.0, 1.0]
    """
    whole = [0.0] * (bins + 1)  # differences of what covers whole bins
    part = [0.0] * bins
    size = width / bins
    for began, ended in spans:
        low = min(max((began - left) / size, 0.0), float(bins))
        high = min(max((ended - left) / size, low), float(bins))
        first, last = min(int(low), bins - 1), min(int(high), bins - 1)
        if first == last:
            part[first] += high - low
            continue
        part[first] += first + 1 - low
        part[last] += high - last
        whole[first + 1] += 1.0
        whole[last] -= 1.0
    level = 0.0
    for i in range(bins):
        level += whole[i]
        part[i] += level
    return part
