"""What an error suggests for an unknown name: similar names, or else all that exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST = 8


def near_misses(name: str, known: Iterable[str]) -> str:
    """The names among `known` that look like `name`, or else all of them (the first few of many), as the end of a sentence.

    Example:
        >>> near_misses("serch", ["search", "answer"])
        "did you mean 'search'?"
        >>> near_misses("x", ["search", "answer"])
        "there are 'answer' and 'search'"
        >>> near_misses("x", [])
        'there are none'
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, 3)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    if not names:
        return "there are none"
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    shown = list(map(repr, names[:MOST]))
    if not more and len(shown) > 1:
        shown[-2:] = [f"{shown[-2]} and {shown[-1]}"]
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(shown)}{more}"


def near_sentence(name: str, known: Iterable[str]) -> str:
    """`near_misses` as the end of a sentence that another one follows.

    Example:
        >>> near_sentence("x", ["search", "answer"])
        "there are 'answer' and 'search'."
    """
    said = near_misses(name, known)
    return said if said.endswith("?") else f"{said}."
