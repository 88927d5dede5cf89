"""A toolbox: finds the few tools that a request needs, among more than a model could be told of.

    box = tools.Toolbox(all_of_them, queries=written)
    found = await box.find(["the weather in Rome", "convert a currency"], k=5)

A tool is known by several texts: its document (name, description, parameters) and requests that people might make of it. By vectors
its score is the best of theirs, so that one fitting text is enough. By words it is that of all its texts together, and a quarter of
the best one's: a text lacks most words for what it says, and the others have some of them. A request of several parts is looked up
part by part, and the best part counts. Equal scores keep the order in which the tools were given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.errors import UsageError
from headway.models.checks.bounds import tools_bound
from headway.models.messages import ToolSpec
from headway.models.numbers.embedding import EmbeddingModel
from headway.near import near_misses
from headway.tools.finding.bm25 import Bm25, split_words
from headway.tools.finding.vectors import Embedder, Vectors, as_function
from headway.tools.tool import AnyTool, Tool, tool

BEST = 0.25
"""By words, how much the best text counts besides all together; chosen on splits of `benchmarks.agents.functions` from 1000 on."""


@dataclass(frozen=True, slots=True)
class Found:
    """A tool that was found.

    Attributes:
        tool: the tool.
        score: how well it fits: higher is better. Scores of one toolbox can be compared, those of different ones can't.
        matched: the text of the tool that fits best: its document, or a request that people might make.
    """

    tool: Tool
    score: float
    matched: str


class Toolbox:
    """Many tools, of which a request needs few.

    Args:
        tools: the tools; functions and tasks become tools.
        queries: requests that people might make of a tool, by its name (`write_queries` lets a model write them).
        embedder: compares texts by vectors instead of by words: a model that embeds, or an async function of texts.

    Raises:
        UsageError: two tools have one name, or `queries` names a tool that there is not.

    Source:
        TURA: Zhao et al., arXiv 2508.04604: tools indexed by their documents and synthetic queries, the maximum over their vectors
        and over sub-queries. It departs in that words (BM25) are the default where the paper has vectors, and that for words the
        maximum alone is too little: all texts together count more.

    Example:
        >>> import asyncio
        >>> from headway import tools
        >>> async def area(country: str) -> float:
        ...     '''The area of a country.'''
        >>> async def convert(amount: float, currency: str) -> float:
        ...     '''An amount of money in another currency.'''
        >>> box = tools.Toolbox([area, convert], queries={"area": ["how large is France?"]})
        >>> [found.tool.name for found in asyncio.run(box.find("Is Spain large?", k=1))]
        ['area']
    """

    def __init__(
        self,
        tools: Sequence[AnyTool],
        *,
        queries: Mapping[str, Sequence[str]] | None = None,
        embedder: Embedder | EmbeddingModel | None = None,
    ) -> None:
        self.tools: tuple[Tool, ...] = tuple(tool(each) for each in tools)
        self._by_name = _index(self.tools)
        self._texts: list[str] = []
        self._owners: list[int] = []  # the place of each text's tool
        written = dict(queries or {})
        for place, each in enumerate(self.tools):
            for text in (document_of(each.spec), *written.pop(each.name, ())):
                self._texts.append(text)
                self._owners.append(place)
        if written:
            name = min(written)
            raise UsageError(f"tools.Toolbox(queries=…): there is no tool {name!r}; {near_misses(name, self._by_name)}")
        self._embedder = None if embedder is None else as_function(embedder)
        self._words = None if embedder is not None else _Words(self._texts, self._owners)
        self._vectors: Vectors | None = None

    def __len__(self) -> int:
        return len(self.tools)

    def __getitem__(self, name: str) -> Tool:
        """The tool of this name. Raises KeyError."""
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    async def find(self, asked: str | Sequence[str], k: int = 5) -> list[Found]:
        """The tools that fit best.

        Args:
            asked: a request, or its parts: a tool's score is that of the part that it fits best.
            k: how many at most.

        Returns:
            Tools with a score above zero, the best first.

        Raises:
            UsageError: `k` is no whole number from 1 on, nothing is asked, or the embedder gave no vectors.
        """
        parts = [asked] if isinstance(asked, str) else list(asked)
        if not parts or not all(isinstance(part, str) for part in parts):
            raise UsageError(f"Toolbox.find({asked!r:.100}): expected a request, a text, or a list of its parts")
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise UsageError(f"Toolbox.find(k={k!r}): expected a whole number, at least 1")
        best: dict[int, tuple[float, int]] = {}  # by the place of a tool: its score, and the text that fits best
        for scores in await self._score(parts):
            for owner, (score, text) in scores.items():
                if score > best.get(owner, (0.0, 0))[0]:
                    best[owner] = score, text
        order = sorted(best, key=lambda owner: (-best[owner][0], owner))[:k]
        return [Found(self.tools[owner], best[owner][0], self._texts[best[owner][1]]) for owner in order]

    async def prepare(self) -> None:
        """Make the vectors of all texts, which otherwise the first `find` does. Nothing to do without an embedder."""
        if self._embedder is not None and self._vectors is None:
            self._vectors = await Vectors.of(self._embedder, self._texts)

    async def _score(self, parts: list[str]) -> list[dict[int, tuple[float, int]]]:
        """For each part of a request what tools score, by their places, and the text of each that fits best."""
        if self._words is not None:
            return [self._words.scores(part) for part in parts]
        await self.prepare()
        assert self._embedder is not None
        assert self._vectors is not None
        return [_best_texts(self._vectors.scores(await Vectors.of(self._embedder, [part])), self._owners) for part in parts]


class _Words:
    """Tools by the words of their texts."""

    def __init__(self, texts: Sequence[str], owners: Sequence[int]) -> None:
        split = [split_words(text) for text in texts]
        together: dict[int, list[str]] = {}
        for owner, words in zip(owners, split, strict=True):
            together.setdefault(owner, []).extend(words)
        self._owners = owners
        self._whole = Bm25(list(together.values()))
        self._single = Bm25(split)

    def scores(self, asked: str) -> dict[int, tuple[float, int]]:
        words = split_words(asked)
        whole = self._whole.scores(words)
        best = _best_texts(self._single.scores(words), self._owners)
        return {owner: (whole[owner] + BEST * score, text) for owner, (score, text) in best.items()}


def _best_texts(scores: Sequence[float], owners: Sequence[int]) -> dict[int, tuple[float, int]]:
    """The best score of each tool that has one above zero, and the first text that has it."""
    best: dict[int, tuple[float, int]] = {}
    for text, score in enumerate(scores):
        owner = owners[text]
        if score > 0.0 and score > best.get(owner, (0.0, 0))[0]:
            best[owner] = score, text
    return best


def _index(tools: Sequence[Tool]) -> dict[str, Tool]:
    named: dict[str, Tool] = {}
    for each in tools:
        if named.setdefault(each.name, each) is not each:
            raise UsageError(f"two tools are called {each.name!r}: give one of them another with name=")
    return named


def document_of(spec: ToolSpec) -> str:
    """What a tool is found by: its name, what it does, and what it takes."""
    properties: Mapping[str, Any] = spec.parameters.get("properties", {})
    taken = [f"{name}: {each.get('description', '')}" if each.get("description") else name for name, each in properties.items()]
    return "\n".join([spec.name, spec.description, *taken])


def catalogue_tokens(tools: Sequence[Tool | ToolSpec]) -> int:
    """How many tokens of a prompt these tools take at most, where a model is told of all of them.

    Args:
        tools: what the model is told of.

    Returns:
        What a request with these tools reserves for them, however its model counts its prompts.

    Example:
        >>> from headway import models
        >>> catalogue_tokens([models.ToolSpec("now", "The time.")]) < 1500
        True
    """
    return tools_bound([each.spec if isinstance(each, Tool) else each for each in tools])
