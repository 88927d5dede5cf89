"""Give a call its result by hand: `hw.set_result`, `headway set`.

Use it for a call that failed or hangs when a person knows the result: an expert's answer, a payment that was looked up, a page
fetched by other means. The run goes on as if the call had returned it.
"""

from __future__ import annotations

import getpass
import socket
import time
from pathlib import Path

from headway.engine.tasks.spec import TASKS
from headway.errors import UsageError
from headway.journal.codec.codec import digest, encode
from headway.journal.open import DEFAULT_STORE, open_existing
from headway.journal.owner import LEASE_S, check_takeover, this_process
from headway.journal.records import INLINE_BYTES, Ending, RunInfo, RunStatus
from headway.journal.recovery.by_hand import Given, last_rows, rows_by_hand, task_of
from headway.journal.recovery.forking import find_recorded
from headway.journal.recovery.ledger import Ledger
from headway.journal.recovery.recovered import load
from headway.journal.store import Buffer, Store


def set_result(
    run_id: str,
    call: str,
    value: object,
    *,
    store: str | Path | Store = DEFAULT_STORE,
    by: str = "",
    force: bool = False,
) -> str:
    """Give a call of a run its result. A resume then goes on with it.

    It is recorded with who gave it and when, and shown as such. It holds whatever the call's inputs come out as. The calls around
    it run their code once more; all else that is finished stays.

    Args:
        run_id: the run. Nobody may drive it meanwhile.
        call: the call's key, or the beginning of it. The journal must know the call: it has failed, or it is an
            effect, has a reservation or was tried before.
        value: the result.
        store: where the run is.
        by: who gives it; by default the user of this process and the machine.
        force: replace a result that the call has.

    Returns:
        The call's key, hexadecimal.

    Raises:
        UnknownRun: there is no such run.
        RunOwned: a live process drives it.
        NotEncodable: the value has no encoding.
        UsageError: no call or several have such a key; the call has a result already; a call around it shares its result with other
            runs.

    Example:
        >>> import headway as hw
        >>> @hw.task
        ... async def look_up(name: str) -> int:
        ...     raise ConnectionError("the service is gone")
        >>> @hw.task
        ... async def program() -> int:
        ...     return 1 + await look_up("sky")
        >>> store = hw.MemoryStore()
        >>> try:
        ...     hw.run(program, store=store, run_id="sky")
        ... except ConnectionError:
        ...     failed = [call.key for call in hw.view("sky", store=store).calls if call.task.endswith("look_up")]
        >>> _ = hw.set_result("sky", failed[0], 41, store=store)
        >>> hw.resume("sky", store=store)
        42
    """
    opened = open_existing(store)
    try:
        info = opened.run(run_id)
        rows = list(opened.rows(info.uid))
        key, last = find_recorded(call, rows, info), last_rows(rows)
        if key not in last:
            raise UsageError(f"run {run_id!r}: too little is recorded of call {key.hex()[:8]} to give it a result by hand")
        task = task_of(last[key])
        head, buffers = encode(value, where=f"the result of {task}")
        check_takeover(info, time.time())
        given = _make_given(task, head, buffers, by)
        rows_by_hand(last, Ledger(), key, given, force=force)  # refused before anything is written
        _write(opened, info, key, given, {digest(buffer): buffer for buffer in (head, *buffers)}, force=force)
        return key.hex()
    finally:
        if opened is not store:
            opened.close()


def _make_given(task: str, head: bytes, buffers: tuple[Buffer, ...], by: str) -> Given:
    if by and not by.isprintable():
        raise UsageError(f"hw.set_result(by={by!r:.100}): a name of printable characters")
    names = tuple(digest(buffer) for buffer in buffers)
    if len(head) > INLINE_BYTES:
        names, head = (digest(head), *names), b""
    spec = TASKS.get(task)
    version = spec.version if spec is not None else None
    return Given(value=head, blobs=names, by=by or _who(), at=time.time(), version=version)


def _who() -> str:
    try:
        return f"{getpass.getuser()} on {socket.gethostname()}"
    except (OSError, KeyError):  # a user without a name
        return f"somebody on {socket.gethostname()}"


def _write(opened: Store, info: RunInfo, key: bytes, given: Given, data: dict[bytes, Buffer], *, force: bool) -> None:
    for name in given.blobs:
        opened.put_blob(name, data[name])
    lease = opened.acquire(info.spec.run_id, this_process(), LEASE_S, time.time())
    try:
        known = load(opened, info.uid)  # as it is now that nobody else writes
        made = rows_by_hand(last_rows(opened.rows(info.uid)), known.ledger, key, given, force=force)
        opened.commit(lease, known.last_seq + 1, made, time.time(), ending=Ending(RunStatus.INTERRUPTED))
    except BaseException:
        opened.release(lease, info.status, time.time())
        raise
