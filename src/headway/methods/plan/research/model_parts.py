"""The parts of a research, made from a model: it outlines, sets the rubric, judges, and writes; an agent with tools searches.

report = await research(topic, model_parts(model, [search, read]))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Unpack

from headway.methods.agent.loop import Settings, agent
from headway.methods.plan.research.rubric import Criterion, Cycle, Finding, Gap
from headway.methods.plan.research.steps import Parts
from headway.models.ask import AnyModel, sample
from headway.models.messages import Message
from headway.models.structured.answering import answer
from headway.tools.tool import AnyTool

LONG, SHORT = 4096, 1024  # tokens of a report, and of what else a model is asked
_OUTLINE = "Cut this topic into the sections of a report, at most eight, in their order.\n\nTopic: {topic}"
_RUBRIC = (
    "By what would an expert judge a report on this topic? Give at most ten criteria, each a sentence, with the section that it is "
    "about, or an empty one for the whole.\n\nTopic: {topic}\nSections: {sections}"
)
_JUDGE = """What does this research still lack? First think what a reader would expect of each section, then compare it with
what was found. Give a gap for each thing that is lacking, with queries to search for it, in words that were not searched before.
deep: it is a subject of its own, worth a research. builds_on: the places, in your list, of the gaps before it whose findings it
needs. Give no gap where nothing is lacking.

{so_far}
Found nothing: {barren}"""
_SEARCH = (
    "Search for this, and give the facts that you found, each with its source. Give none that you did not find.\n\n{query}{given}"
)
_WRITE = "Write the report, in Markdown, from these findings alone. Name what is still open.\n\n{so_far}\nOpen: {gaps}"


@dataclass
class Sections:
    """An outline, as a model writes it."""

    sections: list[str]


@dataclass
class Rubric:
    """A rubric, as a model writes it."""

    criteria: list[Criterion]


@dataclass
class SaidGap:
    """A gap, as a model writes it."""

    lacks: str
    section: str
    queries: list[str]
    deep: bool
    builds_on: list[int]


@dataclass
class Lacking:
    """What is lacking, as a model writes it."""

    gaps: list[SaidGap]


@dataclass
class Found:
    """What a search found, as a model writes it."""

    findings: list[Finding] = field(default_factory=list)


def model_parts(
    model: AnyModel, tools: Sequence[AnyTool], *, searcher: AnyModel | None = None, **options: Unpack[Settings]
) -> Parts:
    """The parts of a research that a model plays.

    Args:
        model: outlines, sets the rubric, judges and writes.
        tools: what the agent that searches may use.
        searcher: the model of that agent; by default the same.
        **options: of that agent, as for `methods.agent.agent`.

    Returns:
        The parts. To replace one, use `dataclasses.replace`.

    Example:
        >>> from headway import models
        >>> from headway.methods.plan.research import model_parts
        >>> class Brief:
        ...     name = "brief"
        ...     async def stream(self, request):
        ...         yield models.Piece('{"sections": ["size", "people"]}', finish="stop", tokens=9)
        >>> import asyncio
        >>> asyncio.run(model_parts(Brief(), []).outline("Malta"))
        ['size', 'people']
    """

    async def outline(topic: str) -> list[str]:
        said = await answer(model, _ask(_OUTLINE.format(topic=topic)), Sections, max_tokens=SHORT)
        return list(dict.fromkeys(section for section in said.sections if section.strip()))

    async def rubric(topic: str, sections: list[str]) -> list[Criterion]:
        told = _RUBRIC.format(topic=topic, sections="; ".join(sections))
        return (await answer(model, _ask(told), Rubric, max_tokens=SHORT)).criteria

    async def judge(cycle: Cycle) -> list[Gap]:
        told = _JUDGE.format(so_far=describe_cycle(cycle), barren="; ".join(cycle.barren) or "nothing yet")
        return read_gaps((await answer(model, _ask(told), Lacking, max_tokens=SHORT)).gaps)

    async def search(query: str, given: list[Finding]) -> list[Finding]:
        known = f"\n\nIt builds on: {'; '.join(fact.text for fact in given)}" if given else ""
        said = await agent(searcher or model, tools, _SEARCH.format(query=query, given=known), Found, **options)
        return said.value.findings if said.value is not None else []

    async def write(cycle: Cycle, gaps: list[Gap]) -> str:
        told = _WRITE.format(so_far=describe_cycle(cycle), gaps="; ".join(gap.lacks for gap in gaps) or "nothing")
        return (await sample(model, _ask(told), max_tokens=LONG)).text

    return Parts(outline, judge, search, rubric, write)


def read_gaps(said: Sequence[SaidGap]) -> list[Gap]:
    """Gaps as a model wrote them. A gap can only build on one before it; what else a model says of that is left out."""
    return [
        Gap(
            each.lacks,
            tuple(each.queries),
            each.section,
            each.deep,
            tuple(at for at in dict.fromkeys(each.builds_on) if 0 <= at < place),
        )
        for place, each in enumerate(said)
    ]


def describe_cycle(cycle: Cycle) -> str:
    """A research so far, as a model is told of it."""
    lines = [f"Topic: {cycle.topic}", f"Sections: {'; '.join(cycle.outline)}"]
    if cycle.rubric:
        lines.append("It is judged by:")
        lines += [f"- {each.asks}{f' (section {each.section})' if each.section else ''}" for each in cycle.rubric]
    lines.append("Found so far:")
    for each in cycle.evidence:
        lines += [f"- {fact.text} [{fact.source or each.query}]" for fact in each.found]
    return "\n".join(lines)


def _ask(text: str) -> list[Message]:
    return [Message("user", text)]
