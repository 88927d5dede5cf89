"""The parts of a plan and how edits change it: steps, needs, edits and the index.

This does the work of `methods.graph`. Edits are made on a draft, which is checked at the end. Ranks show that a plan has no cycle:
every step has a larger rank than all it needs. An edge that agrees with the ranks closes no cycle and costs nothing. Any other edge
raises the ranks of the steps behind it, and only those are looked at (as in Pearce and Kelly, "A dynamic topological sort
algorithm", 2007).

A refused edit must never change the index that it began from.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeAlias, TypeVar

from headway.errors import UsageError
from headway.methods.persistent import PersistentMap

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


# --- how edits are made ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Placed(Generic[W_co]):
    """A node in a plan: its number in the order of adding, and its rank, which is larger than those of all it needs."""

    node: Node[W_co]
    number: int
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Index(Generic[W]):
    """All that a plan knows, in maps that keep their old versions."""

    steps: PersistentMap[Placed[W]]
    needed_by: PersistentMap[PersistentMap[None]]  # who needs a step
    following: int  # the next number

    def at(self, id: str) -> Placed[W]:
        found = self.steps.get(id)
        assert found is not None, id
        return found

    def number(self, id: str) -> int:
        return self.at(id).number


def apply_edits(index: Index[W], edits: Sequence[Edit[W]], started: AbstractSet[str]) -> Index[W]:
    """Return the index with all these edits. Raises EditRefused where they can't be made; see `Graph.apply`."""
    draft = _Draft(index)
    for edit in edits:
        if isinstance(edit, Add):
            draft.add(edit.node)
            continue
        if not isinstance(edit, Remove | Replace | Rewire):
            raise UsageError(f"{edit!r:.80} is no edit: give Add, Remove, Replace or Rewire of headway.methods.graph")
        step = draft.steps.get(edit.id)
        if step is None:
            raise _make_refusal(f"{_verb(edit)} {edit.id}: there is no such step")
        if edit.id in started:
            raise _make_refusal(f"{_verb(edit)} {edit.id}: it has started, and what has started can't change")
        if isinstance(edit, Remove):
            draft.remove(step)
        elif isinstance(edit, Replace):
            draft.steps = draft.steps.set(edit.id, replace(step, node=replace(step.node, does=edit.does)))
        else:
            draft.rewire(step, edit.needs)
    return draft.checked()


class _Draft(Generic[W]):
    """An index in the making. Needs may name what is not there, and ranks be too low, until `checked`."""

    def __init__(self, index: Index[W]) -> None:
        self.steps, self._needed_by, self._following = index.steps, index.needed_by, index.following
        self._rewired: dict[str, None] = {}  # in the order of the edits
        self._removed: dict[str, None] = {}

    def add(self, node: Node[W]) -> None:
        if node.id in self.steps:
            raise _make_refusal(f"add {node.id}: there is a step of this id already; an id names one step")
        self._removed.pop(node.id, None)
        self.steps = self.steps.set(node.id, Placed(node, self._following))
        self._following += 1
        self._link(node)

    def remove(self, step: Placed[W]) -> None:
        self._unlink(step.node)
        self._rewired.pop(step.node.id, None)
        self._removed[step.node.id] = None
        self.steps = self.steps.drop(step.node.id)

    def rewire(self, step: Placed[W], needs: tuple[Need, ...]) -> None:
        self._unlink(step.node)
        node = replace(step.node, needs=needs)
        self.steps = self.steps.set(node.id, replace(step, node=node))
        self._link(node)

    def checked(self) -> Index[W]:
        """The index, once all that must hold of a plan does."""
        for id in self._removed:
            if users := sorted(self._needed_by.get(id) or ()):
                raise _make_refusal(f"remove {id}: {users[0]} needs it; remove or rewire that too")
        pending = dict(self._rewired)
        for id in self._rewired:
            del pending[id]
            self._raise_rank(id, pending)
        return Index(self.steps, self._needed_by, self._following)

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
                raise _make_refusal(f"{id} can't need {at}: {_cycle(at, via)}, a cycle")
            step = self._step(at, id)
            if step.rank >= rank:
                continue
            self.steps = self.steps.set(at, replace(step, rank=rank))
            for other in self._needed_by.get(at) or ():
                if other not in pending and (behind := self.steps.get(other)) is not None and behind.rank <= rank:
                    via[other] = at
                    heapq.heappush(raised, (behind.rank, other, -rank - 1))

    def _step(self, id: str, by: str) -> Placed[W]:
        found = self.steps.get(id)
        if found is None:
            raise _make_refusal(f"{by} needs {id}: there is no such step")
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


def _cycle(last: str, via: Mapping[str, str]) -> str:
    """The cycle that a step would close, in words."""
    path = [last]
    while via[path[-1]]:
        path.append(via[path[-1]])
    return " needs ".join([path[-1], *path])


def _verb(edit: Remove | Replace[W] | Rewire) -> str:
    return type(edit).__name__.lower()


def _make_refusal(why: str) -> EditRefused:
    return EditRefused(f"{why}. Nothing of these edits was applied")
