"""A line chart as SVG: several series with their uncertainty.

    chart("Solved against tokens", [Series("best of n", points)], x="tokens", y="solved", log_x=True)

Pure drawing with the look of `svg`. It must show exactly the points it is given: nothing is smoothed or interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from headway.observe.pictures.svg import PALETTE, Drawing, Scale
from headway.observe.words import amount

_LEFT, _TOP, _BOTTOM, _ROW = 64, 76, 44, 17
_TICKS = 6
_COLOURS = (*PALETTE, "#1d2733", "#b5452c")


@dataclass(frozen=True)
class Point:
    """One point; `low` and `high` bound what y may really be."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Series:
    """Points of one thing, in the order in which they are joined."""

    name: str
    points: Sequence[Point] = field(default_factory=tuple)
    dots: bool = True


def chart(
    title: str,
    series: Sequence[Series],
    *,
    x: str,
    y: str,
    sub: str = "",
    log_x: bool = False,
    percent: bool = False,
    width: int = 860,
    height: int = 420,
) -> str:
    """The picture, a whole SVG file. Series whose points are the same have one colour, and are one line.

    `x`, `y`: what the axes are. `log_x`: x in factors. `percent`: y from 0 to 1, shown in %."""
    shown = [each for each in series if each.points]
    drawing = Drawing(width)
    drawing.text(_LEFT, 24, title, "title")
    drawing.text(_LEFT, 42, sub, "sub")
    legend = max([len(each.name) for each in shown] or [0]) * 6.2 + 34
    across = _axis([point.x for each in shown for point in each.points], _LEFT, width - legend - 10, log=log_x)
    tall = [value for each in shown for point in each.points for value in (point.y, point.low, point.high) if value is not None]
    up = _axis(tall, height - _BOTTOM, _TOP, zero=True)
    _grid(drawing, across, up, x, y, percent=percent)
    colours: dict[tuple[Point, ...], str] = {}
    for number, each in enumerate(shown):
        colour = colours.setdefault(tuple(each.points), _COLOURS[number % len(_COLOURS)])
        _draw(drawing, each, across, up, colour, percent=percent)
        top = _TOP + number * _ROW
        drawing.rect(width - legend, top, 10, 10, f'fill="{colour}"')
        drawing.text(width - legend + 16, top + 9, each.name, "name")
    return drawing.finish(height)


def _draw(drawing: Drawing, series: Series, across: Scale, up: Scale, colour: str, *, percent: bool) -> None:
    points = series.points
    sure = [point for point in points if point.low is not None and point.high is not None]
    if len(sure) > 1:
        low = [(across.at(point.x), up.at(point.low or 0.0)) for point in sure]
        drawing.band(low, [(across.at(point.x), up.at(point.high or 0.0)) for point in sure], colour)
    if len(points) > 1:
        drawing.curve([(across.at(point.x), up.at(point.y)) for point in points], colour)
    if series.dots:
        for point in points:
            said = f"{series.name}: {_number(point.y, percent=percent)} at {amount(point.x)}"
            drawing.dot(across.at(point.x), up.at(point.y), colour, f"{said} {point.label}".strip())


def _grid(drawing: Drawing, across: Scale, up: Scale, x: str, y: str, *, percent: bool) -> None:
    right, bottom = across.end, up.start
    for value in _ticks(up):
        drawing.line(across.start, up.at(value), right, up.at(value), "grid")
        drawing.text(across.start - 6, up.at(value) + 4, _number(value, percent=percent), "small")
    for value in _ticks(across):
        drawing.line(across.at(value), _TOP, across.at(value), bottom, "grid")
        drawing.text(across.at(value), bottom + 16, amount(value), "tick")
    drawing.text((across.start + right) / 2, bottom + 36, x, "tick")
    drawing.text(8, _TOP - 8, y, "sub")


def _axis(values: Sequence[float], start: float, end: float, *, log: bool = False, zero: bool = False) -> Scale:
    if log:
        values = [value for value in values if value > 0] or [1.0]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if zero and low >= 0:
        low = 0.0
    if log:
        return Scale(low / 1.15, max(high, low * 1.5) * 1.15, start, end, log=True)
    if high <= low:
        high = low + 1
    return Scale(low, high + (high - low) * 0.04, start, end)


def _ticks(axis: Scale) -> list[float]:
    """Round values on an axis, a handful of them."""
    if axis.log:
        powers = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
        few = len(powers) <= 3
        values = [10.0**power * step for power in powers for step in ((1, 2, 5) if few else (1,))]
    else:
        rough = (axis.high - axis.low) / _TICKS
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
        first = math.ceil(axis.low / step)
        values = [round(number * step, 12) for number in range(first, math.floor(axis.high / step) + 1)]
    return [value for value in values if axis.low <= value <= axis.high]


def _number(value: float, *, percent: bool) -> str:
    return f"{value * 100:.3g} %" if percent else amount(value)
