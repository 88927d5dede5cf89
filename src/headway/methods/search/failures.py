"""Failures of single parts of a search: one bad sample does not end the others.

    failed = Failures(errors)
    made = await failed.spare(index, call_generator(generate, question, index))
    if isinstance(made, Failed):
        return                                                             # the others go on
    ...
    return choose(found, select, block.stopped, tokens, failed)            # raises where all failed and nothing was found

A model that refuses one prompt of sixteen, or does not answer in time, has failed at one sample. Errors that `errors` names are
treated like that: the sample has no candidate, and `Found.errors` has the error. Every other error fails the search, so a bug of a
part shows at once. Budgets and deadlines are no failures; they end a search (`hw.anytime`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from headway.errors import CallTimeout, InputFailed, ModelError, UsageError, WorkerDied
from headway.joins.bound import bound_of
from headway.methods.protocols import Scorer
from headway.methods.search.parts import scores_of

Q = TypeVar("Q")
S = TypeVar("S")
T = TypeVar("T")
Errors = type[Exception] | tuple[type[Exception], ...]

SAMPLE_ERRORS: tuple[type[Exception], ...] = (ModelError, CallTimeout, WorkerDied)
"""What a part of a search may fail with without failing the search, unless it is told otherwise."""


class Failed:
    """In the place of what a part would have given."""


FAILED = Failed()


class Failures:
    """What failed of one search, by the place in it.

    At one place a search asks for one part after another, never for two at once. So the order of the errors is that of the search,
    and not of time.

    Args:
        errors: what a part may fail with: an exception class or several; () for none.
        racing: whether the parts race. In a race whatever fails loses, but for a UsageError.

    Raises:
        UsageError: `errors` names no exception classes.
    """

    def __init__(self, errors: Errors, *, racing: bool = False) -> None:
        kinds = errors if isinstance(errors, tuple) else (errors,)
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise UsageError(f"errors={errors!r}: an exception class or several, such as hw.ModelError; () for none")
        self._kinds, self._racing = kinds, racing
        self._errors: dict[int, list[Exception]] = {}

    def __len__(self) -> int:
        """At how many places something failed."""
        return len(self._errors)

    @property
    def errors(self) -> tuple[Exception, ...]:
        """All errors, in the order of their places; those of one place in the order in which they came."""
        return tuple(error for place in sorted(self._errors) for error in self._errors[place])

    def allows(self, error: BaseException) -> bool:
        """Whether a part may fail with this. A budget or a deadline that ends a part is no failure of it.

        Args:
            error: what the part raised.

        Returns:
            Whether the rest goes on.
        """
        return bound_of(error) is None and self._spares(error)

    async def spare(self, place: int, part: Awaitable[T]) -> T | Failed:
        """Await a part, and spare the search an error that it may fail with.

        Args:
            place: where in the search it is.
            part: what is awaited.

        Returns:
            What the part gives, or FAILED.
        """
        try:
            return await part
        except Exception as error:
            if not self.allows(error):
                raise
            self._errors.setdefault(place, []).append(error)
            return FAILED

    async def scores(
        self, places: Sequence[int], score: Scorer[Q, S], question: Q, values: list[S], *, probable: bool = False
    ) -> list[float | None]:
        """Score partial solutions or answers.

        Where a scorer fails at several, it is asked for each alone, so that only those have no score that it fails at. That it
        failed at several is an error of the first place.

        Args:
            places: where in the search the values are.
            score: the scorer.
            question: what it is told.
            values: what it scores.
            probable: whether scores are probabilities, from 0 to 1.

        Returns:
            A score for each value, None where the scorer failed.
        """
        if not values:
            return []
        scores = await self.spare(places[0], scores_of(score, question, values, probable=probable))
        if not isinstance(scores, Failed):
            return list(scores)
        if len(values) == 1:
            return [None]
        return [
            (await self.scores([place], score, question, [value], probable=probable))[0]
            for place, value in zip(places, values, strict=True)
        ]

    def check(self, anything: bool) -> None:
        """Raise the first error where nothing was found.

        Args:
            anything: whether something was found.
        """
        if self._errors and not anything:
            first, *more = self.errors
            first.add_note(f"nothing was found: {1 + len(more)} parts of the search failed, this one first")
            raise first

    def check_race(self) -> None:
        """Raises the first error that only lost a race, after a race that nobody won."""
        for error in self.errors:
            if not self._names(error):
                raise error

    def _spares(self, error: BaseException) -> bool:
        return self._names(error) or (self._racing and isinstance(error, Exception) and not isinstance(error, UsageError))

    def _names(self, error: BaseException) -> bool:
        """Whether `errors` names it."""
        if isinstance(error, InputFailed) and error.__cause__ is not None:
            return self._names(error.__cause__)
        if isinstance(error, BaseExceptionGroup):
            return all(map(self._names, error.exceptions))
        return isinstance(error, self._kinds)
