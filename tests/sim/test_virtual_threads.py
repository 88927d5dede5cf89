"""The virtual clock of tests stands still while code runs in a thread."""

from __future__ import annotations

import asyncio
import threading

import headway as hw


@hw.task(timeout=30)
async def in_a_thread(gate: float) -> float:
    return await asyncio.to_thread(_works, gate)


def _works(seconds: float) -> float:
    threading.Event().wait(seconds)
    return seconds


def test_code_in_a_thread_takes_no_virtual_time(go, clock):
    before = clock.elapsed
    assert go(in_a_thread, 0.05) == 0.05
    assert clock.elapsed - before < 30
