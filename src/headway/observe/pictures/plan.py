"""A picture of a plan as it ran, as one SVG file that needs nothing else.

Time goes from left to right. A step is a bar from its start to its end, with a thin line in front of it from the moment at which
somebody planned it. Edges go from the end of a step to the start of those that needed it. A band above shows when planners spoke,
and marks on it the edits. So one sees whether steps began while the plan was still being made, what was taken out or exchanged
before it began, and what failed or could never start.

Pure drawing: it is given `Step`s and knows no run. It leaves out no step; names and edges go first where there are too many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from headway.observe import words
from headway.observe.pictures.lanes import Axis, pack
from headway.observe.pictures.svg import OTHER, PALETTE, Drawing, swatch_style

Came = Literal["done", "failed", "skipped", "removed", "open"]

WIDTH = 1280
LEFT, RIGHT = 112.0, 24.0
EDGES = 2000  # more are not drawn
TALLEST, SHORTEST = 22.0, 3.0
HEIGHT = 900.0  # of all steps, about
MARKS = {"added": "#59a14f", "replaced": "#f2a541", "rewired": "#8e6bbe", "removed": "#7a8794", "refused": "#c62828"}


SHORT = 12
"""Up to how many characters an id stands beside what its step does; a longer one is in the tooltip alone."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step as it is drawn. Times are seconds on any one clock.

    Attributes:
        id: its id, unique in the picture.
        does: what it does, in a few words.
        came: what came of it.
        added: when it was planned.
        began: when it was started; None where it never was.
        ended: when it ended, was removed, or the plan did.
        needs: ids of the steps it waited for, each with how that had to end ("success", "failure", "end") and any test.
        kind: what steps of one colour have in common, such as their device; empty for none.
        said: more for its tooltip, such as its result or error.
    """

    id: str
    does: str
    came: Came
    added: float
    began: float | None
    ended: float
    needs: Mapping[str, str]
    kind: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """An edit at a moment: what was done ("added", "replaced", "rewired", "removed", "refused") to which steps, or why not."""

    at: float
    what: str
    said: str


def draw_steps(title: str, steps: Sequence[Step], spoken: Sequence[tuple[float, float]] = (), marks: Sequence[Mark] = ()) -> str:
    """The picture, as the text of an SVG file.

    `spoken`: from when to when planners spoke.
    """
    return _Picture(title, steps, spoken, marks).svg()


class _Picture:
    def __init__(self, title: str, steps: Sequence[Step], spoken: Sequence[tuple[float, float]], marks: Sequence[Mark]) -> None:
        self.title, self.steps, self.spoken, self.marks = title, steps, spoken, marks
        spans = [(step.added, step.ended) for step in steps] + list(spoken) + [(mark.at, mark.at) for mark in marks]
        self.axis = Axis(spans, LEFT, WIDTH - RIGHT)
        kinds = list(dict.fromkeys(step.kind for step in steps))
        self.colours = {kind: PALETTE[place] if place < len(PALETTE) else OTHER for place, kind in enumerate(kinds)}
        self.drawing = Drawing(WIDTH)

    def svg(self) -> str:
        self._title()
        top = y = self._legend(70.0)
        if self.spoken or self.marks:
            y = self._planning(y) + 14
        bottom = self._steps(y)
        self.drawing.time_axis(self.axis, top, bottom)
        return self.drawing.finish(bottom + 26)

    # --- head ----------------------------------------------------------------------------------------------------------

    def _title(self) -> None:
        numbers = {came: sum(step.came == came for step in self.steps) for came in ("done", "failed", "skipped", "removed", "open")}
        told = ", ".join(f"{number:,} {came}" for came, number in numbers.items() if number)
        ends = [step.ended for step in self.steps] + [ended for _, ended in self.spoken]
        took = words.seconds(max(ends, default=0.0) - self.axis.origin) if ends else "nothing"
        self.drawing.text(LEFT, 34, words.clip(self.title, 120), "title")
        self.drawing.text(LEFT, 54, f"{words.count(len(self.steps), 'step')} ({told or 'none'}), {took}", "sub")

    def _legend(self, y: float) -> float:
        entries = [(swatch_style(colour), kind) for kind, colour in self.colours.items() if kind]
        there = {step.came for step in self.steps}
        entries += [('fill="url(#failed)"', "failed")] if "failed" in there else []
        entries += [('fill="url(#cancelled)"', "removed or could never start")] if there & {"removed", "skipped"} else []
        entries += [('fill="url(#open)"', "not ended")] if "open" in there else []
        seen = {mark.what for mark in self.marks}
        entries += [(swatch_style(colour), f"edit: {what}") for what, colour in MARKS.items() if what in seen]
        return self.drawing.legend(entries, y, LEFT, WIDTH - RIGHT) if entries else y

    # --- rows ----------------------------------------------------------------------------------------------------------

    def _planning(self, y: float) -> float:
        """When planners spoke, and the edits they made."""
        self.drawing.text(LEFT - 10, y + 13, "planning", "row")
        for began, ended in self.spoken:
            left, right = self.axis.x(began), max(self.axis.x(ended), self.axis.x(began) + 1)
            said = f"a planner spoke for {words.seconds(ended - began)}"
            self.drawing.rect(left, y, right - left, 18, f'fill="{OTHER}" opacity="0.45"', said)
        for mark in self.marks:
            said = f"{mark.what}: {words.clip(mark.said, 300)}"
            self.drawing.rect(self.axis.x(mark.at) - 1, y, 2.5, 18, f'fill="{MARKS.get(mark.what, OTHER)}"', said)
        return y + 18

    def _steps(self, y: float) -> float:
        spans = [(self.axis.x(step.added), max(self.axis.x(step.ended), self.axis.x(step.added) + 2)) for step in self.steps]
        lanes = pack(spans)
        number = max(lanes, default=0) + 1
        height = min(TALLEST, max(SHORTEST, HEIGHT / number))
        self.drawing.text(LEFT - 10, y + 13, "steps", "row")
        self.drawing.rect(LEFT, y - 2, WIDTH - RIGHT - LEFT, number * height + 2, 'class="band"')
        tops = {step.id: y + lane * height for step, lane in zip(self.steps, lanes, strict=True)}
        self._edges(tops, height)
        for step in self.steps:
            self._step(step, tops[step.id], height)
        return y + number * height + 6

    def _step(self, step: Step, top: float, height: float) -> None:
        gap = 2.0 if height > 8 else 0.5
        planned, right = self.axis.x(step.added), self.axis.x(step.ended)
        left = self.axis.x(step.began) if step.began is not None else planned
        if left - planned > 1:
            self.drawing.rect(planned, top + (height - gap) / 2 - 0.5, left - planned, 1, f'fill="{OTHER}"')
        width = max(right - left, 2.0)
        round_ = ' rx="2"' if height > 8 and width > 5 else ""
        if step.began is None:
            style = f'fill="url(#cancelled)" fill-opacity="0.5" stroke="{OTHER}" stroke-dasharray="3 2"{round_}'
        else:
            style = f'fill="{self.colours[step.kind]}"{round_}'
        self.drawing.rect(left, top, width, height - gap, style, self._said(step))
        if step.came in ("failed", "open"):
            self.drawing.rect(left, top, width, height - gap, f'fill="url(#{step.came})" pointer-events="none"{round_}')
        if height >= 14:
            kind = "in" if step.came == "done" else "on"
            said = f"{step.id} {step.does}" if len(step.id) <= SHORT or not step.does else step.does
            self.drawing.label(left, top + height / 2 + 3, width, said, kind)

    def _edges(self, tops: Mapping[str, float], height: float) -> None:
        """From the end of what was needed to the start of what needed it; under the bars."""
        by_id = {step.id: step for step in self.steps}
        edges = [(by_id[need], step, how) for step in self.steps for need, how in step.needs.items() if need in by_id]
        if len(edges) > EDGES:
            return
        for before, step, how in edges:
            x1, y1 = self.axis.x(before.ended), tops[before.id] + height / 2 - 1
            x2 = self.axis.x(step.began if step.began is not None else max(step.added, before.ended))
            y2 = tops[step.id] + height / 2 - 1
            bow = max(12.0, abs(x2 - x1) / 2)
            dashes = ' stroke-dasharray="4 3"' if how != "success" else ""
            style = f'fill="none" stroke="{"#c62828" if how.startswith("failure") else "#7a8794"}" stroke-opacity="0.6"{dashes}'
            self.drawing.path(f"M{x1:.5g} {y1:.5g}C{x1 + bow:.5g} {y1:.5g} {x2 - bow:.5g} {y2:.5g} {x2:.5g} {y2:.5g}", style)

    def _said(self, step: Step) -> str:
        """What a tooltip says."""
        origin = self.axis.origin
        lines = [words.clip(f"{step.id}: {step.does}", 200)]
        if step.began is not None:
            ran = f"{step.came}, {words.seconds(step.ended - step.began)}, from {step.began - origin:,.3f} s"
            lines.append(f"{ran}{f', on {step.kind}' if step.kind else ''}")
            lines.append(f"planned at {step.added - origin:,.3f} s")
        else:
            lines.append(f"{step.came}, never started; planned at {step.added - origin:,.3f} s")
        if step.needs:
            lines.append("needs " + ", ".join(need if how == "success" else f"{need} ({how})" for need, how in step.needs.items()))
        if step.said:
            lines.append(words.clip(step.said, 300))
        return "\n".join(lines)
