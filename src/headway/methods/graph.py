"""A plan: steps, what each needs, and edits that change it while it runs.

    graph = Graph((Node("search", "find pages"), Node("read", "read them", after("search"))))
    graph = graph.apply([Add(Node("write", "sum up", after("read")))], started={"search"})

A graph is a frozen value; an edit makes another one. Both share what did not change, so the cost of an edit depends on what it
changes and not on the size of the plan: a plan of ten thousand steps may be edited ten thousand times. In every graph ids are
unique, every needed step exists, and no step needs itself, directly or through others. A step that has started can't change,
because its call has been made and recorded.

Several edits are applied together or not at all, and only the result is checked. So an edit may need a step that a later edit of
the same batch adds. A run that journals its plan records the small edits and folds them; it may also record a graph itself.

A graph must never decide what runs: a policy does. It knows no results, clocks or devices.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from headway.methods.edits import Add as Add
from headway.methods.edits import Edit as Edit
from headway.methods.edits import EditRefused as EditRefused
from headway.methods.edits import Index, apply_edits
from headway.methods.edits import Need as Need
from headway.methods.edits import Node as Node
from headway.methods.edits import Remove as Remove
from headway.methods.edits import Replace as Replace
from headway.methods.edits import Rewire as Rewire
from headway.methods.edits import after as after
from headway.methods.persistent import PersistentMap
from headway.methods.records import Observation

W = TypeVar("W")


@dataclass(frozen=True)
class Graph(Generic[W]):
    """Steps in the order in which they were added.

    Raises:
        EditRefused: where the nodes are no plan: an id twice, a step that is needed and not there, a cycle.

    Example:
        >>> graph = Graph((Node("a", 1), Node("b", 2, after("a"))))
        >>> graph.ready({})
        ('a',)
        >>> graph.apply([Rewire("a", after("b"))])
        Traceback (most recent call last):
            ...
        headway.methods.edits.EditRefused: a can't need b: a needs b needs a, a cycle. Nothing of these edits was applied
    """

    nodes: tuple[Node[W], ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        assert self._index is not None  # built here, so that an invalid plan is refused here

    @cached_property
    def _index(self) -> Index[W]:
        empty: Index[W] = Index(PersistentMap(), PersistentMap(), 0)
        return apply_edits(empty, [Add(node) for node in self.nodes], frozenset())

    def __getattr__(self, name: str) -> tuple[Node[W], ...]:
        """`nodes` of a graph that was made by edits are laid out when they are asked for."""
        if name != "nodes" or "_index" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        steps = self._index.steps
        nodes = tuple(self._index.at(id).node for id in sorted(steps, key=self._index.number))
        self.__dict__["nodes"] = nodes
        return nodes

    def __reduce__(self) -> tuple[object, ...]:
        return Graph, (self.nodes,)

    def __len__(self) -> int:
        return len(self._index.steps)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and id in self._index.steps

    def __getitem__(self, id: str) -> Node[W]:
        """The step of an id. Raises KeyError where there is none."""
        found = self._index.steps.get(id)
        if found is None:
            raise KeyError(f"there is no step {id!r} in this plan of {len(self)} steps")
        return found.node

    def __iter__(self) -> Iterator[Node[W]]:
        return iter(self.nodes)

    def dependents(self, id: str) -> tuple[str, ...]:
        """Which steps wait for a step, in the order of the plan."""
        return tuple(sorted(self._index.needed_by.get(id) or (), key=self._index.number))

    def apply(self, edits: Sequence[Edit[W]], started: AbstractSet[str] = frozenset()) -> Graph[W]:
        """This plan with all of some edits, or none of them.

        Args:
            edits: made one after another; what must hold of a plan is checked after the last one.
            started: ids of the steps that have begun, also of those that have ended: they can't change.

        Returns:
            Another graph. It takes time in proportion to the edits and to the steps whose order they change.

        Raises:
            EditRefused: for edits that contradict the plan, what has started, or each other.
        """
        made: Graph[W] = object.__new__(Graph)
        made.__dict__["_index"] = apply_edits(self._index, edits, started)
        return made

    def ready(
        self,
        ended: Mapping[str, bool],
        *,
        started: AbstractSet[str] = frozenset(),
        among: Iterable[str] | None = None,
        holds: Callable[[Need], bool] = lambda need: True,
    ) -> tuple[str, ...]:
        """Which steps may start now, in the order of the plan.

        Args:
            ended: the steps that have ended, and whether they succeeded.
            started: steps that have begun and are not asked for again.
            among: look at these alone, such as the `dependents` of what has just ended, instead of at the whole plan.
            holds: whether the condition that a need names holds.
        """
        looked = {id for id in among if id in self} if among is not None else set(self._index.steps)
        free = (id for id in looked if id not in started and id not in ended and self._may_start(id, ended, holds))
        return tuple(sorted(free, key=self._index.number))

    def blocked(self, ended: Mapping[str, bool]) -> tuple[str, ...]:
        """Which steps can never start, because what they need ended otherwise or can never start itself."""
        never: set[str] = set()
        for id in self.order():
            if id not in ended and any(need.step in never or _is_missed(need, ended) for need in self[id].needs):
                never.add(id)
        return tuple(sorted(never, key=self._index.number))

    def order(self) -> tuple[str, ...]:
        """All steps, each after what it needs; of those that are free, the one that was added first."""
        waits = {node.id: len(node.needs) for node in self.nodes}
        free = [(self._index.number(id), id) for id, count in waits.items() if not count]
        heapq.heapify(free)
        ordered: list[str] = []
        while free:
            _, id = heapq.heappop(free)
            ordered.append(id)
            for other in self._index.needed_by.get(id) or ():
                waits[other] -= 1
                if not waits[other]:
                    heapq.heappush(free, (self._index.number(other), other))
        return tuple(ordered)

    def rounds(self) -> tuple[tuple[str, ...], ...]:
        """The steps by level: each round needs only what earlier rounds have done."""
        level: dict[str, int] = {}
        found: list[list[str]] = []
        for id in self.order():
            level[id] = 1 + max((level[need.step] for need in self[id].needs), default=-1)
            if level[id] == len(found):
                found.append([])
            found[level[id]].append(id)
        return tuple(map(tuple, found))

    def critical_path(self, seconds: Callable[[Node[W]], float]) -> tuple[float, tuple[str, ...]]:
        """The chain of steps that takes longest: no executor, however wide, is done before it.

        Args:
            seconds: how long a step takes.

        Returns:
            Its seconds, and the ids along it.
        """
        best: dict[str, tuple[float, str]] = {}
        for id in self.order():
            before, last = max(((best[need.step][0], need.step) for need in self[id].needs), default=(0.0, ""))
            best[id] = before + seconds(self[id]), last
        id, path = max(best, key=lambda id: best[id][0], default=""), list[str]()
        length = best[id][0] if id else 0.0
        while id:
            path.append(id)
            id = best[id][1]
        return length, tuple(reversed(path))

    def _may_start(self, id: str, ended: Mapping[str, bool], holds: Callable[[Need], bool]) -> bool:
        return all(need.step in ended and not _is_missed(need, ended) and (not need.test or holds(need)) for need in self[id].needs)


@dataclass(frozen=True, slots=True)
class Trace(Generic[W]):
    """What has happened to a plan so far, as a planner is told.

    Attributes:
        graph: the plan as it is.
        started: the steps that have begun, those that have ended among them.
        ended: whether each of those that have ended succeeded, in the order in which they ended.
        results: what they gave, by id.
        failures: what the others failed with, as texts, by id.
        refused: why edits of this planner were refused since it was asked last.
        fresh: the steps that have ended since it was asked last.
    """

    graph: Graph[W]
    started: frozenset[str] = frozenset()
    ended: tuple[Observation, ...] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()


def _is_missed(need: Need, ended: Mapping[str, bool]) -> bool:
    """Whether the step that is needed has ended, and otherwise than it must."""
    return need.step in ended and need.on != "end" and ended[need.step] != (need.on == "success")
