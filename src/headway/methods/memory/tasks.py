"""The parts of a task as a tree that changes: a prompt shows the active path, and an edit does anew only what depends on it.

    tree = TaskTree().add("trip", "three days in Italy").add("city", "Rome", parent="trip").add("hotel", parent="city")
    tree = tree.replace("city", "Turin")               # the hotel is stale now
    tree = await redo(tree, work)                      # and is found again, as a call; nothing else is

A slot has a value, a parent, other slots that it needs, and the values it had. It depends on its parent and on what it needs. A
tree is a frozen value on `methods.graph`, so edits are checked as those of a plan are: all of a batch or none, never a cycle. An
edit costs what it changes and what depends on that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from headway.engine.handle import Handle
from headway.errors import UsageError
from headway.joins.gather import gather
from headway.journal.codec.codec import declare
from headway.methods import settings
from headway.methods.edits import Add, Edit, EditRefused, Need, Node, Remove, Replace, Rewire, after
from headway.methods.graph import Graph
from headway.task import Task
from headway.tools.results import show

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Slot(Generic[T_co]):
    """A part of a task.

    Attributes:
        value: what is known of it; None where it must still be found.
        parent: the slot that it is a part of; empty for none.
        history: the values it had, the oldest first.
        stale: whether it must be found, or found again, because what it depends on has changed.
    """

    value: T_co | None = None
    parent: str = ""
    history: tuple[T_co, ...] = ()
    stale: bool = False


@dataclass(frozen=True)
class TaskTree(Generic[T]):
    """The parts of a task.

    Attributes:
        graph: the slots, and what each depends on.

    Raises:
        EditRefused: by its edits: a slot twice, one that is not there, one that others depend on, a cycle. Nothing was changed.

    Example:
        >>> from headway.methods.memory import TaskTree
        >>> tree = TaskTree().add("trip", "three days").add("city", "Rome", parent="trip").add("hotel", "Adria", parent="city")
        >>> tree = tree.add("car", "none", parent="trip").replace("city", "Turin")
        >>> tree.stale, tree["city"].history
        (('hotel',), ('Rome',))
        >>> print(tree.prompt("hotel"))
        trip: three days
        city: Turin
        hotel: (to be found; it was Adria)

    Source:
        Task Memory Engine, v2: slots with a parent, dependencies and a history, replace and propagate; written from the idea, not
        from its code. It departs: a slot depends on its parent, too, since its prompt shows it.
    """

    graph: Graph[Slot[T]] = field(default_factory=lambda: Graph[Slot[Any]]())

    def __len__(self) -> int:
        return len(self.graph)

    def __contains__(self, slot: object) -> bool:
        return slot in self.graph

    def __getitem__(self, slot: str) -> Slot[T]:
        """A slot. Raises KeyError where there is none."""
        return self.graph[slot].does

    @property
    def stale(self) -> tuple[str, ...]:
        """The slots that must be found, in the order in which they were added."""
        return tuple(node.id for node in self.graph.nodes if node.does.stale)

    # --- edits -------------------------------------------------------------------------------------------------------

    def add(self, slot: str, value: T | None = None, *, parent: str = "", needs: Sequence[str] = ()) -> TaskTree[T]:
        """This tree with a slot more.

        Args:
            slot: its name.
            value: what is known of it; None where it must be found.
            parent: what it is a part of.
            needs: other slots that it depends on.

        Returns:
            Another tree.
        """
        return self.apply([Add(Node(slot, Slot(value, parent), after(*needs)))])

    def replace(self, slot: str, value: T) -> TaskTree[T]:
        """This tree with another value of a slot. What depends on it is stale.

        Args:
            slot: of which one.
            value: what is known of it now.

        Returns:
            Another tree.
        """
        return self.apply([Replace(slot, value)])

    def rewire(self, slot: str, needs: Sequence[str]) -> TaskTree[T]:
        """This tree with a slot that depends on others than before. It is stale, and so is what depends on it.

        Args:
            slot: which one.
            needs: what it depends on besides its parent.

        Returns:
            Another tree.
        """
        return self.apply([Rewire(slot, after(*needs))])

    def remove(self, slot: str) -> TaskTree[T]:
        """This tree without a slot. What depends on it must be rewired or removed in the same batch (`apply`).

        Args:
            slot: which one.

        Returns:
            Another tree.
        """
        return self.apply([Remove(slot)])

    def apply(self, edits: Sequence[Edit[Any]]) -> TaskTree[T]:
        """This tree with all of some edits, or none of them. The later of two values for one slot counts; both are its history.

        Args:
            edits: those of `methods.graph`: `Add(Node(slot, Slot(value, parent), after(…)))`, `Replace(slot, value)`,
                `Rewire(slot, after(…))` and `Remove(slot)`.

        Returns:
            Another tree.

        Raises:
            EditRefused: they contradict the tree or each other.
            UsageError: one is no edit.
        """
        slots: dict[str, Slot[T]] = {}
        changed: list[Edit[Slot[T]]] = []
        for edit in edits:
            if isinstance(edit, Add):
                slots[edit.node.id] = slot = _as_slot(edit.node.does)
                changed.append(Add(Node(edit.node.id, slot, _with_parent(slot.parent, edit.node.needs))))
            elif isinstance(edit, Replace):
                slots[edit.id] = slot = _replaced(self._slot(edit.id, slots), edit.does)
                changed.append(Replace(edit.id, slot))
            elif isinstance(edit, Rewire):
                slots[edit.id] = slot = replace(self._slot(edit.id, slots), stale=True)
                changed += [Rewire(edit.id, _with_parent(slot.parent, edit.needs)), Replace(edit.id, slot)]
            elif isinstance(edit, Remove):
                slots.pop(edit.id, None)
                changed.append(edit)
            else:
                raise UsageError(f"TaskTree.apply: {edit!r:.80} is no edit: give Add, Remove, Replace or Rewire of methods.graph")
        graph = self.graph.apply(changed)
        stale = [id for id in _behind(graph, slots) if id not in slots and not graph[id].does.stale]
        return TaskTree(graph.apply([Replace(id, replace(graph[id].does, stale=True)) for id in stale]))

    def _slot(self, slot: str, edited: dict[str, Slot[T]]) -> Slot[T]:
        if slot in edited:
            return edited[slot]
        if slot not in self.graph:
            raise EditRefused(f"{slot}: there is no such slot. Nothing of these edits was applied")
        return self[slot]

    # --- prompts -----------------------------------------------------------------------------------------------------

    def active_path(self, slot: str) -> tuple[str, ...]:
        """What a model must be shown to find a slot: what it is a part of, from the root on, what it needs, and itself.

        Args:
            slot: which one.

        Returns:
            Names of slots.

        Raises:
            KeyError: there is no such slot.
        """
        node = self.graph[slot]
        above: list[str] = []
        while parent := self[above[-1] if above else slot].parent:
            above.append(parent)
        beside = (need.step for need in node.needs if need.step not in above)
        return (*reversed(above), *beside, slot)

    def prompt(self, slot: str) -> str:
        """The active path as text, a line for each slot.

        Args:
            slot: which one is to be found.

        Returns:
            The text.
        """
        return "\n".join(_say(name, self[name]) for name in self.active_path(slot))


async def redo(tree: TaskTree[T], work: Callable[[str, dict[str, T]], Any]) -> TaskTree[T]:
    """Find what is stale, and nothing else. What does not depend on each other is worked on side by side.

    Args:
        tree: the tree.
        work: a task that finds a slot: of its name, and the values of its active path by name. Each is a call, so a run that was
            killed finds only what is missing.

    Returns:
        The tree with nothing stale.

    Raises:
        UsageError: `work` is no task.
        Exception: what `work` raises; the others are stopped, and what they had found is recorded.

    Example:
        >>> from headway.methods.memory import TaskTree, redo
        >>> @hw.task
        ... async def work(slot: str, path: dict[str, str]) -> str:
        ...     return f"{slot} in {path['city']}"
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     tree = TaskTree().add("city", "Rome").add("hotel", parent="city").add("food", parent="city")
        ...     tree = await redo(tree, work)
        ...     tree = await redo(tree.replace("city", "Turin"), work)
        ...     return [tree["hotel"].value, tree["food"].value, *tree["food"].history]
        >>> hw.run(program, store=None)
        ['hotel in Turin', 'food in Turin', 'food in Rome']

    Source:
        Task Memory Engine, v2; after the idea of.
    """
    settings.instance("redo", TaskTree, tree=tree)
    if not isinstance(work, Task):
        raise UsageError(f"redo: work={work!r:.80}: a task, so that what it finds is recorded")
    stale = set(tree.stale)
    begun: dict[str, Handle[T]] = {}
    for slot in _in_order(tree.graph, stale):
        path = {name: begun[name] if name in begun else tree[name].value for name in tree.active_path(slot)[:-1]}
        begun[slot] = work(slot, path)
    found = dict(zip(begun, await gather(*begun.values()), strict=True))
    return TaskTree(tree.graph.apply([Replace(slot, _replaced(tree[slot], value)) for slot, value in found.items()]))


def _in_order(graph: Graph[Any], wanted: set[str]) -> list[str]:
    """Some steps of a plan, each after those it needs."""
    if not wanted:
        return []
    return [id for id in graph.order() if id in wanted]


def _behind(graph: Graph[Any], slots: Iterable[str]) -> tuple[str, ...]:
    """All that depends on these slots, directly or through others."""
    found: dict[str, None] = {}
    left = [slot for slot in slots if slot in graph]
    while left:
        for id in graph.dependents(left.pop()):
            if id not in found:
                found[id] = None
                left.append(id)
    return tuple(found)


def _as_slot(given: Any) -> Slot[Any]:
    slot = given if isinstance(given, Slot) else Slot(given)
    return replace(slot, stale=slot.value is None)


def _replaced(slot: Slot[T], value: T) -> Slot[T]:
    """A slot with another value."""
    had = () if slot.value is None else (slot.value,)
    return replace(slot, value=value, history=(*slot.history, *had), stale=value is None)


def _with_parent(parent: str, needs: Sequence[Need]) -> tuple[Need, ...]:
    """What a slot depends on."""
    return (*((Need(parent),) if parent else ()), *(need for need in needs if need.step != parent))


def _say(name: str, slot: Slot[Any]) -> str:
    if not slot.stale:
        return f"{name}: {show(slot.value)}"
    was = "" if slot.value is None else f"; it was {show(slot.value)}"
    return f"{name}: (to be found{was})"


for _kept in (Slot, Add, Remove, Replace, Rewire, Node, Need):
    declare(_kept)
