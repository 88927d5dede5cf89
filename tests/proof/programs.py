"""Random programs as data, and the tasks that run them.

A program is a tree of nodes; a node is one step of a body and says what it does with its children. `write` draws one from any
`random.Random` (a seeded one, or one of hypothesis, which then shrinks what fails). The tasks take a node's name and a number, and
look the node up in `CODE`: so the program's source can be edited between a crash and a resume while its arguments stay equal.

What a leaf returns depends on its name and its input, and a body's later inputs depend on its earlier results: a result that was
lost, swapped or computed from something else changes everything after it.

Calm programs give the same result under every schedule. Wild ones decide from timing (races, deadlines, tight budgets).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections import Counter
from typing import Any

import msgspec

import headway as hw

# What is named twice is drawn twice as often.
CALM = (
    *("gather", "gather", "settle", "sequence", "sequence", "map", "refs", "shared", "limit", "rate", "named"),
    *("wide_budget", "sleep", "random", "loose", "helpers", "cancelled"),
)
WILD = (
    *CALM,
    *("race", "race", "race_accept", "as_completed", "as_completed", "budget", "budget", "nested_budget"),
    *("deadline", "cancel", "event", "now"),
)
BODIES = ("node", "node", "retried", "stubborn", "timed", "counted", "waiter")
LEAVES = (
    *("leaf", "leaf", "slow", "flaky", "costly", "bad", "effect", "verified", "batched", "threaded", "process"),
    *("forever", "large", "too_slow"),
)
EXPECTED = (ValueError, OSError, hw.CallError, hw.RunError, hw.StoreError, ExceptionGroup, hw.NoWinner)


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


# --- writing ---------------------------------------------------------------------------------------------------------


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


# --- leaves ----------------------------------------------------------------------------------------------------------


def _value(name: str, x: int) -> int:
    return drawn(name, x) % 1000


@hw.task
async def leaf(name: str, x: int) -> int:
    return _value(name, x)


@hw.task
async def slow(name: str, x: int) -> int:
    await asyncio.sleep(CODE[name].number / 7)
    return _value(name, x)


@hw.task(retry=hw.Retry(attempts=4, delay_s=0.3, jitter=0))
async def flaky(name: str, x: int) -> int:
    await asyncio.sleep(0.1)
    if hw.call().attempt <= CODE[name].number % 4:
        raise OSError(name)
    return _value(name, x)


@hw.task(cost={"tokens": 5})
async def costly(name: str, x: int) -> int:
    await asyncio.sleep(CODE[name].number / 10)
    if CODE[name].number > 6:
        hw.charge(tokens=3)  # less than was reserved
    return _value(name, x)


@hw.task
async def bad(name: str, x: int) -> int:
    raise ValueError(name)


@hw.task(effect=True)
async def effect(name: str, x: int) -> int:
    OUTSIDE[hw.call().idempotency_key] += 1
    await asyncio.sleep(0.1)
    return _value(name, x)


async def _happened(name: str, x: int) -> hw.Happened | None:
    await asyncio.sleep(0.05)
    return hw.Happened(_value(name, x)) if OUTSIDE[hw.call().idempotency_key] else None


@hw.task(effect=True, verify=_happened)
async def verified(name: str, x: int) -> int:
    OUTSIDE[hw.call().idempotency_key] += 1
    if OUTSIDE[hw.call().idempotency_key] > 1:
        raise AssertionError(f"{name} happened twice although it can be verified")
    await asyncio.sleep(0.1)
    return _value(name, x)


@hw.task(batch=3, linger_ms=50)
async def _batched(items: list[tuple[str, int]]) -> list[int]:
    await asyncio.sleep(0.2)
    return [_value(name, x) for name, x in items]


def batched(name: str, x: int) -> hw.Handle[int]:
    return _batched((name, x))


@hw.task(pool="thread")
def threaded(name: str, x: int) -> int:
    return _value(name, x)


@hw.task(pool="process", retry=hw.Retry(attempts=50, delay_s=0.1, on=(hw.WorkerDied,)))
def process(name: str, x: int) -> int:
    return drawn(name, x) % 1000


@hw.task(cache="forever")
async def _forever(x: int) -> int:
    await asyncio.sleep(0.3)
    return x * 7 % 1000


def forever(name: str, x: int) -> hw.Handle[int]:
    return _forever(x % 3)


@hw.task
async def _large(name: str, x: int) -> bytes:
    return _value(name, x).to_bytes(2, "big") * 20_000


@hw.task
async def _size(data: bytes) -> int:
    return int.from_bytes(data[:2], "big")


def large(name: str, x: int) -> hw.Handle[int]:
    return _size(hw.ref(_large(name, x)))


@hw.task(timeout=500)
async def too_slow(name: str, x: int) -> int:
    await asyncio.sleep(1 if CODE[name].number < 7 else 1e6)
    return _value(name, x)


# --- bodies ----------------------------------------------------------------------------------------------------------


@hw.task
async def main(name: str, x: int) -> int:
    return await body(name, x)


@hw.task
async def node(name: str, x: int) -> int:
    return await body(name, x)


@hw.task(retry=hw.Retry(attempts=2, delay_s=0.2, jitter=0))
async def retried(name: str, x: int) -> int:
    return await body(name, x)


@hw.task(retry=hw.Retry(attempts=3, delay_s=0.2, jitter=0))
async def stubborn(name: str, x: int) -> int:
    """Looks at what its children gave it and does not like it, the first time."""
    total = await body(name, x)
    if hw.call().attempt == 1:
        raise ValueError(f"{name} does not like {total}")
    return total


@hw.task(timeout=2000)
async def timed(name: str, x: int) -> int:
    return await body(name, x)


@hw.task(cost={"tokens": 2})
async def counted(name: str, x: int) -> int:
    return await body(name, x)


@hw.task(pool="thread")
def waiter(name: str, x: int) -> int:
    """A plain function whose calls are waited for in a thread."""
    return hw.wait(body(name, x))


TASKS: dict[str, Any] = {name: globals()[name] for name in {*BODIES, *LEAVES}}


def made(child: Node, x: int) -> hw.Handle[int]:
    handle: hw.Handle[int] = TASKS[child.task](child.name, x)
    return handle


async def body(name: str, x: int) -> int:
    source = CODE[name]
    total = x
    for step, (kind, children) in enumerate(zip(source.kinds, source.steps, strict=True)):
        try:
            total = (total + await STEPS[kind](children, total % 97, source.number)) % 10_007
        except EXPECTED:
            if drawn(name, step, "caught") % 4 == 0:
                raise
            total += 7
    return total


@hw.task
async def plus(a: int, b: int) -> int:
    return a + b


async def _gather(children: tuple[Node, ...], x: int, n: int) -> int:
    return sum(await hw.gather(*(made(child, x) for child in children)))


async def _settle(children: tuple[Node, ...], x: int, n: int) -> int:
    return sum(end.value or 0 for end in await hw.settle(*(made(child, x) for child in children)))


async def _sequence(children: tuple[Node, ...], x: int, n: int) -> int:
    for child in children:
        x = (x + await made(child, x)) % 97
    return x


async def _map(children: tuple[Node, ...], x: int, n: int) -> int:
    total = 0
    async for value in hw.map(_item, [(child.name, x) for child in children], window=1 + n % 3):
        total = total * 3 + value
    return total


@hw.task
async def _item(name_and_x: tuple[str, int]) -> int:
    await asyncio.sleep(drawn(name_and_x) % 5 / 10)
    return _value(*name_and_x)


async def _refs(children: tuple[Node, ...], x: int, n: int) -> int:
    first, last = children[0], children[-1]
    return await plus(hw.ref(made(first, x)), hw.ref(made(last, x + 1)))


async def _shared(children: tuple[Node, ...], x: int, n: int) -> int:
    """One handle for several consumers, awaited as well."""
    handle = made(children[0], x)
    consumers = [plus(hw.ref(handle), place) for place in range(2)]
    return sum(await hw.gather(*consumers)) + await handle


async def _limit(children: tuple[Node, ...], x: int, n: int) -> int:
    with hw.limit(1 + n % 2):
        return await _gather(children, x, n)


async def _rate(children: tuple[Node, ...], x: int, n: int) -> int:
    with hw.limit(rate=2, per_s=3):
        return await _gather(children, x, n)


async def _named(children: tuple[Node, ...], x: int, n: int) -> int:
    with hw.limit(2, name=f"shared{n % 2}"):
        return await _gather(children, x, n)


async def _wide_budget(children: tuple[Node, ...], x: int, n: int) -> int:
    with hw.budget(tokens=10_000, calls=10_000):
        return await _settle(children, x, n)


async def _sleep(children: tuple[Node, ...], x: int, n: int) -> int:
    await hw.sleep(n * 10)
    return await _gather(children, x, n)


async def _random(children: tuple[Node, ...], x: int, n: int) -> int:
    return await _gather(children, hw.random().randrange(97), n)


async def _loose(children: tuple[Node, ...], x: int, n: int) -> int:
    """Calls that nobody awaits: they end with their parent, and their errors are its."""
    for child in children[1:]:
        made(child, x)
    return await made(children[0], x)


async def _helpers(children: tuple[Node, ...], x: int, n: int) -> int:
    """Coroutines of the program's own, side by side in one call."""

    async def one(child: Node) -> int:
        return (await hw.settle(made(child, x), made(child, x + 1)))[-1].value or 0

    return sum(await asyncio.gather(*(one(child) for child in children)))


