"""Tasks that change what they are given, and values they change."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
from typing import Any

import msgspec
import numpy as np
import pydantic

import headway as hw

WAYS = r"was changed before the call had ended.*can't repeat that.*copy.*Annotated\[T, hw.unkeyed\]"


@dataclasses.dataclass
class State:
    turns: list[str] = dataclasses.field(default_factory=list)
    seen: dict[str, int] = dataclasses.field(default_factory=dict, compare=False)


@dataclasses.dataclass(frozen=True)
class Fixed:
    number: int
    names: tuple[str, ...] = ()


class Note(msgspec.Struct):
    text: str


class Form(pydantic.BaseModel):
    fields: dict[str, int] = {}


class Pair(collections.namedtuple("Pair", "name turns")):
    pass


class Speaks:
    """Says itself what it is."""

    def __init__(self) -> None:
        self.asked: Any = 0
        self.model = "m"

    def __headway_key__(self) -> str:
        return self.model


@hw.task
async def change(value: Any, how: str) -> str:
    """Do to the value what `how` says, and return something else."""
    exec(how, {"value": value})
    return "done"


@hw.task(pool="thread")
def change_in_thread(value: Any, how: str) -> str:
    exec(how, {"value": value})
    return "done"


@hw.task(pool="process")
def change_in_process(value: Any, how: str) -> str:
    exec(how, {"value": value})
    return "done"


class Client:
    """It has no canonical form."""

    asked = 0


@hw.task(timeout=5)
async def slow(history: list[str]) -> None:
    history.append("begun")
    await asyncio.sleep(100)


@hw.task
async def quick(history: list[str]) -> int:
    await asyncio.sleep(1)
    return len(history)


@hw.task
async def make(what: str) -> Any:
    return {
        "list": lambda: ["a", "b"],
        "large list": lambda: ["x" * 100] * 10_000,
        "array": lambda: np.arange(10.0),
        "large array": lambda: np.arange(1_000_000.0),
        "state": lambda: State(["a"]),
        "number": lambda: 7,
    }[what]()
