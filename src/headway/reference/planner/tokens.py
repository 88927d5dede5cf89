"""The words of the planner: a token for each country and field, each part of a plan, and each word of a question.

A country is one token in the question and in the plan, so that the model learns to copy it. A line like `2. lookup($1, "area")` is
"2.", "lookup(", "$1", "area", ")" and has no token for what the form implies (commas, quotes). Of a question only words count: case
and signs are left out, and every word that no wording of training has is one and the same unknown word, which training knows too.
A name that the planner doesn't know can't be copied, so it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from headway.reference.language import Language
from headway.reference.planner import wordings
from headway.reference.planner.names import INLAND, ISLANDS
from headway.reference.planner.plans import JOIN, TOOLS

LINES = 12
"""A plan has at most so many steps."""

NAMES = tuple(sorted((*INLAND, *ISLANDS)))
FIELD_NAMES = (*wordings.FIELDS, *wordings.THINGS)
WORDS = tuple(sorted({*wordings.list_words(), "of", "the", "and", "or"}))
_LINE_NUMBERS = tuple(f"{number}. " for number in range(1, LINES + 1))
_REFERENCES = tuple(f"${number}" for number in range(1, LINES + 1))
_CALLS = tuple(f"{tool}(" for tool in TOOLS)
_QUOTED = tuple(f'"{name}"' for name in (*FIELD_NAMES, *NAMES))
_SAID = (*_LINE_NUMBERS, *_CALLS, ")\n", JOIN, *_REFERENCES, *_QUOTED, "\n", *(f"{word} " for word in WORDS), "? ")
_IDS = {said: token for token, said in enumerate(_SAID)}
ASK, UNKNOWN, END, PAD = _IDS["\n"], len(_SAID) - 1, len(_SAID), len(_SAID) + 1
SIZE = PAD + 1
_ARGUMENTS = range(_IDS["$1"], ASK)
_OPENING = range(LINES, LINES + len(TOOLS))
WORD_TOKENS = range(ASK + 1, UNKNOWN + 1)
"""The tokens of a question's words, countries aside."""

_PIECE = re.compile(
    "|".join(re.escape(name) for name in sorted(NAMES, key=len, reverse=True)).join((r"(?P<name>\b(?:", r")\b(?![-\w]))"))
    + r"|(?P<possessive>['’]s\b)|(?P<word>[^\W_]+)|(?P<other>.)",
    re.DOTALL,
)
_PLAN = re.compile(r'(?P<space>[ ,\t]+)|\d+\. |\w+\(\)?|\)\n?|\$\d+|"[^"]*"|(?P<other>.)', re.DOTALL)


def encode(text: str) -> list[int]:
    """The tokens of a question and of the plan after it, if one has begun.

    >>> text = 'What is the area of Italy?\\n1. lookup("Italy", "area")\\njoin()'
    >>> decode(encode(text)[-6:])
    '1. lookup("Italy", "area")\\njoin()'

    Raises:
        ValueError: a name, or a part of a plan, that has no token.
    """
    question, _, plan = text.partition("\n")
    return [*_encode_question(question), ASK, *_encode_plan(plan)]


def _encode_question(question: str) -> list[int]:
    found = []
    begins = True  # a sentence
    if question.startswith("The "):  # as in "The Netherlands"
        question = question[0].lower() + question[1:] if not question.startswith("The Netherlands") else question
    for piece in _PIECE.finditer(question.replace("the Netherlands", "The Netherlands")):
        if piece["other"]:
            begins = begins or piece["other"] in ".?!:"
            continue
        if name := piece["name"]:
            found.append(_IDS[f'"{name}"'])
        elif piece["possessive"]:
            found.append(_IDS["'s "])
        else:
            word = piece["word"]
            token = _IDS.get(f"{word.lower()} ", UNKNOWN)
            if token == UNKNOWN and word[0].isupper() and not begins:
                raise ValueError(
                    f"the planner knows no {word!r} in {question[:80]!r}: it knows {len(NAMES)} countries by the atlas's names"
                )
            found.append(token)
        begins = False
    return found


def _encode_plan(plan: str) -> list[int]:
    found = []
    for piece in _PLAN.finditer(plan):
        if piece["space"]:
            continue
        said = ")\n" if piece[0] == ")" else piece[0]
        if said not in _IDS or said == "\n":
            raise ValueError(f"the planner has no token for {piece[0]!r} at {piece.start()} of the plan {plan[:80]!r}")
        found.append(_IDS[said])
    return found


def decode(tokens: Iterable[int]) -> str:
    """The text of tokens: of a question, or of a plan that goes on at the beginning of a line."""
    said: list[str] = []
    before = -1
    for token in tokens:
        if token in _ARGUMENTS and before in _ARGUMENTS:
            said.append(", ")
        said.append(_SAID[token] if token < END else "")
        before = token
    return "".join(said)


def _read(question: str) -> str:
    """The question of a turn: its last line, without a mark before it."""
    lines = [line.strip() for line in question.splitlines() if line.strip()]
    if not lines:
        raise ValueError("the planner was asked nothing: it takes a question about countries")
    return f"{lines[-1].removeprefix('Question:').strip()}\n"


LANGUAGE = Language("planner", "the planner", SIZE, 0, END, PAD, encode, decode, _read)
