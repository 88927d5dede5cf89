"""A plan: steps, what each needs, and edits that change it while it runs.

    graph = Graph((Node("search", "find pages"), Node("read", "read them", after("search"))))
    graph = graph.apply([Add(Node("write", "sum up", after("read")))], started={"search"})

A graph is a frozen value; an edit makes another one. Both share what did not change, so an edit costs what it changes and not what
there is: a plan of ten thousand steps may be edited ten thousand times. What holds of every graph: ids are unique, every step that
is needed is there, and nothing needs itself, not even by way of others. What has started can't change, because its call has been
made and recorded.

Several edits are applied together or not at all, and only their end is checked, so a batch may pass through what would be refused
alone (a step that needs one which a later edit adds). A run that journals its plan records edits, which are small, and folds them;
a graph itself is a value as well.

It must never decide what runs: that is a policy's. It knows no results, clocks or devices.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Generic, Literal, TypeAlias, TypeVar

from headway.errors import UsageError
from headway.methods.persistent import PersistentMap
from headway.methods.records import Observation

W = TypeVar("W")
W_co = TypeVar("W_co", covariant=True)

When = Literal["success", "failure", "end"]


class EditRefused(UsageError):
    """Raised by `Graph.apply` for edits that would break the plan; nothing of the batch was applied. Its text is for a planner to
    read and try again."""


@dataclass(frozen=True, slots=True)
class Need:
    """That a step waits for another one.

    Attributes:
        step: the id of the step that must have ended.
        on: how it must have ended: with "success", with "failure", or at all ("end").
        test: a further condition, by a name that the executor knows; empty for none.
    """

    step: str
    on: When = "success"
    test: str = ""


def after(*steps: str, on: When = "success", test: str = "") -> tuple[Need, ...]:
    """Needs of several steps that are alike.

    Example:
        >>> after("a", "b")
        (Need(step='a', on='success', test=''), Need(step='b', on='success', test=''))
    """
    return tuple(Need(step, on, test) for step in steps)


@dataclass(frozen=True, slots=True)
class Node(Generic[W_co]):
    """A step of a plan: its id, what it does (for the executor to know), and what it waits for."""

    id: str
    does: W_co
    needs: tuple[Need, ...] = ()

    def __post_init__(self) -> None:
        if not self.id or not isinstance(self.id, str):
            raise UsageError(f"Node({self.id!r:.40}): the id of a step is a text that is not empty")
        _check_needs(self.id, self.needs)


@dataclass(frozen=True, slots=True)
class Add(Generic[W_co]):
    """A step more."""

    node: Node[W_co]


@dataclass(frozen=True, slots=True)
class Remove:
    """A step less. What needed it must be removed or rewired in the same batch."""

    id: str


@dataclass(frozen=True, slots=True)
class Replace(Generic[W_co]):
    """The same step does something else."""

    id: str
    does: W_co


@dataclass(frozen=True, slots=True)
class Rewire:
    """The same step waits for something else."""

    id: str
    needs: tuple[Need, ...]

    def __post_init__(self) -> None:
        _check_needs(self.id, self.needs)


Edit: TypeAlias = Add[W] | Remove | Replace[W] | Rewire


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
        headway.methods.graph.EditRefused: a can't need b: a needs b needs a, a cycle. Nothing of these edits was applied
    """

    nodes: tuple[Node[W], ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        assert self._index is not None  # built here, so that what is no plan is refused here

    @cached_property
    def _index(self) -> _Index[W]:
        empty: _Index[W] = _Index(PersistentMap(), PersistentMap(), 0)
        return _applied(empty, [Add(node) for node in self.nodes], frozenset())

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
        made.__dict__["_index"] = _applied(self._index, edits, started)
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
            if id not in ended and any(need.step in never or _missed(need, ended) for need in self[id].needs):
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
        return all(need.step in ended and not _missed(need, ended) and (not need.test or holds(need)) for need in self[id].needs)


@dataclass(frozen=True, slots=True)
class Trace(Generic[W]):
    """What has happened to a plan so far: the plan as it is, which of its steps have begun, and what came of those that ended."""

    graph: Graph[W]
    started: frozenset[str] = frozenset()
    ended: tuple[Observation, ...] = ()


# --- how edits are made ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Step(Generic[W_co]):
    """A node, its number in the order of adding, and its rank: larger than those of all it needs."""

    node: Node[W_co]
    number: int
    rank: int = 0


@dataclass(frozen=True, slots=True)
class _Index(Generic[W]):
    steps: PersistentMap[_Step[W]]
    needed_by: PersistentMap[PersistentMap[None]]  # who needs a step
    following: int  # the next number

    def at(self, id: str) -> _Step[W]:
        found = self.steps.get(id)
        assert found is not None, id
        return found

    def number(self, id: str) -> int:
        return self.at(id).number


def _applied(index: _Index[W], edits: Sequence[Edit[W]], started: AbstractSet[str]) -> _Index[W]:
    draft = _Draft(index)
    for edit in edits:
        if isinstance(edit, Add):
            draft.add(edit.node)
            continue
        if not isinstance(edit, Remove | Replace | Rewire):
            raise UsageError(f"{edit!r:.80} is no edit: give Add, Remove, Replace or Rewire of headway.methods.graph")
        step = draft.steps.get(edit.id)
        if step is None:
            raise _refused(f"{_verb(edit)} {edit.id}: there is no such step")
        if edit.id in started:
            raise _refused(f"{_verb(edit)} {edit.id}: it has started, and what has started can't change")
        if isinstance(edit, Remove):
            draft.remove(step)
        elif isinstance(edit, Replace):
            draft.steps = draft.steps.set(edit.id, replace(step, node=replace(step.node, does=edit.does)))
        else:
            draft.rewire(step, edit.needs)
    return draft.checked()


class _Draft(Generic[W]):
    """An index in the making. Needs may name what is not there, and ranks be too low, until `checked`."""

    def __init__(self, index: _Index[W]) -> None:
        self.steps, self._needed_by, self._following = index.steps, index.needed_by, index.following
        self._rewired: dict[str, None] = {}  # in the order of the edits
        self._removed: dict[str, None] = {}

    def add(self, node: Node[W]) -> None:
        if node.id in self.steps:
            raise _refused(f"add {node.id}: there is a step of this id already; an id names one step")
        self._removed.pop(node.id, None)
        self.steps = self.steps.set(node.id, _Step(node, self._following))
        self._following += 1
        self._link(node)

    def remove(self, step: _Step[W]) -> None:
        self._unlink(step.node)
        self._rewired.pop(step.node.id, None)
        self._removed[step.node.id] = None
        self.steps = self.steps.drop(step.node.id)

    def rewire(self, step: _Step[W], needs: tuple[Need, ...]) -> None:
        self._unlink(step.node)
        node = replace(step.node, needs=needs)
        self.steps = self.steps.set(node.id, replace(step, node=node))
        self._link(node)

    def checked(self) -> _Index[W]:
        """The index, once all that must hold of a plan does."""
        for id in self._removed:
            if users := sorted(self._needed_by.get(id) or ()):
                raise _refused(f"remove {id}: {users[0]} needs it; remove or rewire that too")
        pending = dict(self._rewired)
        for id in self._rewired:
            del pending[id]
            self._raise_rank(id, pending)
        return _Index(self.steps, self._needed_by, self._following)

    def _raise_rank(self, id: str, pending: Collection[str]) -> None:
        """Give a step a rank above all it needs, and so on for what needs it, lowest first, so that each is looked at once.

        Edges to steps that are `pending` do not count yet: each is the last of some cycle, if there is one. A step that is reached
        from `id` and that `id` needs closes a cycle, because ranks grow along edges: nothing else is between the two ranks.
        """
        wanted = self._step(id, id).node.needs
        lowest = 1 + max((self._step(need.step, id).rank for need in wanted), default=-1)
        sought, via = {need.step for need in wanted}, {id: ""}
        raised = [(self._step(id, id).rank, id, -lowest)]
        while raised:
            _, at, negative = heapq.heappop(raised)
            rank = -negative
            if at in sought:
                raise _refused(f"{id} can't need {at}: {_cycle(at, via)}, a cycle")
            step = self._step(at, id)
            if step.rank >= rank:
                continue
            self.steps = self.steps.set(at, replace(step, rank=rank))
            for other in self._needed_by.get(at) or ():
                if other not in pending and (behind := self.steps.get(other)) is not None and behind.rank <= rank:
                    via[other] = at
                    heapq.heappush(raised, (behind.rank, other, -rank - 1))

    def _step(self, id: str, by: str) -> _Step[W]:
        found = self.steps.get(id)
        if found is None:
            raise _refused(f"{by} needs {id}: there is no such step")
        return found

    def _link(self, node: Node[W]) -> None:
        self._rewired[node.id] = None
        for need in node.needs:
            self._needed_by = self._needed_by.set(need.step, (self._needed_by.get(need.step) or PersistentMap()).set(node.id, None))

    def _unlink(self, node: Node[W]) -> None:
        for need in node.needs:
            others = (self._needed_by.get(need.step) or PersistentMap()).drop(node.id)
            self._needed_by = self._needed_by.set(need.step, others) if others else self._needed_by.drop(need.step)


def _check_needs(id: str, needs: object) -> None:
    if not isinstance(needs, tuple) or not all(isinstance(need, Need) for need in needs):
        raise UsageError(f"{id}: needs={needs!r:.80}: a tuple of Need; after('a', 'b') makes one")
    steps = [need.step for need in needs]
    if id in steps:
        raise UsageError(f"{id} can't need itself")
    if len(set(steps)) < len(steps):
        twice = next(step for step in steps if steps.count(step) > 1)
        raise UsageError(f"{id} needs {twice} twice: name a step once among its needs")


def _missed(need: Need, ended: Mapping[str, bool]) -> bool:
    """Whether the step that is needed has ended, and otherwise than it must."""
    return need.step in ended and need.on != "end" and ended[need.step] != (need.on == "success")


def _cycle(last: str, via: Mapping[str, str]) -> str:
    """The cycle that a step would close, in words."""
    path = [last]
    while via[path[-1]]:
        path.append(via[path[-1]])
    return " needs ".join([path[-1], *path])


def _verb(edit: Remove | Replace[W] | Rewire) -> str:
    return type(edit).__name__.lower()


def _refused(why: str) -> EditRefused:
    return EditRefused(f"{why}. Nothing of these edits was applied")
