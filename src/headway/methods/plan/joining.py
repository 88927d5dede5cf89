"""The joiner: looks at what a plan has found, and answers or asks for more.

Another joiner is any async function from a `SoFar` to a `Finish` or a `Replan`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Unpack

from headway.methods.plan.literals import read_arguments, refs_in
from headway.methods.plan.so_far import SoFar
from headway.models.ask import AnyModel
from headway.models.messages import Message
from headway.models.structured.answering import Answering, answer


@dataclass(frozen=True, slots=True)
class Finish:
    """The question is answered.

    Attributes:
        answer: with what.
    """

    answer: Any


@dataclass(frozen=True, slots=True)
class Replan:
    """More is to be done.

    Attributes:
        thought: what is lacking, for the planner.
    """

    thought: str


Joiner = Callable[[SoFar], Awaitable[Finish | Replan]]
"""Decides what comes of a plan that has run. Where `SoFar.last` holds, there is no other round."""


@dataclass(frozen=True)
class Decision:
    """What a model decides about a plan that has run.

    Attributes:
        thought: what the results say, in a sentence.
        action: whether the question is answered, or more is to be done.
        answer: the answer; empty where more is to be done.
    """

    thought: str
    action: Literal["finish", "replan"]
    answer: str = ""


@dataclass(frozen=True)
class LastDecision:
    """What a model answers that can't ask for more.

    Attributes:
        thought: what the results say, in a sentence.
        answer: the answer.
    """

    thought: str
    answer: str


_ASKED = """Here is a question, and what was done to answer it, with results and errors.

Question: {question}

{lines}

{wanted}"""
_DECIDE = (
    "Answer the question if the results allow it (finish). If something is lacking or has failed, say what is to be done (replan)."
)
_LAST = "Nothing more can be done. Answer the question with what there is."


def joiner_prompt(so_far: SoFar) -> list[Message]:
    """What a joiner is asked.

    Args:
        so_far: the question, and what was done for it.

    Returns:
        The messages.
    """
    lines = [str(line) for line in so_far.lines] or ["Nothing was done."]
    if so_far.fault:
        lines.append(f"The plan broke off. {so_far.fault}")
    wanted = _LAST if so_far.last else _DECIDE
    return [Message("user", _ASKED.format(question=so_far.question, lines="\n".join(lines), wanted=wanted))]


def ask_joiner(model: AnyModel, **options: Unpack[Answering]) -> Joiner:
    """A joiner that asks a model.

    Args:
        model: any model; one that takes schemas is held to the form of the answer.
        **options: how it is asked: see `models.answer`.

    Returns:
        The joiner. In the last round the model can't ask for more.
    """

    async def join(so_far: SoFar) -> Finish | Replan:
        prompt = joiner_prompt(so_far)
        if so_far.last:
            return Finish((await answer(model, prompt, LastDecision, **options)).answer)
        decided = await answer(model, prompt, Decision, **options)
        return Finish(decided.answer) if decided.action == "finish" else Replan(decided.thought)

    return join


async def last_result(so_far: SoFar) -> Finish | Replan:
    """A joiner that asks nobody: the answer is what the last line gave, or a list of all that no other line uses.

    Args:
        so_far: the question, and what was done for it.

    Returns:
        A `Finish`; a `Replan` where something failed or the plan broke off. In the last round an answer of None says that there is
        none.
    """
    faults = [f"Line {line.id} failed: {line.error}" for line in so_far.lines if line.error]
    if so_far.fault:
        faults.append(so_far.fault)
    if faults or not so_far.lines:
        return Finish(None) if so_far.last else Replan(" ".join(faults) or "Nothing was done.")
    used = {id for line in so_far.lines for id in refs_in(read_arguments(line.said.partition("(")[2].rpartition(")")[0]))}
    ends = [line.value for line in so_far.lines if line.id not in used]
    return Finish(ends[0] if len(ends) == 1 else ends)
