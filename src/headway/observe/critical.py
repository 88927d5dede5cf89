"""The critical path of a run: the chain of calls that decided how long it took.

It is found backwards, from the end of the root to its start. At each point of time the question is "what was the run waiting for?":

- A call that is open was waiting for the child that ended last before that point; between that child's end and the point, the
  call's own code ran. So from a call's end one goes down into its last child, and into that one's last child, and so on.
- At the start of a call one asks what let it start: of the calls whose handles were its arguments (its edges) and of its
  siblings (the other children of its parent), the one whose end was the latest before this start. The time between the two is
  the parent's own.
- A call that waited for nobody since its parent began was started by its parent, whose own time it is since the parent's
  start; then one asks the same of the parent.

So every moment between the root's start and end belongs to exactly one call. The shares add up to the wall time, and the calls with
the largest shares are the ones to make faster. Siblings are taken as dependent by time alone: the journal doesn't say what a
program awaited, and a program that starts B after A ended nearly always waited for A. Calls that ended before the root began
(reused from an earlier drive of the run) took no time in this one and are on no path. An open call is assumed to last until the
last recorded moment, and a call that took no time is skipped.

A pure function of a recorded run. Its time must stay linear in the path, apart from sorting the children of the calls on it.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from headway.observe.recorded import Call, RecordedRun


class Segment(NamedTuple):
    """A stretch of the wall time that was spent in a call's own code (or in waiting to start what it called)."""

    key: bytes
    began: float
    ended: float


class CriticalPath(NamedTuple):
    segments: list[Segment]  # oldest first, without gaps
    shares: dict[bytes, float]  # seconds per call on the path, those that only waited included, with 0

    @property
    def wall_s(self) -> float:
        return self.segments[-1].ended - self.segments[0].began if self.segments else 0.0

    def fraction(self, key: bytes) -> float:
        """The part of the wall time that a call on the path is responsible for, from 0 to 1."""
        return self.shares.get(key, 0.0) / self.wall_s if self.wall_s > 0 else 0.0


def critical_path(recorded: RecordedRun) -> CriticalPath:
    """Find the critical path of a recorded run: see the top of this file.

    A run of two calls one after the other, `a` for 2 s and `b` for 3 s, under a root that takes 6 s, gives a 2 s, b 3 s, root 1 s.
    """
    return _Walk(recorded).path()


class _Walk:
    def __init__(self, recorded: RecordedRun) -> None:
        self.recorded = recorded
        self.now = 0.0
        self.segments: list[Segment] = []
        self.shares: dict[bytes, float] = {}
        self.ends: dict[bytes, tuple[list[float], list[Call]]] = {}

    def path(self) -> CriticalPath:
        root = self.recorded.calls[self.recorded.root]
        self.floor, self.now = self.recorded.span(root)
        call = self._descend(root)
        while True:
            started = self._started(call)
            self._spend(call.key, started)
            before = self._enabler(call)
            if before is not None:
                self._spend(self.recorded.parent_of(call.key), self.recorded.span(before)[1])
                call = self._descend(before)
            elif call.key == root.key:
                break
            else:
                call = self.recorded.calls[self.recorded.parent_of(call.key)]
                self.shares.setdefault(call.key, 0.0)
        self.segments.reverse()
        return CriticalPath(_join(self.segments), self.shares)

    def _started(self, call: Call) -> float:
        return max(self.floor, min(self.recorded.span(call)[0], self.now))

    def _spend(self, key: bytes, since: float) -> None:
        """Give the time from `since` to now to a call."""
        since = max(self.floor, since)
        self.shares.setdefault(key, 0.0)
        if since < self.now:
            self.shares[key] += self.now - since
            self.segments.append(Segment(key, since, self.now))
            self.now = since

    def _descend(self, call: Call) -> Call:
        """From a call's end to the deepest call that it was waiting for."""
        while True:
            self.shares.setdefault(call.key, 0.0)
            child = self._latest(call.key, self.now)
            if child is None:
                return call
            self._spend(call.key, self.recorded.span(child)[1])
            call = child

    def _enabler(self, call: Call) -> Call | None:
        """What ended last before this call started: a sibling, or a call whose handle it was given."""
        parent = self.recorded.calls[self.recorded.parent_of(call.key)]
        began, span = self.recorded.span(parent)[0], self.recorded.span
        candidates = [self.recorded.calls[edge] for edge in call.edges if edge in self.recorded.calls]
        candidates = [c for c in candidates if self._is_before(c) and span(c)[1] >= began]
        if call.key != self.recorded.root:
            if (sibling := self._latest(parent.key, self.now)) is not None:
                candidates.append(sibling)
        return max(candidates, key=lambda c: self.recorded.span(c)[1], default=None)

    def _is_before(self, call: Call) -> bool:
        began, ended = self.recorded.span(call)
        return self.floor <= began < ended <= self.now

    def _latest(self, parent: bytes, time: float) -> Call | None:
        """The child that ended last, no later than `time`, and took place in this drive."""
        ends, calls = self._ends_of(parent)
        index = bisect_right(ends, time) - 1
        while index >= 0 and ends[index] > self.floor:
            if self._is_before(calls[index]):
                return calls[index]
            index -= 1
        return None

    def _ends_of(self, parent: bytes) -> tuple[list[float], list[Call]]:
        """The children of a call that took time, by end."""
        found = self.ends.get(parent)
        if found is None:
            span = self.recorded.span
            calls = [call for call in self.recorded.calls_under(parent) if span(call)[0] < span(call)[1]]
            calls.sort(key=lambda call: (span(call)[1], call.seq))
            found = self.ends[parent] = ([span(call)[1] for call in calls], calls)
        return found


def _join(segments: list[Segment]) -> list[Segment]:
    """Segments of the same call that touch become one."""
    joined: list[Segment] = []
    for segment in segments:
        if joined and joined[-1].key == segment.key and joined[-1].ended == segment.began:
            joined[-1] = Segment(segment.key, joined[-1].began, segment.ended)
        else:
            joined.append(segment)
    return joined
