"""UnifiedMLLM: a model marks tasks in its answer, and each goes to the expert that its tag names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.plan.tags.reading import Block, Closed, Event, TagReader, tops
from headway.methods.plan.tags.writing import Spares, Spent, make_writer
from headway.methods.search.failures import SAMPLE_ERRORS, Errors
from headway.models.ask import AnyModel
from headway.models.requests import Sampling
from headway.models.streaming import stream


@dataclass(frozen=True)
class Marked:
    """A task that a model marked.

    Attributes:
        task: the tag's name.
        text: what is to be done, without regions.
        regions: where, as the model wrote it.
    """

    task: str
    text: str
    regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Routed:
    """What an expert made of a marked task.

    Attributes:
        marked: the task.
        value: what the expert gave; None where it failed.
        error: why it failed.
    """

    marked: Marked
    value: Any = None
    error: str = ""


@dataclass(frozen=True)
class Unified:
    """A model's answer with what experts made of it.

    Attributes:
        text: the answer as it was written.
        parts: the same in order, with a `Routed` in the place of each task.
        unclosed: the names of tasks that the answer ended in. They were not given to anyone, and are text.
        spent: tokens that the model wrote.
    """

    text: str
    parts: tuple[str | Routed, ...]
    unclosed: tuple[str, ...]
    spent: Spent

    @property
    def routed(self) -> list[Routed]:
        """What experts made, in the order of the text."""
        return [part for part in self.parts if isinstance(part, Routed)]


Expert: TypeAlias = Callable[[Marked], Awaitable[Any]]
"""Does a task of its kind. Usually a task of Headway, so that it is a call."""


async def unified(
    model: AnyModel,
    prompt: str,
    experts: Mapping[str, Expert],
    *,
    region: str = "region",
    tokens: int = 1024,
    seed: int = 0,
    errors: Errors = SAMPLE_ERRORS,
    sampling: Sampling | None = None,
) -> Unified:
    """Let a model answer, and give each task that it marks to the expert of that name.

    An expert starts as soon as its task's tag is closed, while the model is still writing. A task within a task is its expert's
    business and reaches it as text.

    It departs in tags with names instead of trained task and grounding tokens, and in experts that are any function.

    Args:
        model: writes tags such as `<segment>the cup<region>12,40,80,90</region></segment>`.
        prompt: what is continued.
        experts: what does the tasks, by the names of their tags. Other tags are text.
        region: the tag around regions.
        tokens: written at most.
        seed: of the sample.
        errors: what an expert may fail with without failing the program; an exception class or several.
        sampling: how the model is asked otherwise; see `models.Sampling`.

    Returns:
        The answer, with what the experts made.

    Raises:
        UsageError: settings that make no sense; before anything is asked.
        Exception: what the model raises, and what experts raise that `errors` does not name.

    Example:
        >>> import asyncio
        >>> from headway import models
        >>> from headway.methods.plan import unified
        >>> class Painter:
        ...     name = "painter"
        ...     async def stream(self, request):
        ...         for said in ("A cup: <seg", "ment>the cup<region>1,2,3,4</region></segment>."):
        ...             yield models.Piece(said, tokens=4)
        ...         yield models.Piece(finish="stop")
        >>> async def cut(marked):
        ...     return f"{marked.text} at {marked.regions[0]}"
        >>> asyncio.run(unified(Painter(), "What is on the table?", {"segment": cut})).routed[0].value
        'the cup at 1,2,3,4'

    Source:
        UnifiedMLLM, Li et al., arXiv 2408.02503; after the idea of.
    """
    settings.at_least_one("unified", tokens=tokens)
    _check_experts(experts, region)
    writer = make_writer("unified", model, prompt, seed, sampling)
    spares = Spares(errors)
    reader = TagReader({*experts, region})
    events: list[Event] = []
    begun: list[Awaitable[Any]] = []
    written = 0
    asked: Sampling = {**writer.sampling, "max_tokens": tokens, "seed": seed}
    async with aclosing(stream(model, prompt, **asked)) as pieces:
        async for piece in pieces:
            written += piece.tokens
            new = reader.read(piece.text)
            events += new
            for marked in (_marked(experts, region, event) for event in new):
                if marked is not None:
                    begun.append(experts[marked.task](marked))
    events += reader.end()
    made = iter(await spares.settle(begun))
    parts: list[str | Routed] = []
    for part in tops(events):
        marked = None if isinstance(part, str) else _read_task(experts, region, part)
        parts.append(_say(part) if marked is None else Routed(marked, *next(made)))
    unclosed = tuple(part.tag for part in tops(events) if isinstance(part, Block) and part.tag in experts and not part.closed)
    return Unified("".join(map(_say, tops(events))), tuple(parts), unclosed, Spent(written, written))


def _check_experts(experts: object, region: object) -> None:
    if not isinstance(experts, Mapping) or not experts:
        raise UsageError(f"unified: experts={experts!r:.80}: a function for each name of a tag, and one at least")
    for name, expert in experts.items():
        settings.function("unified", **{f"experts[{name!r}]": expert})
    if region in experts:
        raise UsageError(f"unified: region={region!r}: there is an expert of that name")


def _marked(experts: Mapping[str, Expert], region: str, event: Event) -> Marked | None:
    """The task that ends with an event, at the top of the text."""
    return _read_task(experts, region, event.block) if isinstance(event, Closed) and not event.depth else None


def _read_task(experts: Mapping[str, Expert], region: str, block: Block) -> Marked | None:
    if block.tag not in experts or not block.closed:
        return None
    text = "".join(_say(part) for part in block.parts if isinstance(part, str) or part.tag != region)
    return Marked(block.tag, text.strip(), tuple(each.text.strip() for each in block.blocks(region)))


def _say(part: str | Block) -> str:
    return part if isinstance(part, str) else part.whole
