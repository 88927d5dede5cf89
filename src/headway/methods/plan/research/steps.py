"""The steps of a research, as calls: a search, which may be a research of its own, and the look at what is lacking."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.methods import settings
from headway.methods.plan.research.gaps import Look, Looked, Query
from headway.methods.plan.research.report import findings_of
from headway.methods.plan.research.rubric import Criterion, Cycle, Evidence, Finding, Gap
from headway.methods.search.failures import Errors, Failures
from headway.task import task


class Outliner(Protocol):
    """Cuts a topic into the sections of a report."""

    def __call__(self, topic: str, /) -> Awaitable[list[str]]: ...


class Critic(Protocol):
    """Says what a report on a topic must have: the lasting rubric."""

    def __call__(self, topic: str, outline: list[str], /) -> Awaitable[list[Criterion]]: ...


class Judge(Protocol):
    """Says what is still lacking: the rubric of one cycle, and of it what is not met. An empty list ends the research."""

    def __call__(self, cycle: Cycle, /) -> Awaitable[list[Gap]]: ...


class Searcher(Protocol):
    """Searches for a query; usually an agent with a loop of its own. `given` is what the searches that it builds on have found."""

    def __call__(self, query: str, given: list[Finding], /) -> Awaitable[list[Finding]]: ...


class Writer(Protocol):
    """Writes the report. The cycle has the outline, the lasting rubric and all evidence; `gaps` are those that are left."""

    def __call__(self, cycle: Cycle, gaps: list[Gap], /) -> Awaitable[str]: ...


@dataclass(frozen=True)
class Parts:
    """The parts of a research, usually tasks. `model_parts` makes them from a model.

    Attributes:
        outline: cuts the topic into sections.
        judge: says what is lacking.
        search: searches.
        rubric: says what the report must have; without one there is no lasting rubric.
        write: writes the report; without one the findings are listed.
    """

    outline: Outliner
    judge: Judge
    search: Searcher
    rubric: Critic | None = None
    write: Writer | None = None

    def __post_init__(self) -> None:
        settings.function("research.Parts", outline=self.outline, judge=self.judge, search=self.search)
        settings.function("research.Parts", optional=True, rubric=self.rubric, write=self.write)


class Deeper(Protocol):
    """Makes a research of a query."""

    def __call__(self, topic: str, /) -> Awaitable[tuple[tuple[Finding, ...], tuple[Any, ...]]]: ...


@dataclass(frozen=True)
class Searching:
    """How a query is searched: by what part, how deeper, and what it may fail with."""

    search: Searcher
    deeper: Deeper | None
    errors: Errors


@task(name="research.search", label=lambda query, given, name, how: query.text)
async def search_step(query: Query, given: dict[str, Evidence], name: str, how: Annotated[Searching, unkeyed]) -> Evidence:
    """Search for a query, or make a research of it."""
    failed = Failures(how.errors)
    if query.deep and how.deeper is not None:
        found, below = await how.deeper(query.text)
        return Evidence(query.text, found, query.section, below)
    given_up = await failed.spare(0, how.search(query.text, list(findings_of(list(given.values())))))
    if failed.errors:
        return Evidence(query.text, (), query.section, (), f"{type(failed.errors[0]).__name__}: {failed.errors[0]}")
    return Evidence(query.text, _check_findings(given_up, name), query.section)


def _check_findings(given: object, name: str) -> tuple[Finding, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(each, Finding) for each in given):
        raise UsageError(
            f"research: search={name} gave {given!r:.80}: give a list of research.Finding, an empty one where nothing is"
        )
    return tuple(dict.fromkeys(given))


@task(name="research.look", label=lambda look, given, about, judge: f"cycle {look.number}")
async def look_step(look: Look, given: dict[str, Any], about: Cycle, judge: Annotated[Judge, unkeyed]) -> Looked:
    """Ask what is lacking."""
    evidence = tuple(each for each in given.values() if isinstance(each, Evidence))
    cycle = Cycle(about.topic, about.outline, about.rubric, evidence, look.number)
    return Looked(look.number, tuple(await judge(cycle)))
