"""The grammar that holds a model to a request's tools and schema, in the language of llguidance.

llama.cpp is built with llguidance here. Its Lark takes JSON schemas inside of rules, so a rule can say "these calls, or any other
text". A grammar that can't be used is ignored by llama.cpp without a word. `with_mark` makes a variant whose text begins with a
mark that no model writes by itself: what does not begin with it was not held.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headway.models.base import Request
from headway.models.local.prompt import must_call, offered_tools
from headway.models.structured.closing import close_objects

MOST_CALLS = 16  # in one answer: a small model may repeat itself for ever
MARK = "Zq7"
HEADER = "%llguidance {}\n"


def grammar_of(request: Request) -> str:
    """The grammar of what a request may be answered with; empty where that is any text.

    Args:
        request: what is asked.

    Returns:
        The grammar.
    """
    tools, rules, ways = offered_tools(request), [], []
    if tools:
        ways.append("calls")
        more = f'(", " call){{0,{MOST_CALLS - 1}}} ' if request.parallel_tool_calls else ""
        rules.append(f'calls: "[" call {more}"]"')
        rules.append("call: " + " | ".join(f"call{at}" for at in range(len(tools))))
        for at, tool in enumerate(tools):
            head = json.dumps(f'{{"tool": {json.dumps(tool.name)}, "arguments": ')
            rules.append(f'call{at}: {head} arguments{at} "}}"')
            rules.append(f"arguments{at}: {_rule(close_objects(tool.parameters), exact=tool.strict)}")
    if request.schema is not None:
        ways.append("answer")
        rules.append(f"answer: {_rule(request.schema.schema, exact=request.schema.strict)}")
    elif tools:
        ways.append("text")
        rules.append(r"text: /[^\[\s][\s\S]*/")
    if not rules:
        return ""
    return HEADER + "\n".join([f"start: {'calls' if tools and must_call(request) else ' | '.join(ways)}", *rules]) + "\n"


def with_mark(grammar: str) -> str:
    """The grammar of the same texts with the mark before them."""
    return grammar.replace("start: ", f'start: "{MARK}" begun\nbegun: ', 1)


def _rule(schema: Mapping[str, Any], *, exact: bool) -> str:
    """A JSON schema as a rule. Compact, because a small model that may write blanks writes blanks until its tokens end. Where it
    need not be exact, what llguidance does not know of it narrows nothing."""
    how = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": not exact}
    return f"%json {json.dumps({**schema, 'x-guidance': how})}"
