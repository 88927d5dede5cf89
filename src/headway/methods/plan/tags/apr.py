"""Adaptive parallel reasoning: a model starts helpers in the middle of its text, and goes on with what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headway.errors import BudgetExceeded, UsageError
from headway.methods import settings
from headway.methods.plan.tags.reading import Block, quote, read_blocks
from headway.methods.plan.tags.writing import Path, Spares, Spent, Writer, beside, make_writer, write
from headway.methods.search.failures import SAMPLE_ERRORS, Errors
from headway.models.ask import AnyModel
from headway.models.requests import Sampling
from headway.task import task

Why = Literal["joined", "ended", "tokens", "budget", "failed"]


@dataclass(frozen=True)
class Speech:
    """The words by which a model and its helpers speak.

    Attributes:
        spawn: the tag around what helpers are told, a line for each.
        messages: the tag around what they answered, a line for each.
        join: the tag around what a thread says at its end.
        nothing: what is heard of a helper without an answer; `{why}` is the reason.
    """

    spawn: str = "spawn"
    messages: str = "messages"
    join: str = "join"
    nothing: str = "no solution: {why}"

    @property
    def tags(self) -> frozenset[str]:
        """All three."""
        return frozenset({self.spawn, self.messages, self.join})

    def hear(self, thread: Thread) -> str:
        """What a parent hears of a helper: one line, without tags, which would have power in its text.

        Args:
            thread: the helper's.

        Returns:
            Its message; where it has none, or one with tags, `nothing`.
        """
        said, why = thread.message, _REASONS.get(thread.why, thread.error)
        if said is not None and quote(said, self.tags) != said:
            said, why = None, "its message has tags in it"
        if said is None:
            said = quote(self.nothing.replace("{why}", why), self.tags)
        return " ".join(said.split("\n"))


@dataclass(frozen=True)
class Thread:
    """What a thread wrote and found.

    Attributes:
        context: what it was told.
        text: what it wrote and heard after that.
        message: what it joined with; None where it did not.
        why: "joined"; "ended", without a join; "tokens" or "budget", which were used up; "failed", with an `error`.
        spent: tokens that it and its helpers wrote.
        helpers: their threads, in the order in which they were started.
        error: what went wrong.
    """

    context: str
    text: str
    message: str | None
    why: Why
    spent: Spent
    helpers: tuple[Thread, ...] = ()
    error: str = ""


SPEECH = Speech()
_REASONS: dict[str, str] = {
    "ended": "it ended without a join",
    "tokens": "its tokens were used up",
    "budget": "its budget was used up",
}


@dataclass(frozen=True)
class Limits:
    """How far threads may go.

    Attributes:
        tokens: on the longest way, from now on.
        total: in all; None for no bound.
        helper_tokens: on the longest way of one helper; None for what its parent has left.
        helpers: how many a thread may start at a time.
        rounds: how often a thread may start helpers.
        depth: how deep they nest: helpers of a depth above 1 may start helpers.
    """

    tokens: int
    total: int | None
    helper_tokens: int | None
    helpers: int
    rounds: int
    depth: int

    def left(self, spent: Spent) -> int:
        """How many tokens a thread may write that has spent so much."""
        longest = self.tokens - spent.sequential
        return longest if self.total is None else min(longest, self.total - spent.total)

    def share(self, spent: Spent, among: int) -> Limits:
        """What each of several helpers may spend. One share of the total stays with their parent."""
        tokens = self.tokens - spent.sequential
        if self.helper_tokens is not None:
            tokens = min(tokens, self.helper_tokens)
        total = None if self.total is None else (self.total - spent.total) // (among + 1)
        return Limits(tokens, total, self.helper_tokens, self.helpers, self.rounds, self.depth - 1)


async def apr(
    model: AnyModel,
    prompt: str,
    *,
    tokens: int = 4096,
    total: int | None = None,
    helper_tokens: int | None = None,
    helpers: int = 16,
    rounds: int = 8,
    depth: int = 1,
    seed: int = 0,
    speech: Speech = SPEECH,
    errors: Errors = SAMPLE_ERRORS,
    sampling: Sampling | None = None,
) -> Thread:
    """Let a model think in threads that it starts itself.

    The model continues the prompt. At `<spawn>` it lists what helpers are told, one a line; they write at the same time, each sees
    its line and nothing else, and ends with `<join>…</join>`. Their messages are put into the parent's text, which goes on until
    its own join. Each helper is a call: a run that was killed goes on without writing a finished thread again. A helper that
    failed, ran out of tokens or ended without a join is a message like any other.

    It departs in that nothing is trained here, and helpers of a bounded depth may start helpers.

    Args:
        model: continues texts; `models.open("countdown-search")` was trained to.
        prompt: what is continued.
        tokens: written on the longest way, at most: of the parent, and of the longest helper of each round.
        total: written in all, at most.
        helper_tokens: written by one helper, at most.
        helpers: started at a time, at most. Of those beyond, the parent hears that they did not start.
        rounds: how often a thread may start helpers.
        depth: how deep helpers nest; 0 for none.
        seed: of all samples.
        speech: the words by which they speak.
        errors: what a helper may fail with without failing the program; an exception class or several.
        sampling: how the model is asked otherwise; see `models.Sampling`.

    Returns:
        The parent's thread. `message` is what it joined with.

    Raises:
        UsageError: settings that make no sense; before anything is asked.
        Exception: what the parent's own calls raise, and what helpers raise that `errors` does not name. A used-up budget ends a
            thread; a deadline is raised.

    Example:
        >>> import asyncio
        >>> from headway import models
        >>> from headway.methods.plan import apr
        >>> class Adder:  # lets helpers add the halves
        ...     name = "adder"
        ...     async def stream(self, request):
        ...         text = request.prompt
        ...         if "<messages>" in text:
        ...             said = f"<join>{sum(map(int, text.split('<messages>')[1].split()[:2]))}"
        ...         elif "\\n" in text:
        ...             said = f"<join>{sum(map(int, text.split('+')))}"
        ...         else:
        ...             said = "<spawn>1+2\\n3+4"
        ...         yield models.Piece(said, finish="stop", tokens=3)
        >>> thread = asyncio.run(apr(Adder(), "1+2+3+4="))
        >>> thread.message, thread.spent
        ('10', Spent(sequential=9, total=12))

    Source:
        Adaptive Parallel Reasoning, Pan et al., arXiv 2504.15466; after the idea of.
    """
    settings.at_least_one("apr", tokens=tokens, helpers=helpers, rounds=rounds)
    settings.whole_number("apr", depth=depth)
    for name, value in (("total", total), ("helper_tokens", helper_tokens)):
        if value is not None:
            settings.at_least_one("apr", **{name: value})
    settings.instance("apr", Speech, speech=speech)
    if len(speech.tags) < 3:
        raise UsageError(f"apr: speech={speech!r}: three tags of different names")
    shared = Threads(make_writer("apr", model, prompt, seed, sampling), speech, Spares(errors))
    return await _Thinking(shared, Limits(tokens, total, helper_tokens, helpers, rounds, depth), ()).run(prompt)


@dataclass(frozen=True)
class Threads:
    """What all threads of a program share."""

    writer: Writer
    speech: Speech
    spares: Spares

    def __headway_key__(self) -> object:
        return ("threads", self.writer, self.speech)


class _Thinking:
    """One thread at work."""

    def __init__(self, shared: Threads, limits: Limits, path: Path) -> None:
        self._shared, self._limits, self._path = shared, limits, path
        self._text = ""
        self._spent = Spent()
        self._helpers: list[Thread] = []

    async def run(self, context: str) -> Thread:
        """Write until the join."""
        speech = self._shared.speech
        for turn in range(self._limits.rounds + 1):
            most = self._limits.left(self._spent)
            if most < 1:
                return self._thread(context, "tokens")
            try:
                said = await write(
                    self._shared.writer, context + self._text, speech.tags, (speech.spawn, speech.join), most, (*self._path, -turn)
                )
            except BudgetExceeded:
                return self._thread(context, "budget")
            self._text += said.text
            self._spent += said.spent
            if said.closed == speech.join:
                return self._thread(context, "joined", _last(said.text, speech.join))
            if said.closed != speech.spawn:
                return self._thread(context, "tokens" if said.cut else "ended")
            if turn == self._limits.rounds:
                break
            await self._start(_contexts(_last(said.text, speech.spawn)))
        return self._thread(context, "ended")

    async def _start(self, contexts: Sequence[str]) -> None:
        """Let helpers work, and hear from them."""
        speech = self._shared.speech
        may = contexts[: self._limits.helpers] if self._limits.depth else []
        threads: list[Thread] = []
        share = self._limits.share(self._spent, len(may))
        if may and share.left(Spent()) > 0:
            first = len(self._helpers)
            begun = [think(self._shared, share, (*self._path, first + at), each) for at, each in enumerate(may)]
            for each, end in zip(may, await self._shared.spares.settle(begun), strict=True):
                threads.append(end.value or Thread(each, "", None, "failed", Spent(), error=end.error))
        self._helpers += threads
        self._spent += beside(thread.spent for thread in threads)
        unstarted = [Thread(each, "", None, "failed", Spent(), error="it was not started") for each in contexts[len(threads) :]]
        heard = "".join(f"{speech.hear(thread)}\n" for thread in [*threads, *unstarted])
        self._text += f"<{speech.messages}>{heard}</{speech.messages}>"

    def _thread(self, context: str, why: Why, message: str | None = None) -> Thread:
        return Thread(context, self._text, message, why, self._spent, tuple(self._helpers))


@task(name="apr.think")
async def think(shared: Threads, limits: Limits, path: Path, context: str) -> Thread:
    """One helper's thread."""
    return await _Thinking(shared, limits, path).run(f"{context}\n")


def _contexts(said: str) -> list[str]:
    """What helpers are told: a line for each.

    >>> _contexts("one \\n\\n two")
    ['one', 'two']
    """
    return [line.strip() for line in said.split("\n") if line.strip()]


def _last(text: str, tag: str) -> str:
    """What stands in the last block of a name."""
    blocks = [part for part in read_blocks(text, {tag}) if isinstance(part, Block)]
    return blocks[-1].text
