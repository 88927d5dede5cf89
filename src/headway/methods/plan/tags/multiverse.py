"""Multiverse: a model says itself where its text can go on in parallel paths, and draws a conclusion from all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headway.errors import BudgetExceeded
from headway.methods import settings
from headway.methods.plan.tags.reading import Block, Closed, quote, read_blocks, read_events
from headway.methods.plan.tags.writing import Path, Spares, Spent, Writer, Written, beside, make_writer, write
from headway.methods.search.failures import SAMPLE_ERRORS, Errors
from headway.models.ask import AnyModel
from headway.models.requests import Sampling
from headway.task import task

TAGS = frozenset({"Parallel", "Goal", "Outline", "Path", "Conclusion"})
LONGEST_NAME = 20  # characters of what an outline is called
Why = Literal["ended", "tokens", "budget", "failed"]


@dataclass(frozen=True)
class Woven:
    """A text that was written in parallel where it could be.

    Attributes:
        text: all of it after the prompt, with its tags, as if it had been written from beginning to end.
        why: it "ended"; its "tokens" or its "budget" were used up; or, of a path, it "failed".
        spent: tokens written, on the longest way and in all.
        paths: what its paths wrote, in order.
        error: what went wrong.
    """

    text: str
    why: Why
    spent: Spent
    paths: tuple[Woven, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Loom:
    """What all paths share."""

    writer: Writer
    path_tokens: int | None
    width: int
    spares: Spares

    def __headway_key__(self) -> object:
        return ("loom", self.writer, self.path_tokens, self.width)


async def multiverse(
    model: AnyModel,
    prompt: str,
    *,
    tokens: int = 4096,
    path_tokens: int | None = None,
    width: int = 16,
    depth: int = 2,
    seed: int = 0,
    errors: Errors = SAMPLE_ERRORS,
    sampling: Sampling | None = None,
) -> Woven:
    """Let a model write a text whose parallel parts are written at the same time.

    The model continues the prompt. Where it writes `<Parallel><Goal>` with an `<Outline>` for each part (Map), every outline
    becomes a `<Path>` that sees all of the text so far and none of the other paths (Process). All paths are put into the text in
    the order of their outlines, and the model goes on with its `<Conclusion>` (Reduce), to the end of the block and beyond. Each
    path is a call.

    It departs in that a model of any kind is asked again for each path, where the paper's engine forks a cache; a server that
    caches prefixes makes that cheap. The names of the tags are recalled, not checked.

    Args:
        model: continues texts and knows these tags.
        prompt: what is continued.
        tokens: written on the longest way, at most.
        path_tokens: written by one path on its longest way, at most; None for what is left.
        width: paths that write at the same time, at most. Those beyond wait for these.
        depth: how deep blocks nest that are forked; what is deeper is written by its path alone.
        seed: of all samples.
        errors: what a path may fail with without failing the text, which then holds the reason in its place; an exception class or
            several.
        sampling: how the model is asked otherwise; see `models.Sampling`.

    Returns:
        The text.

    Raises:
        UsageError: settings that make no sense; before anything is asked.
        Exception: what the model raises outside of paths, and what paths raise that `errors` does not name. A used-up budget ends
            the text; a deadline is raised.

    Example:
        >>> import asyncio
        >>> from headway import models
        >>> from headway.methods.plan import multiverse
        >>> class Planner:
        ...     name = "planner"
        ...     async def stream(self, request):
        ...         text = request.prompt
        ...         if text.endswith("<Conclusion>"):
        ...             said = "Rome and Oslo."
        ...         elif text.endswith("<Path>1:"):
        ...             said = " It is Rome."
        ...         elif text.endswith("<Path>2:"):
        ...             said = " It is Oslo."
        ...         elif "</Parallel>" in text:
        ...             said = " Done."
        ...         else:
        ...             said = "<Parallel><Goal><Outline>1: Italy</Outline><Outline>2: Norway</Outline>"
        ...         yield models.Piece(said, finish="stop", tokens=len(said.split()))
        >>> woven = asyncio.run(multiverse(Planner(), "The capitals of Italy and Norway? "))
        >>> woven.text.partition("</Goal>")[2]
        '<Path>1: It is Rome.</Path><Path>2: It is Oslo.</Path><Conclusion>Rome and Oslo.</Conclusion></Parallel> Done.'
        >>> woven.spent
        Spent(sequential=10, total=13)

    Source:
        Multiverse, Yang et al., arXiv 2506.09991; after the idea of.
    """
    settings.at_least_one("multiverse", tokens=tokens, width=width)
    settings.whole_number("multiverse", depth=depth)
    if path_tokens is not None:
        settings.at_least_one("multiverse", path_tokens=path_tokens)
    loom = Loom(make_writer("multiverse", model, prompt, seed, sampling), path_tokens, width, Spares(errors))
    return await _Weaving(loom, prompt, tokens, depth, ()).run()


class _Weaving:
    """A text, or a path of one, in the making."""

    def __init__(self, loom: Loom, before: str, tokens: int, depth: int, path: Path) -> None:
        self._loom, self._before, self._tokens, self._depth, self._path = loom, before, tokens, depth, path
        self._text = ""
        self._spent = Spent()
        self._paths: list[Woven] = []
        self._turns = 0

    async def run(self) -> Woven:
        """Write to the end."""
        try:
            why = await self._write()
        except BudgetExceeded:
            why = "budget"
        text = self._text.removesuffix("</Path>") if self._path else self._text
        return Woven(text, why, self._spent, tuple(self._paths))

    async def _write(self) -> Why:
        ends = (*(["Path"] if self._path else []), *(["Goal"] if self._depth else []))
        while (said := await self._go_on(ends, ["Path"] if self._path else [])) is not None:
            if said.closed != "Goal":
                return "tokens" if said.cut else "ended"
            outlines = _outlines(said.text)
            if outlines and not (await self._process(outlines) and await self._reduce()):
                break
        return "tokens"

    async def _go_on(self, ends: Sequence[str], within: Sequence[str]) -> Written | None:
        """Let the model write until one of these tags closes; None where no tokens are left."""
        most = self._tokens - self._spent.sequential
        if most < 1:
            return None
        self._turns += 1
        place = (*self._path, -self._turns)
        said = await write(self._loom.writer, self._before + self._text, TAGS, ends, most, place, within=within)
        self._text += said.text
        self._spent += said.spent
        return said

    async def _process(self, outlines: list[str]) -> bool:
        """Write the paths, and put them into the text. Returns whether tokens sufficed."""
        width, first = self._loom.width, len(self._paths)
        shared = self._before + self._text
        for at in range(0, len(outlines), width):
            most = self._tokens - self._spent.sequential
            if most < 1:
                break
            share = most if self._loom.path_tokens is None else min(most, self._loom.path_tokens)
            wave = enumerate(outlines[at : at + width], len(self._paths))
            begun = [
                weave(self._loom, f"{shared}<Path>{each}:", share, self._depth - 1, (*self._path, place)) for place, each in wave
            ]
            ended = await self._loom.spares.settle(begun)
            made = [each.value or Woven("", "failed", Spent(), error=each.error) for each in ended]
            self._paths += made
            self._spent += beside(each.spent for each in made)
        done = self._paths[first:]
        self._text += "".join(f"<Path>{name}:{_balanced(path)}</Path>" for name, path in zip(outlines, done, strict=False))
        return len(done) == len(outlines)

    async def _reduce(self) -> bool:
        """Let the model conclude, and close the block. Returns whether tokens sufficed."""
        self._text += "<Conclusion>"
        said = await self._go_on(["Parallel"], ["Parallel", "Conclusion"])
        if said is None or said.cut:
            return False
        if said.closed != "Parallel":
            self._text += "</Conclusion>" * ("</Conclusion>" not in said.text) + "</Parallel>"
        return True


@task(name="multiverse.path")
async def weave(loom: Loom, before: str, tokens: int, depth: int, path: Path) -> Woven:
    """Write one path."""
    return await _Weaving(loom, before, tokens, depth, path).run()


def _outlines(said: str) -> list[str]:
    """What the outlines of the last goal are called: the number before the colon, or their place.

    >>> _outlines("<Goal><Outline>1: a</Outline><Outline> 2.1: b</Outline><Outline>c</Outline></Goal>")
    ['1', '2.1', '3']
    """
    events = read_events([said], TAGS)
    goal = [event.block for event in events if isinstance(event, Closed) and event.block.tag == "Goal"][-1]
    names = [block.text.partition(":") for block in goal.blocks("Outline")]
    return [name.strip() if colon and len(name) < LONGEST_NAME else str(at) for at, (name, colon, _) in enumerate(names, 1)]


def _balanced(path: Woven) -> str:
    """A path's text with each tag closed, and without power for those that would close what is around it."""
    if path.why == "failed":
        return quote(f" {path.error}", TAGS)
    inside = read_blocks(path.text, TAGS)
    return "".join(quote(part, TAGS) if isinstance(part, str) else _closed(part) for part in inside)


def _closed(block: Block) -> str:
    """A block with each tag closed."""
    inside = "".join(quote(part, TAGS) if isinstance(part, str) else _closed(part) for part in block.parts)
    return f"<{block.tag}>{inside}</{block.tag}>"
