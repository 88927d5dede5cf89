"""How much of a resource is free, over time: where something fits, and taking it.

A timeline is a step function over whole numbers. It is mutable and lives as long as one schedule is made. It must never be handed
out: what leaves a scheduler is the `Schedule`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from headway.methods.schedule.problem import Problem


class Timeline:
    """What is free of one resource: `free[i]` from `times[i]` on."""

    def __init__(self, capacity: int, down: Sequence[tuple[int, int]] = ()) -> None:
        self.times, self.free = [0], [capacity]
        for start, end in down:
            for place in range(self._cut(start), self._cut(end)):
                self.free[place] = 0

    def next_fit(self, start: int, duration: int, amount: int) -> int:
        """The first time, from `start` on, from which `amount` is free for a whole `duration`."""
        if not duration:
            return start
        times, free = self.times, self.free
        place, last = bisect_right(times, start) - 1, len(times)
        while place < last and times[place] < start + duration:
            if free[place] < amount:
                start = times[place + 1]  # all is free behind the last step, so there is a next one
            place += 1
        return start

    def take(self, start: int, duration: int, amount: int) -> None:
        """Use `amount` from `start` for a `duration`."""
        if duration:
            for place in range(self._cut(start), self._cut(start + duration)):
                self.free[place] -= amount

    def _cut(self, time: int) -> int:
        """The place of the step that begins at a time; one is made where there is none."""
        place = bisect_right(self.times, time) - 1
        if self.times[place] == time:
            return place
        self.times.insert(place + 1, time)
        self.free.insert(place + 1, self.free[place])
        return place + 1


@dataclass(frozen=True, slots=True)
class Need:
    """What an activity takes of a timeline."""

    timeline: Timeline
    amount: int


class Shop:
    """All timelines of a problem, and what each activity needs of them: its resources, and one unit for each group of `apart`."""

    def __init__(self, problem: Problem) -> None:
        self._durations = [each.duration for each in problem.activities]
        lines = {each.name: Timeline(each.capacity, each.down) for each in problem.resources}
        self._needs = [[Need(lines[name], amount) for name, amount in each.uses.items()] for each in problem.activities]
        for group in problem.apart:
            alone = Timeline(1)
            for name in group:
                self._needs[problem.numbers[name]].append(Need(alone, 1))

    def next_fit(self, number: int, start: int) -> int:
        """The first time, from `start` on, at which an activity finds all it needs."""
        duration, needs = self._durations[number], self._needs[number]
        found, settled = start, 0
        while settled < len(needs):
            for need in needs:
                later = need.timeline.next_fit(found, duration, need.amount)
                settled = settled + 1 if later == found else 1
                found = later
                if settled >= len(needs):
                    break
        return found

    def take(self, number: int, start: int) -> None:
        """Let an activity run from `start`."""
        for need in self._needs[number]:
            need.timeline.take(start, self._durations[number], need.amount)
