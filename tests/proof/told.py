"""What programs were told, and must be told again: how the calls ended that they made, and what the runtime decided for them.

A note says who was told (the place: the body's attempt, and those around it), by which engine, and how many rows its journal had.
What was told and is durable holds in every later life. Nothing else does: a crash may take it away, and then it was never told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from nodes import Node

import headway as hw
from headway.engine.call import Call
from headway.engine.transitions import CANCELLED

Place = tuple[object, ...]
VALUE = "value "


class Note(NamedTuple):
    engine: object
    rows: int
    what: object


class Life(NamedTuple):
    """One life of a run: its engine, how many rows it left, and whether it ended by itself in a failure, which is asked again."""

    engine: object
    rows: int
    failed: bool


DECIDED: dict[Place, list[Note]] = {}
ENDED: dict[Place, list[Note]] = {}


def forget() -> None:
    DECIDED.clear()
    ENDED.clear()


def decided(place: Place, engine: Any, what: object) -> None:
    """A body was told something that the runtime decides. (What is left of a dead process may still run, to be cleared away.)"""
    if not engine.loop.dead:
        _note(DECIDED, place, engine, what)


def ended(place: Place, child: Node, call: Call) -> None:
    """A call has ended that a body made."""
    error = call.error
    if not _is_over(call):
        what = f"{type(error).__name__}: {error}" if error is not None else f"{VALUE}{call.result()!r:.99}"
        _note(ENDED, (*place, child.name, call.key), call.engine, what)


def _note(notes: dict[Place, list[Note]], place: Place, engine: Any, what: object) -> None:
    notes.setdefault(place, []).append(Note(engine, getattr(engine.journal, "last_seq", 0), what))


def _is_over(call: Call) -> bool:
    """Whether a call has ended without an answer: it was cancelled, or its run stops here, or its process has died."""
    loop: Any = call.engine.loop
    return call.state == CANCELLED or call.engine.closing or loop.dead


def otherwise(lives: Sequence[Life]) -> Iterator[str]:
    """What was told otherwise than in an earlier life that had recorded it."""
    if len(lives) < 2:
        return
    numbers = {id(life.engine): number for number, life in enumerate(lives)}
    for place, notes in DECIDED.items():
        for old, new in _changed(notes, lives, numbers):
            yield f"the {place[-1]} was {old} and is {new} now"
    for place, notes in ENDED.items():
        for old, new in _changed(notes, lives, numbers):
            *_, name, key = place
            yield f"{name} {key.hex()[:8]} ended with {old!r}, and with {new!r} when it was told again"  # type: ignore[attr-defined]


def _changed(notes: list[Note], lives: Sequence[Life], numbers: dict[int, int]) -> Iterator[tuple[object, object]]:
    """What was told first and later, where these differ and nothing asked for it again in between."""
    before: tuple[int, object] | None = None
    for note in notes:
        number = numbers.get(id(note.engine))
        if number is None:
            continue
        if before is not None and before[0] < number and before[1] != note.what:
            if str(before[1]).startswith(VALUE) or not any(life.failed for life in lives[before[0] : number]):
                yield before[1], note.what
        if note.rows <= lives[number].rows:
            before = number, note.what


def unbounded(child: Node, call: Call) -> str:
    """Which bound the error of a call speaks of that is not there: neither around it nor opened by what is below it."""
    error = call.error
    if error is None or _is_over(call):
        return ""
    kinds, scope = kinds_of(child), call.scope
    below = {"crowd"} if "crowd" in kinds else kinds
    for part in _parts_of(error):
        if (
            isinstance(part, hw.DeadlineExceeded)
            and scope.deadline is None
            and not below & {"crowd", "deadline", "anytime", "late_stream"}
        ):
            return "deadline"
        if isinstance(part, hw.BudgetExceeded) and scope.account is None:
            if not below & {"crowd", "budget", "nested_budget", "patient_budget", "wide_budget", "anytime"}:
                return "budget"
        if isinstance(part, hw.CallTimeout) and "too_slow" not in kinds:
            return "timeout"
        if isinstance(part, hw.CallCancelled) and child.kind == "leaf":
            return "cancellation"
    return ""


def _parts_of(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _parts_of(part)


def kinds_of(node: Node) -> set[str]:
    """What the steps of a body do, and those of the bodies below it, and which leaves there are."""
    return {node.task, *node.kinds}.union(*(kinds_of(child) for children in node.steps for child in children))
