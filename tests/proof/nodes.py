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
    *("branches", "branches", "tolerant", "scan"),
)
WILD = (
    *CALM,
    *(
        "race",
        "race",
        "race_accept",
        "as_completed",
        "as_completed",
        "budget",
        "budget",
        "nested_budget",
        "patient_budget",
        "patient_budget",
    ),
    *("deadline", "deadline", "cancel", "event", "event", "now", "photo_finish", "photo_finish", "crowd", "crowd"),
    *("group", "group", "anytime", "anytime"),
)
# Streams apart: seeds of the others draw what they always drew.
CALM_STREAMS = (*CALM, *["stream", "twice_read", "stream_of_calls"] * 4)
WILD_STREAMS = (*WILD, *["stream", "twice_read", "stream_of_calls", "stopped_stream", "late_stream", "fickle_stream"] * 4)
GROUP_STREAMS = (*WILD_STREAMS, *["read_in_group"] * 8)
COMMON = ("common", "common", "common_stubborn")
FUSSY = ("fussy", "fussy", *COMMON)  # for wild programs
AWAY = ("away", "away", "away_waiter")  # bodies in processes: drawn where a program may have them
NOT_AWAY = (  # what a worker can't do, or does a message later
    *("cancelled", "anytime", "race_accept"),
    *("stream", "twice_read", "stream_of_calls", "stopped_stream", "late_stream", "fickle_stream"),
)
BODIES = ("node", "node", "retried", "stubborn", "timed", "counted", "waiter")
LEAVES = (
    *("leaf", "leaf", "slow", "flaky", "costly", "bad", "effect", "verified", "batched", "threaded", "process"),
    *("forever", "forever", "large", "too_slow", "alike", "keyed", "moody", "moody", "spender", "paid", "edition"),
)
UNDOING = ("trip",) * 6  # leaves that undo what they did if they are stopped; drawn with streams
UNSURE = ("service", "service", "service", "stubborn_service")  # leaves whose end hangs on who asked first: for wild programs


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


def write(choice: random.Random, kinds: tuple[str, ...] = CALM, most: int = 18, *, away: bool = False) -> Node:
    """Draw a program of about `most` calls. `away`: some of its bodies run in processes."""
    return _Writer(choice, kinds, most, away=away).program()


class _Writer:
    def __init__(self, choice: random.Random, kinds: tuple[str, ...], most: int, *, away: bool) -> None:
        self.choice = choice
        self.kinds = kinds
        self.left = most
        self.calm = "race" not in kinds
        self.away = away
        self.inner = (*BODIES, *AWAY * 5) if away else BODIES
        self.leaves = LEAVES if self.calm else (*LEAVES, *UNSURE)
        if "stream" in kinds:
            self.leaves = (*self.leaves, *UNDOING)
        self.bodies = COMMON if self.calm else FUSSY
        self.common: list[Node] = []  # bodies that are called in several places, each time as the same call

    def program(self) -> Node:
        for number in range(self.choice.choice((0, 0, 1, 2))):
            self.common.append(self._body(f"c{number}", self.choice.choice(self.bodies), 1))
        return self._body("p", "main", 3)

    def _body(self, name: str, task: str, depth: int) -> Node:
        choice, steps, whats = self.choice, [], []
        for step in range(choice.randint(1, 3)):
            kinds = self.kinds if task not in AWAY else tuple(kind for kind in self.kinds if kind not in NOT_AWAY)
            whats.append(choice.choice(kinds))
            children = choice.randint(1, 4)
            steps.append(tuple(self._child(f"{name}.{step}{'abcd'[place]}", depth - 1) for place in range(children)))
            if self.left <= 0:
                break
        return Node(name, task, "body", choice.randint(0, 9), tuple(steps), tuple(whats))

    def _child(self, name: str, depth: int) -> Node:
        choice = self.choice
        self.left -= 1
        if self.common and choice.random() < 0.2:
            return choice.choice(self.common)
        if depth > 0 and self.left > 0 and choice.random() < 0.4:
            return self._body(name, choice.choice(self.inner), depth)
        task = choice.choice(self.leaves)
        if task == "moody" and self.calm and (name.startswith("c") or self.away):
            task = "leaf"  # which of equal bodies runs, and in which of its attempts, hangs on timing, and on workers that die
        return Node(name, task, "leaf", choice.randint(0, 9))


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
