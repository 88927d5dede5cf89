"""Lets a model write what people might ask of a tool, so that a toolbox finds it by their words and not only by its author's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Unpack

from headway.errors import UsageError
from headway.joins.gather import gather
from headway.models.ask import AnyModel, sample
from headway.models.base import Reply
from headway.models.messages import Message
from headway.models.requests import Sampling
from headway.tools.finding.toolbox import document_of
from headway.tools.tool import Tool

_ASKED = """Here is a tool of a program:

{document}

Write {n} different requests of people who need it but have never heard of it: short and long ones, with made-up details, without
the tool's name. One request on each line, and nothing else."""
_MARK = re.compile(r"^\s*(?:[-*•]|\(?\d+[.):])\s+")


async def write_queries(
    model: AnyModel, offered: Sequence[Tool], *, count: int = 20, **options: Unpack[Sampling]
) -> dict[str, tuple[str, ...]]:
    """Let a model write requests for each tool, as `Toolbox(queries=…)` takes them. One call of the model for each tool.

    Args:
        model: the model.
        offered: the tools.
        count: how many requests for each; a model may write fewer.
        **options: how to sample, see `models.Sampling`. 40 tokens a request are allowed by default.

    Returns:
        The requests by the tool's name.

    Raises:
        UsageError: `count` is no whole number from 1 on.
        ModelError: the model refused, or could not be had.

    Source:
        TURA: Zhao et al., arXiv 2508.04604: 20 synthetic queries for each tool.

    Example:
        >>> from headway import models, tools
        >>> class Writer:
        ...     name = "writer"
        ...     async def stream(self, request):
        ...         yield models.Piece("1. How large is Spain?", 0, "stop", tokens=8)
        >>> @tools.tool
        ... async def area(country: str) -> float:
        ...     '''The area of a country.'''
        >>> @hw.task
        ... async def program() -> dict[str, tuple[str, ...]]:
        ...     return await tools.write_queries(Writer(), [area])
        >>> hw.run(program, store=None)
        {'area': ('How large is Spain?',)}
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UsageError(f"tools.write_queries(count={count!r}): expected a whole number, at least 1")
    how: Any = {"max_tokens": 40 * count, **options}
    replies: list[Reply] = await gather(*(sample(model, [_ask(tool, count)], **how) for tool in offered))
    return {tool.name: read_queries(reply.text)[:count] for tool, reply in zip(offered, replies, strict=True)}


def _ask(tool: Tool, n: int) -> Message:
    return Message("user", _ASKED.format(document=document_of(tool.spec), n=n))


def read_queries(text: str) -> tuple[str, ...]:
    """The lines of a text without what numbers or marks them, each once.

    Args:
        text: what a model wrote.

    Returns:
        The requests, in order.

    Example:
        >>> read_queries("1. How large is Spain?\\n2) Is it hot?\\n\\n- Is it hot?")
        ('How large is Spain?', 'Is it hot?')
    """
    lines = (_MARK.sub("", line).strip().strip('"') for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line))
