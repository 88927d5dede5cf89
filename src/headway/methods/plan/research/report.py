"""What a research comes to: the report, what is still open, and the trail, all made from what its steps gave.

Pure. A research that is cut off by its budget has a report all the same: the findings by section, and the gaps by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from headway.methods.graph import Graph, Node
from headway.methods.plan.research.audit import Entry
from headway.methods.plan.research.gaps import Bounds, Came, Looked, Query, find_blocked, replay_cycles
from headway.methods.plan.research.rubric import Criterion, Evidence, Finding, Gap

Ended: TypeAlias = Literal["no gap", "nothing new", "cycles", "budget", "deadline"]
WHY: Mapping[str, str] = {
    "no gap": "nothing is lacking",
    "nothing new": "every query for what is open has been searched before",
    "cycles": "the cycles are used up",
    "budget": "the budget was used up",
    "deadline": "the deadline came",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a research comes to.

    Attributes:
        text: the report.
        topic: what it is about.
        outline: its sections.
        rubric: its lasting criteria.
        evidence: what each search found, in the order of the plan.
        gaps: what is still open.
        stopped: why it ended: there was "no gap", there was "nothing new" to search, the "cycles" were used up, or the "budget" or
            the "deadline" ended it.
        cycles: how often it was searched for what was lacking.
        trail: every query, output and edit, with its reason.
        graph: the searches, and what each built on.
    """

    text: str
    topic: str
    outline: tuple[str, ...]
    rubric: tuple[Criterion, ...]
    evidence: tuple[Evidence, ...]
    gaps: tuple[Gap, ...]
    stopped: Ended
    cycles: int
    trail: tuple[Entry, ...] = field(repr=False, default=())
    graph: Graph[Query] = field(repr=False, default_factory=Graph)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All facts, each once."""
        return findings_of(self.evidence)

    @property
    def searches(self) -> int:
        """How many searches have ended. A research below this one counts with its own, and not itself."""
        ended = [each.step for each in self.trail if each.event in ("output", "failed")]
        return len(ended) - len({above for each in self.trail if (above := each.step.rpartition("/")[0])})


def findings_of(evidence: Sequence[Evidence]) -> tuple[Finding, ...]:
    """All facts of some searches, each once."""
    return tuple(dict.fromkeys(finding for each in evidence for finding in each.found))


def make_report(
    topic: str,
    outline: Sequence[str],
    rubric: Sequence[Criterion],
    came: Came,
    bounds: Bounds,
    *,
    text: str = "",
    cut_off: Literal["budget", "deadline"] | None = None,
) -> Report:
    """The report of what the steps of a research gave.

    Args:
        topic: what it is about.
        outline: its sections.
        rubric: its lasting criteria.
        came: by step what came of it.
        bounds: how far the research was to go.
        text: what a writer wrote; without it the findings are listed.
        cut_off: what ended it early.
    """
    looks = sorted((each for each in came.values() if isinstance(each, Looked)), key=lambda each: each.number)
    planned = replay_cycles(looks, came, bounds)
    nodes = [node for some in planned for node in some]
    evidence = tuple(found for node in nodes if isinstance(found := came.get(node.id), Evidence))
    gaps = tuple({gap.lacks: gap for gap in looks[-1].gaps}.values()) if looks else ()
    stopped: Ended = cut_off or _why_over(looks, bounds)
    trail = make_trail(outline, rubric, looks, planned, came, stopped)
    gone = {id for some in planned for id, _ in find_blocked(some, came)}
    graph = Graph(tuple(node for node in nodes if node.id not in gone))
    written = text or compose_report(topic, outline, evidence, gaps)
    cycles = sum(any(node.id in came for node in some) for some in planned)
    return Report(written, topic, tuple(outline), tuple(rubric), evidence, gaps, stopped, cycles, trail, graph)


def _why_over(looks: Sequence[Looked], bounds: Bounds) -> Ended:
    if looks and not looks[-1].gaps:
        return "no gap"
    return "cycles" if looks and looks[-1].number > bounds.cycles else "nothing new"


def compose_report(topic: str, outline: Sequence[str], evidence: Sequence[Evidence], gaps: Sequence[Gap]) -> str:
    """A report without a writer: the findings by section with their sources, and what is open.

    Example:
        >>> found = Evidence("area of Malta", (Finding("Malta has 316 km2", "atlas"),), "size")
        >>> print(compose_report("Malta", ["size"], [found], [Gap("its highest point", (), "size")]))
        # Malta
        <BLANKLINE>
        ## size
        - Malta has 316 km2 (atlas)
        - Open: its highest point
    """
    named = [each.section for each in evidence] + [each.section for each in gaps]
    sections = list(dict.fromkeys([*outline, *named]))
    parts = [f"# {topic}"]
    for section in sections:
        found = findings_of([each for each in evidence if each.section == section])
        lines = [f"- {fact.text}{f' ({fact.source})' if fact.source else ''}" for fact in found]
        lines += [f"- Open: {gap.lacks}" for gap in gaps if gap.section == section]
        if lines or section in outline:
            parts.append("\n".join([f"## {section or 'Other'}", *(lines or ["- Nothing was found."])]))
    return "\n\n".join(parts)


def make_trail(
    outline: Sequence[str],
    rubric: Sequence[Criterion],
    looks: Sequence[Looked],
    planned: Sequence[Sequence[Node[Query]]],
    came: Came,
    stopped: Ended,
) -> tuple[Entry, ...]:
    """The trail of a research: cycle by cycle its gaps, its queries, and what came of each.

    Args:
        outline: its sections.
        rubric: its lasting criteria.
        looks: what each look found lacking.
        planned: the searches that were planned for it.
        came: by step what came of it.
        stopped: why the research ended.
    """
    trail = [Entry("outline", section, "the topic is cut so") for section in outline]
    trail += [Entry("rubric", each.asks, f"it is asked of {each.section or 'the whole'}") for each in rubric]
    for seen, nodes in zip(looks, planned, strict=True):
        blocked = dict(find_blocked(nodes, came))
        trail += [Entry("gap", gap.lacks, f"{gap.section or 'the whole'} lacks it", cycle=seen.number) for gap in seen.gaps]
        trail += [Entry("query", node.does.text, node.does.why, node.id, seen.number) for node in nodes]
        for node in nodes:
            trail += _say_what_came(node, came.get(node.id), blocked.get(node.id), stopped)
    return (*trail, Entry("stop", stopped, WHY[stopped], cycle=looks[-1].number if looks else 0))


def _say_what_came(node: Node[Query], found: Evidence | Looked | None, blocked: str | None, stopped: Ended) -> list[Entry]:
    query, cycle = node.does, node.does.cycle
    if not isinstance(found, Evidence):
        return [Entry("given up", query.text, blocked or f"it had not ended: {WHY[stopped]}", node.id, cycle)]
    below = [replace(each, step=f"{node.id}/{each.step}") for each in found.below]
    if not found.found:
        return [*below, Entry("failed", query.text, found.error or "nothing was found", node.id, cycle)]
    facts = "; ".join(fact.text for fact in found.found)
    sources = ", ".join(dict.fromkeys(fact.source for fact in found.found if fact.source))
    return [*below, Entry("output", facts, f"found in {sources}" if sources else "found by the search", node.id, cycle)]
