"""The tasks that run random programs: bodies, and what a body's steps do with their children. `nodes` says what a program is.

Calm programs give the same result under every schedule. Wild ones decide from timing (races, deadlines, tight budgets).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import leaves
import nodes
import told
import watch
from leaves import slow
from nodes import AWAY, BODIES, CALM, CODE, FUSSY, GROUP_STREAMS, LEAVES, OUTSIDE, UNDOING, UNSURE, WILD, Node, drawn, value, write

import headway as hw

__all__ = ["CALM", "CODE", "LEAVES", "OUTSIDE", "WILD", "Node", "install", "main", "write"]

EXPECTED = (ValueError, OSError, hw.CallError, hw.RunError, hw.StoreError, ExceptionGroup, hw.NoWinner)


def install(program: Node, edition: int = 1) -> None:
    """Make a program the current source, in a world in which nothing has happened yet."""
    nodes.install(program)
    watch.forget()
    leaves.publish(edition)


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
        watch.dislike()
        raise ValueError(f"{name} does not like {total}")
    return total


@hw.task(timeout=100_000)
async def timed(name: str, x: int) -> int:
    return await body(name, x)


@hw.task(cost={"tokens": 2})
async def counted(name: str, x: int) -> int:
    watch.owes(2)
    return await body(name, x)


@hw.task(cache="forever")
async def _common(name: str, x: int) -> int:
    return await body(name, x)


def common(name: str, x: int) -> hw.Handle[int]:
    """A body that is called in several places: whoever runs it, the others get its result."""
    return _common(name, x % 2)


@hw.task(cache="forever", retry=hw.Retry(attempts=2, delay_s=0.2, jitter=0))
async def _common_stubborn(name: str, x: int) -> int:
    total = await body(name, x)
    if hw.call().attempt == 1:
        watch.dislike()
        raise ValueError(f"{name} does not like {total}")
    return total


def common_stubborn(name: str, x: int) -> hw.Handle[int]:
    return _common_stubborn(name, x % 2)


@hw.task(cache="forever")
async def _fussy(name: str, x: int) -> int:
    total = await body(name, x)
    if (refused := watch.down(f"{name} {x}")) is not None:
        watch.dislike(for_good=True)
        raise ValueError(f"{refused}: it does not like {total}")
    return total


def fussy(name: str, x: int) -> hw.Handle[int]:
    """A common body that does not like what its children give to those who ask first."""
    return _fussy(name, x % 2)


@hw.task(pool="thread")
def waiter(name: str, x: int) -> int:
    """A plain function whose calls are waited for in a thread."""
    return hw.wait(body(name, x))


@hw.task(pool="process", retry=hw.Retry(attempts=20, delay_s=0.1, jitter=0, on=(hw.WorkerDied,)))
async def away(name: str, x: int) -> int:
    """A body in a process."""
    return await body(name, x)


@hw.task(pool="process", retry=hw.Retry(attempts=20, delay_s=0.1, jitter=0, on=(hw.WorkerDied,)))
def away_waiter(name: str, x: int) -> int:
    """A plain function in a process, which waits for what it calls."""
    return hw.wait(body(name, x))


TASKS: dict[str, Any] = {
    **{name: globals()[name] for name in (*BODIES, *FUSSY, *AWAY)},
    **{name: getattr(leaves, name) for name in (*LEAVES, *UNSURE, *UNDOING)},
}


def made(child: Node, x: int) -> hw.Handle[int]:
    handle: hw.Handle[int] = TASKS[child.task](child.name, x)
    watch.made(child, x, handle)
    return handle


async def body(name: str, x: int) -> int:
    source = CODE[name]
    with watch.body(source):
        return await _steps(source, x)


async def _steps(source: Node, x: int) -> int:
    name, total = source.name, x
    for step, (kind, children) in enumerate(zip(source.kinds, source.steps, strict=True)):
        try:
            total = (total + await STEPS[kind](children, total % 97, source.number)) % 10_007
        except EXPECTED:
            if drawn(name, step, "caught") % (2 if source.task in watch.RETRIED else 4) == 0:
                raise
            total += 7
    return total


@hw.task
async def plus(a: int, b: int) -> int:
    return a + b


async def _gather(children: tuple[Node, ...], x: int, n: int) -> int:
    handles = [made(child, x) for child in children]
    total = sum(await watch.joined(hw.gather(*handles), handles))
    for child, handle in zip(children, handles, strict=True):
        watch.ends_as_it_must(child, x, handle)
    return total


async def _settle(children: tuple[Node, ...], x: int, n: int) -> int:
    handles = [made(child, x) for child in children]
    ends = await watch.joined(hw.settle(*handles), handles)
    for child, handle in zip(children, handles, strict=True):
        watch.ends_as_it_must(child, x, handle)
    return sum(end.value or 0 for end in ends)


async def _sequence(children: tuple[Node, ...], x: int, n: int) -> int:
    for child in children:
        x = (x + await made(child, x)) % 97
    return x


async def _map(children: tuple[Node, ...], x: int, n: int) -> int:
    total = 0
    async for found in hw.map(_item, [(child.name, x) for child in children], window=1 + n % 3):
        total = total * 3 + found
    return total


@hw.task
async def _item(name_and_x: tuple[str, int]) -> int:
    await asyncio.sleep(drawn(name_and_x) % 5 / 10)
    return value(*name_and_x)


async def _tolerant(children: tuple[Node, ...], x: int, n: int) -> int:
    """A map that hands out failures, of calls that fail in every way."""
    total = 0
    async for end in hw.map(lambda child: made(child, x), children, window=1 + n % 3, failed="keep" if n % 2 else 4):  # type: ignore[arg-type]
        total = total * 3 + (end.value if end.ok else 1)
    return total


async def _scan(children: tuple[Node, ...], x: int, n: int) -> int:
    """All prefixes of a sum of calls and of what stands for those that failed."""
    handles = [made(child, x) for child in children]
    ends = await watch.joined(hw.settle(*handles), handles)
    items = [handle if end.ok else place for place, (handle, end) in enumerate(zip(handles, ends, strict=True))]
    values = [end.value if end.ok else place for place, end in enumerate(ends)]
    if (found := await hw.scan(plus, items)) != (wanted := list(itertools.accumulate(values))):  # type: ignore[arg-type]
        watch.complain(f"the prefixes of {values} are {found}, not {wanted}")
    return sum(found)


async def _refs(children: tuple[Node, ...], x: int, n: int) -> int:
    first, last = children[0], children[-1]
    return await plus(hw.ref(made(first, x)), hw.ref(made(last, x + 1)))


async def _shared(children: tuple[Node, ...], x: int, n: int) -> int:
    """One handle for several consumers, awaited as well."""
    handle = made(children[0], x)
    consumers = [plus(hw.ref(handle), place) for place in range(2)]
    return sum(await hw.gather(*consumers)) + await handle


async def _limit(children: tuple[Node, ...], x: int, n: int) -> int:
    with hw.limit(1 + n % 2), watch.limited(1 + n % 2):
        return await _gather(children, x, n)


async def _rate(children: tuple[Node, ...], x: int, n: int) -> int:
    with hw.limit(rate=2, per_s=3):
        return await _gather(children, x, n)


async def _named(children: tuple[Node, ...], x: int, n: int) -> int:
    with hw.limit(2, name=f"shared{n % 2}"), watch.limited(2, f"shared{n % 2}"):
        return await _gather(children, x, n)


async def _both(children: tuple[Node, ...], x: int, n: int) -> int:
    """Calls that need two shared places at once."""
    with hw.limit(2, name="shared0"), hw.limit(2, name="shared1"):
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
    if n % 3 == 0:
        leaves.bad(f"{children[0].name} unseen", x)
        watch.must_fail("a call that it made and did not await fails")
    for child in children[1:]:
        made(child, x)
    return await made(children[0], x)


async def _twins(children: tuple[Node, ...], x: int, n: int) -> int:
    """Equal calls, side by side: each is one of its own."""
    return await _gather((*children[:2], *children[:2]), x, n)


@hw.task
async def customer(name: str, x: int, place: int, n: int) -> int:
    """Asks for what others ask for as well: in a hurry, with little money, or with all the time and money in the world."""
    with watch.body(Node(f"{name} for customer {place}", "customer", "body")):
        if place % 3 == 0:
            with hw.deadline(seconds=n / 10 + 0.0137, raises=False):
                return await made(CODE[name], x)
            return 1
        if place % 3 == 1:
            with hw.budget(tokens=n + 1, calls=1 + n):
                return await made(CODE[name], x)
        return await made(CODE[name], x)


async def _crowd(children: tuple[Node, ...], x: int, n: int) -> int:
    handles = [customer(children[place % 2 % len(children)].name, x, place, n) for place in range(6)]
    ends = await watch.joined(hw.settle(*handles), handles)
    return sum(end.value if end.ok else 2 for end in ends)


async def _helpers(children: tuple[Node, ...], x: int, n: int) -> int:
    """Coroutines of the program's own, side by side in one call."""

    async def one(child: Node) -> int:
        return (await hw.settle(made(child, x), made(child, x + 1)))[-1].value or 0

    return sum(await asyncio.gather(*(one(child) for child in children)))


