"""The audit trail of a research: every query, output, edit of the plan and stop, in order, each with its reason.

    print(write_trail(report.trail))

A trail is data that is kept with the report. `check_trail` says what one lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from headway.methods.plan.matrix.table import Table, write_table

Event: TypeAlias = Literal["outline", "rubric", "gap", "query", "output", "failed", "given up", "refused", "stop"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened in a research.

    Attributes:
        event: what kind of thing: the "outline" and the "rubric" were made, a "gap" was found, a "query" was planned, an "output"
            came or a search "failed", a step was "given up", an edit was "refused", the "stop".
        what: the thing itself.
        why: the reason.
        step: which step of the plan; empty where it is none. Of a research below this one, the steps that lead there, with a /.
        cycle: in which cycle, 0 before the first.
    """

    event: Event
    what: str
    why: str
    step: str = ""
    cycle: int = 0


def write_trail(trail: Sequence[Entry]) -> str:
    """A trail as a table in Markdown.

    Args:
        trail: its entries.

    Returns:
        A line each, with number, cycle, step, event, what and why.

    Example:
        >>> print(write_trail([Entry("query", "area of Malta", "its size is lacking", "1.1", 1)]))
        | number | cycle | step | event | what | why |
        |---|---|---|---|---|---|
        | 1 | 1 | 1.1 | query | area of Malta | its size is lacking |
    """
    rows = tuple((number, each.cycle, each.step, each.event, each.what, each.why) for number, each in enumerate(trail, 1))
    return write_table(Table(("number", "cycle", "step", "event", "what", "why"), rows))


def check_trail(trail: Sequence[Entry]) -> list[str]:
    """What a trail lacks.

    Args:
        trail: its entries.

    Returns:
        A sentence for each fault: an entry without a reason, a query that neither came to something nor was given up, an output of
        what was never planned, anything after the stop, no stop. None where it is complete.

    Example:
        >>> query = Entry("query", "area of Malta", "its size is lacking", "1.1", 1)
        >>> check_trail([query, Entry("stop", "budget", "it was used up")])
        ['step 1.1 was planned and nothing says what came of it']
    """
    faults = [f"entry {number} ({each.event}) has no reason" for number, each in enumerate(trail, 1) if not each.why]
    planned = [each.step for each in trail if each.event == "query"]
    ended = [each.step for each in trail if each.event in ("output", "failed", "given up")]
    faults += [f"step {step} was planned twice" for step in sorted({step for step in planned if planned.count(step) > 1})]
    faults += [f"step {step} ended twice" for step in sorted({step for step in ended if ended.count(step) > 1})]
    faults += [f"step {step} was planned and nothing says what came of it" for step in planned if step not in ended]
    faults += [f"step {step} ended and was never planned" for step in ended if step not in planned]
    stops = [number for number, each in enumerate(trail, 1) if each.event == "stop" and "/" not in each.step]
    if stops != [len(trail)]:
        faults.append("it does not end with the one stop")
    return faults
