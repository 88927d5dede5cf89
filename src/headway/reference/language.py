"""What a model of this project reads and writes: its tokens, and how its prompts are found in a question.

The network, the sampling and the file of weights are the same for all of these models. They know a model's words by this record
alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """The words of a model. Tokens below `end` have a text; `end` ends a text, and `pad` fills up.

    Attributes:
        name: the model's, in a word: the name of its weights begins with it.
        what: the model's, for messages.
        size: how many tokens there are.
        numbers: tokens below it are the numbers from 0 that they stand for.
        encode: the tokens of a text. Raises ValueError where something in it has none.
        decode: the text of tokens.
        read: the prompt for a question, which may be in other words. Raises ValueError where there is none in it.
    """

    name: str
    what: str
    size: int
    numbers: int
    end: int
    pad: int
    encode: Callable[[str], list[int]]
    decode: Callable[[Iterable[int]], str]
    read: Callable[[str], str]
