"""The small part of SVG that pictures of time need, with one look for all of them.

Everything is in the file itself: no script, no font, no link. Text from a run must go through `escape`, because a label may contain
anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape as _escape

from headway.observe import words
from headway.observe.pictures.lanes import Axis

PALETTE = (
    "#4c78a8",
    "#f2a541",
    "#59a14f",
    "#8e6bbe",
    "#3bb2b8",
    "#d37295",
    "#9c755f",
    "#8cb33c",
    "#5e7ce2",
    "#c3a32b",
)
OTHER = "#a3acb8"
CHARACTER_PX = 6.1

_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<style>
text {{ font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 11px; fill: #33404f; }}
.title {{ font-size: 17px; font-weight: 600; fill: #1d2733; }}
.sub {{ font-size: 12px; fill: #5b6875; }}
.row {{ text-anchor: end; font-weight: 600; }}
.small {{ text-anchor: end; font-size: 9.5px; fill: #7a8794; }}
.tick {{ text-anchor: middle; fill: #7a8794; }}
.in {{ font-size: 10px; fill: #ffffff; pointer-events: none; }}
.on {{ font-size: 10px; pointer-events: none; stroke: #ffffff; stroke-width: 2.5px; stroke-opacity: 0.75; paint-order: stroke; }}
.grid {{ stroke: #1d2733; stroke-opacity: 0.09; }}
.band {{ fill: #f5f7f9; }}
.notch {{ fill: #c62828; }}
.probe {{ fill: #ffffff; fill-opacity: 0; }}
.probe:hover {{ fill-opacity: 0.35; }}
</style>
<defs>
<pattern id="failed" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="6" height="6" fill="#c62828" fill-opacity="0.45"/><rect width="3" height="6" fill="#c62828"/></pattern>
<pattern id="cancelled" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="6" height="6" fill="#dfe3e8" fill-opacity="0.5"/><rect width="3" height="6" fill="#7a8794"/></pattern>
<pattern id="open" width="8" height="8" patternUnits="userSpaceOnUse">
<rect width="8" height="8" fill="#ffffff" fill-opacity="0.35"/><circle cx="4" cy="4" r="1.4" fill="#33404f"/></pattern>
<pattern id="break" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">
<rect width="8" height="8" fill="#ffffff"/><rect width="2" height="8" fill="#dfe3e8"/></pattern>
</defs>
<rect width="{width}" height="{height}" fill="#ffffff"/>
"""
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers to pixels, straight or by their logarithm; there, what is below all factors (zero) is at the low end."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        place = math.log(max(value, self.low)) if self.log else value
        share = (place - low) / (high - low) if high > low else 0.5
        return self.start + (self.end - self.start) * share


def escape(text: str) -> str:
    """Text as XML takes it.

    >>> escape("a<b & \\x00")
    'a&lt;b &amp; \ufffd'
    """
    return _escape(_UNPRINTABLE.sub("\ufffd", text))


def swatch_style(colour: str) -> str:
    return f'fill="{colour}"'


class Drawing:
    """Shapes, in the order in which they are painted. Positions are pixels from the top left."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.parts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, style: str, title: str = "") -> None:
        size = f'<rect x="{x:.5g}" y="{y:.5g}" width="{width:.4g}" height="{height:.4g}" {style}'
        self.parts.append(f"{size}><title>{escape(title)}</title></rect>" if title else f"{size}/>")

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        self.parts.append(f'<line x1="{x1:.5g}" y1="{y1:.5g}" x2="{x2:.5g}" y2="{y2:.5g}" class="{kind}"/>')

    def text(self, x: float, y: float, text: str, kind: str) -> None:
        self.parts.append(f'<text x="{x:.5g}" y="{y:.5g}" class="{kind}">{escape(text)}</text>')

    def label(self, x: float, y: float, width: float, text: str, kind: str = "in") -> None:
        """Text inside a bar, as much of it as fits: "in" on a plain dark one, "on" on a pale or hatched one."""
        room = int((width - 8) / CHARACTER_PX)
        line = " ".join(text.split())
        if room >= 3:
            self.text(x + 4, y, line if len(line) <= room else line[: room - 1] + "…", kind)

    def area(self, x: float, y: float, step: float, scale: float, low: Sequence[float], high: Sequence[float], colour: str) -> None:
        """The area between two lines of steps; `y` is where 0 is, values grow upwards."""
        there = [f"H{x + i * step:.5g}V{y - value * scale:.5g}" for i, value in enumerate(high)]
        back = [f"H{x + (i + 1) * step:.5g}V{y - low[i] * scale:.5g}" for i in range(len(low) - 1, -1, -1)]
        path = f"M{x:.5g} {y - low[0] * scale:.5g}" + "".join(there) + "".join(back) + "Z"
        self.parts.append(f'<path d="{path}" fill="{colour}"/>')

    def curve(self, points: Sequence[tuple[float, float]], colour: str, *, width: float = 2.0) -> None:
        """A line through points."""
        path = "M" + "L".join(f"{x:.5g} {y:.5g}" for x, y in points)
        self.parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" stroke-linejoin="round"/>')

    def path(self, path: str, style: str) -> None:
        """Any line, as SVG writes it."""
        self.parts.append(f'<path d="{path}" {style}/>')

    def band(self, low: Sequence[tuple[float, float]], high: Sequence[tuple[float, float]], colour: str) -> None:
        """The pale area between two lines."""
        path = "M" + "L".join(f"{x:.5g} {y:.5g}" for x, y in (*low, *reversed(high)))
        self.parts.append(f'<path d="{path}Z" fill="{colour}" fill-opacity="0.13"/>')

    def dot(self, x: float, y: float, colour: str, title: str) -> None:
        self.parts.append(f'<circle cx="{x:.5g}" cy="{y:.5g}" r="3.5" fill="{colour}"><title>{escape(title)}</title></circle>')

    def legend(self, entries: Sequence[tuple[str, str]], y: float, left: float, right: float) -> float:
        """Swatches with labels, each `(style, label)`, in as many rows as they need; where the next row begins."""
        x = left
        for style, label in entries:
            width = 30 + 6.6 * len(label)
            if x + width > right and x > left:
                x, y = left, y + 20
            self.rect(x, y, 11, 11, style + ' rx="2"')
            self.text(x + 16, y + 9.5, label, "legend")
            x += width
        return y + 30

    def time_axis(self, axis: Axis, top: float, bottom: float) -> None:
        """Seconds below a picture of time, and the idle times that are cut out of it."""
        for at, pixel in axis.ticks():
            self.line(pixel, top, pixel, bottom, "grid")
            self.text(pixel, bottom + 15, f"{at:,.10g} s", "tick")
        for before, after in zip(axis.pieces, axis.pieces[1:], strict=False):
            self.rect(before.right, top, after.left - before.right, bottom - top, 'fill="url(#break)"')
            middle = (before.right + after.left) / 2
            self.text(middle, top - 4, f"nothing for {words.seconds(after.began - before.ended)}", "tick")

    def finish(self, height: float) -> str:
        """The whole file."""
        return _HEAD.format(width=self.width, height=round(height)) + "\n".join(self.parts) + "\n</svg>\n"
