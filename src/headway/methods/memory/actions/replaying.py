"""Runs a task on what earlier tasks have done: what still fits is replayed, the rest a model decides and the tree learns.

    ran = await replay("buy red shoes", tree, world, generate)
    tree = ran.tree

Each look at the world, each choice and each action is a call, and actions are effects. So a task that was killed goes on where it
was and does nothing twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.memory.actions.choosing import Chosen, Rules, World, choose
from headway.methods.memory.actions.tree import Step, Trace, Tree

A = TypeVar("A")
V = TypeVar("V")
MOST_STEPS = 50
_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Replayed(Generic[A]):
    """How a task went.

    Attributes:
        trace: what it did.
        tree: the tree with it, or without it where it failed.
        generated: how many of its steps the model decided, the end included.
        replayed: how many were replayed, the end included.
        refused: how many steps the guard refused.
        by_shortcut: how many of those replayed were the last of a shortcut.
        done: whether it came to its end within the steps it was given.
        success: what `check` said; None without one.
    """

    trace: Trace[A]
    tree: Tree[A] = field(repr=False)
    generated: int
    replayed: int
    refused: int
    by_shortcut: int
    done: bool
    success: bool | None

    @property
    def rate(self) -> float:
        """Which share of its steps was replayed: 1 - generated / executed."""
        return self.replayed / max(1, self.generated + self.replayed)


async def replay(
    task: str,
    tree: Tree[A],
    world: World[V, A],
    generate: Callable[[str, V, tuple[A, ...]], Awaitable[A | None]],
    *,
    rules: Rules = _RULES,
    check: Callable[[str, V], Awaitable[bool] | bool] | None = None,
    steps: int = MOST_STEPS,
) -> Replayed[A]:
    """Do a task, and replay what other tasks did as far as it fits.

    Before each step the world is looked at. A step of the same task, of a task that is alike or at the end of a shortcut is
    replayed if its target looks as it did. Else the model decides. A task that ended in failure is taken out of the tree.

    Args:
        task: what is to be done.
        tree: what tasks have done so far.
        world: how the world is seen and acted on, and what looks the same in it.
        generate: decides the next action of a task, from what is seen and the actions so far; None where it is done. Usually it
            asks a model, as a call.
        rules: when a step may be replayed.
        check: whether the task has succeeded, from what is seen at its end.
        steps: how many actions it may take.

    Returns:
        What it did, the tree that has learned it, and how much of it was replayed.

    Raises:
        UsageError: no task, what is no tree or no world, or `steps` below 1; before anything is done.
        Exception: what the parts raise; the tree is as it was.

    Example:
        >>> from headway.methods.memory import Tree, World, replay
        >>> page = ["shop"]
        >>> @hw.task
        ... async def see() -> str:
        ...     return page[0]
        >>> @hw.task(effect=True)
        ... async def act(action: str) -> None:
        ...     page[0] = action.split()[-1]
        >>> @hw.task
        ... async def model(task: str, seen: str) -> str | None:
        ...     return {"shop": "open cart", "cart": "click pay"}.get(seen)
        >>> async def generate(task, seen, done):
        ...     return await model(task, seen)
        >>> world = World(see, act, target=lambda seen, action: seen)
        >>> @hw.task
        ... async def program() -> list[tuple[int, int]]:
        ...     tree, counts = Tree(), []
        ...     for _ in range(2):
        ...         page[0] = "shop"
        ...         ran = await replay("pay", tree, world, generate)
        ...         tree = ran.tree
        ...         counts.append((ran.generated, ran.replayed))
        ...     return counts
        >>> hw.run(program, store=None)
        [(3, 0), (0, 3)]

    Source:
        MOBIMEM's AgentRR: IPADS-SAI/MobiAgent, `agent_rr`; after the idea of. It departs in that each choice is recorded, that what
        an action depends on is by default the words that it shares with its task, and that a shortcut, too, needs a task that is
        alike: without that, shortcuts made one task in eight fail.
    """
    if not isinstance(task, str) or not task.strip():
        raise UsageError(f"replay: task={task!r:.80}: what is to be done, as text")
    settings.instance("replay", Tree, tree=tree)
    settings.instance("replay", World, world=world)
    settings.instance("replay", Rules, rules=rules)
    settings.function("replay", generate=generate)
    settings.function("replay", optional=True, check=check)
    settings.at_least_one("replay", steps=steps)
    done: list[Step[A]] = []
    choices: list[Chosen[A]] = []
    view = await world.see()
    while len(done) < steps:
        taken = tuple(step.action for step in done if step.action is not None)
        chosen = await choose(task, taken, view, tree, world, rules)
        choices.append(chosen)
        action = await generate(task, view, taken) if chosen.step is None else chosen.step.action
        done.append(world.step(task, view, action))
        if action is None:
            break
        await world.act(action)
        view = await world.see()
    return await _sum_up(Trace(task, tuple(done)), choices, tree, view, check)


async def _sum_up(
    trace: Trace[A], choices: list[Chosen[A]], tree: Tree[A], view: V, check: Callable[[str, V], Any] | None
) -> Replayed[A]:
    done = bool(trace.steps) and trace.steps[-1].action is None
    success: bool | None = None
    if check is not None:
        said = check(trace.task, view)
        success = bool(said if isinstance(said, bool) else await said)
    replayed = sum(chosen.step is not None for chosen in choices)
    failed = success is False or not done
    return Replayed(
        trace,
        tree.remove(trace.task) if failed else tree.add(trace),
        generated=len(choices) - replayed,
        replayed=replayed,
        refused=sum(chosen.refused for chosen in choices),
        by_shortcut=sum(chosen.by == "shortcut" for chosen in choices),
        done=done,
        success=success,
    )
