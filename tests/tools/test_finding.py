"""A toolbox finds the right few among many, always the same ones, and a conversation's shelf grows by what was found."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import zlib
from typing import Annotated, Any

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headway as hw
from headway import models, tools
from headway.tools.finding.bm25 import Bm25, split_words
from headway.tools.finding.queries import read_queries
from headway.tools.finding.toolbox import document_of

WORDS = ["rain", "snow", "currency", "convert", "country", "area", "mail", "letter", "send", "picture", "blue", "city", "distance"]


def make(name: str, said: str) -> tools.Tool:
    """A tool that only says which it is."""

    async def work(what: str = "") -> str:
        return f"{name} has run"

    return tools.tool(hw.task(work, name=f"test.{name}"), name=name, description=said)


WEATHER = make("get_forecast", "Tells the weather of tomorrow.")
MONEY = make("exchange", "Converts an amount of money into another currency.")
MAIL = make("send_mail", "Sends a letter to somebody.")
ALL = [WEATHER, MONEY, MAIL]
QUERIES = {"get_forecast": ["Do I need an umbrella in Paris?", "Will it rain?"], "exchange": ["How many euros are ten dollars?"]}


def find(box: tools.Toolbox, asked: Any, k: int = 5) -> list[str]:
    return [found.tool.name for found in asyncio.run(box.find(asked, k))]


@settings(max_examples=50)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=12), min_size=1, max_size=12).filter(lambda texts: any(texts)),
    st.lists(st.sampled_from([*WORDS, "unknown"]), min_size=1, max_size=6),
)
def test_the_scores_are_those_of_bm25s(texts, asked):
    peer = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    peer.index(texts, show_progress=False)
    known = [word for word in asked if any(word in text for text in texts)]
    theirs = peer.get_scores(known) if known else np.zeros(len(texts))
    np.testing.assert_allclose(Bm25(texts).scores(asked), theirs, rtol=1e-5, atol=1e-6)


def test_words_of_identifiers_are_apart_and_common_ones_gone():
    assert split_words("readHTTPFile and the file_names of U2's cities, 42 boxes: глагол") == [
        *("read", "http", "file", "file", "name", "u", "2", "s", "city", "42", "boxe", "глагол"),
    ]


def test_a_tool_is_found_by_its_document():
    assert find(tools.Toolbox(ALL), "convert some money")[0] == "exchange"
    assert find(tools.Toolbox(ALL), "umbrella") == []


def test_a_tool_is_found_by_what_people_ask_of_it():
    box = tools.Toolbox(ALL, queries=QUERIES)
    (found,) = asyncio.run(box.find("umbrella"))
    assert (found.tool, found.matched) == (WEATHER, "Do I need an umbrella in Paris?")
    assert found.score > 0


def test_of_several_parts_the_one_that_fits_best_counts():
    box = tools.Toolbox(ALL, queries=QUERIES)
    whole = {found.tool.name: found.score for found in asyncio.run(box.find(["umbrella", "ten dollars", "umbrella paris"]))}
    best = asyncio.run(box.find("umbrella paris"))[0]
    assert whole == {"get_forecast": best.score, "exchange": asyncio.run(box.find("ten dollars"))[0].score}


def test_equal_scores_keep_the_order_of_the_tools():
    same = [make(f"tool_{place}", "Does the very same.") for place in (3, 1, 2)]
    assert find(tools.Toolbox(same), "the very same") == ["tool_3", "tool_1", "tool_2"]
    assert find(tools.Toolbox(same[::-1]), "the very same", k=2) == ["tool_2", "tool_1"]


@pytest.mark.parametrize("seed", range(5))
def test_a_larger_k_only_adds(seed):
    rng = random.Random(seed)
    many = [make(f"tool_{place}", " ".join(rng.choices(WORDS, k=6))) for place in range(30)]
    box = tools.Toolbox(many)
    asked = rng.choices(WORDS, k=3)
    found = [find(box, asked, k) for k in range(1, 31)]
    assert all(long[: len(short)] == short for short, long in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("make_it", "said"),
    [
        (lambda: tools.Toolbox([WEATHER, tools.tool(MONEY, name="get_forecast")]), "two tools are called 'get_forecast'"),
        (lambda: tools.Toolbox(ALL, queries={"exchnage": ["x"]}), "no tool 'exchnage'; did you mean 'exchange'"),
        (lambda: asyncio.run(tools.Toolbox(ALL).find("x", k=0)), "k=0"),
        (lambda: asyncio.run(tools.Toolbox(ALL).find([])), "expected a request"),
        (lambda: asyncio.run(tools.Toolbox(ALL).find([5])), "expected a request"),  # type: ignore[list-item]
        (lambda: tools.Shelf(tools.Toolbox([make("find_tools", "Finds.")])), "find_tools"),
        (lambda: tools.Shelf(tools.Toolbox(ALL), k=0), "k=0"),
    ],
)
def test_what_makes_no_sense_is_refused(make_it, said):
    with pytest.raises(hw.UsageError, match=said):
        make_it()


def test_a_toolbox_of_nothing_finds_nothing():
    assert find(tools.Toolbox([]), "anything") == []


# --- by vectors ------------------------------------------------------------------------------------------------------


def hashed(text: str) -> list[float]:
    """A vector of 64 numbers: each word adds one to the place that it is hashed to."""
    vector = [0.0] * 64
    for word in split_words(text):
        vector[zlib.crc32(word.encode()) % 64] += 1.0
    return vector


@hw.task
async def embed(texts: list[str]) -> list[list[float]]:
    """An embedder of words."""
    return [hashed(text) for text in texts]


def test_by_vectors_the_score_is_the_best_cosine_of_a_tools_texts():
    box = tools.Toolbox(ALL, queries=QUERIES, embedder=embed)
    found = {each.tool.name: each for each in asyncio.run(box.find("will it rain in Paris"))}
    asked = np.array(hashed("will it rain in Paris"))
    texts = [document_of(WEATHER.spec), *QUERIES["get_forecast"]]
    cosines = [np.array(hashed(text)) @ asked / np.linalg.norm(hashed(text)) / np.linalg.norm(asked) for text in texts]
    assert found["get_forecast"].score == pytest.approx(max(cosines))
    assert found["get_forecast"].matched == texts[int(np.argmax(cosines))]


def test_what_an_embedder_gave_is_recorded(go):
    @hw.task
    async def program() -> list[str]:
        box = tools.Toolbox(ALL, queries=QUERIES, embedder=embed)
        return [found.tool.name for found in await box.find(["rain", "euros"], k=2)]

    first = go(program)
    assert first == go(program) == ["get_forecast", "exchange"]


def test_a_model_that_embeds_is_an_embedder(go):
    asked: list[int] = []

    class Hashes:
        name = "hashes of words"

        async def embed(self, texts: Any, dimensions: int | None = None) -> models.Embeddings:
            asked.append(len(texts))
            return models.Embeddings(tuple(tuple(hashed(text)) for text in texts), 3 * len(texts), self.name)

    @hw.task
    async def program() -> list[str]:
        box = tools.Toolbox(ALL, queries=QUERIES, embedder=Hashes())
        return [found.tool.name for found in await box.find("will it rain", k=1)]

    assert go(program) == go(program) == ["get_forecast"]
    assert asked == [6, 1]  # the texts of the tools, the request; then recorded


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda texts: [[1.0]] * (len(texts) + 1), "gave an array of shape"),
        (lambda texts: [[float("nan")]] * len(texts), "finite numbers"),
        (lambda texts: [[1.0] * (1 + (len(texts) > 1))] * len(texts), "use the same one for both"),
        (lambda texts: ["x"] * len(texts), "a list of numbers for each text"),
        (lambda texts: [[1.0] * (1 + place) for place, _ in enumerate(texts)], "all of one length"),
    ],
)
def test_an_embedder_that_gives_no_vectors_is_refused(give, said):
    async def wrong(texts: list[str]) -> Any:
        return give(texts)

    with pytest.raises(hw.UsageError, match=said):
        asyncio.run(tools.Toolbox(ALL, embedder=wrong).find("rain"))


# --- the shelf -------------------------------------------------------------------------------------------------------


def ask(id: str, name: str, **arguments: Any) -> models.ToolCall:
    return models.ToolCall(id, name, json.dumps(arguments))


BOX = tools.Toolbox(ALL, queries=QUERIES)


@hw.task
async def talk(stop: Annotated[list[int], hw.unkeyed]) -> list[Any]:
    """What the model is shown, and what it has after each turn."""
    shelf = tools.Shelf(BOX, k=1)
    seen: list[Any] = [len(shelf), shelf.catalogue_tokens]
    for turn in (
        [ask("1", "exchange")],
        [ask("2", "find_tools", requests=["how many euros"]), ask("3", "find_tools", requests=["rain", "umbrella"])],
        [ask("4", "exchange"), ask("5", "find_tools", requests=["  "])],
    ):
        seen.append([result.content for result in await tools.run_calls(shelf, turn)])
        seen.append([tool.name for tool in shelf])
        if stop and len(shelf) > 1:
            raise KeyboardInterrupt
    return [*seen, shelf.catalogue_tokens]


def test_what_is_found_is_on_the_shelf_from_the_next_turn_on(go):
    begun, tokens, *turns, more = go(talk, [])
    assert begun == 1
    assert turns[0] == ["There is no tool 'exchange'; there is 'find_tools'"]
    assert turns[1] == ["find_tools"]
    assert json.loads(turns[2][0]) == [{"name": "exchange", "description": MONEY.spec.description}]
    assert turns[3] == ["find_tools", "exchange", "get_forecast"]
    assert turns[4] == ["exchange has run", "[]"]
    assert more - tokens == tools.catalogue_tokens([MONEY, WEATHER, MAIL]) - tools.catalogue_tokens([MAIL])


def test_a_resumed_conversation_has_what_it_found(go):
    with pytest.raises(hw.CallExited):
        go(talk, [1])
    again = go(talk, [])
    assert again[5] == ["find_tools", "exchange", "get_forecast"]


def test_a_shelf_is_a_list_of_tools():
    shelf = tools.Shelf(BOX, always=[MAIL])
    assert [tool.name for tool in shelf] == ["find_tools", "send_mail"] == [shelf[0].name, shelf[-1].name]
    assert shelf[0].spec.parameters["required"] == ["requests"]
    shelf.learn([tools.ToolResult(ask("1", "find_tools"), "", is_error=True)])
    assert len(shelf) == 2


def test_the_tokens_of_a_catalogue_are_what_a_request_with_it_reserves(go):
    """Of a budget that is a little too small for the catalogue, nothing is left for the request; a little more is enough."""
    shelf = tools.Shelf(BOX)
    writer = ScriptedWriter({"": "nothing"})
    asked = [models.Message("user", "Hello")]

    @hw.task
    async def try_it(amount: float, offered: Annotated[Any, hw.unkeyed]) -> bool:
        with hw.budget(tokens=amount):
            (end,) = await hw.settle(models.sample(writer, asked, tools=offered, max_tokens=5))
        return end.ok

    @hw.task
    async def least(offered: Annotated[Any, hw.unkeyed], tools_there: int) -> int:
        low, high = 0, 10_000
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if await try_it(middle, offered) else (middle, high)
        return high

    @hw.task
    async def program() -> int:
        return await least(shelf, 1) - await least((), 0)

    assert go(program) == shelf.catalogue_tokens > 0
    assert tools.catalogue_tokens([]) == 0


# --- requests written by a model -------------------------------------------------------------------------------------


class ScriptedWriter:
    """Stands for a language model: says what a script has for the tool that it is asked about."""

    name = "scripted writer"
    abilities = frozenset({"tools"})

    def __init__(self, script: dict[str, str]) -> None:
        self.script = script
        self.asked: list[str] = []

    async def stream(self, request: models.Request) -> Any:
        text = request.prompt[0].text  # type: ignore[union-attr]
        self.asked.append(text)
        yield models.Piece(next(said for name, said in self.script.items() if name in text), 0, "stop", tokens=5)


def test_a_model_writes_requests_for_each_tool(go):
    writer = ScriptedWriter(
        {"exchange": "1. How many euros?\n2. Swap 10 dollars\n3. too many", "get_forecast": "- Rain?\n\n- Rain?"}
    )

    @hw.task
    async def program() -> dict[str, tuple[str, ...]]:
        return await tools.write_queries(writer, [MONEY, WEATHER], count=2)

    assert go(program) == {"exchange": ("How many euros?", "Swap 10 dollars"), "get_forecast": ("Rain?",)}
    assert "Write 2 different requests" in writer.asked[0]
    assert "Converts an amount of money" in writer.asked[0]
    go(program)
    assert len(writer.asked) == 2  # recorded


def test_lines_are_read_without_their_marks():
    assert read_queries('1) "A b"\n(2) c\n* d\n•  e\n3.5 is a number\n') == ("A b", "c", "d", "e", "3.5 is a number")


def test_no_requests_can_not_be_asked_for():
    with pytest.raises(hw.UsageError, match="count=0"):
        asyncio.run(tools.write_queries(ScriptedWriter({}), ALL, count=0))
