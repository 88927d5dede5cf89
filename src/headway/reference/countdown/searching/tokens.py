"""The words of the search model: those of the Countdown model, and tags to start helpers, to hear from them and to end.

A line end is a token here, but for that after `~` and its number, which ends the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from headway.reference.countdown.puzzle import LARGEST, parse
from headway.reference.language import Language

WORDS = (
    "+",
    "-",
    "*",
    "/",
    "->",
    "=>",
    ",",
    "~",
    "\n",
    "none",
    "<spawn>",
    "</spawn>",
    "<messages>",
    "</messages>",
    "<join>",
    "</join>",
)
_IDS = {word: LARGEST + 1 + at for at, word in enumerate(WORDS)}
ARROW, FORK, COMMA, NEAR = (_IDS[word] for word in ("->", "=>", ",", "~"))
END = LARGEST + 1 + len(WORDS)
PAD = END + 1
SIZE = PAD + 1
_PIECES = re.compile(r"(?<=~)(\d+)\n|\d+|->|=>|</?[a-z]+>|none|[-+*/,~\n]|([ =])|.", re.DOTALL)
_SHOWN = {ARROW: " -> ", FORK: " => ", COMMA: ", "}


def encode(text: str) -> list[int]:
    """The tokens of a text.

    >>> encode("12 3 2 => 36\\n<spawn>12*3=36 2 -> 36\\n")
    [12, 3, 2, 1005, 36, 1008, 1010, 12, 1002, 3, 36, 2, 1004, 36, 1008]

    Raises:
        ValueError: a character, a tag or a number that has no token.
    """
    found = []
    for piece in _PIECES.finditer(text):
        if piece[2]:
            continue
        word = piece[1] or piece[0]
        token = int(word) if word.isdecimal() else _IDS.get(word, PAD)
        if token >= PAD or (word.isdecimal() and token > LARGEST):
            raise ValueError(f"the search model has no token for {word!r} at {piece.start()} of {text[:60]!r}")
        found.append(token)
    return found


def decode(tokens: Iterable[int]) -> str:
    """The text of tokens, with what `encode` leaves out: of a whole text, or of what was written after a prompt.

    >>> decode([12, 3, 2, 1005, 36, 1008, 1010, 12, 1002, 3, 36, 2, 1004, 36, 1008])
    '12 3 2 => 36\\n<spawn>12*3=36 2 -> 36\\n'
    """
    said: list[str] = []
    kinds = ""  # of the tokens since a step or a line began: n for a number, o for an operator
    for token in tokens:
        if token <= LARGEST:
            said.append(f"={token}" if kinds == "non" else f" {token}" if kinds.endswith("n") else str(token))
            kinds += "n"
            if kinds == "~n":
                said.append("\n")
                kinds = ""
        elif token < END:
            word = WORDS[token - LARGEST - 1]
            said.append(_SHOWN.get(token, word))
            kinds = kinds + "o" if word in "+-*/" else "~" * (token == NEAR)
    return "".join(said)


def _read(question: str) -> str:
    return parse(question).prompt


LANGUAGE = Language("countdown-search", "the search model", SIZE, LARGEST + 1, END, PAD, encode, decode, _read)
