"""HybridDeepSearcher and ParallelSearch: a model thinks, asks several queries at once, and reads what all of them found.

Both are one loop with other marks. The model writes a text; when it closes a list of queries, all that are new are searched at the
same time, and what they found is put into the text, from where the model goes on.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from headway.engine.handle import Handle
from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.methods import settings
from headway.methods.graph import Graph, Node
from headway.methods.plan.executor import execute
from headway.methods.plan.lines.so_far import show_value
from headway.methods.search.failures import SAMPLE_ERRORS, Errors
from headway.models.ask import AnyModel, sample
from headway.models.requests import Sampling
from headway.task import task

Search = Callable[[str], Awaitable[Any]]
"""Finds something for a query: usually a task that returns texts."""

Condense = Callable[[str, str, Any], Awaitable[str]]
"""Makes a short text of the question, a query, and what the query found."""


@dataclass(frozen=True, slots=True)
class Tags:
    """The marks of a searching model's text.

    Attributes:
        begin: opens the queries.
        end: closes them.
        between: stands between two queries.
        found: opens what was found.
        found_end: closes it.
        answer: opens the answer.
        answer_end: closes it.
    """

    begin: str
    end: str
    between: str
    found: str
    found_end: str
    answer: str
    answer_end: str


HYBRID = Tags(
    "<|begin_search_queries|>",
    "<|end_search_queries|>",
    ";\n",
    "<|begin_search_results|>",
    "<|end_search_results|>",
    "\\boxed{",
    "}",
)
"""The marks of HybridDeepSearcher."""

PARALLEL = Tags("<search>", "</search>", "##", "<information>", "</information>", "<answer>", "</answer>")
"""The marks of ParallelSearch, after the idea of: its code was not checked."""


@dataclass(frozen=True)
class Looked:
    """A round of a search.

    Attributes:
        queries: what was searched, in order.
        found: what the model was told of each.
        repeated: the queries that were asked again and not searched again.
    """

    queries: tuple[str, ...]
    found: tuple[str, ...]
    repeated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Searched:
    """What came of a question.

    Attributes:
        answer: the answer; empty where there is none.
        why: whether the model "answered", its "rounds" were used up, or it "stopped" without an answer.
        rounds: what was searched in each round.
        text: all that the model wrote and read.
    """

    answer: str
    why: Literal["answered", "rounds", "stopped"]
    rounds: tuple[Looked, ...]
    text: str

    @property
    def calls(self) -> int:
        """How many queries were searched."""
        return sum(len(each.queries) for each in self.rounds)


async def deep_search(
    question: str,
    model: AnyModel,
    search: Search,
    *,
    condense: Condense | None = None,
    tags: Tags = HYBRID,
    rounds: int = 10,
    prompt: Callable[[str, Tags], str] | None = None,
    sampling: Sampling | None = None,
    errors: Errors = SAMPLE_ERRORS,
) -> Searched:
    """Answer a question by rounds of parallel searches.

    Args:
        question: what is asked.
        model: continues a text with these marks.
        search: finds something for a query.
        condense: makes a short text of what a query found, usually by a second model; without one it is shown as it is.
        tags: the marks: `HYBRID` or `PARALLEL`, or others.
        rounds: how many rounds of searches at most. After the last one the model is asked for the answer alone.
        prompt: the text that the model goes on from; by default the rules of the marks, and the question.
        sampling: how the model is asked: see `models.Sampling`.
        errors: what a search may fail with; the model is told that it did.

    Returns:
        The answer, and what was searched. A query that was asked before, in other case or spacing, is not searched again.

    Raises:
        UsageError: settings that make no sense, before anything is asked.
        ModelError: the model refused or failed.

    Example:
        >>> from headway import models
        >>> from headway.methods import plan
        >>> areas = {"area of Italy": "302068", "area of Malta": "316"}
        >>> @hw.task
        ... async def look(query: str) -> str:
        ...     return areas[query]
        >>> class Searcher:
        ...     name = "searcher"
        ...     async def stream(self, request):
        ...         asks = "<|begin_search_queries|>area of Italy;\\n" + "area of Malta"
        ...         yield models.Piece(asks if "302068" not in request.prompt else r"It is \\boxed{955}.", finish="stop", tokens=8)
        >>> @hw.task
        ... async def program() -> tuple[str, int, int]:
        ...     done = await plan.deep_search("How often does Malta fit into Italy?", Searcher(), look)
        ...     return done.answer, len(done.rounds), done.calls
        >>> hw.run(program, store=None)
        ('955', 1, 2)

    Source:
        HybridDeepSearcher: Ko et al., arXiv 2508.19113; ParallelSearch: Zhao et al., arXiv 2508.09303. Both train a model; the loop
        that it runs in is here. It departs in asking for the answer when the rounds are used up.
    """
    _check(question, search, condense, rounds, prompt, sampling)
    text = (prompt or rules)(question, tags)
    options: Any = {"max_tokens": 1024, **(sampling or {}), "stop": [tags.end]}
    done: list[Looked] = []
    known: dict[str, None] = {}
    while True:
        last = len(done) == rounds
        if last:
            text += f"\n{tags.answer}"
        said = (await sample(model, text, **{**options, **({"stop": [tags.answer_end, tags.begin]} if last else {})})).text
        text += said
        queries = None if last else read_queries(said, tags)
        if queries is None:
            answer = read_answer(said, tags) or (said.strip() if last else "")
            return Searched(answer, "rounds" if last else "answered" if answer else "stopped", tuple(done), text)
        new, repeated = keep_new(queries, known)
        found = await _look(question, new, search, condense, errors)
        done.append(Looked(tuple(new), found, repeated))
        text += f"{tags.end}\n{_show_found(done[-1], tags)}\n"


def read_queries(said: str, tags: Tags) -> list[str] | None:
    """The queries that a text ends with.

    Args:
        said: what the model wrote, up to the mark that closes the queries.
        tags: the marks.

    Returns:
        The queries without blanks around them; None where the text asks for none.

    Example:
        >>> read_queries("Two things. <|begin_search_queries|>area of Italy;\\n area of Malta;\\n", HYBRID)
        ['area of Italy', 'area of Malta']
    """
    _, opened, inside = said.rpartition(tags.begin)
    if not opened or tags.found in inside:
        return None
    inside = inside.partition(tags.end)[0]
    return [query for each in inside.split(tags.between) if (query := each.strip().rstrip(";").strip())]


def read_answer(said: str, tags: Tags) -> str:
    """The last answer in a text.

    Args:
        said: what the model wrote.
        tags: the marks.

    Returns:
        What stands between the marks; empty where nothing does. Braces inside of it may be nested.

    Example:
        >>> read_answer(r"So it is \\boxed{\\text{Rome}}.", HYBRID), read_answer("<answer> 7 </answer>", PARALLEL)
        ('\\\\text{Rome}', '7')
    """
    _, opened, inside = said.rpartition(tags.answer)
    if not opened:
        return ""
    if tags.answer_end != "}":
        return inside.partition(tags.answer_end)[0].strip()
    depth = 1
    for at, sign in enumerate(inside):
        depth += (sign == "{") - (sign == "}")
        if not depth:
            return inside[:at].strip()
    return inside.strip()


def keep_new(queries: Sequence[str], known: dict[str, None]) -> tuple[list[str], tuple[str, ...]]:
    """The queries that were never asked, and the others.

    Args:
        queries: what is asked.
        known: what was asked before; the new ones are added.

    Returns:
        Those to be searched, and those that were asked before.

    Example:
        >>> keep_new(["Area of Italy", "area  of italy", "Rome"], {"rome": None})
        (['Area of Italy'], ('area  of italy', 'Rome'))
    """
    new: list[str] = []
    repeated: list[str] = []
    for query in queries:
        plain = re.sub(r"\s+", " ", query).strip().casefold()
        (repeated if plain in known else new).append(query)
        known[plain] = None
    return new, tuple(repeated)


async def _look(
    question: str, queries: Sequence[str], search: Search, condense: Condense | None, errors: Errors
) -> tuple[str, ...]:
    """Search all at once, and say what was found."""
    if not queries:
        return ()
    how = _Looking(search, condense)

    def step(does: str, given: Mapping[str, Any]) -> Handle[str]:
        return look_up(question, does, how)

    graph = Graph(tuple(Node(str(place), query) for place, query in enumerate(queries, 1)))
    ran = await execute(step, graph=graph, errors=errors)
    return tuple(ran.results[node.id] if node.id in ran.results else f"(failed: {ran.failures[node.id]})" for node in graph)


@dataclass(frozen=True)
class _Looking:
    """How a query is searched, and its results are made shorter."""

    search: Search
    condense: Condense | None


@task(name="plan.look_up", label="{query}")
async def look_up(question: str, query: str, how: Annotated[_Looking, unkeyed]) -> str:
    """What a query found, as the model is told it."""
    found = await how.search(query)
    return show_value(found) if how.condense is None else await how.condense(question, query, found)


def _show_found(looked: Looked, tags: Tags) -> str:
    said = [f"{query}: {found}" for query, found in zip(looked.queries, looked.found, strict=True)]
    said += [f"{query}: (asked before, see above)" for query in looked.repeated]
    return "\n".join([tags.found, *(said or ["(no query)"]), tags.found_end])


_RULES = """Answer the question. Think first about what you need to know. To search, write all queries that don't depend on each
other in one list: {begin}first query{between}second query{end} What they found comes between {found} and {found_end}. Search again
where something is lacking. Write the answer as {answer}…{answer_end}

Question: {question}
"""


def rules(question: str, tags: Tags) -> str:
    """What a model is told of the marks, and the question."""
    marks = {name: getattr(tags, name) for name in Tags.__dataclass_fields__}
    return _RULES.format(question=question, **marks)


def _check(question: str, search: Search, condense: Condense | None, rounds: int, prompt: Any, sampling: Sampling | None) -> None:
    if not isinstance(question, str) or not question.strip():
        raise UsageError(f"deep_search: question={question!r:.80}: what is asked, as text")
    settings.function("deep_search", search=search)
    settings.function("deep_search", optional=True, condense=condense, prompt=prompt)
    settings.at_least_one("deep_search", rounds=rounds)
    if taken := {"n", "tools", "tool_choice", "schema", "stop"} & (sampling or {}).keys():
        raise UsageError(f"deep_search: sampling has {', '.join(sorted(taken))}, which the search sets itself")
