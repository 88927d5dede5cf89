"""A world of apps that tasks act upon: screens with buttons, which move now and then. What the tests of action memory share."""

from __future__ import annotations

from dataclasses import dataclass, field

import headway as hw
from headway.methods.memory import World

APPS = ("shop", "maps", "mail")


@dataclass
class Phone:
    """Where a task stands: an app, what was typed, and how buttons look now."""

    screen: str = "home"
    typed: str = ""
    theme: dict[str, str] = field(default_factory=dict)  # by app
    log: list[str] = field(default_factory=list)


PHONE = Phone()


def script(task: str) -> list[str]:
    """What must be done: "find shoes in shop" opens the app, types, searches and takes the first."""
    _, what, _, app = task.split()
    return [f"open {app}", f"type {what}", "press search", "press first"]


@hw.task(name="errands.see")
async def see() -> dict[str, str]:
    """The screen, and how the buttons of its app look."""
    await hw.sleep(0.1)
    return {"screen": PHONE.screen, "theme": PHONE.theme.get(PHONE.screen, "light"), "typed": PHONE.typed}


@hw.task(name="errands.act", effect=True)
async def act(action: str) -> None:
    """Do it."""
    PHONE.log.append(action)
    verb, what = action.split()
    if verb == "open":
        PHONE.screen, PHONE.typed = what, ""
    elif verb == "type":
        PHONE.typed = what
    await hw.sleep(0.1)


@hw.task(name="errands.decide")
async def decide(task: str, done: int) -> str | None:
    """A model that knows each task."""
    steps = script(task)
    return steps[done] if done < len(steps) else None


async def generate(task: str, view: dict[str, str], done: tuple[str, ...]) -> str | None:
    return await decide(task, len(done))


def target(view: dict[str, str], action: str | None) -> object:
    """A button looks as its app's theme has it, and is only in its app."""
    return (view["screen"], view["theme"])


def succeeded(task: str, view: dict[str, str]) -> bool:
    _, what, _, app = task.split()
    return (view["screen"], view["typed"]) == (app, what)


WORLD = World(see, act, target)