async def _branches(children: tuple[Node, ...], x: int, n: int) -> int:
    """Coroutines side by side that ask the same, each when it comes to it, and go on by what they were told."""
    join = watch.next_join()

    async def one(child: Node, place: int, depth: int = 0) -> int:
        await asyncio.sleep(watch.some_time(child.name))
        told = leaves.drawn_number(x % 3)
        watch.given(f"{join} {place} {depth} of {child.name} asking {x}", told)
        total = await told + (0 if child.task in BODIES else sum(end.value or 0 for end in await hw.settle(made(child, x))))
        if depth == 0 and n % 3 == 0:
            total += sum(end.value or 0 for end in await hw.settle(*(one(child, place, depth) for depth in (1, 2))))
        return total

    ends = await hw.settle(*(one(child, place) for place, child in enumerate(children)))
    return sum(end.value or 0 for end in ends)


async def _cancelled(children: tuple[Node, ...], x: int, n: int) -> int:
    """A call that is asked to stop as soon as it is made."""
    handle = slow.options(key=f"{children[0].name} never")(children[0].name, -1)
    handle.cancel()
    return 5 + (await hw.settle(handle))[0].cancelled


async def _race(children: tuple[Node, ...], x: int, n: int) -> int:
    handles = [made(child, x) for child in children]
    return await watch.joined(hw.race(*handles), handles)


