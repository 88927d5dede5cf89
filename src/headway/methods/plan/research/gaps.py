"""From gaps to the edits of a plan: which queries are new, what they wait for, which branches are given up.

A plan has two kinds of steps: a `Query` is a search, a `Look` asks what is lacking once all searches before it have ended. What a
look finds becomes queries, and another look behind them. All of it follows from what the steps gave, so a resumed research comes to
the same plan. A query that was searched once is never searched again, so a research ends: each cycle has to ask something new.

Pure: nothing here asks a model or waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeAlias

from headway.errors import UsageError
from headway.methods.graph import Add, Edit, Graph, Node, Remove, Rewire, after
from headway.methods.plan.research.rubric import Evidence, Gap

FOUND = "found"
"""The condition of a need that the search before it found something."""


@dataclass(frozen=True, slots=True)
class Query:
    """A search, as a step of the plan.

    Attributes:
        text: what is searched.
        why: the gap that it is to close.
        section: which section lacks it.
        deep: whether it is a research of its own.
        cycle: in which cycle it was planned.
    """

    text: str
    why: str
    section: str = ""
    deep: bool = False
    cycle: int = 1


@dataclass(frozen=True, slots=True)
class Look:
    """The question what is lacking, as a step of the plan. `number`: of the cycle that begins with it, from 1 on."""

    number: int


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found lacking."""

    number: int
    gaps: tuple[Gap, ...]


Step: TypeAlias = Query | Look
Came: TypeAlias = Mapping[str, Evidence | Looked]
"""By step what came of it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a research goes: researches below it, cycles, and queries of a cycle."""

    depth: int
    cycles: int
    width: int


def normalise_query(text: str) -> str:
    """A query as it is compared with others: without capitals, and blanks between words alone.

    Example:
        >>> normalise_query("  Area of  Malta ")
        'area of malta'
    """
    return " ".join(text.casefold().split())


def edit_plan(graph: Graph[Step], came: Came, bounds: Bounds) -> list[Edit[Step]]:
    """What a plan needs next, once nothing is left to run.

    Args:
        graph: the plan.
        came: by step what came of it.
        bounds: how far the research goes.

    Returns:
        The first look. Or, where a look waits for what can't be searched: its branch is removed. Or, where a look has found gaps,
        the queries for them and the next look. Nothing where the research is over.
    """
    looks = [node for node in graph if isinstance(node.does, Look)]
    if not looks:
        return [Add(Node(name_look(1), Look(1)))]
    last = looks[-1]
    seen = came.get(last.id)
    if not isinstance(seen, Looked):
        gone = [id for id, _ in find_blocked(queries_of(graph), came)]
        left = [need.step for need in last.needs if need.step not in gone]
        return [Rewire(last.id, after(*left, on="end")), *(Remove(id) for id in gone)] if gone else []
    adds = _plan_next(seen, queries_of(graph), bounds)
    if not adds:
        return []
    steps = [node.id for node in queries_of(graph)] + [node.id for node in adds]
    return [*map(Add, adds), Add(Node(name_look(seen.number + 1), Look(seen.number + 1), after(*steps, on="end")))]


def _plan_next(seen: Looked, before: Sequence[Node[Query]], bounds: Bounds) -> list[Node[Query]]:
    if seen.number > bounds.cycles:
        return []
    return plan_gaps(seen.gaps, {normalise_query(node.does.text) for node in before}, seen.number, most=bounds.width)


def replay_cycles(looks: Sequence[Looked], came: Came, bounds: Bounds) -> list[list[Node[Query]]]:
    """The queries that were planned in each cycle, from what its look found: the plan of a research that was cut off."""
    planned: list[list[Node[Query]]] = []
    for seen in looks:
        lost = {id for nodes in planned for id, _ in find_blocked(nodes, came)}
        planned.append(_plan_next(seen, [node for nodes in planned for node in nodes if node.id not in lost], bounds))
    return planned


def name_look(number: int) -> str:
    """The id of a look."""
    return f"look {number}"


def queries_of(graph: Graph[Step]) -> list[Node[Query]]:
    """The searches of a plan, in its order."""
    return [node for node in graph if isinstance(node.does, Query)]  # type: ignore[misc]


def plan_gaps(gaps: Sequence[Gap], asked: AbstractSet[str], cycle: int, *, most: int = 16) -> list[Node[Query]]:
    """The steps by which a cycle would close its gaps.

    Args:
        gaps: what is lacking.
        asked: all queries so far, normalised.
        cycle: its number, which the ids of the steps begin with.
        most: steps, at most; gaps take turns, so that each has a query before one has two.

    Returns:
        A step for each query that was not asked before. It waits for the searches of the gaps that it builds on, and runs only
        where these found something.

    Raises:
        UsageError: something else than a gap; a gap that builds on one that does not stand before it.

    Example:
        >>> [node.id for node in plan_gaps([Gap("its area", ("area of Malta", "size of Malta"))], {"area of malta"}, 2)]
        ['2.1']
    """
    _check_gaps(gaps)
    turns = sorted((turn, place, text) for place, gap in enumerate(gaps) for turn, text in enumerate(gap.queries))
    known, chosen = set(asked), list[tuple[int, str]]()
    for _, place, text in turns:
        name = normalise_query(text)
        if name and name not in known and len(chosen) < most:
            known.add(name)
            chosen.append((place, " ".join(text.split())))
    chosen.sort(key=lambda each: each[0])  # what is built on stands first
    ids: dict[int, list[str]] = {}
    nodes: list[Node[Query]] = []
    for number, (place, text) in enumerate(chosen, 1):
        gap, id = gaps[place], f"{cycle}.{number}"
        needs = after(*(step for other in gap.builds_on for step in ids.get(other, ())), test=FOUND)
        ids.setdefault(place, []).append(id)
        nodes.append(Node(id, Query(text, gap.lacks, gap.section, gap.deep, cycle), needs))
    return nodes


def _check_gaps(gaps: Sequence[Gap]) -> None:
    if not isinstance(gaps, list | tuple) or not all(isinstance(gap, Gap) for gap in gaps):
        raise UsageError(
            f"research: the judge gave {gaps!r:.80}: give a list of research.Gap, an empty one where nothing is lacking"
        )
    for place, gap in enumerate(gaps):
        if any(not 0 <= other < place for other in gap.builds_on):
            raise UsageError(f"research: gap {place} builds on {gap.builds_on!r:.60}: give the places of gaps that stand before it")


def find_blocked(nodes: Sequence[Node[Query]], came: Came) -> list[tuple[str, str]]:
    """The searches that can't begin, because one that they build on found nothing, each with the reason.

    Args:
        nodes: searches, each behind those that it builds on.
        came: by step what came of it.

    Example:
        >>> nodes = plan_gaps([Gap("a", ("who?",)), Gap("b", ("when?",), builds_on=(0,))], set(), 1)
        >>> find_blocked(nodes, {"1.1": Evidence("who?")})
        [('1.2', "it builds on 'who?', which found nothing")]
    """
    texts = {node.id: node.does.text for node in nodes}
    because: dict[str, str] = {}
    for node in nodes:
        for need in node.needs:
            before = came.get(need.step)
            if node.id not in came and node.id not in because and (need.step in because or _is_barren(before)):
                because[node.id] = because.get(need.step) or f"it builds on {texts.get(need.step)!r}, which found nothing"
    return list(because.items())


def _is_barren(came: Evidence | Looked | None) -> bool:
    return isinstance(came, Evidence) and not came.found
