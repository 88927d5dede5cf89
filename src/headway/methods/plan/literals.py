"""Reads what stands between the brackets of a plan's line: data and references, nothing that is run.

    read_arguments('"Italy", unit="km2", than=$1')     # (["Italy"], {"unit": "km2", "than": Ref("1")})

The data are those of JSON and the literals of Python: texts in either quotes, numbers, lists, objects, true or True, null or None.
A reference `$1` or `${1}` stands for the result of line 1, by itself or inside of a text; `$$1` is the text `$1`. A model's text is
never evaluated: it is read by the grammar below, and all else is refused in words that a model can mend it by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_NESTED = 50
_REF = re.compile(r"\$\{\s*([0-9]+)\s*\}|\$([0-9]+)")
_IN_TEXT = re.compile(r"\$(\$+)(?=[0-9{])|" + _REF.pattern)
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORD = re.compile(r"[^\s,()\[\]{}\"'=:]+(?:[ ]+[^\s,()\[\]{}\"'=:]+)*")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\\": "\\", '"': '"', "'": "'", "/": "/", "\n": ""}
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_CLOSING = {"[": "]", "(": ")"}


class BadArguments(ValueError):
    """What is wrong with the arguments of a line, for the planner."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of another step, as an argument.

    Attributes:
        step: the step's id.
    """

    step: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text with the results of other steps inside.

    Attributes:
        parts: texts and references, in order.
    """

    parts: tuple[str | Ref, ...]


