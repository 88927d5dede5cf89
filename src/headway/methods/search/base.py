"""What search methods share: what they are given, what they decide, and what they return.

A method is one public coroutine on these protocols. Whoever calls it brings the parts (a model, a value head, a checker) as
functions, usually tasks, so that every sample, score and verdict is a call: journaled, budgeted, cancellable. Decisions are pure
functions from numbers to numbers (`allocators.py`, `selectors.py`, `policy.py`) and can be tested without a runtime.

A method ends when it is done, or when the budget or the deadline around it is used up; then it returns the best so far
(`ending.py`). It never holds a queue, thread, counter or cache of its own, and draws nothing: all randomness is in the parts. A
part is told an index that no other call of the same search with the same text has, and the index hangs on the place in the search
and never on the time, so a resumed search asks for the same calls. (What a budget refused may have room then: that is all that can
be new.) A part that draws seeds itself with its index, or with `hw.random()` inside of its task. Two searches of the same question
in the same call would ask for equal calls: make each a task. Others may run side by side under `hw.gather`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from reprlib import repr as shortly
from typing import TYPE_CHECKING, Literal, Protocol, SupportsIndex, TypeVar

from headway.engine.handle import Handle
from headway.errors import UsageError
from headway.methods.search import settings

if TYPE_CHECKING:
    from headway.methods.search.failures import Failures

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A whole answer. `text` does not repeat the question; `answer` is what equal answers have in common, None where the text holds
    none; `tokens` were written for it; `logprob` is their sum in nats; `score` says how good it is, the larger the better, None if
    nobody did."""

    text: str
    answer: str | None
    tokens: int = 0
    logprob: float | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """A partial solution. `text` begins with the question; `tokens` were written after it, in `depth` steps; `done` says that no
    step can follow; `answer` is that of the text so far, as of a candidate. `branch` is the place of its first step in the
    search: states of one branch grew from the same first step. A stepper leaves `depth` and `branch` to the search."""

    text: str
    tokens: int = 0
    depth: int = 0
    done: bool = False
    answer: str | None = None
    logprob: float = 0.0
    branch: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier found: right (True), wrong (False) or unknown (None); how sure it is (0 to 1); what is wrong; its tokens."""

    ok: bool | None
    confidence: float = 1.0
    feedback: str = ""
    tokens: int = 0

    def __post_init__(self) -> None:
        if self.ok is not None and not isinstance(self.ok, bool):
            raise UsageError(f"search.Verdict: ok={self.ok!r:.80}: True, False, or None for unknown")
        settings.probability("search.Verdict", confidence=self.confidence)

    @property
    def right(self) -> float:
        """How likely the answer is right, by this verdict: 1 is surely right, 0 surely wrong, a half unknown."""
        return 0.5 if self.ok is None else (1 + self.confidence) / 2 if self.ok else (1 - self.confidence) / 2


Stopped = Literal["done", "budget", "deadline"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a method returns: its choice (None where it has nothing), all that it chose from, and why it ended.

    sequential_tokens: of the answers' tokens, those that had to be written one after another, however wide the machine is: the
        longest of each round, summed over the rounds. What all of it cost, the budget around it knows.
    errors: all of the parts that failed at one sample, step, score or verdict, without failing the search (`errors=` of a method),
        in the order of the search. A resumed search gives the same.
    """

    best: Candidate | None
    candidates: tuple[Candidate, ...]
    stopped: Stopped = "done"
    sequential_tokens: int = 0
    errors: tuple[Exception, ...] = ()

    @property
    def answer(self) -> str | None:
        return None if self.best is None else self.best.answer


class Generator(Protocol):
    """Samples a whole answer. `index` tells the samples of a question apart, so that a resumed search finds each again."""

    def __call__(self, question: str, index: int, /) -> Awaitable[Candidate]: ...


class Stepper(Protocol):
    """Extends a partial solution by one step. `index` tells the continuations of one state apart."""

    def __call__(self, state: State, index: int, /) -> Awaitable[State]: ...


class Scorer(Protocol):
    """How promising texts (questions followed by partial solutions or answers) are, in their order: a finite number for each, the
    larger the better, by the same scale in all calls. From 0 to 1 is what default temperatures and thresholds are made for."""

    def __call__(self, texts: list[str], /) -> Awaitable[list[float]]: ...


class Embedder(Protocol):
    """A vector for each text; texts that mean the same have vectors of the same direction."""

    def __call__(self, texts: list[str], /) -> Awaitable[list[list[float]]]: ...


class Verifier(Protocol):
    """Whether a candidate answers the question. `index` tells repeated verdicts apart."""

    def __call__(self, question: str, candidate: Candidate, index: int, /) -> Awaitable[Verdict]: ...


