"""How what is kept gets into a database and out of it, checked.

The checksum of a row covers its place (run and seq) as well as its bytes: a row that moved is as wrong as one that
changed. This file must never return a row whose checksum it did not compare.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from headway.errors import StoreDamaged
from headway.journal.records import Lease, Row, RunInfo, RunSpec, RunStatus, Signal
from headway.journal.sql.database import Connection

READ_ROWS = 2000
RUN_COLUMNS = "uid, run_id, spec, crc, status, fence, owner, owned_since, lease_until, cancel, error_floor, ended, nrows"

pack_place = struct.Struct("<qqq").pack
_encode_spec = msgspec.msgpack.Encoder().encode
_decode_spec = msgspec.msgpack.Decoder(RunSpec).decode


def row_crc(uid: int, seq: int, row: Sequence[object]) -> int:
    """The checksum of `(kind, key, parent, body)` at its place. Raises TypeError or struct.error for a wrong type."""
    kind, key, parent, body = row
    return zlib.crc32(b"".join((pack_place(uid, seq, kind), key, parent, body)))  # type: ignore[arg-type]


Stored = tuple[int, int, bytes, bytes, bytes, int]


def read_rows(connection: Connection, uid: int, after: int) -> list[Stored]:
    """The next stored rows `(seq, kind, key, parent, body, crc)`, unchecked; an empty list at the end."""
    query = "SELECT seq, kind, key, parent, body, crc FROM record WHERE run=? AND seq>? ORDER BY seq LIMIT ?"
    return connection.execute(query, (uid, after, READ_ROWS)).fetchall()


def whole_rows(uid: int, stored: Sequence[Stored], first_seq: int) -> list[tuple[int, Row]] | None:
    """The rows, if all of them have the bytes that were written and none is missing from `first_seq` on; the common case."""
    place, crc32, join, make = pack_place, zlib.crc32, b"".join, tuple.__new__
    try:
        rows = [
            (seq, make(Row, (kind, key, parent, body)))
            for expected, (seq, kind, key, parent, body, crc) in enumerate(stored, first_seq)
            if seq == expected and crc32(join((place(uid, seq, kind), key, parent, body))) == crc
        ]
    except (TypeError, struct.error):
        return None
    return rows if len(rows) == len(stored) else None


def check_row(uid: int, stored: Stored) -> Row | None:
    """The row, or None where it does not have the bytes that were written."""
    seq, kind, key, parent, body, crc = stored
    try:
        if zlib.crc32(b"".join((pack_place(uid, seq, kind), key, parent, body))) == crc:
            return Row(kind, key, parent, body)
    except (TypeError, struct.error):
        pass
    return None


def next_seq(last: int, seq: object) -> int:
    """The number of a stored row that comes after `last`. What stands there in a damaged page may be no number at all."""
    return seq if isinstance(seq, int) and seq > last else last + 1


def make_row_damaged(run: RunInfo, seq: int, stored: Stored | None) -> StoreDamaged:
    """Make the error for a run whose row `seq` is missing or not whole; `stored` is what was found instead."""
    name = run.spec.run_id
    if stored is None or stored[0] != seq:
        until = run.nrows if stored is None else next_seq(seq, stored[0]) - 1
        what = f"record {seq} is missing" if seq == until else f"records {seq} to {until} are missing"
    else:
        call = stored[2].hex() if isinstance(stored[2], bytes) else "unknown"
        what = f"record {seq} (call {call}) does not have the bytes that were written"
    return StoreDamaged(
        f"run {name!r} is damaged: {what}; run `headway doctor` to see what is lost, `headway doctor --repair` to go on without it"
    )


def bytes_crc(*parts: bytes) -> int:
    """The checksum of what is stored beside rows: specs, signals, cache entries."""
    return zlib.crc32(b"".join(parts))


def encode_run(spec: RunSpec) -> tuple[str, bytes, int]:
    """`(run_id, spec, crc)` as the run table keeps them."""
    data = _encode_spec(spec)
    return spec.run_id, data, bytes_crc(spec.run_id.encode(), data)


def decode_run(stored: Sequence[object], where: str) -> RunInfo:
    """A row of `RUN_COLUMNS` as RunInfo. Raises StoreDamaged where the run's spec or state is not what was written."""
    uid, run_id, data, crc, status, fence, owner, since, until, cancel, floor, ended, nrows = stored
    try:
        if bytes_crc(run_id.encode(), data) != crc:  # type: ignore[attr-defined,arg-type]  # the sum tells of a wrong type
            raise ValueError("checksum")
        return msgspec.convert(
            {
                "uid": uid,
                "spec": _decode_spec(data),  # type: ignore[arg-type]  # the sum tells of a wrong type
                "status": RunStatus(status),  # type: ignore[arg-type]  # the sum tells of a wrong type
                "fence": fence,
                "owner": owner,
                "owned_since": since,
                "lease_until": until,
                "cancel_requested": bool(cancel),
                "error_floor": floor,
                "ended": ended,
                "nrows": nrows,
            },
            RunInfo,
        )
    except (TypeError, ValueError, AttributeError, msgspec.MsgspecError) as error:
        raise StoreDamaged(
            f"run {run_id!r} (number {uid}) in {where} is damaged: run `headway doctor` to see what is left of it"
        ) from error


