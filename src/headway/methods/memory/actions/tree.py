"""A tree of actions that tasks share: a node is where a task stands, an edge is an action and the tasks that took it.

    tree = Tree().add(Trace("buy red shoes", steps))

A task that takes an action equal to one that is there joins its edge; another action begins a branch. A tree is a frozen value: a
change makes another one, and both share what did not change. It must never decide what is replayed: `choosing` does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.persistent import PersistentMap

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
ROOT = 0
SHORTCUTS = (2, 3)
"""How many actions a shortcut is long: the last one is replayed."""


@dataclass(frozen=True, slots=True)
class Step(Generic[A_co]):
    """An action of a task, as it was taken.

    Attributes:
        action: what was done; None says that the task is done.
        name: what kind of action it is.
        look: what its target looked like then.
        keywords: words of the task on which it depends.
    """

    action: A_co | None
    name: str
    look: object = None
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace(Generic[A_co]):
    """What a task did, from its first action on.

    Attributes:
        task: what was to be done.
        steps: its actions; the last one says that it was done.

    Raises:
        UsageError: the task is no text.
    """

    task: str
    steps: tuple[Step[A_co], ...]

    def __post_init__(self) -> None:
        if not isinstance(self.task, str) or not self.task.strip():
            raise UsageError(f"Trace: task={self.task!r:.80}: what was to be done, as text")
        settings.several(f"Trace({self.task!r:.40})", Step, steps=self.steps)


@dataclass(frozen=True, slots=True)
class Edge(Generic[A_co]):
    """An action from a node: how it was last taken, by which tasks (the newest last), and where it leads."""

    step: Step[A_co]
    tasks: tuple[str, ...]
    to: int


@dataclass(frozen=True, slots=True)
class Shortcut(Generic[A_co]):
    """After actions of these names from a split node, this action followed on two branches or more; with the tasks of all."""

    names: tuple[str, ...]
    last: Edge[A_co]


@dataclass(frozen=True)
class Tree(Generic[A]):
    """Actions that tasks share.

    Attributes:
        same: whether two actions are the same; `boxes_meet` for clicks on areas.

    Example:
        >>> from headway.methods.memory import Step, Trace, Tree
        >>> open_shop, shoes, hats = (Step(action, action.split()[0]) for action in ("open shop", "type shoes", "type hats"))
        >>> tree = Tree().add(Trace("buy shoes", (open_shop, shoes))).add(Trace("buy hats", (open_shop, hats)))
        >>> [edge.tasks for edge in tree.edges(0)]
        [('buy shoes', 'buy hats')]
        >>> len(tree), len(tree.remove("buy hats"))
        (3, 2)

    Source:
        MOBIMEM's AgentRR: IPADS-SAI/MobiAgent, `agent_rr`; after the idea of. It departs: a tree is a value that keeps its old
        versions, and what an edge depends on is what all its tasks have in common.
    """

    same: Callable[[A, A], bool] = operator.eq
    _nodes: PersistentMap[tuple[Edge[A], ...]] = field(default_factory=lambda: PersistentMap(), repr=False)
    _following: int = field(default=1, repr=False)

    def __post_init__(self) -> None:
        settings.function("Tree", same=self.same)

    def __len__(self) -> int:
        """How many actions it holds."""
        return sum(len(self._nodes.get(node) or ()) for node in self._nodes)

    def edges(self, node: int) -> tuple[Edge[A], ...]:
        """The actions that tasks took from a node.

        Args:
            node: the node; 0 is the root.

        Returns:
            The edges, the one that was taken last at the end.
        """
        return self._nodes.get(str(node)) or ()

    def find(self, node: int, action: A | None) -> Edge[A] | None:
        """The edge from a node by an action.

        Args:
            node: the node.
            action: the action, or None for the end of a task.

        Returns:
            The edge; None where no task has been.
        """
        return next((edge for edge in self.edges(node) if self._are_same(edge.step.action, action)), None)

    def walk(self, actions: tuple[A, ...]) -> tuple[int | None, ...]:
        """The nodes along some actions.

        Args:
            actions: what was done, from the root on.

        Returns:
            A node more than there are actions; None from where no task has been.
        """
        nodes: list[int | None] = [ROOT]
        for action in actions:
            edge = None if nodes[-1] is None else self.find(nodes[-1], action)
            nodes.append(None if edge is None else edge.to)
        return tuple(nodes)

    def add(self, trace: Trace[A]) -> Tree[A]:
        """This tree with what a task did.

        Args:
            trace: its steps. A task that is there already joins the edges of its actions and keeps the others.

        Returns:
            Another tree.
        """
        nodes, following, node = self._nodes, self._following, ROOT
        for step in trace.steps:
            edges = nodes.get(str(node)) or ()
            at = next((place for place, edge in enumerate(edges) if self._are_same(edge.step.action, step.action)), None)
            if at is None:
                edge = Edge(step, (trace.task,), following)
                edges, following = (*edges, edge), following + 1
            else:
                edge = _join(edges[at], trace.task, step)
                edges = (*edges[:at], *edges[at + 1 :], edge)  # the newest last
            nodes, node = nodes.set(str(node), edges), edge.to
        return replace(self, _nodes=nodes, _following=following)

    def remove(self, task: str) -> Tree[A]:
        """This tree without what a task did: it failed. Actions that no other task took are gone.

        Args:
            task: the task.

        Returns:
            Another tree.
        """
        nodes, left = self._nodes, [ROOT]
        while left:
            node = left.pop()
            kept: list[Edge[A]] = []
            for edge in nodes.get(str(node)) or ():
                if task in edge.tasks:
                    edge = replace(edge, tasks=tuple(other for other in edge.tasks if other != task))
                    left.append(edge.to)
                if edge.tasks:
                    kept.append(edge)
            nodes = nodes.set(str(node), tuple(kept)) if kept else nodes.drop(str(node))
        return replace(self, _nodes=nodes)

    def shortcuts(self, node: int) -> tuple[Shortcut[A], ...]:
        """What followed on two branches or more of a split node, after actions of the same names.

        Args:
            node: where tasks part. A node of one branch has none.

        Returns:
            The shortcuts, the longest first.
        """
        if len(self.edges(node)) < 2:
            return ()
        found: list[Shortcut[A]] = []
        for length in reversed(SHORTCUTS):
            by_names: dict[tuple[str, ...], list[tuple[int, Edge[A]]]] = {}
            for branch, first in enumerate(self.edges(node)):
                for names, last in self._paths(first, length):
                    by_names.setdefault(names, []).append((branch, last))
            for names, ends in by_names.items():
                found += [Shortcut(names, edge) for edge in self._common(ends)]
        return tuple(found)

    def _paths(self, first: Edge[A], length: int) -> Iterator[tuple[tuple[str, ...], Edge[A]]]:
        """The names of all but the last action of each path of a length, and the last edge."""
        paths: list[tuple[tuple[str, ...], Edge[A]]] = [((), first)]
        for _ in range(length - 1):
            paths = [((*names, edge.step.name), after) for names, edge in paths for after in self.edges(edge.to)]
        return iter(paths)

    def _common(self, ends: list[tuple[int, Edge[A]]]) -> Iterator[Edge[A]]:
        """The last edges whose action ends two branches or more, each action once, as it was last taken, with the tasks of all."""
        groups: list[list[tuple[int, Edge[A]]]] = []
        for end in ends:
            group = next((group for group in groups if self._are_same(group[0][1].step.action, end[1].step.action)), None)
            if group is None:
                groups.append(group := [])
            group.append(end)
        for group in groups:
            if len({branch for branch, _ in group}) > 1:
                tasks = dict.fromkeys(task for _, edge in group for task in edge.tasks)
                yield replace(group[-1][1], tasks=tuple(tasks))

    def _are_same(self, one: A | None, other: A | None) -> bool:
        if one is None or other is None:
            return one is other
        return self.same(one, other)


def _join(edge: Edge[A], task: str, step: Step[A]) -> Edge[A]:
    """An edge that another task has taken. It depends on what all its tasks have in common."""
    common = tuple(word for word in edge.step.keywords if word in step.keywords)
    tasks = (*(other for other in edge.tasks if other != task), task)
    return Edge(replace(step, keywords=common), tasks, edge.to)


def boxes_meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    """Whether two clicks are the same: the middle of each box lies in the other.

    Args:
        one: a box as left, top, right, bottom.
        other: another one.

    Returns:
        Whether they are the same.

    Example:
        >>> from headway.methods.memory import boxes_meet
        >>> boxes_meet((0, 0, 10, 10), (4, 4, 14, 14)), boxes_meet((0, 0, 10, 10), (8, 8, 40, 40))
        (True, False)
    """
    return _has_middle_of(one, other) and _has_middle_of(other, one)


def _has_middle_of(box: tuple[float, ...], other: tuple[float, ...]) -> bool:
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]
