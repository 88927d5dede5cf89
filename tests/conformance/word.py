"""Waiting for word of a change, which some stores bring a moment later."""

from __future__ import annotations

import threading
from collections.abc import Callable

from headway.journal.store import Store

PATIENCE_S = 20.0
_PAUSE_S = 0.01


def steady_version(store: Store, uid: int) -> int:
    """The version when nothing changes."""
    return _until(store, uid, lambda before, after: before == after)


def await_change(store: Store, uid: int, before: int) -> None:
    """Wait until the version is another one."""
    _until(store, uid, lambda _, after: after != before)


def _until(store: Store, uid: int, is_right: Callable[[int, int], bool]) -> int:
    last = store.data_version(uid)
    for _ in range(int(PATIENCE_S / _PAUSE_S)):
        now = store.data_version(uid)
        if is_right(last, now):
            return now
        last = now
        threading.Event().wait(_PAUSE_S)
    raise AssertionError("nothing is heard of a change")
