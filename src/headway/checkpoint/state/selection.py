"""Selects names by patterns or a function. A pattern that fits no name is a mistake; the error lists close names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from headway.checkpoint.files.manifest import Json
from headway.checkpoint.layout.names import list_names
from headway.checkpoint.layout.placing import fits
from headway.checkpoint.state.values.tree import references
from headway.errors import UsageError

Select = Callable[[str], bool]
Chosen = str | Sequence[str] | Select | None


class Selection:
    """A choice of names: a pattern such as `"model.*"`, several of them, a function from a name to yes or no, or None for all.
    Patterns fit as those of a layout's rules do: with or without the first word of a name.

    Example:
        >>> [name for name in ("model.w", "opt.lr") if Selection("model.*")(name)]
        ['model.w']
    """

    def __init__(self, chosen: Chosen) -> None:
        if isinstance(chosen, str):
            chosen = (chosen,)
        self.everything = chosen is None
        self._patterns = tuple(chosen) if chosen is not None and not callable(chosen) else ()
        self._says = chosen if callable(chosen) else None
        if not all(isinstance(each, str) for each in self._patterns):
            raise UsageError(f"select={chosen!r}: give a pattern such as 'model.*', several, or a function of a name")

    def __call__(self, name: str) -> bool:
        if self._says is not None:
            return bool(self._says(name))
        return self.everything or any(fits(pattern, name) for pattern in self._patterns)

    def among(self, values: Mapping[str, Json]) -> Select:
        """Return the choice for a checkpoint with these values. The arrays in a value are chosen with the value, which is nothing
        without them."""
        if self.everything:
            return self
        owner = {array: name for name, value in values.items() for _, array in references(value)}
        return lambda name: self(owner.get(name, name))

    def find_unused(self, names: Collection[str]) -> str:
        """Say which part of the choice fits none of the names and so can't be meant; "" if all of it fits."""
        for pattern in self._patterns:
            if not any(fits(pattern, name) for name in names):
                return f"select={pattern!r} fits none of {list_names(names, pattern)}"
        if not any(map(self, names)):
            return f"select= says yes to none of {list_names(names)}"
        return ""
