"""Names for error messages: close matches for a name that fits nothing, and counts of long lists."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

_SHOWN = 5


def find_near(wanted: str, names: Iterable[str]) -> list[str]:
    """Find the names that are close to a name or pattern that fits none of them."""
    words = wanted.replace("*", "").strip(".")
    known = dict.fromkeys(names)
    close = difflib.get_close_matches(words, known, n=_SHOWN, cutoff=0.5) if words else []
    first = {name.partition(".")[0]: name for name in reversed(known)}  # `modle.*` is a typo of a word that many names begin with
    close += [first[word] for word in difflib.get_close_matches(words.partition(".")[0], first, n=_SHOWN, cutoff=0.6)]
    return list(dict.fromkeys(close))[:_SHOWN]


def list_names(names: Collection[str], wanted: str = "") -> str:
    """Say how many names there are, and list those that are near, or else the first ones.

    >>> list_names(["model.w", "model.b", "opt.lr"], "modle.w")
    'the 3 names that are there; near to it: model.w, model.b'
    """
    close = find_near(wanted, names) if wanted else []
    if close:
        return f"the {len(names):,} names that are there; near to it: {', '.join(close)}"
    shown = sorted(names)[:_SHOWN]
    more = ", …" if len(names) > _SHOWN else ""
    return f"the {len(names):,} names that are there: {', '.join(shown)}{more}" if names else "the names: there are none"
