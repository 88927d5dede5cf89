"""A picture of what ran when, as one SVG file that needs nothing else.

From top to bottom: the critical path; the calls that called others; then the calls that did the work, by pool. Calls are bars in
as few lanes as there are calls at a time, which for a pool is its slots. A group of too many bars is drawn as an area instead: how
many calls of each task ran at each moment. So the picture is readable, and its file small, from one call to 100,000.

Red is kept for failures. The picture never leaves out a failure: where bars are too many, each moment's failures are marks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from headway.observe import words
from headway.observe.critical import CriticalPath, critical_path
from headway.observe.pictures.lanes import Axis, pack, running
from headway.observe.pictures.svg import OTHER, PALETTE, Drawing, swatch_style
from headway.observe.recorded import Call, RecordedRun, State

WIDTH = 1280
LEFT, RIGHT = 112.0, 24.0
BARS = 5000  # of one group; more are drawn as an area
LANES = 160
CALLER_LANES = 40
BAND_PX = 150.0
GROUP_GAP = 16.0
CALLERS = "callers"


class Group(NamedTuple):
    """Calls that are drawn together."""

    name: str
    calls: list[Call]


def draw_gantt(recorded: RecordedRun, path: CriticalPath | None = None) -> str:
    """The picture, as the text of an SVG file."""
    return _Gantt(recorded, path or critical_path(recorded)).svg()


def groups_of(recorded: RecordedRun) -> list[Group]:
    """The calls that called others, then the others by pool; only those that ever started."""
    callers: list[Call] = []
    pools: dict[str, list[Call]] = {}
    for call in recorded.calls.values():
        if not call.started:
            continue
        if recorded.children.get(call.key):
            callers.append(call)
        else:
            pools.setdefault(call.pool or "calls", []).append(call)
    found = [Group(CALLERS, callers)] if callers else []
    return found + [Group(name, pools[name]) for name in sorted(pools)]


class _Gantt:
    def __init__(self, recorded: RecordedRun, path: CriticalPath) -> None:
        self.recorded = recorded
        self.path = path
        self.groups = groups_of(recorded)
        spans = [recorded.span(call) for group in self.groups for call in group.calls]
        self.axis = Axis(spans, LEFT, WIDTH - RIGHT)
        self.colours = self._colours()
        self.drawing = Drawing(WIDTH)

    def _colours(self) -> dict[str, str]:
        """A colour for each of the tasks that took the most time; grey for the rest."""
        total: defaultdict[str, float] = defaultdict(float)
        for group in self.groups:
            for call in group.calls:
                began, ended = self.recorded.span(call)
                total[call.task] += (ended - began) * (0.01 if group.name == CALLERS else 1.0) + 1e-9
        ranked = sorted(total, key=total.__getitem__, reverse=True)
        return {task: PALETTE[i] if i < len(PALETTE) else OTHER for i, task in enumerate(ranked)}

    def svg(self) -> str:
        y = self._title()
        y = self._legend(y)
        top = y
        y = self._critical(y) + GROUP_GAP
        for group in self.groups:
            y = (self._area(group, y) if self._is_crowded(group) else self._bars(group, y)) + GROUP_GAP
        self.drawing.time_axis(self.axis, top, y - GROUP_GAP / 2)
        return self.drawing.finish(y + 26)

    def _is_crowded(self, group: Group) -> bool:
        most = CALLER_LANES if group.name == CALLERS else LANES
        return len(group.calls) > BARS or max(pack(self._spans(group)), default=0) >= most

    def _spans(self, group: Group, least_px: float = 1.0) -> list[tuple[float, float]]:
        """In pixels, each at least one wide, so that what is packed is what is seen."""
        spans = []
        for call in group.calls:
            began, ended = self.recorded.span(call)
            left = self.axis.x(began)
            spans.append((left, max(self.axis.x(ended), left + least_px)))
        return spans

    # --- head ----------------------------------------------------------------------------------------------------------

    def _title(self) -> float:
        recorded, info = self.recorded, self.recorded.info
        counts = recorded.count()
        told = ", ".join(f"{number:,} {state.said}" for state, number in counts.items() if number)
        self.drawing.text(LEFT, 34, f"{info.spec.run_id}: {info.spec.task}", "title")
        wall = words.seconds(self.path.wall_s)
        self.drawing.text(LEFT, 54, f"{info.status}, {words.count(len(recorded.calls), 'call')} ({told}), {wall}", "sub")
        return 70.0

    def _legend(self, y: float) -> float:
        number: Counter[str] = Counter()
        busy: dict[str, float] = {}
        for call in self.recorded.calls.values():
            if call.started:
                began, ended = self.recorded.span(call)
                number[call.task] += 1
                busy[call.task] = busy.get(call.task, 0.0) + ended - began
        entries = [
            (swatch_style(colour), f"{self._name(task)} ×{number[task]:,}, {words.seconds(busy[task])}")
            for task, colour in self.colours.items()
            if colour != OTHER
        ]
        if rest := sum(colour == OTHER for colour in self.colours.values()):
            entries.append((swatch_style(OTHER), words.count(rest, "other task")))
        states = self.recorded.count()
        marks = (State.FAILED, State.CANCELLED, State.OPEN)
        entries += [(f'fill="url(#{state})"', state.said) for state in marks if states[state]]
        return self.drawing.legend(entries, y, LEFT, WIDTH - RIGHT)

    def _name(self, task: str) -> str:
        return self.recorded.names.get(task, task) or "not named"

    # --- rows ----------------------------------------------------------------------------------------------------------

    def _critical(self, y: float) -> float:
        """One bar from start to end. Segments narrower than a pixel share it: the task with the most time there has it."""
        self.drawing.text(LEFT - 10, y + 13, "critical path", "row")
        narrow: dict[int, Counter[str]] = {}
        for segment in self.path.segments:
            left, right = self.axis.x(segment.began), self.axis.x(segment.ended)
            call = self.recorded.calls[segment.key]
            if right - left < 1.0:
                narrow.setdefault(int(left), Counter())[call.task] += max(1, round((right - left) * 1e6))
                continue
            share = words.seconds(self.path.shares[call.key])
            said = f"{words.clip(call.name, 200)}\n{share} of the critical path, {self.path.fraction(call.key):.0%}"
            self.drawing.rect(left, y, right - left, 18, f'fill="{self.colours.get(call.task, OTHER)}"', said)
            self.drawing.label(left, y + 13, right - left, self._name(call.task))
        for pixel, tasks in narrow.items():
            task = tasks.most_common(1)[0][0]
            self.drawing.rect(pixel, y, 1, 18, f'fill="{self.colours.get(task, OTHER)}"')
        return y + 18

    def _bars(self, group: Group, y: float) -> float:
        spans = self._spans(group)
        lanes = pack(spans)
        number = max(lanes, default=0) + 1
        height = min(22.0, max(3.0, 520.0 / number))
        gap = 2.0 if height > 8 else 0.5
        self._row_name(group, y, number * height)
        for call, (left, right), lane in zip(group.calls, spans, lanes, strict=True):
            top = y + lane * height
            faint = ' opacity="0.55"' if group.name == CALLERS else ""
            style = f'fill="{self.colours[call.task]}"{faint}' + (' rx="2"' if height > 8 and right - left > 5 else "")
            self.drawing.rect(left, top, right - left, height - gap, style, self._said(call))
            if call.state in (State.FAILED, State.CANCELLED, State.OPEN, State.RETRYING):
                mark = State.OPEN if call.state is State.RETRYING else call.state
                self.drawing.rect(left, top, right - left, height - gap, f'fill="url(#{mark})" pointer-events="none"')
            for attempt in self.recorded.failures.get(call.key, ()):
                self.drawing.rect(self.axis.x(attempt.ended) - 1, top, 2, height - gap, 'class="notch"', attempt.error.message)
            if height >= 14:
                kind = "in" if call.state is State.OK and group.name != CALLERS else "on"
                self.drawing.label(left, top + height / 2 + 3, right - left, f"{self._name(call.task)} {call.label}", kind)
        return y + number * height

    def _area(self, group: Group, y: float) -> float:
        """How many calls of each task ran at each moment, one on top of the other."""
        bins = int((WIDTH - RIGHT - LEFT) / 2)
        spans: dict[str, list[tuple[float, float]]] = {}
        failed = [0] * bins
        for call, span in zip(group.calls, self._spans(group, 0.0), strict=True):
            colour = self.colours[call.task]
            spans.setdefault(colour, []).append(span)
            if call.state is State.FAILED:
                failed[min(bins - 1, int((span[1] - LEFT) / 2))] += 1
        layers = [(c, running(spans[c], LEFT, bins * 2.0, bins)) for c in (*PALETTE, OTHER) if c in spans]
        peak = max((sum(column) for column in zip(*(layer for _, layer in layers), strict=True)), default=1.0) or 1.0
        self._row_name(group, y, BAND_PX)
        self.drawing.text(LEFT - 10, y + 30, f"up to {words.amount(round(peak) or 1)} at once", "small")
        base = [0.0] * bins
        for colour, layer in layers:
            tops = [low + value for low, value in zip(base, layer, strict=True)]
            self.drawing.area(LEFT, y + BAND_PX, 2.0, BAND_PX / peak, base, tops, colour)
            base = tops
        self._area_titles(layers, failed, y)
        return y + BAND_PX + 6

    def _area_titles(self, layers: Sequence[tuple[str, list[float]]], failed: list[int], y: float) -> None:
        tasks = {colour: self._name(task) for task, colour in self.colours.items() if colour != OTHER}
        for i, number in enumerate(failed):
            said = [f"{tasks.get(c, 'others')}: {words.amount(round(layer[i], 1))}" for c, layer in layers if layer[i] > 0.05]
            if number:
                said.append(f"{number:,} failed here")
                self.drawing.rect(LEFT + i * 2, y + BAND_PX + 1, 2, 5, 'class="notch"')
            if said:
                self.drawing.rect(LEFT + i * 2, y, 2, BAND_PX + 6, 'class="probe"', "\n".join(said))

    def _row_name(self, group: Group, y: float, height: float) -> None:
        self.drawing.text(LEFT - 10, y + 13, group.name, "row")
        self.drawing.rect(LEFT, y - 2, WIDTH - RIGHT - LEFT, height + 2, 'class="band"')

    def _said(self, call: Call) -> str:
        """What a tooltip says."""
        began, ended = self.recorded.span(call)
        lines = [
            words.clip(call.name, 200),
            f"{call.state.said}, {words.seconds(ended - began)}, from {began - self.axis.origin:,.3f} s",
        ]
        if call.attempts > 1:
            lines.append(f"{call.attempts} attempts")
        if call.cost:
            lines.append(words.amounts(call.cost))
        if call.error is not None and call.state is not State.OK:
            lines.append(words.clip(f"{call.error.type.rpartition(':')[2]}: {call.error.message}", 200))
        return "\n".join(lines)
