"""CogWriter: plan a long text, revise the plan, write all units side by side, and edit each until it has its length.

    composed = await cogwriter("A travel guide to Ghana in four chapters of 300 words", ModelAuthor(model))

The original edits a unit until its length is right, however often that takes. An editor that overshoots never ends so. Here each
unit has so many tries and edits, keeps the best that it had, and stops when the budget refuses more; so it always ends, with a
text for each unit that was ever written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from headway.errors import BudgetExceeded, UsageError
from headway.joins.gather import gather
from headway.methods import settings
from headway.methods.plan.teams.authors import Author, How, Unit, count_words
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.scopes.anytime import anytime

WITHIN = 0.1


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a unit.

    Attributes:
        unit: what was asked.
        text: the text whose length was nearest.
        length: its length.
        tries: how often it was written before it could be read.
        edits: how often it was edited.
        why: why it ended: its length was "right", its "rounds" or the "budget" were used up.
    """

    unit: Unit
    text: str
    length: int
    tries: int
    edits: int
    why: Literal["right", "rounds", "budget"]


@dataclass(frozen=True, slots=True)
class Composed:
    """A text.

    Attributes:
        plan: the units, as they were revised.
        written: what came of each that was written, in the order of the plan.
        missing: the units of which nothing could be read.
        stopped: why it ended: it was "done", or a "budget" or "deadline" ended it.
        errors: what the author failed with at single units.
    """

    plan: tuple[Unit, ...]
    written: tuple[Written, ...]
    missing: tuple[Unit, ...]
    stopped: Literal["done", "budget", "deadline"]
    errors: tuple[Exception, ...] = ()

    @property
    def text(self) -> str:
        """All that was written, unit by unit."""
        return "\n\n".join(each.text for each in self.written)


def read_text(said: str) -> str | None:
    """The text in what was written: all of it, None where that is nothing.

    Args:
        said: what the author wrote.

    Returns:
        The text without blanks around it; None where it can't be read.

    Example:
        >>> read_text(" Ghana lies on the coast. "), read_text(" ")
        ('Ghana lies on the coast.', None)
    """
    return said.strip() or None


async def cogwriter(
    request: str,
    author: Author,
    *,
    revise: bool = True,
    within: float = WITHIN,
    tries: int = 4,
    rounds: int = 6,
    measure: Callable[[str], int] = count_words,
    read: Callable[[str], str | None] = read_text,
    errors: Errors = SAMPLE_ERRORS,
) -> Composed:
    """Plan a text, write its units side by side, and edit each until its length is right.

    It departs in that both loops of a unit end: after so many tries or edits, or when the budget refuses another. What was nearest
    is kept, where the original keeps what came last.

    Args:
        request: what is to be written.
        author: who plans, writes and edits, such as `ModelAuthor(model)`.
        revise: whether the plan is revised before anything is written.
        within: by what share of its length a unit may miss it.
        tries: how often a unit is written until it can be read, at most.
        rounds: how often it is edited, at most.
        measure: the length of a text, in what `Unit.length` counts.
        read: the text in what was written; None where it can't be read, so that it is written again.
        errors: what the author may fail with at one unit without failing the text. Plans are no units.

    Returns:
        The text, and how each unit came about.

    Raises:
        UsageError: settings that make no sense, before anything is asked; a plan that is no list of units with a length.
        Exception: what the author raises, but for budgets and deadlines, which end the text with what there is.

    Example:
        >>> from headway.methods.plan import teams
        >>> class Terse:
        ...     async def plan(self, request):
        ...         return [teams.Unit("Coast", "the beaches", 4), teams.Unit("North", "the savanna", 6)]
        ...     async def revise(self, request, plan):
        ...         return plan
        ...     async def write(self, request, plan, unit, index):
        ...         return f"{unit.name}: {unit.brief}."
        ...     async def edit(self, request, unit, text, how, index):
        ...         return text + " Go" if how == "lengthen" else text.rpartition(" ")[0]
        >>> @hw.task
        ... async def program() -> list[tuple[str, int]]:
        ...     composed = await teams.cogwriter("A guide to Ghana", Terse())
        ...     return [(each.text, each.edits) for each in composed.written]
        >>> hw.run(program, store=None)
        [('Coast: the beaches. Go', 1), ('North: the savanna. Go Go Go', 3)]

    Source:
        CogWriter, arXiv 2502.12568.
    """
    where = "cogwriter"
    settings.at_least_one(where, tries=tries)
    settings.whole_number(where, rounds=rounds)
    settings.finite(where, within=within)
    settings.function(where, measure=measure, read=read)
    if not isinstance(request, str) or not request:
        raise UsageError(f"{where}: request={request!r:.80}: what is to be written, as text")
    for part in ("plan", "revise", "write", "edit"):
        if not callable(getattr(author, part, None)):
            raise UsageError(f"{where}: author={author!r:.80}: a teams.Author; it has no {part}()")
    failed = Failures(errors)
    rules = _Rules(within, tries, rounds, measure, read)
    found: dict[int, Written] = {}
    plan: list[Unit] = []
    with anytime(found) as block:
        plan = check_plan(await author.plan(request))
        if revise:
            plan = check_plan(await author.revise(request, plan))
        await gather(*(_write(request, author, plan, place, rules, block.keep, failed) for place in range(len(plan))))
    failed.check(bool(found) or not plan)
    missing = tuple(unit for place, unit in enumerate(plan) if place not in found)
    written = tuple(found[place] for place in sorted(found))
    stopped = block.stopped
    if stopped == "done" and any(each.why == "budget" for each in written):
        stopped = "budget"
    return Composed(tuple(plan), written, missing, stopped, failed.errors)


