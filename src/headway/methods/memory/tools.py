"""Lets a model remember and recall.

    answer = await agent(model, [search_web, *memory_tools(memory, namespace="ada")], "Plan Ada's trip")

What a model writes counts as written by strangers, unless the program says otherwise: it may have read a page a moment ago. It
stays marked so in the memory, whoever recalls it, and a guard such as `Separation` then asks before each effect. A model can never
remember for another namespace, nor change or forget.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from headway.errors import ToolArgumentsError
from headway.methods import settings
from headway.methods.memory.memory import Memory
from headway.methods.memory.records import Case, Kind, Recalled, check_kind, check_name
from headway.models.messages import ToolSpec
from headway.task import task
from headway.tools.parameters import read_parameters
from headway.tools.tool import Labels, Tool

K = 5
_REMEMBER = "Keep a note for later, also for other tasks. Write one fact or lesson, with all that is needed to understand it."
_RECALL = "Look for notes that were kept before, by their words."
_SAYS = {"note": "what to keep, in a sentence or two", "about": "what the notes are to be about, in a few words"}


def memory_tools(
    memory: Memory,
    *,
    namespace: str = "",
    kind: Kind = "experience",
    k: int = K,
    untrusted: bool = True,
    trusted_only: bool = False,
) -> list[Tool]:
    """Make the tools by which a model remembers and recalls.

    Args:
        memory: the memory, or a pinned one.
        namespace: whose cases; the model can't reach others.
        kind: what it remembers its notes as. It recalls all kinds.
        k: how many notes a search gives at most.
        untrusted: whether what it remembers may come from strangers. False is for an agent that reads nothing of theirs; then
            `remember` is labelled as an effect, so that a guard asks first where the agent has read something after all.
        trusted_only: recall only what no strangers may have written; then `recall` is not labelled as reading untrusted text.

    Returns:
        `remember` and `recall`.

    Raises:
        UsageError: settings that make no sense.

    Example:
        >>> from headway import models, tools
        >>> from headway.methods.memory import Memory, memory_tools
        >>> @hw.task
        ... async def program() -> str:
        ...     offered = memory_tools(Memory("team"), namespace="ada")
        ...     asked = models.ToolCall("a", "remember", '{"note": "Ada flies from Turin"}')
        ...     await tools.run_calls(offered, [asked])
        ...     asked = models.ToolCall("b", "recall", '{"about": "flies from where?"}')
        ...     (found,) = await tools.run_calls(offered, [asked])
        ...     return found.value[0].case.text
        >>> hw.run(program, store=hw.MemoryStore())
        'Ada flies from Turin'
    """
    where = "memory_tools"
    settings.instance(where, Memory, memory=memory)
    check_name(where, namespace=namespace)
    check_kind(where, kind)
    settings.at_least_one(where, k=k)
    settings.instance(where, bool, untrusted=untrusted, trusted_only=trusted_only)

    wrote = Labels(effect=not untrusted)
    read = Labels(reads_untrusted=not trusted_only)
    note = _Bound("remember", _remember_signature, (memory, namespace, kind, untrusted))
    about = _Bound("recall", _recall_signature, (memory, namespace, k, trusted_only))
    return [
        Tool(ToolSpec("remember", _REMEMBER, note.schema), wrote, remember, note),
        Tool(ToolSpec("recall", _RECALL, about.schema), read, recall, about),
    ]


@task(name="memory.remember", effect=True, version="1")
async def remember(memory: Memory, namespace: str, kind: Kind, untrusted: bool, note: str) -> str:
    """Keep a note."""
    return f"noted as {await memory.put(Case(note, kind=kind, namespace=namespace, untrusted=untrusted))}"


@task(name="memory.recall", version="1")
async def recall(memory: Memory, namespace: str, k: int, trusted: bool, about: str) -> Recalled:
    """Look for notes."""
    return await memory.search(about, k, namespace=namespace, trusted=trusted)


def _remember_signature(note: str) -> None: ...


def _recall_signature(about: str) -> None: ...


class _Bound:
    """The one text that a model gives, beside what is not the model's to say."""

    def __init__(self, name: str, signature: Callable[..., None], identity: tuple[Any, ...]) -> None:
        (self._what,) = inspect.signature(signature).parameters
        self._own = read_parameters(signature, name, {self._what: _SAYS[self._what]})
        self.identity = identity
        self.schema: Mapping[str, Any] = self._own.schema

    def parse(self, arguments: str) -> dict[str, Any]:
        values = self._own.parse(arguments)
        if not values[self._what].strip():
            raise ToolArgumentsError(f"{self._what} is empty: write {_SAYS[self._what]}")
        return values

    def place(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (*self.identity, values[self._what]), {}