async def _cancelled(children: tuple[Node, ...], x: int, n: int) -> int:
    """A call that is asked to stop as soon as it is made."""
    handle = slow.options(key=f"{children[0].name} never")(children[0].name, -1)
    handle.cancel()
    return 5 + (await hw.settle(handle))[0].cancelled


async def _race(children: tuple[Node, ...], x: int, n: int) -> int:
    return await hw.race(*(made(child, x) for child in children))


async def _race_accept(children: tuple[Node, ...], x: int, n: int) -> int:
    return await hw.race(*(made(child, x) for child in children), accept=lambda value: value % 2 == 0)


async def _as_completed(children: tuple[Node, ...], x: int, n: int) -> int:
    total = 0
    async for handle in hw.as_completed(*(made(child, x) for child in children)):
        total = total * 3 + (handle.result() if handle.exception() is None else 1)
    return total


async def _budget(children: tuple[Node, ...], x: int, n: int) -> int:
    with hw.budget(tokens=5 + 3 * n, calls=2 + n):
        return await _settle(children, x, n)


async def _nested_budget(children: tuple[Node, ...], x: int, n: int) -> int:
    with hw.budget(tokens=20):
        with hw.budget(tokens=5 + n, calls=4):
            total = await _settle(children[:2], x, n)
        return total + await _settle(children[2:], x, n)


async def _deadline(children: tuple[Node, ...], x: int, n: int) -> int:
    # whether a call or the block hears of it first hangs on timing
    with hw.deadline(seconds=n / 5 + 0.0137, raises=False), contextlib.suppress(*EXPECTED):
        await _gather(children, x, n)
    return 3


async def _cancel(children: tuple[Node, ...], x: int, n: int) -> int:
    handle = made(children[0], x)
    await hw.sleep(n / 10)
    handle.cancel()
    await hw.settle(handle)
    return 4


async def _event(children: tuple[Node, ...], x: int, n: int) -> int:
    try:
        word = await hw.wait_event(f"word{n % 2}", timeout_s=n + 1)
    except TimeoutError:
        word = 1
    return await _gather(children, x + word, n)


async def _now(children: tuple[Node, ...], x: int, n: int) -> int:
    return await _gather(children, int(hw.now() * 1000) % 97, n)


STEPS: dict[str, Any] = {kind: globals()[f"_{kind}"] for kind in set(WILD)}
