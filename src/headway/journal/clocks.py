"""Times of the wall clock that were stored, and a wall clock that somebody sets.

A stored time is due when the wall clock says so, also where nothing ran meanwhile. Where the clock has been set back since, it
would say so hours or years too late; so what waits for a stored time must never wait longer than the time was away when it was
stored.
"""

from __future__ import annotations

SET_BACK_S = 1.0  # clocks of one machine differ by less


def left_s(until: float, length_s: float, now: float) -> float:
    """Seconds until a stored time that was `length_s` away when it was stored; negative where it is over.

    >>> left_s(until=160.0, length_s=60.0, now=120.0), left_s(until=160.0, length_s=60.0, now=-3500.0)
    (40.0, 60.0)
    """
    return min(length_s, until - now)
