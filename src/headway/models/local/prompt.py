"""A conversation with tools in words that every chat template knows: text from the user, text from the assistant.

A call that was made is shown as the model has to write it, and a tool's answer as something that the user says. So a small model
sees examples of its own form. Turns of one role are joined, because templates want roles that take turns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from headway.models.base import Request
from headway.models.messages import Message, ToolCall, ToolSpec


def offered_tools(request: Request) -> tuple[ToolSpec, ...]:
    """The tools that a request lets its model ask for."""
    choice = request.tool_choice
    if choice == "none":
        return ()
    if choice in ("auto", "required"):
        return request.tools
    names = (choice,) if isinstance(choice, str) else choice
    return tuple(tool for tool in request.tools if tool.name in names)


def must_call(request: Request) -> bool:
    """Whether the model has to ask for a tool: one of any, or one that is named."""
    return isinstance(request.tool_choice, str) and request.tool_choice not in ("auto", "none")


def write_plainly(request: Request) -> str | tuple[Message, ...]:
    """The prompt with its tools, calls and tools' answers in words.

    Args:
        request: what is asked.

    Returns:
        Text, where the prompt is one, or messages of text alone, by the system, the user and the assistant.
    """
    tools = offered_tools(request)
    told = _tell_tools(request, tools) if tools else ""
    if isinstance(request.prompt, str):
        return f"{told}\n\n{request.prompt}" if told else request.prompt
    turns = list(_turns(request.prompt))
    if not told:
        return tuple(turns)
    if turns[0].role == "system":
        return (Message("system", f"{turns[0].content}\n\n{told}"), *turns[1:])
    if turns[0].role == "user":
        return (Message("user", f"{told}\n\n{turns[0].content}"), *turns[1:])
    return (Message("user", told), *turns)


def write_calls(calls: Sequence[ToolCall]) -> str:
    """Calls as a model writes them. Arguments that are no JSON stay as they are: the model sees what it wrote.

    >>> write_calls([ToolCall("call_0", "area", '{"country":"Italy"}')])
    '[{"tool": "area", "arguments": {"country":"Italy"}}]'
    """
    return "[" + ", ".join(f'{{"tool": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}' for call in calls) + "]"


def _tell_tools(request: Request, tools: Sequence[ToolSpec]) -> str:
    lines = [
        json.dumps({"tool": tool.name, "description": tool.description, "arguments": tool.parameters}, ensure_ascii=False)
        for tool in tools
    ]
    how = "one or more of them" if request.parallel_tool_calls else "one of them"
    when = f"Use {how} now: answer" if must_call(request) else f"To use {how}, answer"
    form = f'{when} with nothing but a list [{{"tool": "NAME", "arguments": {{…}}}}]'
    return "\n".join(["You have these tools, with the JSON schema of their arguments:", *lines, f"{form}."])


def _turns(messages: Sequence[Message]) -> Iterator[Message]:
    """Messages of text alone, those of one role joined."""
    role, said = "", ""
    for message in messages:
        plain = _say(message)
        if plain.role == role and role != "system":
            said = f"{said}\n\n{plain.content}" if said else str(plain.content)
            continue
        if role:
            yield Message(role, said)  # type: ignore[arg-type]  # of a message
        role, said = plain.role, str(plain.content)
    if role:
        yield Message(role, said)  # type: ignore[arg-type]  # of a message


def _say(message: Message) -> Message:
    text = message.text
    if message.role == "tool":
        return Message("user", f"Answer of {message.name or message.call_id or 'the tool'}: {text}")
    if message.calls:
        return Message("assistant", f"{text}\n{write_calls(message.calls)}" if text else write_calls(message.calls))
    return Message(message.role, f"{message.name}: {text}" if message.name else text)
