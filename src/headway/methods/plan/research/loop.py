"""Research by gaps: search, see what is still lacking, search for that, until nothing is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.graph import Edit, Trace
from headway.methods.plan.executor import execute
from headway.methods.plan.research.audit import Entry
from headway.methods.plan.research.gaps import FOUND, Bounds, Came, Look, Step, edit_plan
from headway.methods.plan.research.report import Report, make_report
from headway.methods.plan.research.rubric import Cycle, Evidence, Finding
from headway.methods.plan.research.steps import Parts, Searching, look_step, search_step
from headway.methods.protocols import Policy
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failures
from headway.scopes.anytime import anytime

ASKS = 3  # times that the plan is looked at in a cycle, at most: its queries, what can't begin, and once more at the end


async def research(
    topic: str,
    parts: Parts,
    *,
    depth: int = 1,
    cycles: int = 8,
    width: int = 16,
    policy: Policy | None = None,
    errors: Errors = SAMPLE_ERRORS,
) -> Report:
    """Research a topic until nothing is lacking.

    The topic is outlined and given a lasting rubric. Then, cycle by cycle, a judge says what outline and evidence lack. Queries for
    it become steps of one plan and run side by side, and another look comes behind them. A gap that is a subject of its own becomes
    a research below this one. What builds on a search that found nothing is taken out of the plan. A query is never searched twice,
    so every research ends.

    It departs in what the judge does at once: it makes the rubric of a cycle and tells what of it is not met.

    Args:
        topic: what it is about.
        parts: outline, rubric, judge, search, write.
        depth: how many researches may lie below this one; at 0 a deep gap is searched like any other.
        cycles: how often it is searched for what is lacking, at most; of a research below as well.
        width: queries of a cycle, at most.
        policy: which of the searches that may start do so; by default all.
        errors: what a search may fail with without failing the research.

    Returns:
        The report, the evidence, what is open, why it ended, and the trail. Where a budget or a deadline ended it, the report so
        far with the gaps that were seen last.

    Raises:
        UsageError: settings that make no sense, parts that give something else.
        Exception: what the parts raise, but for budgets and deadlines.

    Example:
        >>> from headway.methods.plan.research import Cycle, Finding, Gap, Parts, research
        >>> PAGES = {"area of Malta": "Malta has 316 km2", "capital of Malta": "Its capital is Valletta"}
        >>> @hw.task
        ... async def outline(topic: str) -> list[str]:
        ...     return ["area", "capital"]
        >>> @hw.task
        ... async def judge(cycle: Cycle) -> list[Gap]:
        ...     covered = {each.section for each in cycle.evidence}
        ...     return [Gap(f"its {name}", (f"{name} of Malta",), name) for name in cycle.outline if name not in covered]
        >>> @hw.task
        ... async def search(query: str, given: list[Finding]) -> list[Finding]:
        ...     return [Finding(PAGES[query], "atlas")]
        >>> @hw.task
        ... async def program() -> tuple[str, int]:
        ...     report = await research("Malta", Parts(outline, judge, search))
        ...     return report.stopped, report.searches
        >>> hw.run(program, store=None)
        ('no gap', 2)

    Source:
        DuMate-DeepResearch, Baidu, arXiv 2606.07299; after the idea of.
    """
    settings.whole_number("research", depth=depth)
    settings.at_least_one("research", cycles=cycles, width=width)
    settings.function("research", optional=True, policy=policy)
    Failures(errors)  # refuses what are no errors
    if not isinstance(topic, str) or not topic.strip():
        raise UsageError(f"research: topic={topic!r:.80}: what it is about, as text")
    if not isinstance(parts, Parts):
        raise UsageError(f"research: parts={parts!r:.80}: a research.Parts, of outline, judge and search at least")
    return await _Research(parts, Bounds(depth, cycles, width), policy, errors).run(topic)


class _Research:
    """One research: its parts and its bounds."""

    def __init__(self, parts: Parts, bounds: Bounds, policy: Policy | None, errors: Errors) -> None:
        self._parts, self._bounds, self._policy, self._errors = parts, bounds, policy, errors

    async def run(self, topic: str, *, writes: bool = True) -> Report:
        kept: dict[str, Any] = {}
        with anytime(kept) as block:
            about = await self._begin(topic)
            block.keep("about", about)
            await execute(
                self._step(about),
                goal=topic,
                planner=self._plan,
                replan="done",
                rounds=ASKS * (self._bounds.cycles + 1),
                policy=self._policy,
                tests={FOUND: lambda came: isinstance(came, Evidence) and bool(came.found)},
                errors=(),
                keep=block.keep,
            )
            if writes and self._parts.write is not None:
                so_far = self._report(topic, kept)
                told = replace(about, evidence=so_far.evidence, number=max(1, so_far.cycles))
                block.keep("text", await self._parts.write(told, list(so_far.gaps)))
        return self._report(topic, kept, None if block.stopped == "done" else block.stopped)

    async def _begin(self, topic: str) -> Cycle:
        """The outline and the lasting rubric."""
        outline = await self._parts.outline(topic)
        if not isinstance(outline, list | tuple) or not outline or not all(isinstance(each, str) and each for each in outline):
            raise UsageError(f"research: the outline is {outline!r:.80}: give a list of sections, at least one")
        rubric = () if self._parts.rubric is None else tuple(await self._parts.rubric(topic, list(outline)))
        return Cycle(topic, tuple(outline), rubric)

    async def _plan(self, goal: object, trace: Trace[Step]) -> AsyncIterator[list[Edit[Step]]]:
        edits = edit_plan(trace.graph, trace.results, self._bounds)
        if edits:
            yield edits

    def _step(self, about: Cycle) -> Any:
        name = settings.say_part(self._parts.search)
        how = Searching(self._parts.search, self._deepen if self._bounds.depth else None, self._errors)

        def step(does: Step, given: dict[str, Any]) -> Any:
            if isinstance(does, Look):
                return look_step(does, given, about, self._parts.judge)
            return search_step(does, given, name, how)

        return step

    async def _deepen(self, topic: str) -> tuple[tuple[Finding, ...], tuple[Entry, ...]]:
        """A research below this one: its findings and its trail."""
        bounds = replace(self._bounds, depth=self._bounds.depth - 1)
        found = await _Research(self._parts, bounds, self._policy, self._errors).run(topic, writes=False)
        return found.findings, found.trail

    def _report(self, topic: str, kept: dict[str, Any], cut_off: Any = None) -> Report:
        about, text = kept.get("about", Cycle(topic, ())), kept.get("text", "")
        came: Came = {id: each for id, each in kept.items() if id not in ("about", "text")}
        return make_report(topic, about.outline, about.rubric, came, self._bounds, text=text, cut_off=cut_off)
