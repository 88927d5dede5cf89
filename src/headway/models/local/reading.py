"""Reads what a model wrote under a grammar of tools: text, or a list of calls.

Text goes on as it comes. A list is kept until it ends, or is cut off. A call that is cut off in its arguments is a call all the
same, with arguments that are no JSON: whoever runs it tells the model so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from headway.models.base import CallPiece, Request
from headway.models.messages import Message
from headway.models.openai.calls import invented_id

_HEAD = re.compile(r'\s*[\[,]?\s*\{\s*"tool":\s*"([^"\\]*)",\s*"arguments":\s*')


class CallReader:
    """Reads one sample.

    Args:
        names: the tools that may be asked for; where there are none, everything is text.
        taken: the ids of calls that the conversation has already.
    """

    def __init__(self, names: Iterable[str], taken: Iterable[str] = ()) -> None:
        self._names, self._taken = frozenset(names), set(taken)
        self._held: str | None = "" if self._names else None

    def read(self, text: str) -> str:
        """Take what is new.

        Args:
            text: what the model has written since.

        Returns:
            What of it is text for the user.
        """
        if self._held is None:
            return text
        self._held += text
        begun = self._held.lstrip()
        if not begun or begun.startswith("["):
            return ""
        said, self._held = self._held, None
        return said

    def end(self) -> tuple[str, tuple[CallPiece, ...]]:
        """The sample is over.

        Returns:
            Text that was kept and is no call, and the calls.
        """
        held, self._held = self._held or "", None
        calls: list[CallPiece] = []
        at = 0
        while (head := _HEAD.match(held, at)) is not None and head[1] in self._names:
            try:
                _, at = json.JSONDecoder().raw_decode(held, head.end())
                arguments = held[head.end() : at]
                at += 1  # the brace that ends the call
            except (ValueError, RecursionError):
                arguments, at = held[head.end() :], len(held)
            calls.append(CallPiece(len(calls), self._make_id(), head[1], arguments))
        return ("" if calls else held), tuple(calls)

    def _make_id(self) -> str:
        at = len(self._taken)
        while (made := invented_id(at)) in self._taken:
            at += 1
        self._taken.add(made)
        return made


def ids_in(request: Request) -> list[str]:
    """The ids of the calls that a conversation has."""
    messages: tuple[Message, ...] = () if isinstance(request.prompt, str) else request.prompt
    return [call.id for message in messages for call in message.calls]
