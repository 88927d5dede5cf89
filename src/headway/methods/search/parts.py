"""Calls the parts of a search and checks what they return.

A part is a caller's function, and its results decide the search: a score that can't be compared (NaN) would win or lose by its
place alone. So every result is checked here, and an error names the part and what it returned. A call's result is recorded, so a
resumed run gets the bad result again even if the part was fixed. The error therefore also names the call and says how to have it
made again.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable
from reprlib import repr as shortly
from typing import TypeVar

from headway.engine.handle import Handle
from headway.errors import UsageError
from headway.methods import settings
from headway.methods.protocols import Embedder, Generator, Scorer, Stepper, Verifier
from headway.methods.records import Candidate, State, Verdict

Q = TypeVar("Q")
S = TypeVar("S")
T = TypeVar("T")


async def call_generator(generate: Generator[Q, S], question: Q, index: int) -> Candidate[S]:
    """Ask the generator for a sample. Raises UsageError where it returned no candidate."""
    asked = generate(question, index)
    return of_kind(Candidate, generate, await asked, asked)


async def call_stepper(step: Stepper[Q, S], question: Q, state: State[S], index: int) -> State[S]:
    """Ask the stepper for the next state. Raises UsageError where it returned no state."""
    asked = step(question, state, index)
    return of_kind(State, step, await asked, asked)


async def call_verifier(verify: Verifier[Q, S], question: Q, candidate: Candidate[S], index: int) -> Verdict:
    """Ask the verifier for a verdict. Raises UsageError where it returned none."""
    asked = verify(question, candidate, index)
    return of_kind(Verdict, verify, await asked, asked)


async def scores_of(score: Scorer[Q, S], question: Q, values: list[S], *, probable: bool = False) -> list[float]:
    """The scores of partial solutions or answers, one for each.

    Raises:
        UsageError: for a scorer that gives more or fewer than one each, or what is no finite number; where they must be `probable`,
            what is no probability.
    """
    asked = score(question, values)
    given = await asked
    gave = f"the scorer {settings.say_part(score)} gave"
    try:
        scores = [float(value) for value in given]
    except (TypeError, ValueError):
        raise _wrong(f"{gave} {shortly(given)}: give a list of numbers, one for each solution", asked) from None
    if len(scores) != len(values):
        raise _wrong(f"{gave} {len(scores)} scores for {len(values)} solutions: give one for each, in their order", asked)
    for value, number in zip(values, scores, strict=True):
        if not math.isfinite(number):
            raise _wrong(f"{gave} {number} for {shortly(value)}: give a finite number, the larger the better", asked)
        if probable and not -settings.ROUNDING <= number <= 1 + settings.ROUNDING:
            raise _wrong(f"{gave} {number} for {shortly(value)}: give {settings.PROBABILITY}", asked)
    return scores


async def vectors_of(embed: Embedder[Q, S], question: Q, values: list[S]) -> list[list[float]]:
    """The vectors of partial solutions. Raises UsageError for an embedder that gives more or fewer than one each, or such as have
    no angle."""
    asked = embed(question, values)
    given = await asked
    gave = f"the embedder {settings.say_part(embed)} gave"
    try:
        vectors = [[float(part) for part in vector] for vector in given]
    except (TypeError, ValueError):
        raise _wrong(f"{gave} {shortly(given)}: give a list of vectors, one for each solution", asked) from None
    if len(vectors) != len(values):
        raise _wrong(f"{gave} {len(vectors)} vectors for {len(values)} solutions: give one for each, in their order", asked)
    for value, vector in zip(values, vectors, strict=True):
        if len(vector) != len(vectors[0]) or not all(map(math.isfinite, vector)):
            raise _wrong(f"{gave} {shortly(vector)} for {shortly(value)}: give {len(vectors[0])} numbers", asked)
    return vectors


def of_kind(kind: type[T], part: object, given: object, asked: Awaitable[object] | None = None) -> T:
    """What a part of a search returned.

    Args:
        kind: what it must be.
        part: whose it is. `asked` is the call that returned it.

    Raises:
        UsageError: where it is of another kind.
    """
    if not isinstance(given, kind):
        without = "; Candidate(value, None) where there is no answer" if kind is Candidate else ""
        gave = f"{settings.say_part(part)} returned {shortly(given)}"
        raise _wrong(f"{gave}: it must return a search.{kind.__name__}{without}", asked)
    return given


def _wrong(what: str, asked: object) -> UsageError:
    """The error of a part that gave what can't be used, with the command that makes a recorded call again."""
    if isinstance(asked, Handle) and asked._call.engine.store is not None:
        run_id, task, key = asked._call.engine.run_id, asked.task, asked.key[:12]
        what += (
            f". That is recorded, as the result of call {key} ({task}): when it is mended, `headway fork {run_id} --at {key}` "
            f"makes a run that asks for it again and keeps the rest (or, where the code of {task} itself was changed, "
            f"`headway resume {run_id} --rerun {task}`)"
        )
    return UsageError(what)
