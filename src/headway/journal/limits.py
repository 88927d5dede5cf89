"""Limits that processes share: named slots held for a time, and rates. Kept by the store so that no server is needed.

A slot's holder may begin with the owner string of its process (`this_process()`); when that process is gone, its
slots are free at once, otherwise when their time is up. A rate is one number, the time at which the bucket is full
again (GCRA), so a token is taken by moving it. This file must never hold a lock between two calls.
"""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from contextlib import AbstractContextManager

from headway.journal.owner import is_alive

SET_BACK_S = 60.0  # clocks of machines that share a store differ by less


class SharedLimits:
    """The part of SqliteStore that keeps limits."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """One write transaction."""

    def take_slot(self, name: str, holder: str, amount: int, capacity: int, now: float, ttl_s: float) -> bool:
        with self.writing() as connection:
            others = connection.execute(
                "SELECT holder, amount, until FROM slot WHERE name=? AND holder<>?", (name, holder)
            ).fetchall()
            gone = [other for other, _, until in others if until <= now or is_alive(other) is False]
            connection.executemany("DELETE FROM slot WHERE name=? AND holder=?", [(name, other) for other in gone])
            if sum(held for other, held, _ in others if other not in gone) + amount > capacity:
                return False
            connection.execute("INSERT OR REPLACE INTO slot VALUES (?, ?, ?, ?)", (name, holder, amount, now + ttl_s))
            return True

    def free_slot(self, name: str, holder: str) -> None:
        with self.writing() as connection:
            connection.execute("DELETE FROM slot WHERE name=? AND holder=?", (name, holder))

    def take_rate(self, name: str, rate: float, per_s: float, now: float) -> float:
        with self.writing() as connection:
            stored = connection.execute("SELECT full_at, at FROM rate WHERE name=?", (name,)).fetchone()
            full_at, at = stored or (now, now)
            full_at, wait_s = take_token(full_at, at, rate, per_s, now)
            connection.execute("INSERT OR REPLACE INTO rate VALUES (?, ?, ?)", (name, full_at, now))
            return wait_s


def take_token(full_at: float, at: float, rate: float, per_s: float, now: float) -> tuple[float, float]:
    """Take one token of a bucket that was to be full at `full_at`, as was said at `at`: `(when it is full then, seconds to wait)`.

    A clock that is far behind `at` was set back, and the bucket with it: nobody waits until it has caught up.

    >>> take_token(0.0, 0.0, rate=2, per_s=10, now=0.0)
    (5.0, 0.0)
    >>> take_token(10.0, 0.0, rate=2, per_s=10, now=0.0)
    (15.0, 5.0)
    >>> take_token(3605.0, 3600.0, rate=2, per_s=10, now=0.0)
    (10.0, 0.0)
    """
    if at - now > SET_BACK_S:
        full_at -= at - now
    full_at = max(full_at, now) + per_s / rate
    wait_s = full_at - now - per_s
    return full_at, wait_s if wait_s > 1e-6 else 0.0
