"""Reads a docstring in Google's format: what a function does, and what each of its parameters means.

It asks for nothing: text of another format is all description.
"""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

_SECTION = re.compile(
    r"^(Args|Arguments|Parameters|Keyword Args|Keyword Arguments|Returns?|Yields?|Raises|Examples?|Notes?|Attributes|See Also"
    r"|References|Warns?|Warnings?|Todo):\s*$"
)
_OF_PARAMETERS = ("Args", "Arguments", "Parameters", "Keyword Args", "Keyword Arguments")
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


class Described(NamedTuple):
    """What a docstring says.

    Attributes:
        text: all before its first section.
        parameters: what it says of each, by name.
    """

    text: str
    parameters: dict[str, str]


def read_docstring(docstring: str) -> Described:
    """Split a docstring into what it describes.

    Args:
        docstring: as a function has it, indented or not.

    Returns:
        Its text, and that of each parameter on one line.

    Example:
        >>> read_docstring("Look up an area.\\n\\n    Args:\\n        country: in English,\\n            as in an atlas.\\n")
        Described(text='Look up an area.', parameters={'country': 'in English, as in an atlas.'})
    """
    text: list[str] = []
    parameters: dict[str, list[str]] = {}
    section, indent, entry = "", -1, ""
    for line in inspect.cleandoc(docstring).splitlines():
        found = _SECTION.match(line)
        if found:
            section, indent, entry = found[1], -1, ""
        elif not section:
            text.append(line)
        elif section in _OF_PARAMETERS and line.strip():
            deep = len(line) - len(line.lstrip())
            indent = deep if indent < 0 else indent
            named = _ENTRY.match(line.strip()) if deep <= indent else None
            if named:
                entry = named[1]
                parameters[entry] = [named[2]]
            elif entry:
                parameters[entry].append(line.strip())
    return Described("\n".join(text).strip(), {name: " ".join(lines).strip() for name, lines in parameters.items()})