async def _photo_finish(children: tuple[Node, ...], x: int, n: int) -> int:
    """Several cross the line before the race is stopped."""
    handles = [leaves.leaf(child.name, x) for child in children]
    return await watch.joined(hw.race(*handles), handles)


async def _race_accept(children: tuple[Node, ...], x: int, n: int) -> int:
    handles = [made(child, x) for child in children]
    return await watch.joined(hw.race(*handles, accept=lambda found: found % 2 == 0), handles)


async def _as_completed(children: tuple[Node, ...], x: int, n: int) -> int:
    total = 0
    async for handle in hw.as_completed(*(made(child, x) for child in children)):
        total = total * 3 + (handle.result() if handle.exception() is None else 1)
    return total


async def _group(children: tuple[Node, ...], x: int, n: int) -> int:
    """Calls that are made because of what others gave, and some that are left when the reader has had enough."""
    total, left, handles = 0, list(children), []
    async with hw.group() as group:
        while left[: 1 + n % 2]:
            child = left.pop()
            handles.append(group.add(made(child, x), tag=child.name))
        async for handle in group:
            total = total * 3 + (handle.result() if handle.exception() is None else 1)
            watch.noted(f"next in the group of {children[0].name}", group.tag(handle))
            if left:
                handles.append(group.add(made(left.pop(), total % 97)))
            elif n % 3 == 0:
                break
    watch.all_ended(handles)
    return total


async def _anytime(children: tuple[Node, ...], x: int, n: int) -> int:
    """Ends with its budget, or after a time of its own, and has what it found."""
    found: dict[int, int] = {}

    async def attempt(place: int, child: Node) -> None:
        block.keep(place, await made(child, x))

    with hw.budget(tokens=5 + 3 * n, calls=2 + n), hw.anytime(found, within_s=n / 5 + 0.0137 if n % 3 == 0 else None) as block:
        await hw.gather_affordable(*(attempt(place, child) for place, child in enumerate(children)))
    watch.noted(f"end at {children[0].name}", (block.stopped, tuple(found.items()) if block.stopped != "done" else ()))
    return sum(found.values())


