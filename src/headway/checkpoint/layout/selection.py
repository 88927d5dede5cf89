"""Which names are meant: patterns or a function. What fits no name at all is a mistake, and is answered with names near to it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from headway.checkpoint.catalog.manifest import Json
from headway.checkpoint.layout.placing import fits
from headway.checkpoint.state.tree import references
from headway.errors import UsageError

Select = Callable[[str], bool]
Chosen = str | Sequence[str] | Select | None
_SHOWN = 5


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
        """The choice in a checkpoint with these values: the arrays in a value go where the value goes, which is nothing without
        them."""
        if self.everything:
            return self
        owner = {array: name for name, value in values.items() for _, array in references(value)}
        return lambda name: self(owner.get(name, name))

    def unused(self, names: Collection[str]) -> str:
        """Why a part of the choice can't be meant: it fits none of the names. "" where all of it does."""
        for pattern in self._patterns:
            if not any(fits(pattern, name) for name in names):
                return f"select={pattern!r} fits none of {listed(names, pattern)}"
        if not any(map(self, names)):
            return f"select= says yes to none of {listed(names)}"
        return ""


def near(wanted: str, names: Iterable[str]) -> list[str]:
    """Of some names, those that are close to a name or pattern which fits none of them."""
    words = wanted.replace("*", "").strip(".")
    known = dict.fromkeys(names)
    close = difflib.get_close_matches(words, known, n=_SHOWN, cutoff=0.5) if words else []
    first = {name.partition(".")[0]: name for name in reversed(known)}  # `modle.*` is meant to be a word that many begin with
    close += [first[word] for word in difflib.get_close_matches(words.partition(".")[0], first, n=_SHOWN, cutoff=0.6)]
    return list(dict.fromkeys(close))[:_SHOWN]


def listed(names: Collection[str], wanted: str = "") -> str:
    """How many names there are, and those that are near, or else the first ones.

    >>> listed(["model.w", "model.b", "opt.lr"], "modle.w")
    'the 3 names that are there; near to it: model.w, model.b'
    """
    close = near(wanted, names) if wanted else []
    if close:
        return f"the {len(names):,} names that are there; near to it: {', '.join(close)}"
    shown = sorted(names)[:_SHOWN]
    more = ", …" if len(names) > _SHOWN else ""
    return f"the {len(names):,} names that are there: {', '.join(shown)}{more}" if names else "the names: there are none"
