"""What every walk over Python values agrees on, whatever it makes of them.

Three walks go through arbitrary values. The codec (`journal/codec`) records results and reads them back, the canonical form
(`engine/identity`) names calls and is never read, and the tree of a state (`checkpoint/state/values`) is JSON around arrays that
lie elsewhere. What each makes of a type is its own; how deep a value may be, what text is, and what a named tuple is, is said here.
"""

from __future__ import annotations

MAX_DEPTH = 120
"""Containers within containers. Reading one level takes four or five frames, of the thousand that Python allows."""


def is_text(text: str) -> bool:
    """Whether UTF-8 can write a string. It can't where there is half of a surrogate pair, as file names may have it.

    >>> is_text("schön"), is_text("\\udc80")
    (True, False)
    """
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def is_named_tuple(cls: type) -> bool:
    """Whether a class is a named tuple, of `collections` or of `typing`."""
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)
