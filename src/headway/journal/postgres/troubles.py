"""What errors of Postgres mean for a store, and which of them a second try may mend.

libpq says in words alone why a connection was refused, in the server's language; where the words are not known, the server counts
as one that does not answer, and what it said is passed on.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

from headway.errors import StoreDamaged, StoreError, StoreFull
from headway.journal.shared.outcome import ConnectionLost

if TYPE_CHECKING:
    import psycopg

SAFE = "what was committed is safe"
AGAIN = {"40001", "40P01", "55P03", "57014"}
"""Nothing was changed, and the same again may pass: serialization failure, deadlock, lock timeout, statement timeout."""
LOCKED = "55P03"

_GONE = {"57P01", "57P02", "57P03", "57P05", "25P03", "25006", "53300"}
"""The server has ended the session, or can't write (any more), or has no place: another connection may lead to one that can."""
_REFUSED = (  # what libpq passes on when it connects, and the state that it means
    (r"password|authentication|no pg_hba\.conf entry|SASL|role .* does not exist|not permitted to log in|no such user", "28P01"),
    (r"database .* does not exist|no such database", "3D000"),
    (r"too many (clients|connections)|remaining connection slots|no more connections allowed", "53300"),
    (r"unsupported startup parameter", "pooler"),
    (r"session is read-only|read-only transaction|hot standby", "25006"),
)
_UNKNOWN_STATEMENT = ("26000", "42P05")  # a session that has or lacks what another one named


def state_of(error: psycopg.Error) -> str:
    """The SQLSTATE of an error; what its words mean where it was said by the client."""
    if error.sqlstate is not None:
        return error.sqlstate
    import psycopg

    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return ""
    return next((state for words, state in _REFUSED if re.search(words, str(error))), "08000")


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection is of no more use, and a new one may be."""
    state = state_of(error)
    return state.startswith("08") or state in _GONE


def may_pass(error: StoreError) -> bool:
    """Whether the same again may pass: the connection broke, or something stood in the way and nothing was changed."""
    return isinstance(error, ConnectionLost) or getattr(error.__cause__, "sqlstate", None) in AGAIN


def is_locked(error: StoreError) -> bool:
    """Whether a lock stood in the way for too long."""
    return getattr(error.__cause__, "sqlstate", None) == LOCKED


def explain(error: psycopg.Error, where: str) -> StoreError:
    """The store error that an error of Postgres means."""
    state, said = state_of(error), " ".join(str(error).split())
    if state == "25006":
        return ConnectionLost(
            f"{where} is read-only ({said}): name the server that takes writes, or all of them, as in host1,host2; {SAFE}"
        )
    if state == "53300":
        return ConnectionLost(f"{where} has no connection left ({said}): raise max_connections or put a pooler in front; {SAFE}")
    if state.startswith("08") or state in _GONE:
        return ConnectionLost(f"{where} does not answer ({said}): see that the server runs and can be reached; {SAFE}")
    if state in _UNKNOWN_STATEMENT or state == "pooler":
        return StoreError(f"{where} is behind a pooler that keeps no session ({said}): put listen=off into its URL")
    if state == "53100":
        return StoreFull(errno.ENOSPC, f"{where} has no room ({said}): free some space on the server; {SAFE}")
    if state in ("XX001", "XX002"):
        return StoreDamaged(f"{where} is damaged ({said}): restore it from a copy")
    if sentence := _SENTENCES.get(state):
        return StoreError(sentence.format(where=where, said=said, safe=SAFE))
    if state in AGAIN:
        return StoreError(f"{where} was locked for too long ({said}): end what holds the lock; {SAFE}")
    if "NUL" in said:  # psycopg refuses it before the server does
        return StoreError(_SENTENCES["22021"].format(where=where, said=said))
    return StoreError(f"{where} cannot be used ({type(error).__name__} {state}: {said}): run `headway doctor` on it")


_SENTENCES = {
    "28000": "{where} does not let this user in ({said}): check user and password",
    "28P01": "{where} does not let this user in ({said}): check user and password",
    "3D000": "{where} does not exist ({said}): make the database with `createdb`",
    "42501": "{where} refuses this ({said}): GRANT the role USAGE and CREATE on the schema, or have its owner make the tables",
    "42P01": "{where} lacks a table ({said}): it was dropped or restored in part; restore it from a copy",
    "3F000": "{where} has lost its schema ({said}): restore it from a copy",
    "53200": "{where} has no memory left ({said}): give the server more or lower its max_connections; {safe}",
    "54000": "a name is too long for an index of Postgres ({said}): choose a shorter one",
    "22021": "a text has a character that Postgres can't keep, such as NUL ({said}): choose another name",
    "22P05": "a text has a character that Postgres can't keep, such as NUL ({said}): choose another name",
}
