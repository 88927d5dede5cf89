"""A plan as data and as text: numbered calls of tools, of which later ones use the results of earlier ones.

    1. lookup("Italy", "capital")
    2. lookup($1, "population")
    join()

The tools are few: `lookup(entity, field)` gets a fact of the atlas, the others are functions of facts (see `facts`). A name is an
entity or a field, `$2` the result of step 2. The form is LLMCompiler's.

Source:
    LLMCompiler, arXiv 2312.04511, for the form of the lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from headway.errors import UsageError

TOOLS = ("lookup", "compare", "largest", "smallest", "above", "below", "count", "add", "average", "difference", "ratio")
"""What a step may call: `lookup`, and functions of facts."""

JOIN = "join()"
"""The last line of a plan: what its last step finds is the answer, or all that nobody else uses."""

Argument: TypeAlias = int | str
"""The number of an earlier step, or a name."""

_ARGUMENT = re.compile(r'\$(\d+)|"([^"]+)"')
_LINE = re.compile(r'(\d+)\. (\w+)\(((?:\$\d+|"[^"]+")(?:, (?:\$\d+|"[^"]+"))*)\)')


@dataclass(frozen=True)
class Step:
    """One call: `lookup($1, "population")` is Step("lookup", (1, "population"))."""

    tool: str
    arguments: tuple[Argument, ...]

    def __str__(self) -> str:
        return f"{self.tool}({', '.join(map(_say, self.arguments))})"


@dataclass
class Draft:
    """A plan in the making; `then` adds a step, and gives its number."""

    steps: list[Step] = field(default_factory=list)

    def then(self, tool: str, *arguments: Argument) -> int:
        self.steps.append(Step(tool, arguments))
        return len(self.steps)


def write_plan(steps: tuple[Step, ...]) -> str:
    """The text of a plan.

    >>> print(write_plan((Step("lookup", ("Italy", "capital")), Step("lookup", (1, "population")))))
    1. lookup("Italy", "capital")
    2. lookup($1, "population")
    join()
    """
    return "".join(f"{number}. {step}\n" for number, step in enumerate(steps, 1)) + JOIN


def read_plan(text: str) -> tuple[Step, ...]:
    """The plan of a whole text.

    >>> read_plan('1. lookup("Italy", "area")\\njoin()')
    (Step(tool='lookup', arguments=('Italy', 'area')),)

    Raises:
        UsageError: it is no plan.
    """
    lines = text.strip().split("\n")
    if lines[-1] != JOIN or len(lines) == 1:
        raise UsageError(
            f'a plan is lines like 1. lookup("Italy", "area"), and {JOIN} at the end, which this is not: {text[:80]!r}'
        )
    steps = []
    for number, line in enumerate(lines[:-1], 1):
        found = _LINE.fullmatch(line)
        if not found or int(found[1]) != number or found[2] not in TOOLS:
            raise UsageError(f"line {number} of a plan is no call of a tool: {line[:80]!r}; there are {', '.join(TOOLS)}")
        arguments = tuple(int(number) if number else name for number, name in _ARGUMENT.findall(found[3]))
        if late := [each for each in arguments if isinstance(each, int) and not 0 < each < number]:
            raise UsageError(f"line {number} of a plan uses ${late[0]}, which is no earlier step: {line[:80]!r}")
        steps.append(Step(found[2], arguments))
    return tuple(steps)


def _say(argument: Argument) -> str:
    return f"${argument}" if isinstance(argument, int) else f'"{argument}"'
