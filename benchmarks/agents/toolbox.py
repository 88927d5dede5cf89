"""Finding a tool among a thousand: what synthetic queries bring, and how several texts of a tool count together.

The weight of the best text was chosen on splits from 1000 on; the rows are measured on splits from 0 on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benchmarks.agents.functions import Split, make_split
from benchmarks.methods.row import Held, Pair, Row
from headway import tools
from headway.tools.finding.bm25 import Bm25, split_words
from headway.tools.finding.toolbox import document_of

K = 5
TEST = "tests/tools/test_bench_toolbox.py::test_further_texts_of_a_tool_find_it_ten_points_more_often"


def recall_of(box: tools.Toolbox, requests: Sequence[tuple[str, str]]) -> float:
    """The share of requests whose tool is among the first five."""

    async def count() -> int:
        hits = 0
        for asked, name in requests:
            hits += name in [found.tool.name for found in await box.find(asked, K)]
        return hits

    return asyncio.run(count()) / len(requests)


def recall_by(scored: list[list[str]], owners: list[int], split: Split) -> float:
    """The same, where a tool's score is the best of the BM25 scores of its texts, given as words."""
    index, places = Bm25(scored), {tool.name: place for place, tool in enumerate(split.offered)}
    hits = 0
    for asked, name in split.requests:
        best = [0.0] * len(split.offered)
        for owner, score in zip(owners, index.scores(split_words(asked)), strict=True):
            best[owner] = max(best[owner], score)
        first = sorted(range(len(best)), key=lambda place: (-best[place], place))[:K]
        hits += places[name] in first
    return hits / len(split.requests)


def _texts(split: Split) -> list[list[list[str]]]:
    """The words of each tool's texts, the document first."""
    return [[split_words(text) for text in (document_of(tool.spec), *split.queries[tool.name])] for tool in split.offered]


def measure_queries(seed: int) -> Pair:
    """Recall at 5: documents and synthetic queries, and documents alone."""
    split = make_split(seed)
    several = tools.Toolbox(split.offered, queries=split.queries)
    return Pair(recall_of(several, split.requests), recall_of(tools.Toolbox(split.offered), split.requests))


def measure_maximum(seed: int) -> Pair:
    """Recall at 5: as a toolbox counts the texts, and the maximum over them alone."""
    split = make_split(seed)
    texts = _texts(split)
    flat = [text for of in texts for text in of]
    owners = [place for place, of in enumerate(texts) for _ in of]
    return Pair(recall_of(tools.Toolbox(split.offered, queries=split.queries), split.requests), recall_by(flat, owners, split))


def measure_together(seed: int) -> Pair:
    """Recall at 5: as a toolbox counts the texts, and all texts of a tool as one."""
    split = make_split(seed)
    together = [[word for text in of for word in text] for of in _texts(split)]
    ours = recall_of(tools.Toolbox(split.offered, queries=split.queries), split.requests)
    return Pair(ours, recall_by(together, list(range(len(together))), split))


_COMMON = {
    "method": "TURA: tools indexed by documents and synthetic queries",
    "function": "headway.tools.finding.toolbox.Toolbox",
    "item": "tools",
    "claim": "recall at 5 rises from 0.419 to 0.829",
    "unit": "recall at 5 of held-out sentences, 1,000 functions",
    "compare": "difference",
    "test": TEST,
}

ROWS: list[Row | Held] = [
    Row(
        **_COMMON,  # type: ignore[arg-type]  # fields of a row
        shows="at least 10 points above plain BM25 on the same requests",
        baseline="BM25 of the documents",
        measure=measure_queries,
        reached=lambda low, high: low >= 0.10,
    ),
    Row(
        **_COMMON,  # type: ignore[arg-type]
        shows="for words, all texts together and a quarter of the best, instead of the paper's maximum",
        baseline="the maximum of BM25 over a tool's texts",
        measure=measure_maximum,
        reached=lambda low, high: low > 0,
    ),
    Row(
        **_COMMON,  # type: ignore[arg-type]
        shows="the text that fits best counts besides all together",
        baseline="BM25 of all texts of a tool as one",
        measure=measure_together,
        reached=lambda low, high: low > 0,
        reason="sentences of one docstring rarely say the same, so the best one adds little to all of them",
    ),
    Held(
        item="tools",
        promise="The tokens of a catalogue are reserved with the prompt that holds it.",
        tests=("tests/tools/test_finding.py::test_the_tokens_of_a_catalogue_are_what_a_request_with_it_reserves",),
    ),
    Held(
        item="tools",
        promise="No request that is measured was told to the toolbox, nor copied from its documents.",
        tests=("tests/tools/test_bench_toolbox.py::test_no_request_is_told_to_the_toolbox",),
    ),
    Held(
        item="tools",
        promise="The scores are those of bm25s, equal scores keep their order, and what an embedder gave is recorded.",
        tests=(
            "tests/tools/test_finding.py::test_the_scores_are_those_of_bm25s",
            "tests/tools/test_finding.py::test_equal_scores_keep_the_order_of_the_tools",
            "tests/tools/test_finding.py::test_what_an_embedder_gave_is_recorded",
        ),
    ),
    Held(
        item="tools",
        promise="A model finds tools by itself, and a resumed conversation has those that it found.",
        tests=(
            "tests/tools/test_finding.py::test_what_is_found_is_on_the_shelf_from_the_next_turn_on",
            "tests/tools/test_finding.py::test_a_resumed_conversation_has_what_it_found",
        ),
    ),
]