def cache_crc(key: bytes, row: Row) -> int:
    """The checksum of an entry of the cache."""
    return bytes_crc(key, pack_place(row.kind, 0, 0), *row[1:])


def signal_crc(uid: int, name: str, value: bytes, at: float) -> int:
    """The checksum of a signal."""
    return bytes_crc(struct.pack("<qd", uid, at), name.encode(), value)


def insert_cache(connection: Connection, entries: Sequence[tuple[bytes, Row]]) -> None:
    """Put entries into the cross-run cache; a newer one replaces an older one."""
    values = [(key, *row, cache_crc(key, row)) for key, row in entries]
    query = (
        "INSERT INTO cache (key, kind, call, parent, body, crc) VALUES (?,?,?,?,?,?) ON CONFLICT (key) DO UPDATE "
        "SET kind=excluded.kind, call=excluded.call, parent=excluded.parent, body=excluded.body, crc=excluded.crc"
    )
    connection.executemany(query, values)


def read_cache(connection: Connection, key: bytes) -> Row | None:
    """The cache's row for this key. Raises StoreDamaged where it is not what was written."""
    query = "SELECT kind, call, parent, body, crc FROM cache WHERE key=?"
    stored = connection.execute(query, (key,)).fetchone()
    if stored is None:
        return None
    return check_cached(key, stored)


def check_cached(key: bytes, stored: Sequence[Any]) -> Row:
    """The row of `(kind, call, parent, body, crc)`. Raises StoreDamaged where it is not what was written."""
    row = Row(*stored[:4])
    if whole_cache(key, row, stored[4]):
        return row
    raise StoreDamaged(f"the cached result {key.hex()} is damaged: run `headway doctor --repair` to drop it")


def insert_rejected(connection: Connection, lease: Lease, first_seq: int, rows: Sequence[Row], now: float) -> None:
    """Keep aside what a late writer brought."""
    values = [(lease.uid, lease.fence, seq, *row, now) for seq, row in enumerate(rows, first_seq)]
    connection.executemany("INSERT INTO rejected (run, fence, seq, kind, key, parent, body, at) VALUES (?,?,?,?,?,?,?,?)", values)


def has_rejected(connection: Connection, lease: Lease, first_seq: int, now: float) -> bool:
    """Whether the rows that a late writer brought at this time have been kept."""
    query = "SELECT 1 FROM rejected WHERE run=? AND fence=? AND seq=? AND at=? LIMIT 1"
    return connection.execute(query, (lease.uid, lease.fence, first_seq, now)).fetchone() is not None


def whole_signal(uid: object, name: object, value: object, at: object, crc: object) -> bool:
    """Whether a signal has the bytes that were written."""
    typed = isinstance(name, str) and isinstance(value, bytes) and isinstance(at, float) and isinstance(uid, int)
    return typed and signal_crc(uid, name, value, at) == crc  # type: ignore[arg-type]  # the sum tells of a wrong type


def read_signals(connection: Connection, uid: int, after: int) -> list[Signal]:
    """The signals sent to a run, oldest first. Raises StoreDamaged where one is not what was written."""
    query = "SELECT number, name, value, at, crc FROM signal WHERE run=? AND number>? ORDER BY number"
    signals = []
    for number, name, value, at, crc in connection.execute(query, (uid, after)).fetchall():
        if not whole_signal(uid, name, value, at, crc):
            raise StoreDamaged(
                f"signal {number} ({name!r}) is damaged: run `headway doctor --repair` to drop it, then send it again"
            )
        signals.append(Signal(number=number, name=name, value=value, at=at))
    return signals


def whole_cache(key: object, row: Row, crc: object) -> bool:
    """Whether an entry of the cache has the bytes that were written."""
    try:
        return cache_crc(key, row) == crc  # type: ignore[arg-type]  # the sum tells of a wrong type
    except (TypeError, struct.error):
        return False


def read_parts(
    read: Callable[[int], list[Stored]],
    run: RunInfo,
    after: int,
    *,
    skip_damaged: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Iterator[list[tuple[int, Row]]]:
    """The rows of a run in order, verified, part by part as `read` finds those after a seq. Raises StoreDamaged where one is
    missing or is not what was written, unless `skip_damaged`. `check` is called before that, and may raise the real reason."""
    last = after
    while stored := read(last):
        part = whole_rows(run.uid, stored, last + 1)
        if part is not None:
            last = stored[-1][0]
            yield part
            continue
        part = []
        for one in stored:
            row = check_row(run.uid, one)
            if row is not None and (skip_damaged or one[0] == last + 1):
                part.append((one[0], row))
            elif not skip_damaged:
                check()
                raise make_row_damaged(run, last + 1, one)
            last = next_seq(last, one[0])
        yield part
    if last < run.nrows and not skip_damaged:
        check()
        raise make_row_damaged(run, last + 1, None)
