"""Finds what a pile of texts differs in: dimensions, their attributes, and the attribute of each text, as a map-reduce."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Protocol

from headway.errors import UsageError
from headway.joins.gather import gather, gather_affordable
from headway.methods import settings
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.scopes.anytime import Stopped, anytime

UNFIT = "there is no attribute {said!r} of {name!r}: an assigner gives one of {known!r:.120}, or None where none fits"


class Proposer(Protocol):
    """Names in what some texts differ. `index` tells the samples of one search apart."""

    def __call__(self, texts: list[str], index: int, /) -> Awaitable[list[str]]: ...


class Lister(Protocol):
    """Names attributes of a dimension that some texts have and that are not known yet. `index` tells equal samples apart."""

    def __call__(self, dimension: str, texts: list[str], known: list[str], index: int, /) -> Awaitable[list[str]]: ...


class Assigner(Protocol):
    """Says which attribute of a dimension a text has; None where none fits."""

    def __call__(self, dimension: str, attributes: list[str], text: str, /) -> Awaitable[str | None]: ...


@dataclass(frozen=True, slots=True)
class Dimension:
    """Something that texts differ in.

    Attributes:
        name: what it is called.
        attributes: what a text can be in it.
        labels: the attribute of each text, None where none fits.
        rounds: how often attributes were looked for.
    """

    name: str
    attributes: tuple[str, ...] = ()
    labels: tuple[str | None, ...] = ()
    rounds: int = 0

    @property
    def coverage(self) -> float:
        """The share of the texts that have an attribute."""
        return sum(label is not None for label in self.labels) / len(self.labels) if self.labels else 0.0


@dataclass(frozen=True, slots=True)
class Structure:
    """What a search of sub-populations came to.

    Attributes:
        dimensions: in the order of the votes for them.
        stopped: why it ended.
        errors: of the parts that failed.
    """

    dimensions: tuple[Dimension, ...]
    stopped: Stopped = "done"
    errors: tuple[Exception, ...] = ()

    @property
    def labels(self) -> dict[str, Sequence[str | None]]:
        """By dimension the attribute of each text, as `find_slices` takes it."""
        return {each.name: each.labels for each in self.dimensions}


async def find_subpopulations(
    texts: Sequence[str],
    propose: Proposer,
    attributes: Lister,
    assign: Assigner,
    *,
    dimensions: int = 3,
    samples: int = 5,
    sample: int = 20,
    theta: float = 0.9,
    rounds: int = 4,
    seed: int = 0,
    errors: Errors = SAMPLE_ERRORS,
) -> Structure:
    """Find in what texts differ and which text is what.

    Samples of the texts are looked at side by side, and the dimensions that most of them name are kept. Then, for each dimension at
    once: attributes are listed from samples, every text is given one, and while fewer than `theta` of them fit, more attributes are
    listed from texts that do not.

    It departs in asking again only for texts that have no attribute yet, and in the vote on dimensions, which the paper leaves to a
    model.

    Args:
        texts: what is looked at: captions, questions, arguments of calls.
        propose: names dimensions of a sample.
        attributes: names attributes of a dimension that a sample has.
        assign: gives a text an attribute.
        dimensions: how many are kept, at most.
        samples: how many samples are looked at each time.
        sample: texts of a sample.
        theta: the share of the texts that must have an attribute.
        rounds: how often attributes of a dimension are looked for, at most.
        seed: what the samples are drawn from.
        errors: what a part may fail with at one place without failing the search.

    Returns:
        Each dimension, with the attribute of each text; if a budget or deadline ended the search, those found so far.

    Raises:
        UsageError: no texts, settings that make no sense, an attribute that was not offered.
        Exception: what the parts raise, but for budgets and deadlines.

    Example:
        >>> @hw.task
        ... async def propose(texts: list[str], index: int) -> list[str]:
        ...     return ["colour"]
        >>> @hw.task
        ... async def attributes(dimension: str, texts: list[str], known: list[str], index: int) -> list[str]:
        ...     return [text.split()[0] for text in texts]
        >>> @hw.task
        ... async def assign(dimension: str, attributes: list[str], text: str) -> str | None:
        ...     return text.split()[0] if text.split()[0] in attributes else None
        >>> @hw.task
        ... async def program() -> dict[str, list[str | None]]:
        ...     found = await find_subpopulations(["red car", "blue car", "red bus"], propose, attributes, assign)
        ...     return {name: list(labels) for name, labels in found.labels.items()}
        >>> hw.run(program, store=None)
        {'colour': ['red', 'blue', 'red']}

    Source:
        SSD-LLM: Luo et al., "LLM as Dataset Analyst: Subpopulation Structure Discovery with Large Language Model", arXiv
        2405.02363; after the idea of.
    """
    settings.at_least_one("find_subpopulations", dimensions=dimensions, samples=samples, sample=sample, rounds=rounds)
    settings.whole_number("find_subpopulations", seed=seed)
    settings.probability("find_subpopulations", theta=theta)
    settings.function("find_subpopulations", propose=propose, attributes=attributes, assign=assign)
    if isinstance(texts, str) or not texts or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"find_subpopulations: texts={texts!r:.80}: a list of texts, at least one")
    failed = Failures(errors)
    search = _Search(list(texts), propose, attributes, assign, _Size(samples, sample, theta, rounds, seed), failed)
    kept: dict[str, Any] = {}
    with anytime(kept) as block:
        names = (await search.name_dimensions())[:dimensions]
        await gather(*(search.describe(number, name, block.keep) for number, name in enumerate(names)))
    found = _put_together(kept, len(texts))
    failed.check(bool(found))
    return Structure(found, block.stopped, failed.errors)


def _put_together(kept: Mapping[str, Any], texts: int) -> tuple[Dimension, ...]:
    """The dimensions, each with the labels that were kept of it."""
    numbers = sorted(int(name.removeprefix("dimension ")) for name in kept if name.startswith("dimension "))
    return tuple(
        replace(kept[f"dimension {number}"], labels=tuple(kept.get(f"label {number} {place}") for place in range(texts)))
        for number in numbers
    )


@dataclass(frozen=True, slots=True)
class _Size:
    samples: int
    sample: int
    theta: float
    rounds: int
    seed: int


class _Keep(Protocol):
    def __call__(self, key: str, value: Any, /) -> None: ...


@dataclass(frozen=True)
class _Search:
    """One search: its texts, its parts, its settings."""

    texts: list[str]
    propose: Proposer
    attributes: Lister
    assign: Assigner
    size: _Size
    failed: Failures

    async def name_dimensions(self) -> list[str]:
        """Dimensions by the votes of samples, those with most votes first."""
        drawn = self._draw("dimensions", range(len(self.texts)))
        asked = (self.failed.spare(place, self.propose(texts, place)) for place, texts in enumerate(drawn))
        given = await gather_affordable(*asked)
        named = [list(dict.fromkeys(map(_plain, names))) for names in given if not isinstance(names, Failed)]
        votes = Counter(name for names in named for name in names if name)
        return [name for name, _ in votes.most_common()]

    async def describe(self, number: int, name: str, keep: _Keep) -> None:
        """Find the attributes of a dimension and label the texts, round by round."""
        found = Dimension(name, labels=(None,) * len(self.texts))
        while found.rounds < self.size.rounds and found.coverage < self.size.theta:
            lacking = [place for place, label in enumerate(found.labels) if label is None]
            more = await self._list_attributes(number, found, lacking)
            found = replace(found, rounds=found.rounds + 1, attributes=(*found.attributes, *more))
            keep(f"dimension {number}", replace(found, labels=()))
            if more:
                found = await self._label(number, found, lacking, keep)

    async def _list_attributes(self, number: int, known: Dimension, lacking: Sequence[int]) -> list[str]:
        """Attributes that samples of the texts without one have."""
        drawn = self._draw(f"{known.name} {known.rounds}", lacking)
        first = known.rounds * self.size.samples
        asked = (
            self.failed.spare(self._place(number, place), self.attributes(known.name, texts, list(known.attributes), first + place))
            for place, texts in enumerate(drawn)
        )
        given = await gather_affordable(*asked)
        named = [_plain(each) for some in given if not isinstance(some, Failed) for each in some]
        return [name for name in dict.fromkeys(named) if name and name not in known.attributes]

    async def _label(self, number: int, known: Dimension, lacking: Sequence[int], keep: _Keep) -> Dimension:
        """Give the texts without an attribute one, all at once."""
        labels = list(known.labels)

        async def label(place: int) -> None:
            part = self.assign(known.name, list(known.attributes), self.texts[place])
            given = await self.failed.spare(self._place(number, self.size.samples + place), part)
            if given is not None and not isinstance(given, Failed):
                if given not in known.attributes:
                    raise UsageError(UNFIT.format(said=given, name=known.name, known=known.attributes))
                labels[place] = given
                keep(f"label {number} {place}", given)

        await gather_affordable(*map(label, lacking))
        return replace(known, labels=tuple(labels))

    def _draw(self, what: str, places: Sequence[int]) -> list[list[str]]:
        """Samples of some texts. As few as hold each of them once, where that is enough."""
        rng = Random(f"{self.size.seed} {what}")
        order = rng.sample(list(places), len(places))
        step = min(self.size.sample, len(order))
        count = min(self.size.samples, -(-len(order) // step))
        return [[self.texts[place] for place in sorted(order[at * step : (at + 1) * step])] for at in range(count)]

    def _place(self, number: int, at: int) -> int:
        """The place of a part in the search: behind the samples that named the dimensions, those of one dimension after another."""
        return self.size.samples + number * (self.size.samples + len(self.texts)) + at


def _plain(name: str) -> str:
    """A name as it is counted: without blanks around it and in small letters."""
    return " ".join(str(name).casefold().split())
