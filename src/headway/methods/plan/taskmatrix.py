"""TaskMatrix.AI: a platform of documented APIs, of which a request selects a few, and an executor that tells their makers what
failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.plan.compiler import Compiled, llm_compiler
from headway.methods.plan.joining import Joiner
from headway.methods.plan.so_far import SoFar, planner_prompt, say_tool
from headway.methods.plan.using import StepFailed
from headway.models.ask import AnyModel, sample
from headway.models.messages import Message
from headway.models.numbers.embedding import EmbeddingModel
from headway.models.requests import Prompt, Sampling
from headway.tools.finding.toolbox import Toolbox
from headway.tools.finding.vectors import Embedder
from headway.tools.tool import AnyTool, Tool, tool


@dataclass(frozen=True)
class Api:
    """An API of a platform, as its maker documents it. Its name, parameters and description are those of the tool.

    Attributes:
        tool: what is called.
        examples: requests that need it, each with the call that answers it: `("How large is Spain?", 'area("Spain")')`.
        composition: how it is used together with others.
    """

    tool: AnyTool
    examples: Sequence[tuple[str, str]] = ()
    composition: str = ""


@dataclass(frozen=True)
class Feedback:
    """What the maker of an API should hear.

    Attributes:
        api: its name.
        said: the call that was made.
        error: how it failed.
    """

    api: str
    said: str
    error: str


@dataclass(frozen=True)
class Served:
    """What came of a request.

    Attributes:
        answer: the answer.
        outline: how the model meant to go about it, step by step.
        selected: the APIs that it was offered, those that fit best first.
        ran: what was planned and done.
        feedback: what their makers should hear.
    """

    answer: Any
    outline: tuple[str, ...]
    selected: tuple[str, ...]
    ran: Compiled
    feedback: tuple[Feedback, ...]


class Platform:
    """APIs with their documents, found by what they say and by the requests in their examples.

    Args:
        apis: the APIs.
        embedder: finds them by meaning; without one they are found by words.

    Raises:
        UsageError: there are none, or two have one name.

    Example:
        >>> from headway.methods.plan import Api, Platform
        >>> async def area(country: str) -> float:
        ...     '''The area of a country.'''
        >>> platform = Platform([Api(area, [("How large is Spain?", 'area("Spain")')], "Its result goes into ratio.")])
        >>> print(platform.document("area"))
        area(country: string): The area of a country.
          How large is Spain? -> area("Spain")
          Its result goes into ratio.
    """

    def __init__(self, apis: Sequence[Api], *, embedder: Embedder | EmbeddingModel | None = None) -> None:
        if not apis or not all(isinstance(each, Api) for each in apis):
            raise UsageError(f"Platform(apis={apis!r:.80}): a list of plan.Api, at least one")
        named = [(tool(each.tool), each) for each in apis]
        self._apis = {made.name: (made, each) for made, each in named}
        queries = {made.name: [asked for asked, _ in each.examples] for made, each in named}
        self._box = Toolbox([made for made, _ in named], queries=queries, embedder=embedder)

    def __getitem__(self, name: str) -> Tool:
        """The tool of an API. Raises KeyError."""
        return self._apis[name][0]

    async def select(self, asked: Sequence[str], k: int = 5) -> list[Tool]:
        """The APIs that fit best.

        Args:
            asked: a request, and the steps of its outline.
            k: how many at most.

        Returns:
            Their tools, the best first.
        """
        return [found.tool for found in await self._box.find(list(asked), k)]

    def document(self, name: str) -> str:
        """What a model is told of an API besides its signature.

        Args:
            name: its name.

        Returns:
            Its signature, its examples and how it is composed, in lines.
        """
        made, api = self._apis[name]
        examples = [f"  {asked} -> {call}" for asked, call in api.examples]
        return "\n".join([say_tool(made), *examples, *([f"  {api.composition}"] if api.composition else [])])


_OUTLINE = """Outline in a few steps how this request is carried out: one step on each line, in plain words, without tools' names.

{request}"""


async def task_matrix(
    request: str,
    model: AnyModel,
    platform: Platform,
    *,
    join: Joiner,
    k: int = 5,
    attempts: int = 2,
    outline: bool = True,
    **options: Unpack[Sampling],
) -> Served:
    """Carry out a request with the APIs of a platform.

    The model outlines how it would go about it. The APIs that fit the request or a step of the outline are selected, and the model
    writes calls of them with their documents at hand, which run while it writes. What fails is told to it, and it goes on from
    there.

    Args:
        request: what is to be done.
        model: outlines, and writes calls.
        platform: the APIs.
        join: answers, or asks for more: see `llm_compiler`.
        k: how many APIs are selected at most.
        attempts: how often the model plans at most.
        outline: whether it outlines first; else APIs are selected by the request alone.
        **options: how the model is asked: see `models.Sampling`.

    Returns:
        The answer, and feedback about the APIs that failed.

    Raises:
        UsageError: settings that make no sense, or no API fits.

    Source:
        Liang et al., arXiv 2303.16434; after the idea of its platform, selector and executor. Its foundation model is any model
        here, and it learns nothing from feedback; feedback is returned for the makers of the APIs.
    """
    _check(request, platform, k, attempts)
    steps: tuple[str, ...] = ()
    if outline:
        said = (await sample(model, [Message("user", _OUTLINE.format(request=request))], **options)).text
        steps = tuple(line.strip() for line in said.splitlines() if line.strip())
    selected = await platform.select([request, *steps], k)
    if not selected:
        raise UsageError(f"task_matrix: no API fits {request!r:.80}: describe the APIs better, or give examples")

    def prompt(so_far: SoFar, offered: Sequence[Tool]) -> Prompt:
        rules, asked = planner_prompt(so_far, offered)
        documents = "\n".join(platform.document(each.name) for each in offered)
        more = f"\n\nThe outline:\n{chr(10).join(steps)}" if steps else ""
        return [Message("system", f"{rules.text}\n\nTheir documents:\n{documents}{more}"), asked]

    ran = await llm_compiler(request, model, selected, join=join, max_replans=attempts - 1, prompt=prompt, sampling=options)
    feedback = tuple(
        Feedback(node.does.tool, node.does.said, each.failures[node.id].removeprefix(f"{StepFailed.__name__}: "))
        for each in ran.rounds
        for node in each.graph
        if node.id in each.failures
    )
    return Served(ran.answer, steps, tuple(each.name for each in selected), ran, feedback)


def _check(request: str, platform: Platform, k: int, attempts: int) -> None:
    if not isinstance(request, str) or not request.strip():
        raise UsageError(f"task_matrix: request={request!r:.80}: what is to be done, as text")
    if not isinstance(platform, Platform):
        raise UsageError(f"task_matrix: platform={platform!r:.80}: a plan.Platform")
    settings.at_least_one("task_matrix", k=k, attempts=attempts)
