"""The words of the Countdown model: a token for each number up to 999, each operator, the arrow and the end.

A step has four tokens: `25*3=75` and its line end are 25, *, 3, 75. What the grammar implies (spaces, the equals sign, line ends)
has no token. That makes texts a third shorter, and training and sampling faster.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from headway.reference.countdown.puzzle import LARGEST, parse
from headway.reference.language import Language

_WORDS = ("+", "-", "*", "/", "->", "")
PLUS, MINUS, TIMES, OVER, ARROW, END = range(LARGEST + 1, LARGEST + 1 + len(_WORDS))
PAD = END + 1
SIZE = PAD + 1
_PIECES = re.compile(r"\d+|->|[-+*/]|([ =\n])|(.)", re.DOTALL)
_IDS = {word: LARGEST + 1 + at for at, word in enumerate(_WORDS) if word}


def encode(text: str) -> list[int]:
    """The tokens of a text.

    >>> encode("12 3 -> 36\\n12*3=36\\n")
    [12, 3, 1004, 36, 12, 1002, 3, 36]

    Raises:
        ValueError: a character or a number that has no token.
    """
    found = []
    for piece in _PIECES.finditer(text):
        if piece[1]:
            continue
        word = piece[0]
        token = int(word) if word.isdecimal() else _IDS.get(word, PAD)
        if token >= PAD or (word.isdecimal() and token > LARGEST):
            raise ValueError(f"the Countdown model has no token for {word!r} at {piece.start()} of {text[:60]!r}")
        found.append(token)
    return found


def decode(tokens: Iterable[int]) -> str:
    """The text of tokens, with what `encode` leaves out: of a whole text, or of what was written after a prompt.

    >>> decode([12, 3, 1004, 36, 12, 1002, 3, 36]), decode([12, 1002, 3, 36, 7])
    ('12 3 -> 36\\n12*3=36\\n', '12*3=36\\n7')
    """
    said: list[str] = []
    kinds = ""  # of the tokens since the line began: n for a number, o for an operator
    for token in tokens:
        if token == ARROW:
            said.append(" -> ")
            kinds = "a"
        elif token > LARGEST:
            said.append(_WORDS[token - LARGEST - 1] if token < PAD else "")
            kinds += "o"
        elif kinds == "a":
            said.append(f"{token}\n")
            kinds = ""
        elif kinds == "non":
            said.append(f"={token}\n")
            kinds = ""
        else:
            said.append(f" {token}" if kinds.endswith("n") else str(token))
            kinds += "n"
    return "".join(said)


def _read(question: str) -> str:
    return parse(question).prompt


LANGUAGE = Language("countdown", "the Countdown model", SIZE, LARGEST + 1, END, PAD, encode, decode, _read)