async def _budget(children: tuple[Node, ...], x: int, n: int) -> int:
    with hw.budget(tokens=5 + 3 * n, calls=2 + n) as budget:
        handles = [made(child, x) for child in children]
        ends = await watch.joined(hw.settle(*handles), handles)
    watch.booked(budget.spent["calls"], children, handles)
    return sum(end.value or 0 for end in ends)


async def _nested_budget(children: tuple[Node, ...], x: int, n: int) -> int:
    with hw.budget(tokens=20):
        with hw.budget(tokens=5 + n, calls=4):
            total = await _settle(children[:2], x, n)
        left = hw.remaining("tokens")
        if watch.plans():  # what does work itself, for a price, is told what is left now
            watch.noted(f"rest at {children[0].name}", left)
        return total + await _settle(children[2:], x + int(left), n)


async def _patient_budget(children: tuple[Node, ...], x: int, n: int) -> int:
    """Calls that wait for what others have reserved, in a budget inside of one that may refuse at once."""
    with hw.budget(tokens=25 + n, wait=n % 3 > 0), hw.budget(tokens=12 + n, wait=True):
        handles = [each for child in children for each in (leaves.thrifty(child.name, x), made(child, x))]
        ends = await watch.joined(hw.settle(*handles), handles)
    return sum(end.value or 0 for end in ends)


async def _deadline(children: tuple[Node, ...], x: int, n: int) -> int:
    # whether a call or the block hears of it first hangs on timing
    with hw.deadline(seconds=n / 5 + 0.0137, raises=False) as scope, contextlib.suppress(*EXPECTED):
        if scope._deadline is not None:  # it is not here in a worker
            watch.noted(f"deadline of {children[0].name}", scope._deadline.at)
        await _gather(children, x, n)
    return 3


async def _cancel(children: tuple[Node, ...], x: int, n: int) -> int:
    handle = made(children[0], x)
    await hw.sleep(n / 10)
    handle.cancel()
    await hw.settle(handle)
    return 4


async def _event(children: tuple[Node, ...], x: int, n: int) -> int:
    name = f"word{n % 2}"
    try:
        if n % 3:
            word = await hw.wait_event(name, timeout=n + 1)
        else:  # of two that wait one wins, and the other may have been told its word in the same moment
            word = await hw.race(*(hw.wait_event(each, timeout=n + 1) for each in (name, f"word{1 - n % 2}")))
    except (TimeoutError, ExceptionGroup):
        watch.no_word(name)
        word = 1
    else:
        watch.word(children[0].name, name if n % 3 else "", word)
    return await _gather(children, x + word, n)


async def _now(children: tuple[Node, ...], x: int, n: int) -> int:
    now = hw.now()
    watch.noted(f"time at {children[0].name}", now)
    return await _gather(children, int(now * 1000) % 97, n)


@hw.task(retry=hw.Retry(attempts=2, delay_s=0.3, jitter=0), window=2)
async def results(name: str, x: int, count: int) -> AsyncIterator[int]:
    for place in range(count):
        if place == 2 and x % 3 == 0 and hw.call().attempt < 2:
            raise OSError(name)
        yield await plus(drawn(name, x) % 97, place)


def _nth(name: str, x: int, place: int) -> int:
    """What `results` yields."""
    return drawn(name, x) % 97 + place


@hw.task(window=1)
async def answers(name: str, names: list[str], x: int) -> AsyncIterator[int]:
    """What calls give, one after another. It ends where one fails."""
    with watch.body(Node(name, "answers", "body")):
        for child in names:
            yield await (plus(x, 1) if "edition" in told.kinds_of(CODE[child]) else made(CODE[child], x))


@hw.task(window=2)
async def fickle(name: str, x: int) -> AsyncIterator[int]:
    """Yields other items each time that it runs."""
    runs = watch.runs(name)
    for place in range(5):
        yield await plus(1000 * runs, place)


async def _stream(children: tuple[Node, ...], x: int, n: int) -> int:
    """Items of a stream, all of them or until the reader has had enough, and calls that are made because of them."""
    total, taken, name = 0, 0, children[0].name
    with watch.reading():
        async for item in results(name, x, 1 + n):
            watch.item(name, x, taken, item, _nth(name, x, taken))
            total, taken = (total * 3 + item) % 10_007, taken + 1
            if n % 3 == 0 and total % 2:
                return total
            total += await made(children[taken % len(children)], total % 97)
    watch.read_whole(name, taken, 1 + n)
    return total


