"""A tree of a task that several agents and runs edit: edits are kept in a durable collection, and take effect in its one order.

    tasks = SharedTasks("trip")
    await tasks.edit(Replace("city", "Turin"))
    tree = await tasks.read()

Two edits of one slot at once are one after the other: the later one counts, and the slot's history has both. An edit that no longer
fits the tree when its turn comes changes nothing, and whoever made it is told.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from headway.collection import append, count
from headway.engine import following
from headway.engine.call import current
from headway.errors import NotInRun, UsageError
from headway.methods.edits import Add, Edit, EditRefused, Remove, Replace, Rewire
from headway.methods.memory.tasks import TaskTree


class _State(NamedTuple):
    """The tree after an edit, and why it was refused, where it was."""

    tree: TaskTree[Any]
    refused: str = ""


class _Edited:
    """The tree after each batch of edits. A tree shares with the one before what did not change."""

    def __init__(self) -> None:
        self.states = [_State(TaskTree())]  # by version

    def read(self, entry: following.Entry) -> None:
        tree, refused = self.states[-1].tree, ""
        if not entry.is_lost:
            try:
                tree = tree.apply(entry.value)
            except UsageError as error:
                refused = str(error)
        self.states.append(_State(tree, refused))


class SharedTasks:
    """A tree of a task in the run's store, by name.

    Args:
        name: what it is known by; its collection is `tasks/NAME`.

    Raises:
        UsageError: the name is empty or has unprintable characters.

    Example:
        >>> from headway.methods.graph import Add, Node, Replace
        >>> from headway.methods.memory import SharedTasks, Slot
        >>> tasks = SharedTasks("trip")
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     await tasks.edit(Add(Node("city", Slot("Rome"))))
        ...     await hw.gather(tasks.edit(Replace("city", "Turin")), tasks.edit(Replace("city", "Milan")))
        ...     city = (await tasks.read())["city"]
        ...     return sorted([city.value, *city.history])
        >>> hw.run(program, store=hw.MemoryStore())
        ['Milan', 'Rome', 'Turin']
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise UsageError(f"SharedTasks({name!r:.100}): a name of printable characters")
        self.name = name

    async def edit(self, *edits: Edit[Any]) -> int:
        """Make edits, all together or none. It is an effect, and happens once.

        Args:
            *edits: those of `TaskTree.apply`.

        Returns:
            The number of the batch, from 0.

        Raises:
            EditRefused: they don't fit the tree as it is when their turn comes. Nothing was changed.
            UsageError: there are none, or one is no edit.
            NotInRun: no run goes on here.
        """
        if not edits or not all(isinstance(edit, Add | Remove | Replace | Rewire) for edit in edits):
            raise UsageError(f"{self!r}.edit({edits!r:.80}): give Add, Remove, Replace or Rewire of methods.graph")
        self._check("edit")
        number = await append(self._collection, edits)
        if refused := (await self._state(number + 1)).refused:
            raise EditRefused(f"{self!r}: {refused}")
        return number

    async def read(self) -> TaskTree[Any]:
        """The tree as it is now. The version is recorded: after a resume it is the very same tree.

        Returns:
            The tree.

        Raises:
            NotInRun: no run goes on here.
        """
        self._check("read")
        return (await self._state(await count(self._collection))).tree

    @property
    def _collection(self) -> str:
        return f"tasks/{self.name}"

    async def _state(self, version: int) -> _State:
        collecting = self._check("read")
        store = collecting.store(f"{self!r}")
        state: _State = await collecting.following.ask(
            store, self._collection, "tasks", _Edited, lambda edited, _: edited.states[version]
        )
        return state

    def _check(self, what: str) -> Any:
        frame = current.get()
        if frame is None:
            raise NotInRun(f"{self!r}.{what}() belongs to a run, and none goes on here: call it in a task")
        frame.call.engine.collecting.store(f"{self!r}.{what}()")
        return frame.call.engine.collecting

    def __repr__(self) -> str:
        return f"SharedTasks({self.name!r})"

    def __headway_key__(self) -> object:
        return ("tasks", self.name)
