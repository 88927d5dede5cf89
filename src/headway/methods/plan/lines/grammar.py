"""The grammar that holds a local model to plans of numbered lines, in the language of llguidance.

    reply = await models.sample(models.Local(), prompt, extra={"grammar": line_grammar(tools)})

A small model that plans freely writes lines without brackets, tools that there are not, and references to lines that come later.
Held to this grammar it can write none of these: lines are numbered from 1 on, a line refers to lines before it, arguments are of
the kinds that the tool takes, and the plan ends with join(). What it says may still be nonsense.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from headway.errors import UsageError
from headway.methods import settings
from headway.models.local.grammar import HEADER
from headway.tools.tool import Tool

MOST_TEXT = 120  # characters of a text
MOST_ITEMS = 16  # of a list that may hold references
_SPACES = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": True}


def line_grammar(tools: Sequence[Tool], *, lines: int = 12, first: int = 1) -> str:
    r"""The grammar of plans that `PlanReader` can read.

    Args:
        tools: what a line may call.
        lines: how many at most.
        first: the number of the first line. Those before it may be referred to.

    Returns:
        The grammar, for the option `extra={"grammar": …}` of a local model.

    Raises:
        UsageError: there are no tools, or a number is below 1.

    Example:
        >>> from headway import tools
        >>> @tools.tool
        ... async def area(country: str) -> float:
        ...     '''The area of a country.'''
        >>> print(line_grammar([area], lines=2))
        %llguidance {}
        start: line1 rest2
        rest2: line2 end | end
        line1: "1. " ("area(" text ")") "\n"
        line2: "2. " ("area(" (text | ref2) ")") "\n"
        ref2: "$1"
        end: "join()"
        text: /"[^"\\\x00-\x1f$]{0,120}"/
        <BLANKLINE>

    Source:
        The lines of LLMCompiler (Kim et al., arXiv 2312.04511). That a grammar holds a model to them is ours.
    """
    settings.at_least_one("line_grammar", lines=lines, first=first)
    if not tools:
        raise UsageError("line_grammar: there are no tools, so no plan can be written")
    kinds: dict[str, str] = {}  # the rule of each kind of argument
    numbers = range(first, first + lines)
    rules = [f"start: line{first} {_rest(first + 1, numbers)}"]
    rules += [f"rest{at}: line{at} {_rest(at + 1, numbers)} | end" for at in numbers[1:]]
    rules += [f'line{at}: "{at}. " ({" | ".join(_call(tool, at, kinds) for tool in tools)}) "\\n"' for at in numbers]
    rules += [f"ref{at}: {' | '.join(_quoted(f'${before}') for before in range(1, at))}" for at in numbers if at > 1]
    rules.append('end: "join()"')
    rules += [f"{name}: {body}" for body, name in kinds.items()]
    return HEADER + "\n".join(rules) + "\n"


def _rest(at: int, numbers: range) -> str:
    return f"rest{at}" if at in numbers else "end"


def _call(tool: Tool, at: int, kinds: dict[str, str]) -> str:
    """A call of a tool in a line: arguments by place, those at the end left out where they may be."""
    schema = tool.spec.parameters
    required = set(schema.get("required", ()))
    names = list(schema.get("properties", {}))
    fewest = max((place + 1 for place, name in enumerate(names) if name in required), default=0)
    inside = ""
    for place in reversed(range(len(names))):
        value = _value(schema["properties"][names[place]], schema.get("$defs", {}), at, kinds)
        with_comma = f'", " {value}' if place else value
        rest = f"{with_comma} {inside}".strip()
        inside = rest if place < fewest else f"({rest})?"
    return " ".join(each for each in (_quoted(f"{tool.name}("), inside, _quoted(")")) if each)


def _value(schema: Mapping[str, Any], defs: Mapping[str, Any], at: int, kinds: dict[str, str]) -> str:
    """An argument: of its kind, or a reference; in a list each item by itself."""
    if at == 1:
        return _rule(schema, defs, kinds)
    if schema.get("type") == "array" and "items" in schema and not schema.keys() & {"minItems", "maxItems", "prefixItems"}:
        item = _value(schema["items"], defs, at, kinds)
        return f'("[" ({item} (", " {item}){{0,{MOST_ITEMS - 1}}})? "]" | ref{at})'
    return f"({_rule(schema, defs, kinds)} | ref{at})"


def _rule(schema: Mapping[str, Any], defs: Mapping[str, Any], kinds: dict[str, str]) -> str:
    """The name of the rule of a kind of argument. Equal kinds share one."""
    if schema.get("type") == "string" and schema.keys() <= {"type", "description", "default", "title"}:
        return kinds.setdefault(rf'/"[^"\\\x00-\x1f$]{{0,{MOST_TEXT}}}"/', "text")
    plain = {name: value for name, value in schema.items() if name not in ("description", "default", "title")}
    body = f"%json {json.dumps({**plain, **({'$defs': defs} if defs else {}), 'x-guidance': _SPACES})}"
    return kinds.setdefault(body, f"kind{len(kinds)}")


def _quoted(text: str) -> str:
    return json.dumps(text)
