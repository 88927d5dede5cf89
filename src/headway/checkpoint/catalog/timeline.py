"""Draws one save: what every rank did when, and which rank the others waited for.

A row for each rank, a bar for each phase, from the moment the first rank began. The title names the rank that ended last and the
phase in which it spent most of its time: that is where to look first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headway.checkpoint.files.manifest import Phase
from headway.observe.pictures.svg import OTHER, PALETTE, Drawing

WIDTH = 1100
LEFT, RIGHT, TOP = 110.0, 30.0, 92.0
ROW = 30.0
COLOURS = dict(
    zip(("plan", "copy", "guard wait", "hash", "write", "commit", "read", "scatter"), (*PALETTE[:1], *PALETTE[2:9]), strict=True)
)


class Straggler(NamedTuple):
    """The rank that ended last, how much later than the median one, and the phase that it spent most of its time in."""

    rank: str
    behind_s: float
    phase: str
    seconds: float


def straggler(phases: Mapping[str, Sequence[Phase]]) -> Straggler | None:
    """Find the rank that the others waited for; None if nothing was recorded."""
    ends = sorted((max(phase.begin + phase.seconds for phase in each), rank) for rank, each in phases.items() if each)
    if not ends:
        return None
    last, rank = ends[-1]
    spent: dict[str, float] = {}
    for phase in phases[rank]:
        spent[phase.name] = spent.get(phase.name, 0.0) + phase.seconds
    longest = max(spent, key=lambda name: spent[name])
    return Straggler(rank, last - ends[(len(ends) - 1) // 2][0], longest, spent[longest])


def draw_timeline(title: str, phases: Mapping[str, Sequence[Phase]]) -> str:
    """Draw the picture, as the text of an SVG file. `phases`: by the name of the rank."""
    every = [phase for each in phases.values() for phase in each]
    drawing = Drawing(WIDTH)
    drawing.text(LEFT, 28, title, "title")
    if not every:
        drawing.text(LEFT, 50, "No phases were recorded: the checkpoint was imported, or written by another tool.", "sub")
        return drawing.finish(80)
    begin = min(phase.begin for phase in every)
    seconds = max(max(phase.begin + phase.seconds for phase in every) - begin, 1e-6)
    drawing.text(LEFT, 50, _subtitle(phases, seconds), "sub")
    scale = (WIDTH - LEFT - RIGHT) / seconds
    height = TOP + ROW * len(phases) + 14
    for tick in range(6):
        x = LEFT + tick * (WIDTH - LEFT - RIGHT) / 5
        drawing.line(x, TOP - 6, x, height - 10, "grid")
        drawing.text(x, height + 4, f"{seconds * tick / 5:.3g} s", "tick")
    for row, (rank, each) in enumerate(phases.items()):
        y = TOP + row * ROW
        drawing.text(LEFT - 10, y + 16, f"rank {rank.lstrip('0') or '0'}", "row")
        for phase in each:
            _bar(drawing, LEFT + (phase.begin - begin) * scale, y, phase, scale)
    _legend(drawing, every)
    return drawing.finish(height + 18)


def _bar(drawing: Drawing, x: float, y: float, phase: Phase, scale: float) -> None:
    lane = 10.0 if phase.name in ("hash", "plan", "commit") else 0.0  # what runs beside the copy or the write
    width = max(1.0, phase.seconds * scale)
    rate = f", {phase.nbytes / 1e9 / phase.seconds:.2f} GB/s" if phase.nbytes and phase.seconds else ""
    about = f"{phase.name}: {phase.seconds:.4g} s{rate}"
    drawing.rect(x, y + 2 + lane, width, 12, f'fill="{COLOURS.get(phase.name, OTHER)}" fill-opacity="0.9"', about)


def _legend(drawing: Drawing, phases: Sequence[Phase]) -> None:
    x = LEFT
    for name in dict.fromkeys(phase.name for phase in phases):
        drawing.rect(x, 64, 10, 10, f'fill="{COLOURS.get(name, OTHER)}"')
        drawing.text(x + 14, 73, name, "sub")
        x += 34 + 7 * len(name)


def _subtitle(phases: Mapping[str, Sequence[Phase]], seconds: float) -> str:
    found = straggler(phases)
    assert found is not None
    line = f"{len(phases)} rank{'s' * (len(phases) != 1)}, {seconds:.3g} s from the first copy to the last byte"
    if len(phases) > 1 and found.behind_s > 0:
        line += (
            f"; last was rank {found.rank.lstrip('0') or '0'}, {found.behind_s:.3g} s after the median, most of it {found.phase}"
        )
    return line
