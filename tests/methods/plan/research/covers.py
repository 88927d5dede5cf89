"""A made world of facts: a report needs all of them, pages hold several each, and most are only known to be needed once another one
has been found. Some ways to ask for a fact find nothing.

Facts are numbered. Each has a parent that makes it known; the first of each section are known from the start. All is drawn from the
seed, so that ways to search can be compared on the same world.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import headway as hw
from headway.methods.plan.research import Criterion, Cycle, Finding, Gap, Parts, Report, research

WORDINGS = 5


@dataclass(frozen=True)
class World:
    """How many facts and sections there are, how many facts stand on a page, and how often a wording finds nothing."""

    seed: int = 0
    facts: int = 60
    sections: int = 5
    on_page: int = 3
    barren: float = 0.25


@cache
def parents(world: World) -> tuple[int | None, ...]:
    """Which fact makes each known; None for the first of each section."""
    rng = random.Random(world.seed)
    return tuple(
        None if fact < world.sections else rng.randrange(max(0, fact - 3 * world.sections), fact) for fact in range(world.facts)
    )


def section_of(world: World, fact: int) -> str:
    parent = parents(world)[fact]
    return f"section {fact}" if parent is None else section_of(world, parent)


@cache
def page_of(world: World, fact: int, wording: int) -> tuple[int, ...]:
    """What is found for a fact by a wording: the fact and others that stand on the same page; or nothing."""
    rng = random.Random(f"{world.seed} {fact} {wording}")
    if wording < WORDINGS - 1 and rng.random() < world.barren:
        return ()
    return (fact, *rng.sample(range(world.facts), world.on_page - 1))


def facts_of(findings: Sequence[Finding]) -> set[int]:
    return {int(each.text.removeprefix("fact ")) for each in findings}


def known_facts(world: World, found: set[int]) -> list[int]:
    """The facts that are known to be needed."""
    return [fact for fact, parent in enumerate(parents(world)) if parent is None or parent in found]


def ask(fact: int, wording: int) -> str:
    return f"fact {fact}, wording {wording}"


@hw.task
async def outline(world: World, topic: str) -> list[str]:
    return [f"section {number}" for number in range(world.sections)]


@hw.task
async def make_rubric(world: World, topic: str, sections: list[str]) -> list[Criterion]:
    return [Criterion(f"all facts of {name}", name) for name in sections]


@hw.task
async def judge(world: World, cycle: Cycle) -> list[Gap]:
    """Every fact that is known to be needed and was not found, with the next wording that was not tried."""
    found = facts_of([finding for each in cycle.evidence for finding in each.found])
    tried = {each.query for each in cycle.evidence}
    gaps = []
    for fact in known_facts(world, found):
        if fact not in found:
            left = [ask(fact, wording) for wording in range(WORDINGS) if ask(fact, wording) not in tried]
            gaps.append(Gap(f"fact {fact}", tuple(left[:1]), section_of(world, fact)))
    return gaps


@hw.task(cost={"searches": 1})
async def search(world: World, query: str, given: list[Finding]) -> list[Finding]:
    await hw.sleep(1)
    hw.charge(searches=1)
    fact, wording = (int(part.split()[1]) for part in query.split(", "))
    return [Finding(f"fact {each}", f"page {fact}-{wording}") for each in page_of(world, fact, wording)]


@hw.task
async def write(world: World, cycle: Cycle, gaps: list[Gap]) -> str:
    return f"{len(facts_of([finding for each in cycle.evidence for finding in each.found]))} facts, {len(gaps)} gaps"


def parts_of(world: World) -> Parts:
    return Parts(
        lambda topic: outline(world, topic),
        lambda cycle: judge(world, cycle),
        lambda query, given: search(world, query, given),
        lambda topic, sections: make_rubric(world, topic, sections),
        lambda cycle, gaps: write(world, cycle, gaps),
    )


@hw.task
async def study(world: World, cycles: int = 40, width: int = 100) -> Report:
    """Research a world."""
    return await research("the world", parts_of(world), cycles=cycles, width=width)


def coverage(world: World, found: set[int]) -> float:
    return len(found) / world.facts


async def search_all(world: World, queries: Sequence[str]) -> set[int]:
    found = await hw.gather(*(search(world, query, []) for query in queries))
    return facts_of([finding for each in found for finding in each])


@hw.task
async def search_wide(world: World, searches: int) -> float:
    """One round of as many searches: of what is known at the start, in all wordings, again and again."""
    known = known_facts(world, set())
    queries = [ask(fact, wording) for wording in range(WORDINGS * 20) for fact in known][:searches]
    return coverage(world, await search_all(world, queries))


@hw.task
async def search_in_rounds(world: World, searches: int, rounds: int) -> float:
    """So many rounds, decided beforehand, with as many searches in each: first of what lacks, and then in further wordings."""
    found: set[int] = set()
    tried: set[str] = set()
    for number in range(rounds):
        count = searches // rounds + (number < searches % rounds)
        known = known_facts(world, found)
        lacking = [fact for fact in known if fact not in found] or known
        options = (ask(fact, wording) for wording in range(searches + WORDINGS) for fact in lacking)
        queries = [query for query in options if query not in tried][:count]
        tried.update(queries)
        found |= await search_all(world, queries)
    return coverage(world, found)
