"""The words of the arithmetic model: a token for each number up to 999, each sign and the end of the question.

A line of a solution has four tokens: `34+5=39` and its end are 34, +, 5, 39, as in the language of the Countdown model, whose
knowledge of numbers this model begins with. What the grammar implies (the equals sign, line ends) has no token."""

from __future__ import annotations

import re
from collections.abc import Iterable

from headway.reference.arithmetic.expression import LARGEST, read_prompt
from headway.reference.language import Language

_SIGNS = ("+", "-", "*", "(", ")", "")
PLUS, MINUS, TIMES, OPEN, CLOSE, ASK, END = range(LARGEST + 1, LARGEST + 2 + len(_SIGNS))
PAD = END + 1
SIZE = PAD + 1
LINE = 4  # tokens of a line
_IDS = {word: LARGEST + 1 + at for at, word in enumerate(_SIGNS) if word}
_PIECES = re.compile(r"\d+|.", re.DOTALL)


def encode(text: str) -> list[int]:
    """The tokens of a text.

    >>> encode("12+(34-5)\\n34-5=29\\n")
    [12, 1000, 1003, 34, 1001, 5, 1004, 1005, 34, 1001, 5, 29]

    Raises:
        ValueError: a character or a number that has no token.
    """
    found = []
    for line in text.splitlines(keepends=True):
        for piece in _PIECES.findall(line):
            if piece in " =\n":
                continue
            token = int(piece) if piece.isdecimal() else _IDS.get(piece, PAD)
            if token >= PAD or (piece.isdecimal() and token > LARGEST):
                raise ValueError(f"the arithmetic model has no token for {piece!r} in {text[:60]!r}")
            found.append(token)
        if line.endswith("\n") and "=" not in line:
            found.append(ASK)
    return found


def decode(tokens: Iterable[int]) -> str:
    """The text of tokens, with what `encode` leaves out: of a whole text, or of what was written after a prompt.

    >>> decode([12, 1000, 1003, 34, 1001, 5, 1004, 1005, 34, 1001, 5, 29]), decode([34, 1001, 5, 29, 12])
    ('12+(34-5)\\n34-5=29\\n', '34-5=29\\n12')
    """
    said: list[str] = []
    kinds = ""  # of the tokens since the line began: n for a number, o for a sign
    for token in tokens:
        if token == ASK:
            said.append("\n")
            kinds = ""
        elif token > LARGEST:
            said.append(_SIGNS[token - LARGEST - 1] if token < ASK else "")
            kinds += "o"
        elif kinds == "non":
            said.append(f"={token}\n")
            kinds = ""
        else:
            said.append(f" {token}" if kinds.endswith("n") else str(token))
            kinds += "n"
    return "".join(said)


LANGUAGE = Language("arithmetic", "the arithmetic model", SIZE, LARGEST + 1, END, PAD, encode, decode, read_prompt)
