"""Keeps the actions of tasks in a memory, as its third kind: traces that all runs share, and the tree that they make.

    tree = await load_tree(memory)
    ran = await replay(task, tree, world, generate)
    await save_trace(memory, ran)

A failure is remembered, too: it takes the task's traces out of the tree, for every run.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeVar

from headway.engine.following import Entry
from headway.methods import settings
from headway.methods.memory.actions.replaying import Replayed
from headway.methods.memory.actions.tree import Trace, Tree
from headway.methods.memory.book import Book, Filter
from headway.methods.memory.calls import ask_follower
from headway.methods.memory.memory import Memory
from headway.methods.memory.records import Case, check_name

A = TypeVar("A")


class _Grown:
    """The tree of a namespace: it grows by what is put in, and is made anew where something was changed or forgotten."""

    def __init__(self, namespace: str, as_of: int | None, same: Callable[[Any, Any], bool]) -> None:
        self._namespace, self._same = namespace, same
        self._book = Book(as_of)
        self._tree: Tree[Any] | None = Tree(same)
        self._size = 0

    def read(self, entry: Entry) -> None:
        self._book.read(entry)
        if entry.is_lost or getattr(entry.value, "namespace", None) != self._namespace:
            return
        case = entry.value.case
        if case is None or case.id:  # of an update or a forgetting
            self._tree = None
        elif case.kind == "actions" and self._tree is not None and self._book.get(self._namespace, f"#{entry.number}"):
            self._tree = _grow(self._tree, case)

    def tree(self) -> Tree[Any]:
        if self._tree is None:
            self._tree = Tree(self._same)
            for hit in self._book.cases(Filter(self._namespace, "actions"), None):
                self._tree = _grow(self._tree, hit.case)
        return self._tree


def _grow(tree: Tree[Any], case: Case) -> Tree[Any]:
    if case.outcome == "failure":
        return tree.remove(case.text)
    return tree.add(case.value) if isinstance(case.value, Trace) else tree


async def load_tree(memory: Memory, *, namespace: str = "", same: Callable[[A, A], bool] = operator.eq) -> Tree[A]:
    """The tree of all traces that a memory holds, as it shows them now.

    It is not recorded; what `replay` chooses by it is.

    Args:
        memory: the memory, or a pinned one.
        namespace: whose traces.
        same: whether two actions are the same.

    Returns:
        The tree. It costs what was saved since this run loaded it last.

    Raises:
        NotInRun: no run goes on here.

    Example:
        >>> from headway.methods.memory import Case, Memory, Step, Trace, load_tree
        >>> memory = Memory("phone")
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     trace = Trace("pay", (Step("open cart", "open"), Step("click pay", "click")))
        ...     await memory.put(Case("pay", trace, kind="actions", outcome="success"))
        ...     tree = await load_tree(memory)
        ...     return [edge.step.action for edge in tree.edges(0)]
        >>> hw.run(program, store=hw.MemoryStore())
        ['open cart']
    """
    settings.instance("load_tree", Memory, memory=memory)
    settings.function("load_tree", same=same)
    check_name("load_tree", namespace=namespace)
    key = ("tree", namespace, memory.as_of, same)
    return await ask_follower(memory.name, key, lambda: _Grown(namespace, memory.as_of, same), lambda grown, _: grown.tree())


async def save_trace(memory: Memory, ran: Replayed[Any], *, namespace: str = "") -> str:
    """Remember what a task did, or that it failed, which takes its traces out of the tree.

    Args:
        memory: the memory.
        ran: how the task went.
        namespace: whose it is.

    Returns:
        The id of the case.

    Raises:
        NotInRun: no run goes on here.

    Example:
        >>> from headway.methods.memory import Memory, Replayed, Step, Trace, Tree, load_tree, save_trace
        >>> memory = Memory("phone")
        >>> @hw.task
        ... async def program() -> list[int]:
        ...     trace, sizes = Trace("pay", (Step("open cart", "open"), Step(None, ""))), []
        ...     for success in (True, False):
        ...         await save_trace(memory, Replayed(trace, Tree(), 2, 0, 0, 0, done=True, success=success))
        ...         sizes.append(len(await load_tree(memory)))
        ...     return sizes
        >>> hw.run(program, store=hw.MemoryStore())
        [2, 0]
    """
    settings.instance("save_trace", Memory, memory=memory)
    settings.instance("save_trace", Replayed, ran=ran)
    failed = ran.success is False or not ran.done
    value = None if failed else ran.trace
    return await memory.put(Case(ran.trace.task, value, "actions", namespace, outcome="failure" if failed else "success"))
