"""A stream that the tests of streams share, and what it notes of its runs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import headway as hw

made: list[object] = []  # items that were made, calls of `double`, and that the stream was closed


@hw.task
async def double(n: int) -> int:
    made.append(("double", n))
    return 2 * n


@hw.task
async def doubles(to: int, fail_at: int = -1) -> AsyncIterator[int]:
    try:
        for n in range(to):
            if n == fail_at:
                raise ValueError(f"no {n}")
            made.append(n)
            yield await double(n)
    finally:
        made.append("closed")


def yields() -> list[object]:
    return [each for each in made if isinstance(each, int)]


async def read(stream: hw.Stream[int], most: int = 1000) -> list[int]:
    seen = []
    async for item in stream:
        seen.append(item)
        if len(seen) >= most:
            break
    return seen
