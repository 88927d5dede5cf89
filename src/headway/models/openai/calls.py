"""Reads what a model asks of tools out of the fragments that servers send.

The protocol says: fragments of one call share an `index`, the first has the id and the name, the others go on with the arguments.
Servers say it in their own ways, so a call is told from the next by what is there:

- Ollama sends every parallel call whole, at index 0: a new id at an old index, with a name, is a new call.
- Kimi and LM Studio send a new id with each fragment: without a name it goes on with the call at its index.
- Some send no index, or no id, or the arguments as an object, or the name again with each fragment.
- `function_call` is the form of old: one call, without an id.

Arguments are never parsed on the way, but for one question: whether a call without ids is whole before the next begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.models.base import CallPiece, Request

_ALONE = "function_call"  # the index of the one call in the form of old


@dataclass(slots=True)
class _Call:
    given_id: str
    id: str
    name: str = ""
    arguments: str = ""


class CallReader:
    """The calls of one sample, as they come.

    Args:
        first: the number of the first call, for ids that the server leaves out.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._calls: list[_Call] = []
        self._newest: dict[object, int] = {}  # by index
        self._ids: set[str] = set()

    @property
    def any(self) -> bool:
        """Whether there are calls."""
        return bool(self._calls)

    def read(self, said: Mapping[str, Any], *, whole: bool) -> tuple[CallPiece, ...]:
        """What a message, or a part of one, says of calls.

        Args:
            said: the `message` or `delta`.
            whole: whether it is a whole message, in which each entry is a call of its own.

        Returns:
            A piece for each fragment.

        Raises:
            TypeError: for what is none of the protocol.
        """
        fragments = said.get("tool_calls") or ()
        if not isinstance(fragments, list | tuple):
            raise TypeError(f"tool_calls that are a {type(fragments).__name__}")
        found = [piece for fragment in fragments for piece in self._read(fragment, whole)]
        if isinstance(alone := said.get("function_call"), Mapping):
            found += self._read({"index": _ALONE, "function": alone}, whole=False)
        return tuple(found)

    def _read(self, fragment: Any, whole: bool) -> Iterator[CallPiece]:
        if not isinstance(fragment, Mapping):
            raise TypeError(f"a call that is a {type(fragment).__name__}")
        function = fragment.get("function") or fragment.get("custom") or {}
        given_id, index = str(fragment.get("id") or ""), fragment.get("index")
        name = _text_of(function.get("name"))
        arguments = _text_of(function.get("arguments") or function.get("input"))
        place = None if whole else self._place_of(index, given_id, name, arguments)
        begins = place is None
        if place is None:
            place = len(self._calls)
            self._calls.append(_Call(given_id, self._id(given_id)))
        self._newest[index] = place
        call = self._calls[place]
        name = _more_of_name(call.name, name)
        call.name += name
        call.arguments += arguments
        if begins or name or arguments:
            yield CallPiece(place, call.id if begins else "", name, arguments)

    def _place_of(self, index: object, given_id: str, name: str, arguments: str) -> int | None:
        """Which call a fragment goes on with; None where it begins one."""
        at_index = self._newest.get(index) if index is not None else (len(self._calls) - 1 if self._calls else None)
        by_id = next((place for place, call in enumerate(self._calls) if given_id and call.given_id == given_id), None)
        if not name:  # it goes on
            return by_id if by_id is not None else at_index
        if by_id is not None and (index is None or self._newest.get(index) == by_id):
            return by_id
        if at_index is None:
            return None
        before = self._calls[at_index]
        if given_id:
            return at_index if not before.given_id and not before.arguments else None
        return None if _is_whole(before.arguments) or (arguments and before.arguments) else at_index

    def _id(self, given_id: str) -> str:
        """The id by which a call is answered: the server's, or one of ours where that is missing or another call's."""
        chosen = given_id if given_id not in self._ids | {""} else invented_id(self._first + len(self._calls))
        self._ids.add(chosen)
        return chosen


def invented_id(number: int) -> str:
    """The id of a call that came without one: the same in each replay, and of the form that every server takes.

    >>> invented_id(3)
    'call00003'
    """
    return f"call{number:05d}"


def calls_before(request: Request) -> int:
    """How many calls a conversation holds: the number of the first that is asked for next."""
    return 0 if isinstance(request.prompt, str) else sum(len(message.calls) for message in request.prompt)


def readers_of(request: Request) -> Sequence[CallReader]:
    """A reader for each sample."""
    return [CallReader(calls_before(request)) for _ in range(request.n)]


def _text_of(given: Any) -> str:
    """A text, or an object as its JSON."""
    if given is None or isinstance(given, str):
        return given or ""
    if isinstance(given, Mapping | list):
        return json.dumps(given, ensure_ascii=False)
    raise TypeError(f"a call whose name or arguments are a {type(given).__name__}")


def _more_of_name(known: str, said: str) -> str:
    """What is new of a name: some servers repeat it, some send it in parts."""
    return said.removeprefix(known) if said.startswith(known) else said


def _is_whole(arguments: str) -> bool:
    try:
        json.loads(arguments)
    except ValueError:
        return False
    return True