class Selector(Protocol):
    """The place of the candidate to return, among one or more. Pure."""

    def __call__(self, candidates: Sequence[Candidate], /) -> int: ...


def chosen(
    found: Mapping[int, Candidate],
    select: Selector,
    stopped: Stopped,
    sequential_tokens: int = 0,
    failed: Failures | None = None,
) -> Found:
    """What a method returns of candidates by their places in the search, in whatever order they came. Raises the first error of
    `failed` where there are none, and UsageError for a `select` that gives no place among them."""
    candidates = tuple(candidate for _, candidate in sorted(found.items()))
    errors: tuple[Exception, ...] = ()
    if failed is not None:
        failed.check(bool(candidates))
        errors = failed.errors
    best = candidates[_selected(select, candidates)] if candidates else None
    return Found(best, candidates, stopped, sequential_tokens, errors)


def _selected(select: Selector, candidates: Sequence[Candidate]) -> int:
    place: object = select(candidates)
    if isinstance(place, bool) or not isinstance(place, SupportsIndex) or not 0 <= index(place) < len(candidates):
        places = f"the place of one of {len(candidates)} candidates, from 0 to {len(candidates) - 1}"
        raise UsageError(f"select={select!r} returned {shortly(place)}: it must return {places}")
    return index(place)


async def scores_of(score: Scorer, texts: list[str], *, probable: bool = False) -> list[float]:
    """The scores of texts. Raises UsageError for a scorer that gives more or fewer than one each, or what is no number: one that is
    not comparable (NaN) would win or lose by its place alone. `probable`: they must be probabilities."""
    asked = score(texts)
    given = await asked
    gave = f"the scorer {score!r} gave"
    try:
        scores = [float(value) for value in given]
    except (TypeError, ValueError):
        raise _wrong(f"{gave} {shortly(given)}: give a list of numbers, one for each text", asked) from None
    if len(scores) != len(texts):
        raise _wrong(f"{gave} {len(scores)} scores for {len(texts)} texts: give one for each, in their order", asked)
    for text, value in zip(texts, scores, strict=True):
        if not math.isfinite(value):
            raise _wrong(f"{gave} {value} for {shortly(text)}: give a finite number, the larger the better", asked)
        if probable and not -settings.ROUNDING <= value <= 1 + settings.ROUNDING:
            raise _wrong(f"{gave} {value} for {shortly(text)}: give {settings.PROBABILITY}", asked)
    return scores


async def vectors_of(embed: Embedder, texts: list[str]) -> list[list[float]]:
    """The vectors of texts. Raises UsageError for an embedder that gives more or fewer than one each, or such as have no angle."""
    asked = embed(texts)
    given = await asked
    gave = f"the embedder {embed!r} gave"
    try:
        vectors = [[float(part) for part in vector] for vector in given]
    except (TypeError, ValueError):
        raise _wrong(f"{gave} {shortly(given)}: give a list of vectors, one for each text", asked) from None
    if len(vectors) != len(texts):
        raise _wrong(f"{gave} {len(vectors)} vectors for {len(texts)} texts: give one for each, in their order", asked)
    for text, vector in zip(texts, vectors, strict=True):
        if len(vector) != len(vectors[0]) or not all(map(math.isfinite, vector)):
            raise _wrong(f"{gave} {shortly(vector)} for {shortly(text)}: give {len(vectors[0])} numbers", asked)
    return vectors


def of_kind(kind: type[T], part: object, given: object, asked: object = None) -> T:
    """What a part of a search returned. Raises UsageError where that is of another kind; `asked` is the call that returned it."""
    if not isinstance(given, kind):
        without = "; Candidate(text, None) where there is no answer" if kind is Candidate else ""
        raise _wrong(f"{part!r} returned {shortly(given)}: it must return a search.{kind.__name__}{without}", asked)
    return given


def _wrong(what: str, asked: object) -> UsageError:
    """The error of a part that gave what can't be used. What a call gave is recorded, and a resumed run is told it again although
    the part was mended; so the error says which call that is, and how to have it asked again."""
    if isinstance(asked, Handle) and asked._call.engine.store is not None:
        run_id, task, key = asked._call.engine.run_id, asked.task, asked.key[:12]
        what += (
            f". That is recorded, as the result of call {key} ({task}): when it is mended, `headway fork {run_id} --at {key}` "
            f"makes a run that asks for it again and keeps the rest (or, where the code of {task} itself was changed, "
            f"`headway resume {run_id} --rerun {task}`)"
        )
    return UsageError(what)
