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


def measure_ahead(server: float, began: float, ended: float) -> float:
    """How many seconds a server's clock is ahead of this machine's, if it said `server` in an answer that was asked for at `began`
    and here at `ended`. What lies within the time that the answer took is no difference.

    Example:
        >>> measure_ahead(100.0, 40.0, 40.0), measure_ahead(100.0, 99.0, 101.5)
        (60.0, 0.0)
    """
    ahead_s = server - (began + ended) / 2
    return ahead_s if abs(ahead_s) > max(ended - began, 0.05) else 0.0
