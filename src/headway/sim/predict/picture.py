"""The picture of a prediction, as one SVG file that needs nothing else.

Above: how the makespans came out, trial by trial, with the deadline where there is one. Below: what other numbers of workers would
do, from one in ten to nine in ten of the trials, above the two bounds that no schedule beats; and what it would cost. Red is kept
for what comes too late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headway.observe import words
from headway.observe.pictures.svg import PALETTE, Drawing, Scale
from headway.sim.predict.answer import Point, Prediction, Spread

WIDTH = 960
LEFT, RIGHT = 112.0, 40.0
HEIGHT = 190.0
GAP = 66.0
BLUE, LATE = PALETTE[0], "#c62828"
BINS = 40
_LINE = 'fill="none" stroke-width="2"'


def draw_prediction(answer: Prediction) -> str:
    """The picture, as the text of an SVG file."""
    return _Picture(answer).svg()


def _cost_in(unit: str) -> Callable[[Point], Spread]:
    return lambda point: point.cost[unit]


class _Picture:
    def __init__(self, answer: Prediction) -> None:
        self.answer = answer
        self.drawing = Drawing(WIDTH)

    def svg(self) -> str:
        y = self._distribution(self._title())
        if self.answer.curve:
            y = self._curve(y + GAP, "makespan", lambda point: point.makespan_s, words.seconds, BLUE, self._bounds())
            for number, unit in enumerate(list(self.answer.cost)[:3]):
                colour = PALETTE[1 + number]
                y = self._curve(y + GAP, unit, _cost_in(unit), words.amount, colour, [])
        return self.drawing.finish(y + 44)

    def _title(self) -> float:
        answer = self.answer
        self.drawing.text(LEFT, 34, f"{answer.name} on {words.count(answer.workers, 'worker')}", "title")
        failing = f", each failing every {words.seconds(answer.mtbf_s)}" if answer.mtbf_s is not None else ""
        trials = "nothing left to chance" if answer.certain else words.count(answer.trials, "trial")
        self.drawing.text(LEFT, 54, f"{words.count(answer.calls, 'call')}{failing}; {trials}", "sub")
        y = 72.0
        for line in _lines(answer.conclusion(), 130):
            self.drawing.text(LEFT, y, line, "sub")
            y += 16
        return y + 14

    # --- how the trials came out -------------------------------------------------------------------------------------

    def _distribution(self, top: float) -> float:
        answer = self.answer
        values = [*answer.makespans_s, *([answer.within_s] if answer.within_s is not None else [])]
        low, high = min(values), max(values)
        margin = (high - low) * 0.06 or high * 0.05 or 1.0
        scale = Scale(max(0.0, low - margin), high + margin, LEFT, WIDTH - RIGHT)
        bottom = top + HEIGHT
        self._frame(top, "makespan", words.count(answer.trials, "trial"))
        counts = [0] * BINS
        width = (scale.high - scale.low) / BINS
        for value in answer.makespans_s:
            counts[min(BINS - 1, int((value - scale.low) / width))] += 1
        for number, count in enumerate(counts):
            if count:
                self._bin(scale, scale.low + number * width, width, count, max(counts), bottom)
        self._marks(scale, top, bottom)
        self._ticks(scale, bottom, words.seconds)
        return bottom

    def _bin(self, scale: Scale, value: float, width: float, count: int, most: int, bottom: float) -> None:
        height = count / most * (HEIGHT - 26)
        left, right = scale.at(value), scale.at(value + width)
        said = f"{words.count(count, 'trial')} from {words.seconds(value)} to {words.seconds(value + width)}"
        within = self.answer.within_s
        late = within is not None and value >= within
        self.drawing.rect(
            left, bottom - height, right - left - 1, height, f'fill="{LATE if late else BLUE}" fill-opacity="0.75"', said
        )
        if within is not None and value < within < value + width:  # the part of the bar that is too late
            after = scale.at(within)
            part = sum(within < made < value + width for made in self.answer.makespans_s if made >= value) / count * height
            self.drawing.rect(after, bottom - part, right - after - 1, part, f'fill="{LATE}"', said)

    def _marks(self, scale: Scale, top: float, bottom: float) -> None:
        made, within = self.answer.makespan_s, self.answer.within_s
        for value in dict.fromkeys((made.p10, made.p50, made.p90)):
            name = {made.p50: "half", made.p10: "1 in 10", made.p90: "9 in 10"}[value]
            x = scale.at(value)
            self.drawing.line(x, top, x, bottom, "grid")
            self.drawing.text(x, top + 10, name, "tick")
        if within is not None:
            x = scale.at(within)
            self.drawing.parts.append(f'<path d="M{x:.5g} {top:.5g}V{bottom:.5g}" stroke="{LATE}" stroke-width="2"/>')
            end = x > WIDTH / 2
            self.drawing.text(x - 6 if end else x + 6, top + 24, f"within {words.seconds(within)}", "small" if end else "")

    # --- what other numbers of workers would do ----------------------------------------------------------------------

    def _bounds(self) -> list[tuple[str, Callable[[int], float]]]:
        answer = self.answer
        return [
            ("longest path", lambda _: answer.longest_path_s),
            ("work / workers", lambda workers: answer.work_s / workers),
        ]

    def _curve(
        self,
        top: float,
        name: str,
        get: Callable[[Point], Spread],
        say: Callable[[float], str],
        colour: str,
        bounds: Sequence[tuple[str, Callable[[int], float]]],
    ) -> float:
        points = self.answer.curve
        bottom = top + HEIGHT
        self._frame(top, name, "by workers")
        across = Scale(points[0].workers, points[-1].workers, LEFT + 30, WIDTH - RIGHT - 30, log=True)
        up = _up([get(point) for point in points], [bound(p.workers) for _, bound in bounds for p in points], top, bottom)
        there = [(across.at(point.workers), get(point)) for point in points]
        band = [(x, up.at(found.p90)) for x, found in there] + [(x, up.at(found.p10)) for x, found in reversed(there)]
        self.drawing.parts.append(f'<path d="{_path(band)}Z" fill="{colour}" fill-opacity="0.22"/>')
        for label, bound in bounds:
            line = _path([(across.at(p.workers), up.at(bound(p.workers))) for p in points])
            self.drawing.parts.append(
                f'<path d="{line}" {_LINE} stroke="#7a8794" stroke-dasharray="4 4"><title>{label}</title></path>'
            )
        self.drawing.parts.append(f'<path d="{_path([(x, up.at(f.p50)) for x, f in there])}" {_LINE} stroke="{colour}"/>')
        for point, (x, found) in zip(points, there, strict=True):
            self._dot(point, x, up.at(found.p50), found, say, colour)
        for point, (x, _) in zip(points, there, strict=True):
            self.drawing.text(x, bottom + 15, f"{point.workers:,}", "tick")
        for value in (up.low, up.high):
            self.drawing.text(LEFT - 10, up.at(value) + (0 if value == up.low else 8), say(value), "small")
        if bounds:
            self.drawing.text(WIDTH - RIGHT, bottom + 30, "dashed: the longest path, and work / workers", "small")
        return bottom

    def _dot(self, point: Point, x: float, y: float, found: Spread, say: Callable[[float], str], colour: str) -> None:
        asked = point.workers == self.answer.workers
        said = f"{words.count(point.workers, 'worker')}: {say(found.p50)} ({say(found.p10)} to {say(found.p90)})"
        said += f"\n{point.utilisation:.0%} of their time used, {words.count(point.trials, 'trial')}"
        radius, fill = (6, colour) if asked else (3.5, "#ffffff")
        circle = f'<circle cx="{x:.5g}" cy="{y:.5g}" r="{radius}" fill="{fill}" stroke="{colour}" stroke-width="2">'
        self.drawing.parts.append(f"{circle}<title>{said}</title></circle>")
        self.drawing.text(x, y - 10, say(found.p50), "tick")

    # --- parts -------------------------------------------------------------------------------------------------------

    def _frame(self, top: float, name: str, small: str) -> None:
        self.drawing.text(LEFT - 10, top + 40, name, "row")
        self.drawing.text(LEFT - 10, top + 56, small, "small")
        self.drawing.rect(LEFT, top, WIDTH - RIGHT - LEFT, HEIGHT, 'class="band"')

    def _ticks(self, scale: Scale, y: float, say: Callable[[float], str]) -> None:
        for number in range(6):
            value = scale.low + (scale.high - scale.low) * number / 5
            self.drawing.text(scale.at(value), y + 15, say(value), "tick")


def _up(found: Sequence[Spread], others: Sequence[float], top: float, bottom: float) -> Scale:
    """A scale for all these values: by logarithm where they differ by much."""
    values = [value for spread in found for value in (spread.p10, spread.p90)]
    high = max(values)
    low = min([*values, *(other for other in others if other > 0)])
    if low > 0 and high > 4 * low:
        return Scale(low / 1.25, high * 1.25, bottom, top, log=True)
    return Scale(min(low, high) * 0.9, high * 1.1 or 1.0, bottom, top)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.5g} {y:.5g}" for x, y in points)


def _lines(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` characters, broken between words.

    >>> _lines("more workers help a little", 12)
    ['more workers', 'help a', 'little']
    """
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
