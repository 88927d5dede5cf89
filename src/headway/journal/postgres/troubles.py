"""What errors of Postgres mean for a store, and which of them a second try may mend."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from headway.errors import StoreDamaged, StoreError, StoreFull

if TYPE_CHECKING:
    import psycopg

SAFE = "what was committed is safe"
AGAIN = {"40001", "40P01", "55P03"}
"""Nothing was changed, and the same again may pass: serialization failure, deadlock, lock timeout."""

_GONE = {"57P01", "57P02", "57P03", "57P05", "25006"}
"""The server has ended the session, or can't write (any more): another connection may lead to one that can."""


class ConnectionLost(StoreError):
    """The connection broke: what was under way has happened, or not."""


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection is of no more use, and a new one may be."""
    state = error.sqlstate
    if state is None:  # said by the client, not by the server
        import psycopg

        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith("08") or state in _GONE


def explain(error: psycopg.Error, where: str) -> StoreError:
    """The store error that an error of Postgres means."""
    state, said = error.sqlstate or "", " ".join(str(error).split())
    if is_lost(error):
        return ConnectionLost(f"{where} does not answer ({said}): see that the server runs and can be reached; {SAFE}")
    if state in ("53100", "53200"):
        return StoreFull(errno.ENOSPC, f"{where} has no room ({said}): free some space on the server; {SAFE}")
    if state == "53300":
        return ConnectionLost(f"{where} has no connection left ({said}): raise max_connections or put a pooler in front; {SAFE}")
    if state in ("XX001", "XX002"):
        return StoreDamaged(f"{where} is damaged ({said}): restore it from a copy")
    if state == "42501":
        return StoreError(
            f"{where} refuses this ({said}): GRANT the role USAGE and CREATE on the schema, or have its owner make it"
        )
    if state in ("28000", "28P01"):
        return StoreError(f"{where} does not know this role ({said}): check user and password")
    if state == "3D000":
        return StoreError(f"{where} does not exist ({said}): make the database with `createdb`")
    if state in AGAIN:
        return StoreError(f"{where} was locked for too long ({said}): end what holds the lock; {SAFE}")
    if state in ("22021", "22P05"):
        return StoreError(f"a text has a character that Postgres can't keep, such as NUL ({said}): choose another name")
    return StoreError(f"{where} cannot be used ({type(error).__name__} {state}: {said}): run `headway doctor` on it")
