"""How much of a reference an answer in words holds, as FanOutQA measures it.

A reference is a text, a number, a truth value, or lists and dictionaries of these. The loose accuracy is the share of its texts, of
a dictionary's keys and values alike, that stand in the answer as whole words. The order does not matter, nor what else is said. So
it can't tell a right answer from one that says everything; look at the length, too.

Answer and reference must be normalised in one way.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headway.errors import UsageError
from headway.tools.finding.bm25 import to_singular

_COMMAS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_POINTS = re.compile(r"(?<!\d)[.]|[.](?!\d)")
_MARKS = re.compile(r"[,?!:;]")
_WORDS = re.compile(r"[^\W\d_]+")


def loose_accuracy(reference: Any, answer: str) -> float:
    """The share of the reference's texts that the answer holds as whole words.

    It departs in taking plurals off where the authors take the lemmas of spaCy, in keeping the point of a decimal, so that 1.5 is
    not 15, and in counting all texts of nested references alike.

    Args:
        reference: what a right answer holds: a text, a number, a truth value ("yes" or "no"), or lists and dictionaries of these.
        answer: any text.

    Returns:
        From 0 to 1.

    Raises:
        UsageError: the reference holds no text, or something else.

    Example:
        >>> loose_accuracy({"Rome": 2_318_895, "Oslo": 580_000}, "Rome has 2318895 inhabitants. I don't know about Oslo.")
        0.75

    Source:
        FanOutQA: Zhu et al., arXiv 2402.14116; after the authors' code.
    """
    wanted = list(filter(None, map(normalise, texts_of(reference))))  # what is empty is nobody's to find
    if not wanted:
        raise UsageError(f"loose_accuracy: the reference {reference!r:.80} holds no text, so there is nothing to look for")
    said = normalise(answer)
    return sum(_holds(said, text) for text in wanted) / len(wanted)


def strict_accuracy(reference: Any, answer: str) -> bool:
    """Whether the answer holds every text of the reference; see `loose_accuracy`.

    Args:
        reference: what a right answer holds.
        answer: any text.

    Returns:
        Whether nothing is missing.

    Raises:
        UsageError: the reference holds no text, or something else.

    Example:
        >>> strict_accuracy(["Rome", True], "Yes, it is Rome.")
        True

    Source:
        FanOutQA: Zhu et al., arXiv 2402.14116; after the authors' code.
    """
    return loose_accuracy(reference, answer) == 1.0


def texts_of(reference: Any) -> Iterator[str]:
    """The texts of a reference, in order. Raises UsageError for what has none."""
    if isinstance(reference, bool):
        yield "yes" if reference else "no"
    elif isinstance(reference, str | int | float):
        yield str(reference)
    elif isinstance(reference, Mapping):
        for key, value in reference.items():
            yield from texts_of(key)
            yield from texts_of(value)
    elif isinstance(reference, Sequence) and not isinstance(reference, bytes):
        for each in reference:
            yield from texts_of(each)
    else:
        raise UsageError(f"loose_accuracy: {reference!r:.80} is no text, number or truth value, nor a list or dictionary of these")


def normalise(text: str) -> str:
    """Lower case, one form of each letter, numbers without commas, no plurals, no marks, single spaces.

    Args:
        text: any text.

    Returns:
        The text as it is compared.

    Example:
        >>> normalise("The  2 largest Cities: 1,234,567 people; 1.5 each.")
        'the 2 largest city 1234567 people 1.5 each'
    """
    text = unicodedata.normalize("NFKC", text).lower()
    text = _MARKS.sub(" ", _POINTS.sub("", _COMMAS.sub("", text)))
    return " ".join(_WORDS.sub(lambda found: to_singular(found[0]), text).split())


def _holds(text: str, part: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None
