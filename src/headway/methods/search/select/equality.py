"""Groups equal values by a rule that the caller brings."""

from __future__ import annotations

import operator
from reprlib import repr as shortly

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.protocols import Equal

same: Equal = operator.eq


class Classes:
    """Numbers values by what they equal: the first has number 0, the first that equals none before has the next one.

    A value belongs to the first class whose first member it equals, so an `equal` that is no equivalence (numbers that are within
    1 % of each other) still gives each value one class. Values with a hash are looked up where `equal` is `==`; else each class
    is asked, in order.

    Example:
        >>> classes = Classes(lambda one, other: one.strip() == other.strip())
        >>> [classes.number(answer) for answer in ("42", "41", " 42")]
        [0, 1, 0]
    """

    def __init__(self, equal: Equal = same) -> None:
        self._equal = equal
        self._firsts: list[object] = []
        self._numbers: dict[object, int] = {}

    def __len__(self) -> int:
        return len(self._firsts)

    def number(self, value: object) -> int:
        """The number of the class of a value. Raises UsageError for an `equal` that does not decide."""
        if self._equal is not same:
            return self._search_classes(value)
        try:
            known = self._numbers.get(value)
        except TypeError:  # it has no hash
            return self._search_classes(value)
        if known is None:
            known = self._numbers[value] = len(self._firsts)
            self._firsts.append(value)
        return known

    def _search_classes(self, value: object) -> int:
        for number, first in enumerate(self._firsts):
            if self._are_same(value, first):
                return number
        self._firsts.append(value)
        return len(self._firsts) - 1

    def _are_same(self, one: object, other: object) -> bool:
        said = self._equal(one, other)
        try:
            return bool(said)
        except (TypeError, ValueError, RuntimeError):  # an array of truths, say
            gave = f"equal={settings.say_part(self._equal)} gave {shortly(said)} for {shortly(one)} and {shortly(other)}"
            raise UsageError(
                f"{gave}: give equal= a function that returns True where two of them are the same, else False"
            ) from None
