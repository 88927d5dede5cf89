"""Who plans, writes and edits a long text: what `cogwriter` asks of an author, and an author that asks a model.

An author never decides how long a text is: it is told to shorten or lengthen it, and the caller measures the result.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from headway.methods import settings
from headway.models.ask import AnyModel, sample
from headway.models.messages import Message
from headway.models.structured.answering import answer

How = Literal["shorten", "lengthen"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a text.

    Attributes:
        name: what it is called.
        brief: what it is about.
        length: how long it is to be, in the unit of `measure`: words.
    """

    name: str
    brief: str
    length: int


class Author(Protocol):
    """Plans, writes and edits. Each is a call, or an async function."""

    def plan(self, request: str, /) -> Awaitable[list[Unit]]:
        """The units of the text.

        Args:
            request: what is to be written.

        Returns:
            The units.
        """

    def revise(self, request: str, plan: list[Unit], /) -> Awaitable[list[Unit]]:
        """A better plan.

        Args:
            request: what is to be written.
            plan: the plan so far.

        Returns:
            The units.
        """

    def write(self, request: str, plan: list[Unit], unit: Unit, index: int, /) -> Awaitable[str]:
        """A unit.

        Args:
            request: what is to be written.
            plan: all units.
            unit: the one that is written.
            index: tells tries apart.

        Returns:
            Its text.
        """

    def edit(self, request: str, unit: Unit, text: str, how: How, index: int, /) -> Awaitable[str]:
        """A unit, shorter or longer.

        Args:
            request: what is to be written.
            unit: the unit.
            text: what there is of it.
            how: "shorten" or "lengthen".
            index: tells edits apart.

        Returns:
            Its text.
        """


def count_words(text: str) -> int:
    """The length of a text in words.

    Args:
        text: the text.

    Returns:
        How many words it has, by the blanks between them.

    Example:
        >>> count_words("Ghana lies  on the coast.")
        5
    """
    return len(text.split())


class ModelAuthor:
    """An author that asks a model.

    Args:
        model: any model that follows instructions.
        temperature: how far what it writes spreads.
        tokens_a_word: how much room a word of a unit gets, in tokens.

    Raises:
        UsageError: settings that make no sense.

    Example:
        >>> from headway.methods.plan import teams
        >>> from headway import models
        >>> teams.ModelAuthor(models.open("openai:qwen3@http://localhost:8000/v1")).model.name
        'qwen3'
    """

    def __init__(self, model: AnyModel, *, temperature: float = 0.8, tokens_a_word: float = 3.0) -> None:
        settings.finite("ModelAuthor", temperature=temperature)
        settings.number("ModelAuthor", 1.0, tokens_a_word=tokens_a_word)
        self.model, self._temperature, self._tokens_a_word = model, temperature, tokens_a_word

    async def plan(self, request: str) -> list[Unit]:
        """The units of the text.

        Args:
            request: what is to be written.

        Returns:
            The units.
        """
        asked = f"{request}\n\nPlan this text: list its units, each with a name, what it is about, and its length in words."
        return await self._answer(asked)

    async def revise(self, request: str, plan: list[Unit]) -> list[Unit]:
        """A better plan.

        Args:
            request: what is to be written.
            plan: the plan so far.

        Returns:
            The units.
        """
        asked = (
            f"{request}\n\nThe plan of this text:\n{_describe(plan)}\n\nCheck it against the request: is anything missing, twice, "
            "out of order or of the wrong length? Give the whole plan again, revised."
        )
        return await self._answer(asked)

    async def write(self, request: str, plan: list[Unit], unit: Unit, index: int) -> str:
        """A unit.

        Args:
            request: what is to be written.
            plan: all units.
            unit: the one that is written.
            index: which try it is.

        Returns:
            Its text.
        """
        asked = (
            f"{request}\n\nThe plan of this text:\n{_describe(plan)}\n\nWrite the unit {unit.name!r} alone, in {unit.length} "
            f"words: {unit.brief}"
        )
        return await self._sample(asked, unit, index)

    async def edit(self, request: str, unit: Unit, text: str, how: How, index: int) -> str:
        """A unit, shorter or longer.

        Args:
            request: what is to be written.
            unit: the unit.
            text: what there is of it.
            how: "shorten" or "lengthen".
            index: which edit it is.

        Returns:
            Its text.
        """
        asked = (
            f"{text}\n\nThis text has {count_words(text)} words. {how.capitalize()} it to {unit.length} words, and keep what it "
            "says. Give the text alone."
        )
        return await self._sample(asked, unit, index)

    async def _answer(self, asked: str) -> list[Unit]:
        return await answer(self.model, [Message("user", asked)], list[Unit], max_tokens=2048, temperature=self._temperature)

    async def _sample(self, asked: str, unit: Unit, index: int) -> str:
        room = int(unit.length * self._tokens_a_word) + 32
        return (await sample(self.model, [Message("user", asked)], max_tokens=room, temperature=self._temperature, seed=index)).text


def _describe(plan: Sequence[Unit]) -> str:
    return "\n".join(f"- {unit.name} ({unit.length} words): {unit.brief}" for unit in plan)
