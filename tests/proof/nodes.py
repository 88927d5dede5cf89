"""Random programs as data. A program is a tree of nodes; a node is one step of a body and says what it does with its children.

`write` draws one from any `random.Random` (a seeded one, or one of hypothesis, which then shrinks what fails). The tasks that
run it take a node's name and a number, and look the node up in `CODE`: so the program's source can be edited between a crash and
a resume while its arguments stay equal.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import msgspec

# What is named twice is drawn twice as often.
CALM = (
    *("gather", "gather", "settle", "settle", "sequence", "sequence", "map", "refs", "shared", "limit", "rate", "named"),
    *("wide_budget", "sleep", "random", "loose", "helpers", "cancelled", "twins", "both"),
)
WILD = (
    *CALM,
    *("race", "race", "race_accept", "as_completed", "as_completed", "budget", "budget", "nested_budget"),
    *("deadline", "deadline", "cancel", "event", "event", "now", "photo_finish", "photo_finish"),
)
BODIES = ("node", "node", "retried", "stubborn", "timed", "counted", "waiter")
LEAVES = (
    *("leaf", "leaf", "slow", "flaky", "costly", "bad", "effect", "verified", "batched", "threaded", "process"),
    *("forever", "forever", "large", "too_slow", "alike", "keyed", "moody", "moody", "spender", "paid", "edition"),
)


class Node(msgspec.Struct, frozen=True):
    """One step. `task` runs it when it is a child of another; `kind` says what its body does with its own children."""

    name: str
    task: str
    kind: str = ""
    number: int = 0
    steps: tuple[tuple[Node, ...], ...] = ()  # children of each step of the body
    kinds: tuple[str, ...] = ()  # what each step does


CODE: dict[str, Node] = {}
OUTSIDE: Counter[str] = Counter()  # how often each effect happened, by idempotency key


def drawn(*what: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(what).encode(), digest_size=6).digest(), "big")


def value(name: str, x: int) -> int:
    """What a leaf returns."""
    return drawn(name, x) % 1000


def write(choice: random.Random, kinds: tuple[str, ...] = CALM, most: int = 18) -> Node:
    """Draw a program of about `most` calls."""
    left = [most]
    return _body("p", "main", choice, kinds, 3, left)


def _body(name: str, task: str, choice: random.Random, kinds: tuple[str, ...], depth: int, left: list[int]) -> Node:
    steps, whats = [], []
    for step in range(choice.randint(1, 3)):
        what = choice.choice(kinds)
        children = tuple(
            _child(f"{name}.{step}{'abcd'[place]}", choice, kinds, depth - 1, left) for place in range(choice.randint(1, 4))
        )
        steps.append(children)
        whats.append(what)
        if left[0] <= 0:
            break
    return Node(name, task, "body", choice.randint(0, 9), tuple(steps), tuple(whats))


def _child(name: str, choice: random.Random, kinds: tuple[str, ...], depth: int, left: list[int]) -> Node:
    left[0] -= 1
    if depth > 0 and left[0] > 0 and choice.random() < 0.4:
        return _body(name, choice.choice(BODIES), choice, kinds, depth, left)
    return Node(name, choice.choice(LEAVES), "leaf", choice.randint(0, 9))


def install(program: Node) -> None:
    """Make a program the current source."""
    CODE.clear()
    OUTSIDE.clear()
    _install(program)


def _install(node: Node) -> None:
    CODE[node.name] = node
    for children in node.steps:
        for child in children:
            _install(child)
