"""What a report is measured by: the topic's lasting criteria, and what one cycle finds still open.

The lasting rubric is made once, from topic and outline, and goes to whoever plans and whoever writes. What a cycle looks for is
made anew each time, from outline and evidence, and is gone after it: only its gaps stay, as queries. These are records; models and
people fill them.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.errors import UsageError
from headway.methods.plan.research.audit import Entry


@dataclass(frozen=True, slots=True)
class Criterion:
    """Something that a good report has.

    Attributes:
        asks: what, in a sentence.
        section: which section it is about; empty where it is about the whole.

    Raises:
        UsageError: nothing is asked.
    """

    asks: str
    section: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.asks, str) or not self.asks.strip():
            raise UsageError(f"Criterion: asks={self.asks!r:.80}: what is asked, as text")


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact that a search found.

    Attributes:
        text: the fact.
        source: where it was found.
    """

    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one search came to.

    Attributes:
        query: what was searched.
        found: the facts; none where there were none.
        section: which section asked for it.
        below: the trail of the research that it was, where it was one.
        error: what the search failed with; empty where it did not.
    """

    query: str
    found: tuple[Finding, ...] = ()
    section: str = ""
    below: tuple[Entry, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a report still lacks, and how it might be found.

    Attributes:
        lacks: what, in a sentence.
        queries: what to search for it: one search each. None where nobody knows, which leaves the gap open.
        section: which section lacks it.
        deep: whether it is a subject of its own, worth a research below this one.
        builds_on: of this list of gaps, the places of those whose findings its searches need first.
    """

    lacks: str
    queries: tuple[str, ...] = ()
    section: str = ""
    deep: bool = False
    builds_on: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Cycle:
    """What the judge of a cycle is shown.

    Attributes:
        topic: what the research is about.
        outline: the sections of the report.
        rubric: the lasting criteria.
        evidence: what the searches so far have found, in the order of the plan, those that found nothing included.
        number: of the cycle, from 1 on.
    """

    topic: str
    outline: tuple[str, ...]
    rubric: tuple[Criterion, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    number: int = 1

    @property
    def barren(self) -> tuple[str, ...]:
        """The queries that found nothing, so that others are thought of."""
        return tuple(each.query for each in self.evidence if not each.found)