def read_arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Read the arguments of a call.

    Args:
        text: what stands between the brackets.

    Returns:
        Those given by place, and those given by name. A reference alone is a `Ref`; a text with references inside a `Template`.

    Raises:
        BadArguments: it is no list of data. Its text is for the planner.

    Example:
        >>> read_arguments('"from $1", [2, null]')
        ([Template(parts=('from ', Ref(step='1'))), [2, None]], {})
    """
    return _Reader(text).arguments()


def refs_in(value: Any) -> Iterator[str]:
    """The ids of the steps that a value refers to, in the order in which they are named, each as often as it is.

    Args:
        value: an argument, or all of them.

    Yields:
        Ids.
    """
    if isinstance(value, Ref):
        yield value.step
    elif isinstance(value, Template):
        yield from (part.step for part in value.parts if isinstance(part, Ref))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from refs_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from refs_in(each)


def read_text(text: str) -> str | Ref | Template:
    """A text whose references are read: the reference itself where there is nothing else.

    Args:
        text: what the planner wrote between the quotes, its escapes read.

    Returns:
        The text, a `Ref`, or a `Template`.

    Example:
        >>> read_text("$2"), read_text("$$2 a piece"), read_text("US$")
        (Ref(step='2'), '$2 a piece', 'US$')
    """
    parts: list[str | Ref] = []
    at = 0
    for found in _IN_TEXT.finditer(text):
        parts.append(text[at : found.start()])
        parts.append(found[1] if found[1] else Ref(_id_of(found[2] or found[3])))
        at = found.end()
    parts.append(text[at:])
    if not any(isinstance(part, Ref) for part in parts):
        return "".join(map(str, parts))
    joined: list[str | Ref] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return joined[0] if len(joined) == 1 and isinstance(joined[0], Ref) else Template(tuple(joined))


def _id_of(digits: str) -> str:
    """The id of a line number: without zeros before it."""
    return digits.lstrip("0") or "0"


class _Reader:
    """Reads one list of arguments, from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        placed: list[Any] = []
        named: dict[str, Any] = {}
        while self._peek():
            name = self._take_name()
            if name is None and named:
                raise BadArguments(f"{self._rest()} stands after arguments with names: give it a name, too, or put it before them")
            if name in named:
                raise BadArguments(f"{name} is given twice")
            value = self._value(0)
            if name is None:
                placed.append(value)
            else:
                named[name] = value
            if self._peek() and not self._take(","):
                raise BadArguments(
                    f"after an argument comes a comma, not {self._rest()}: arguments are data, nothing is computed in them"
                )
        return placed, named

    def _take_name(self) -> str | None:
        """The name before `=`, where there is one."""
        found = re.compile(_NAME.pattern + r"(?=\s*=)").match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        self._take("=")
        return found[0]

    def _value(self, depth: int) -> Any:
        if depth > MOST_NESTED:
            raise BadArguments(f"lists are nested more than {MOST_NESTED} deep")
        begin = self._peek()
        if begin in ('"', "'"):
            return self._quoted()
        if begin and begin in _CLOSING:
            return self._list(_CLOSING[begin], depth)
        if begin == "{":
            return self._object(depth)
        if (found := _REF.match(self._text, self._at)) is not None:
            self._at = found.end()
            return Ref(_id_of(found[1] or found[2]))
        return self._word()

    def _quoted(self) -> str | Ref | Template:
        found = _TEXT.match(self._text, self._at)
        if found is None:
            raise BadArguments(f"a text is not closed: {self._rest()}")
        self._at = found.end()
        return read_text(_read_escapes(found[0][1:-1]))

    def _list(self, closing: str, depth: int) -> list[Any]:
        self._at += 1
        items: list[Any] = []
        while not self._take(closing):
            items.append(self._value(depth + 1))
            self._between(closing)
        return items

    def _object(self, depth: int) -> dict[str, Any]:
        self._at += 1
        members: dict[str, Any] = {}
        while not self._take("}"):
            if self._peek() not in ('"', "'"):
                raise BadArguments(f"the names in an object are texts in quotes, not {self._rest()}")
            name = self._quoted()
            if not isinstance(name, str):
                raise BadArguments("a reference can't be a name in an object")
            if not self._take(":"):
                raise BadArguments(f"after the name {name!r:.40} in an object comes a colon, not {self._rest()}")
            members[name] = self._value(depth + 1)
            self._between("}")
        return members

    def _between(self, closing: str) -> None:
        """What comes after an item: a comma, or the end, which is left."""
        if not self._take(",") and self._peek() != closing:
            raise BadArguments(f"a bracket is not closed: {closing} or a comma is missing before {self._rest()}")

    def _word(self) -> Any:
        """A number, or a word such as true."""
        found = _WORD.match(self._text, self._at)
        word = found[0] if found else ""
        if word in _WORDS:
            self._at += len(word)
            return _WORDS[word]
        if _NUMBER.fullmatch(word):
            self._at += len(word)
            return _read_number(word)
        after = self._text[self._at + len(word) :].lstrip()
        if after.startswith("(") and _NAME.fullmatch(word):
            raise BadArguments(
                f"{word}(…) is a call inside of an argument: give it a line of its own, and refer to it as $ and its number"
            )
        if word[:1].isdigit():
            raise BadArguments(f"{word:.60} is no number: nothing is computed in arguments, and a text stands in quotes")
        if word and not word.startswith("$"):
            raise BadArguments(f'{word:.60} is no data: put a text in quotes, "{word:.60}"')
        raise BadArguments(f"an argument is missing before {self._rest()}")

    def _peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _take(self, mark: str) -> bool:
        if self._peek() != mark:
            return False
        self._at += 1
        return True

    def _rest(self) -> str:
        rest = self._text[self._at :].strip()
        return f"{rest[:40]}{'…' if len(rest) > 40 else ''}" if rest else "the end"


def _read_number(word: str) -> int | float:
    plain = word.replace("_", "")
    try:
        return int(plain) if plain.lstrip("+-").isdigit() else _finite(float(plain))
    except ValueError:
        raise BadArguments(f"{word[:40]} is too large a number") from None


def _finite(number: float) -> float:
    if number in (float("inf"), float("-inf")):
        raise ValueError(number)
    return number


def _read_escapes(text: str) -> str:
    """The text that is meant. What is no escape keeps its backslash, as in Python: patterns are written so."""
    if "\\" not in text:
        return text

    def read(found: re.Match[str]) -> str:
        code = found[1]
        if len(code) > 1:
            return chr(int(code[1:], 16))
        return _ESCAPED.get(code, found[0])

    # halves of a character, as JSON writes it, are put together; a half alone can't be written anywhere
    return _ESCAPE.sub(read, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
