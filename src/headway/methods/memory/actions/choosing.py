"""What may be replayed next, and the guard before it.

A step is replayed if the same task took it, or a task that is alike and whose keywords this one has; or if a shortcut leads there.
And only if its target still looks as it did: else the model decides. What was chosen is recorded, so a task that goes on after a
crash takes no step that it would not have taken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Annotated, Any, Generic, Literal, TypeVar

from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.journal.codec.codec import declare
from headway.methods import settings
from headway.methods.memory.actions.likeness import Likeness, by_words
from headway.methods.memory.actions.tree import SHORTCUTS, Edge, Step, Trace, Tree
from headway.task import Task, task
from headway.tools.finding.bm25 import split_words

A = TypeVar("A")
V = TypeVar("V")
Mode = Literal["exact", "fuzzy"]
By = Literal["", "exact", "fuzzy", "shortcut"]
Reranker = Callable[[str, str, int], Awaitable[float]]
"""How sure it is that two tasks share their first steps: of this task, another one, and how many steps."""


def shared_words(task: str, action: object) -> tuple[str, ...]:
    """The words that a task and an action have in common: what the action depends on."""
    acted = set(split_words(str(action)))
    return tuple(dict.fromkeys(word for word in split_words(task) if word in acted))


def name_of(action: object) -> str:
    """What kind an action is: its `name`, the first word of a text, else its type."""
    if isinstance(action, str):
        return action.split(maxsplit=1)[0] if action.strip() else ""
    return str(getattr(action, "name", type(action).__name__))


def looks_same(then: object, now: object) -> bool:
    """Whether a target looks as it did: it is there, and equal."""
    return now is not None and then == now


@dataclass(frozen=True)
class World(Generic[V, A]):
    """Where actions are taken: how it is seen, how it is acted on, and when a thing in it looks the same.

    Attributes:
        see: a task that looks at the world.
        act: a task with `effect=True` that does an action.
        target: what an action's target looks like in a view; None where it is not there. It is asked of None, too: what the world
            looks like when a task is done.
        same_look: the guard: whether a target looks as it did.
        name_of: what kind an action is.
        keywords: the words of a task on which an action depends.

    Raises:
        UsageError: `see` is no task, or `act` no task with an effect: what is done could be done twice.
    """

    see: Callable[[], Awaitable[V]]
    act: Callable[[A], Awaitable[object]]
    target: Callable[[V, A | None], object]
    same_look: Callable[[Any, Any], bool] = looks_same
    name_of: Callable[[A], str] = name_of
    keywords: Callable[[str, A], Sequence[str]] = shared_words

    def __post_init__(self) -> None:
        settings.function("World", target=self.target, same_look=self.same_look, name_of=self.name_of, keywords=self.keywords)
        if not isinstance(self.see, Task):
            raise UsageError(f"World: see={self.see!r:.80}: a task, so that what was seen is recorded")
        if not isinstance(self.act, Task) or not self.act.spec.effect:
            raise UsageError(f"World: act={self.act!r:.80}: a task with effect=True, so that no action is done twice")

    def step(self, task: str, view: V, action: A | None) -> Step[A]:
        """An action as it is recorded.

        Args:
            task: what is to be done.
            view: what was seen before the action.
            action: the action, or None for the end of the task.

        Returns:
            The step.
        """
        look = self.target(view, action)
        if action is None:
            return Step(None, "", look)
        return Step(action, self.name_of(action), look, tuple(self.keywords(task, action)))


@dataclass(frozen=True)
class Rules:
    """When a step of another task may be replayed.

    Attributes:
        mode: "exact" replays steps of the same task alone, "fuzzy" those of tasks that are alike.
        like: how alike two tasks are up to a step: `by_words`, or `ByVectors(embedder)`.
        threshold: how alike at least, from 0 to 1.
        rerank: asked about what is found, where it is given: how sure it is that two tasks share so many steps.
        rerank_above: how sure it must be.
        shortcuts: whether the last action of a shortcut is replayed.

    Raises:
        UsageError: settings that make no sense.
    """

    mode: Mode = "fuzzy"
    like: Likeness = by_words
    threshold: float = 0.8
    rerank: Reranker | None = None
    rerank_above: float = 0.75
    shortcuts: bool = True

    def __post_init__(self) -> None:
        if self.mode not in ("exact", "fuzzy"):
            raise UsageError(f"Rules: mode={self.mode!r:.80}: 'exact' or 'fuzzy'")
        settings.probability("Rules", threshold=self.threshold, rerank_above=self.rerank_above)
        settings.function("Rules", like=self.like)
        settings.function("Rules", optional=True, rerank=self.rerank)
        settings.instance("Rules", bool, shortcuts=self.shortcuts)


@dataclass(frozen=True, slots=True)
class Chosen(Generic[A]):
    """What is replayed next.

    Attributes:
        step: the step; None where the model must decide.
        by: what found it.
        refused: how many steps the guard refused before.
    """

    step: Step[A] | None
    by: By = ""
    refused: int = 0


for _kept in (Chosen, Step, Trace):
    declare(_kept)


@task(name="memory.choose", version="1", label="{task}")
async def choose(
    task: str,
    taken: tuple[Any, ...],
    view: Annotated[Any, unkeyed],
    tree: Annotated[Tree[Any], unkeyed],
    world: Annotated[World[Any, Any], unkeyed],
    rules: Annotated[Rules, unkeyed],
) -> Chosen[Any]:
    """What is replayed after these actions: the first step that fits and that the guard lets pass."""
    refused: list[Step[Any]] = []
    names = tuple(map(world.name_of, taken))
    for by, step in await find_steps(task, taken, names, tree, rules):
        if step in refused:
            continue
        if world.same_look(step.look, world.target(view, step.action)):
            return Chosen(step, by, len(refused))
        refused.append(step)
    return Chosen(None, "", len(refused))


async def find_steps(
    task: str, taken: tuple[A, ...], names: tuple[str, ...], tree: Tree[A], rules: Rules
) -> list[tuple[By, Step[A]]]:
    """The steps that may be replayed after these actions, before the guard has seen them: the best first."""
    nodes = tree.walk(taken)
    node, depth = nodes[-1], len(taken)
    found: list[tuple[By, Step[A]]] = []
    if node is not None:
        edges = tree.edges(node)
        found += [("exact", edge.step) for edge in reversed(edges) if task in edge.tasks]
        others = [edge for edge in edges if task not in edge.tasks]
        found += [("fuzzy", edge.step) for edge in await _alike(task, others, depth, rules)]
    if rules.shortcuts:
        found += [("shortcut", edge.step) for edge in await _alike(task, end_shortcuts(names, nodes, tree), depth, rules)]
    return found


async def _alike(task: str, edges: Sequence[Edge[A]], depth: int, rules: Rules) -> list[Edge[A]]:
    """The edges that a task which is alike took, the most alike first; in exact mode those of this very task."""
    if rules.mode == "exact":
        return [edge for edge in edges if task in edge.tasks]
    fitting = [edge for edge in edges if has_words(task, edge.step.keywords)]
    tasks = list(dict.fromkeys(other for edge in fitting for other in edge.tasks))
    if not tasks:
        return []
    said = rules.like(task, tasks, depth)
    alike = dict(zip(tasks, await said if isawaitable(said) else said, strict=True))
    nearest = [(max(edge.tasks, key=lambda other: alike[other]), edge) for edge in fitting]
    ranked = sorted(enumerate(nearest), key=lambda one: (-alike[one[1][0]], -one[0]))
    kept = [(other, edge) for _, (other, edge) in ranked if alike[other] >= rules.threshold]
    if rules.rerank is None:
        return [edge for _, edge in kept]
    return [edge for other, edge in kept if await rules.rerank(task, other, depth + 1) > rules.rerank_above]


def end_shortcuts(names: tuple[str, ...], nodes: Sequence[int | None], tree: Tree[A]) -> list[Edge[A]]:
    """The last edges of shortcuts of which all but that was taken."""
    found: list[Edge[A]] = []
    for length in reversed(SHORTCUTS):
        start = len(names) - (length - 1)
        if start < 0 or (node := nodes[start]) is None:
            continue
        found += [each.last for each in tree.shortcuts(node) if each.names == names[start:]]
    return found


def has_words(task: str, words: Sequence[str]) -> bool:
    """Whether a task has all these words."""
    return set(words) <= set(split_words(task))
