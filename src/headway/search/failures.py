"""Parts of a search that fail: one bad sample is not the end of the others.

    failed = Failures(errors)
    made = await failed.spare(index, generate(question, index))
    if isinstance(made, Failed):
        return                                                             # the others go on
    ...
    return chosen(found, select, end.stopped, tokens, failed)              # raises where all failed and nothing was found

A model that refuses one prompt of sixteen, or does not answer in time, has failed at one sample. What `errors` names counts as
that: the sample has no candidate, and `Found.errors` has the error. Every other error is the search's own: a bug of a part shows at
once. Budgets and deadlines are neither; they end a search (`ending.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from headway.errors import CallTimeout, InputFailed, ModelError, UsageError, WorkerDied
from headway.search.base import Scorer, scores_of
from headway.search.bounds import bound

T = TypeVar("T")
Errors = type[Exception] | tuple[type[Exception], ...]

SAMPLE_ERRORS: tuple[type[Exception], ...] = (ModelError, CallTimeout, WorkerDied)
"""What a part of a search may fail with without failing the search, unless it is told otherwise."""


class Failed:
    """In the place of what a part would have given."""


FAILED = Failed()


class Failures:
    """What failed of one search, by the place in it. In a race (`racing`) whatever fails loses, but for a UsageError."""

    def __init__(self, errors: Errors, *, racing: bool = False) -> None:
        kinds = errors if isinstance(errors, tuple) else (errors,)
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise UsageError(f"errors={errors!r}: an exception class or several, such as hw.ModelError; () for none")
        self._kinds, self._racing = kinds, racing
        self._errors: dict[int, Exception] = {}

    def __len__(self) -> int:
        return len(self._errors)

    @property
    def errors(self) -> tuple[Exception, ...]:
        """The errors in the order of their places."""
        return tuple(error for _, error in sorted(self._errors.items()))

    async def spare(self, place: int, part: Awaitable[T]) -> T | Failed:
        """What a part gives, or FAILED where it failed with an error that is spared."""
        try:
            return await part
        except Exception as error:
            if bound(error) is not None or not self._spares(error):
                raise
            self._errors.setdefault(place, error)
            return FAILED

    async def scores(self, place: int, score: Scorer, texts: list[str]) -> list[float | None]:
        """The scores of texts. Where a scorer fails at several, it is asked for each alone, so that only those have none that it
        fails at."""
        scores = await self.spare(place, scores_of(score, texts))
        if not isinstance(scores, Failed):
            return list(scores)
        if len(texts) == 1:
            return [None]
        return [(await self.scores(place, score, [text]))[0] for text in texts]

    def check(self, anything: bool) -> None:
        """Raises the first error where nothing was found."""
        if self._errors and not anything:
            first = self.errors[0]
            first.add_note(f"nothing was found: {len(self._errors)} parts of the search failed, this one first")
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
