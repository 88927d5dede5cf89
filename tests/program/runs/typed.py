"""What type checkers must see through the decorators; read by test_runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import assert_type

import headway as hw


@hw.task
async def search(query: str, *, limit: int = 3) -> list[str]:
    return [query] * limit


@hw.task(pool="process", retry=hw.Retry(attempts=3), timeout=30)
def count(texts: list[str]) -> int:
    return len(texts)


@hw.task(batch=32, linger_s=0.002)
async def embed(texts: list[str]) -> list[float]:
    return [0.0 for _ in texts]


@hw.task
async def words(text: str) -> AsyncIterator[str]:
    for word in text.split():
        yield word


@hw.task(window=4)
async def sizes(text: str) -> AsyncIterator[int]:
    yield len(text)


@hw.task
async def program(question: str) -> int:
    handle = search(question, limit=2)
    assert_type(handle, hw.Handle[list[str]])
    assert_type(await handle, list[str])
    assert_type(await count(hw.ref(handle)), int)
    assert_type(await embed("one"), float)
    assert_type(await hw.gather(search("a"), count(["b"])), tuple[list[str], int])
    assert_type(await hw.gather(*(search(q) for q in "ab")), list[list[str]])
    assert_type(await hw.race(count(["a"]), count(["b"])), int)
    assert_type(await hw.race(count(["a"]), count(["b"]), with_index=True), tuple[int, int])
    assert_type((await hw.settle(count(["a"])))[0], hw.Settled[int])
    async for ended in hw.as_completed(embed("x"), embed("y")):
        assert_type(ended.result(), float)
    assert_type(await hw.map(embed, ["a", "b"]), list[float])
    assert_type(words("a b"), hw.Stream[str])
    assert_type([size async for size in sizes.options(timeout=3)("a")], list[int])
    assert_type(await words("a b"), int)
    words(3)  # type: ignore[arg-type]
    search(3)  # type: ignore[arg-type]
    search("a", size=3)  # type: ignore[call-arg]
    return await count.options(timeout=1)(["a"])


def main() -> None:
    assert_type(hw.run(program, "why"), int)