async def _read_in_group(children: tuple[Node, ...], x: int, n: int) -> int:
    """Items of a stream between calls that are made because of them; some are left when the reader has had enough."""
    total, taken, name, left = 0, 0, children[0].name, list(children)
    with watch.reading():
        async with hw.group() as group:
            stream = group.read(results(name, x, 1 + n % 5))
            handles = [stream, group.add(made(left.pop(), x))]
            async for part in group:
                if isinstance(part, hw.StreamItem):
                    watch.item(name, x, taken, part.value, _nth(name, x, taken))
                    taken += 1
                    handles += [group.add(made(left.pop(), part.value))] if left else []
                watch.noted(f"next in the group that reads {name}", part.task if isinstance(part, hw.Handle) else "item")
                total = (total * 3 + (part.result() if part.exception() is None else 1)) % 10_007
                if n % 4 == 0 and total % 5 == 0:
                    break
            else:
                watch.read_whole(name, taken, 1 + n % 5 if stream.exception() is None else taken)
    watch.all_ended(handles)
    return total


async def _twice_read(children: tuple[Node, ...], x: int, n: int) -> int:
    """Two readers of one stream: one is slow and reads all of it, the other leaves in the middle."""
    name, stream = children[0].name, results(children[0].name, x, 1 + n)
    begun = asyncio.Event()

    async def read(most: int, rest_s: float) -> int:
        taken = 0
        async for item in stream:
            begun.set()
            watch.item(f"{name} up to {most}", x, taken, item, _nth(name, x, taken))
            taken += 1
            if taken == most:
                break
            await hw.sleep(rest_s)
        return taken

    async def leave() -> int:
        await begun.wait()  # a stream that its only reader has left is stopped
        return await read(1 + n // 2, 0)

    with watch.reading():
        whole, part = await hw.gather(read(100, 0.1), leave())
        watch.read_whole(name, whole, await stream)
    watch.read_whole(name, whole, 1 + n)
    watch.read_whole(f"{name} in part", part, 1 + n // 2)
    return whole + await _gather(children[:1], x, n)


async def _stream_of_calls(children: tuple[Node, ...], x: int, n: int) -> int:
    total, taken, name = 0, 0, f"answers of {children[0].name}"
    with watch.reading():
        async for item in answers(name, [child.name for child in children], x):
            watch.item(name, x, taken, item)
            total, taken = (total * 3 + item) % 10_007, taken + 1
    watch.read_whole(name, taken, len(children))
    return total


async def _stopped_stream(children: tuple[Node, ...], x: int, n: int) -> int:
    """A stream that is stopped while somebody reads it, and what it has given until then."""
    name, stream, taken = children[0].name, results(children[0].name, x, 3 + n), 0

    async def read() -> None:
        nonlocal taken
        async for item in stream:
            watch.item(name, x, taken, item, _nth(name, x, taken))
            taken += 1
            await hw.sleep(0.1)

    async def stop() -> None:
        await hw.sleep(n / 10)
        stream.cancel()

    with watch.reading():
        end, _ = await hw.settle(read(), stop())
        if isinstance(end.error, hw.ItemChanged):
            raise end.error
        with contextlib.suppress(OSError, hw.CallError):
            await stream
    return await _gather(children, x, n)


async def _late_stream(children: tuple[Node, ...], x: int, n: int) -> int:
    """A deadline that passes while a stream is read, and stops it."""
    name, taken = children[0].name, 0
    with watch.reading(), hw.deadline(seconds=n / 5 + 0.0137, raises=False), contextlib.suppress(*EXPECTED):
        async for item in answers(f"answers of {name}", [child.name for child in children], x):
            watch.item(name, x, taken, item)
            taken += 1
    return 3


async def _fickle_stream(children: tuple[Node, ...], x: int, n: int) -> int:
    """What was handed out is handed out again, or the stream is refused, as its code can't yield what comes next."""
    total, taken, name = 0, 0, children[0].name
    async for item in fickle(name, x):
        watch.item(f"fickle {name}", x, taken, item)
        watch.of_one_run(name, taken, item // 1000)
        total, taken = total + item, taken + 1
        await hw.sleep(0.2)
        if taken > n % 5:
            break
    return total


STEPS: dict[str, Any] = {kind: globals()[f"_{kind}"] for kind in {*GROUP_STREAMS}}
