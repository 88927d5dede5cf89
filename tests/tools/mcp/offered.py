"""A program whose tasks are offered to MCP clients."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

import headway as hw


@dataclass
class Person:
    name: str
    age: Annotated[int, msgspec.Meta(ge=0)]


@hw.task
async def greet(person: Person, times: int = 1) -> list[str]:
    """Greet a person.

    Args:
        person: who.
        times: how often.
    """
    print("this goes to stderr")
    return [f"Hello, {person.name} ({person.age})"] * times


@hw.task
async def step(folder: str, name: str, seconds: float) -> str:
    """One step of `work`."""
    with (Path(folder) / "log").open("a") as log:
        log.write(f"{name}\n")
    await asyncio.sleep(seconds)
    return name


@hw.task
async def work(folder: str, seconds: float = 0.0) -> list[str]:
    """Two steps, of which the second takes a while."""
    return [await step(folder, "first", 0.0), await step(folder, "second", seconds)]


@hw.task
async def fail(why: str) -> None:
    """Fail."""
    raise ValueError(why)


@hw.task
async def wait() -> str:
    """Wait for somebody's word."""
    return f"they said {await hw.wait_event('word')}"
