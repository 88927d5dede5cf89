"""Hogwild!: several workers on one task, who see what the others write while they write it.

    board = await hogwild("Prove it", [ModelWriter(model), ModelWriter(model)], poll=64)

A step that a worker has finished goes to the shared history. A step that it has not finished is seen by the others whenever they
look up, which they do after each `poll` tokens. After so many tokens without it, a worker is asked whether it repeats work.

What a worker saw is an argument of its next call, and the order in which turns end is recorded. So a run that was killed goes on
with the very same views, and no turn is written again. The board is a fold over turns that have ended, and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from headway.engine.handle import Handle
from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.joins.group import Group, group
from headway.methods import settings
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.parts import of_kind
from headway.models.ask import AnyModel, sample
from headway.models.messages import Message
from headway.scopes.anytime import anytime
from headway.task import task

POLL = 64
CHECK_AFTER = 256
NAMES = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Heidi")


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the shared history.

    Attributes:
        worker: who wrote it.
        text: what it says.
    """

    worker: int
    text: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What a worker sees when it looks up.

    Attributes:
        worker: which one it is, from 0 on.
        turn: how often it has looked up before.
        history: the steps that are finished, in the order in which they were.
        others: what each other one has written of a step that is not finished, by worker; those who have nothing are left out.
        own: what it has written itself of such a step.
        check: whether it is to say first if it repeats work.
        poll: how many tokens it may write before it looks up again.
    """

    worker: int
    turn: int
    history: tuple[Step, ...]
    others: tuple[Step, ...]
    own: str
    check: bool
    poll: int


@dataclass(frozen=True, slots=True)
class Wrote:
    """What a worker has written since it looked up.

    Attributes:
        text: what is new.
        tokens: how many that are.
        state: whether the step is still "open", has "ended", or with it all of the task is "done"; or the worker "drops" the
            whole step, because it repeats work.
    """

    text: str
    tokens: int
    state: Literal["open", "ended", "done", "drops"] = "open"


class Writer(Protocol):
    """A worker: writes on from what it sees. A call, or an async function."""

    def __call__(self, question: str, sight: Sight, /) -> Awaitable[Wrote]: ...


@dataclass(frozen=True, slots=True)
class Board:
    """What the workers came to.

    Attributes:
        history: the steps that were finished, in order.
        open: what was not finished when it ended.
        dropped: what was given up because it repeated work.
        answer: the step with which a worker was done; None where none was.
        tokens: how many were written, by worker.
        stopped: why it ended: the task was "done", all "turns" were used up, or a "budget" or "deadline" ended it.
        errors: what workers failed with. A worker that fails leaves.
    """

    history: tuple[Step, ...]
    open: tuple[Step, ...]
    dropped: tuple[Step, ...]
    answer: Step | None
    tokens: tuple[int, ...]
    stopped: Literal["done", "turns", "budget", "deadline"]
    errors: tuple[Exception, ...] = ()

    @property
    def text(self) -> str:
        """The finished steps, one after the other."""
        return "\n\n".join(step.text for step in self.history)


async def hogwild(
    question: str,
    writers: Sequence[Writer],
    *,
    poll: int = POLL,
    check_after: int = CHECK_AFTER,
    turns: int = 256,
    errors: Errors = SAMPLE_ERRORS,
) -> Board:
    """Let several workers write on one task, each of which sees what the others write.

    It departs in that a worker sees what the others have written when it looks up, after each `poll` tokens, where the original
    shares one cache of keys and values and each token is seen at once. It departs in that a worker that says it repeats work drops
    the step, where the original lets it go on as it likes.

    Args:
        question: the task.
        writers: the workers; one may be there several times.
        poll: tokens that a worker writes before it looks up, at most.
        check_after: after how many tokens that a worker wrote it is asked whether it repeats work.
        turns: how often all of them together look up, at most.
        errors: what a worker may fail with without failing the others.

    Returns:
        The history, and what is left beside it. The first worker that is done ends all.

    Raises:
        UsageError: settings that make no sense, or no worker; before anything is written.
        Exception: what a worker raises that `errors` does not name; and where all have failed and nothing is written, the first.

    Example:
        >>> from headway.methods.plan import teams
        >>> @hw.task
        ... async def write(question: str, sight: teams.Sight) -> teams.Wrote:
        ...     if sight.own:  # it has taken a word, and is done with it
        ...         return teams.Wrote("", 1, "ended")
        ...     taken = {step.text for step in (*sight.history, *sight.others)}
        ...     left = [word for word in question.split() if word not in taken]
        ...     await hw.sleep(1 + sight.worker)
        ...     return teams.Wrote(left[-sight.worker], 1) if left else teams.Wrote("", 0, "done")
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     board = await teams.hogwild("once upon a time", [write, write])
        ...     return [step.text for step in board.history]
        >>> hw.testing.run(program, store=None)
        ['once', 'time', 'upon', 'a']

    Source:
        Hogwild! Inference, arXiv 2504.06261.
    """
    where = "hogwild"
    settings.at_least_one(where, poll=poll, check_after=check_after, turns=turns)
    if not isinstance(writers, Sequence) or not writers:
        raise UsageError(f"{where}: writers={writers!r:.80}: a list of at least one worker")
    for writer in writers:
        settings.function(where, writers=writer)
    if not isinstance(question, str) or not question:
        raise UsageError(f"{where}: question={question!r:.80}: the task, as text")
    failed = Failures(errors)
    desk = _Desk(len(writers), poll, check_after)
    kept: dict[str, Board] = {}
    with anytime(kept) as block:
        async with group() as calls:
            for worker in range(len(writers)):
                _begin(calls, desk, writers, question, worker)
            async for handle in calls:
                worker = desk.running.pop(handle)
                wrote = await failed.spare(worker, handle)
                if not isinstance(wrote, Failed):
                    desk.take(worker, of_kind(Wrote, writers[worker], wrote))
                    block.keep("board", desk.board("done"))
                    if desk.answer is not None:
                        break
                    if desk.begun < turns:
                        _begin(calls, desk, writers, question, worker)
    board = kept.get("board") or desk.board("done")
    failed.check(any(board.tokens) or board.answer is not None)
    stopped = block.stopped if block.stopped != "done" else "done" if board.answer is not None else "turns"
    return Board(board.history, board.open, board.dropped, board.answer, board.tokens, stopped, failed.errors)


def _begin(calls: Group[Wrote], desk: _Desk, writers: Sequence[Writer], question: str, worker: int) -> None:
    """Let a worker look up and write on."""
    handle = calls.add(take_turn(question, desk.look(worker), writers[worker]))
    desk.running[handle] = worker


@task(name="hogwild.turn", label=lambda question, sight, writer: f"worker {sight.worker}, turn {sight.turn}")
async def take_turn(question: str, sight: Sight, writer: Annotated[Writer, unkeyed]) -> Wrote:
    """One turn of a worker. What it sees names the call."""
    return await writer(question, sight)


class _Desk:
    """The board as turns end: a fold over them, in recorded order."""

    def __init__(self, workers: int, poll: int, check_after: int) -> None:
        self._poll, self._check_after = poll, check_after
        self.running: dict[Handle[Wrote], int] = {}
        self.begun = 0
        self.answer: Step | None = None
        self._history: list[Step] = []
        self._dropped: list[Step] = []
        self._own = [""] * workers
        self._tokens = [0] * workers
        self._unchecked = [0] * workers
        self._turns = [0] * workers

    def look(self, worker: int) -> Sight:
        """What a worker sees now."""
        check = self._unchecked[worker] >= self._check_after and bool(self._own[worker])
        if check:
            self._unchecked[worker] = 0
        sight = Sight(worker, self._turns[worker], tuple(self._history), self._open(worker), self._own[worker], check, self._poll)
        self.begun += 1
        self._turns[worker] += 1
        return sight

    def take(self, worker: int, wrote: Wrote) -> None:
        """Put on the board what a worker has written."""
        self._own[worker] += wrote.text
        self._tokens[worker] += wrote.tokens
        self._unchecked[worker] += wrote.tokens
        if wrote.state == "open":
            return
        step, self._own[worker] = Step(worker, self._own[worker]), ""
        if wrote.state == "drops":
            self._dropped.append(step)
        elif step.text:
            self._history.append(step)
        if wrote.state == "done":
            self.answer = step

    def board(self, stopped: Literal["done"]) -> Board:
        """All of it."""
        return Board(tuple(self._history), self._open(), tuple(self._dropped), self.answer, tuple(self._tokens), stopped)

    def _open(self, but: int = -1) -> tuple[Step, ...]:
        return tuple(Step(worker, text) for worker, text in enumerate(self._own) if text and worker != but)


# --- a model as a worker -----------------------------------------------------------------------------------------------


class ModelWriter:
    """A worker that asks a model.

    Args:
        model: any model that answers conversations.
        done: whether a finished step ends the task; by default one that has `\\\\boxed{` in it.
        temperature: how far what it writes spreads.

    Raises:
        UsageError: settings that make no sense.

    Example:
        >>> from headway import models
        >>> from headway.methods.plan import teams
        >>> class Terse:
        ...     name, abilities = "terse", {"continues"}
        ...     async def stream(self, request):
        ...         yield models.Piece("It is \\\\boxed{42}.", finish="stop", tokens=6)
        >>> @hw.task
        ... async def program() -> str:
        ...     return (await teams.hogwild("6 * 7?", [teams.ModelWriter(Terse())] * 2)).answer.text
        >>> hw.run(program, store=None)
        'It is \\\\boxed{42}.'
    """

    def __init__(
        self, model: AnyModel, *, done: Callable[[str], bool] = lambda step: "\\boxed{" in step, temperature: float = 0.7
    ) -> None:
        settings.function("ModelWriter", done=done)
        settings.finite("ModelWriter", temperature=temperature)
        self.model, self._done, self._temperature = model, done, temperature

    async def __call__(self, question: str, sight: Sight) -> Wrote:
        """Write on from what is seen.

        Args:
            question: the task.
            sight: what is seen.

        Returns:
            What is new.
        """
        prompt = show_sight(question, sight)
        spent = 0
        if sight.check:
            asked = [*prompt[:-1], Message("user", f"{prompt[-1].text}\n\n{_CHECK.format(own=sight.own)}")]
            said = await sample(self.model, asked, max_tokens=4, temperature=0.0)
            spent = said.samples[0].tokens
            if said.text.strip().lower().startswith("yes"):
                return Wrote("", spent, "drops")
        options: dict[str, Any] = {"continues": True} if sight.own else {}
        own = [Message("assistant", sight.own)] if sight.own else []
        reply = await sample(
            self.model,
            [*prompt, *own],
            max_tokens=sight.poll,
            temperature=self._temperature,
            stop=("\n\n",),
            seed=sight.turn,
            **options,
        )
        one = reply.samples[0]
        if one.finish == "length":
            return Wrote(one.text, spent + one.tokens)
        return Wrote(one.text, spent + one.tokens, "done" if self._done(sight.own + one.text) else "ended")


_CHECK = "So far you have written:\n{own}\n\nQuick check: am I doing redundant work? Answer yes or no."
_RULES = (
    "Several workers solve this together, each sees what the others write. Split the work, use what others found, and never do "
    "again what one of them has done or is doing. Write one step at a time, a paragraph each. Who knows the answer ends with "
    "\\boxed{answer}."
)


def show_sight(question: str, sight: Sight) -> list[Message]:
    """What a worker sees, as a conversation for a model.

    Args:
        question: the task.
        sight: what is seen.

    Returns:
        The messages: rules, the task, the shared history and what the others are writing.

    Example:
        >>> sight = Sight(1, 0, (Step(0, "6 * 7 = 42"),), (Step(0, "So"),), "", False, 64)
        >>> print(show_sight("6 * 7?", sight)[-1].text)
        6 * 7?
        <BLANKLINE>
        Alice [finished]: 6 * 7 = 42
        <BLANKLINE>
        Alice [still writing]: So
        <BLANKLINE>
        You are Bob. Write your next step.
    """
    lines = [question]
    lines += [f"{_name(step.worker)} [finished]: {step.text}" for step in sight.history]
    lines += [f"{_name(step.worker)} [still writing]: {step.text}" for step in sight.others]
    lines.append(f"You are {_name(sight.worker)}. Write your next step.")
    return [Message("system", _RULES), Message("user", "\n\n".join(lines))]


def _name(worker: int) -> str:
    return NAMES[worker] if worker < len(NAMES) else f"Worker {worker + 1}"