def check_plan(plan: object) -> list[Unit]:
    """The units of a plan. Raises UsageError where it is none."""
    if not isinstance(plan, list) or not plan or not all(isinstance(unit, Unit) for unit in plan):
        raise UsageError(f"cogwriter: the author planned {plan!r:.200}: give a list of at least one teams.Unit")
    for unit in plan:
        settings.at_least_one(f"cogwriter: unit {unit.name!r:.40}", length=unit.length)
    return plan


@dataclass(frozen=True)
class _Rules:
    within: float
    tries: int
    rounds: int
    measure: Callable[[str], int]
    read: Callable[[str], str | None]

    def miss(self, length: int, unit: Unit) -> float:
        """By what share a length misses that of the unit."""
        return abs(length - unit.length) / unit.length


async def _write(
    request: str,
    author: Author,
    plan: list[Unit],
    place: int,
    rules: _Rules,
    keep: Callable[[int, Written], None],
    failed: Failures,
) -> None:
    """Write one unit and edit it until it is right; whatever is nearest is kept at once."""
    unit = plan[place]
    best: Written | None = None
    edits = tries = 0
    text: str | None = None
    try:
        while text is None and tries < rules.tries:
            said = await failed.spare(place, author.write(request, plan, unit, tries))
            tries += 1
            text = None if isinstance(said, Failed) else rules.read(said)
        if text is None:
            return
        while True:
            length = rules.measure(text)
            right = rules.miss(length, unit) <= rules.within
            if best is None or rules.miss(length, unit) < rules.miss(best.length, unit):
                best = Written(unit, text, length, tries, edits, "right" if right else "rounds")
                keep(place, best)
            if right or edits == rules.rounds:
                break
            how: How = "shorten" if length > unit.length else "lengthen"
            said = await failed.spare(place, author.edit(request, unit, text, how, edits))
            edits += 1
            text = text if isinstance(said, Failed) else rules.read(said) or text
    except BudgetExceeded:
        if best is not None:
            keep(place, Written(unit, best.text, best.length, tries, edits, "budget"))
        return
    keep(place, Written(unit, best.text, best.length, tries, edits, best.why))
