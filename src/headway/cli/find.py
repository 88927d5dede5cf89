"""Finds the call of a run that a user names on the command line."""

from __future__ import annotations

import difflib
import re

from headway.errors import UsageError
from headway.observe.recorded import Call, RecordedRun
from headway.observe.tree import matches_task

CANDIDATES = 8


def find_call(recorded: RecordedRun, wanted: str) -> Call:
    """The one call that a user means by the beginning of its key, by its task, or by its task and a part of its arguments:
    `3fa2c1`, `search`, `search:blue`, `search('why is the sky blue?')`. Raises UsageError that lists the candidates."""
    by_key = re.fullmatch(r"[0-9a-fA-F]{4,32}", wanted)
    found = [call for call in recorded.calls.values() if by_key and call.key.hex().startswith(wanted.lower())]
    if not found:
        found = _by_task(recorded, wanted)
    if len(found) == 1:
        return found[0]
    run_id = recorded.info.spec.run_id
    if not found:
        tasks = sorted({call.task.rpartition(".")[2] for call in recorded.calls.values() if call.task})
        near = difflib.get_close_matches(re.split(r"[:(]", wanted)[0], tasks, 3) or tasks[:CANDIDATES]
        raise UsageError(f"run {run_id!r} has no call {wanted!r}; it has calls of {', '.join(near)}")
    lines = [f"  {call.key.hex()[:8]}  {call.name}  {call.state.said}" for call in found[:CANDIDATES]]
    more = [f"  … and {len(found) - CANDIDATES:,} more"] if len(found) > CANDIDATES else []
    raise UsageError("\n".join([f"{wanted!r} names {len(found):,} calls of run {run_id!r}; say which by its key:", *lines, *more]))


def _by_task(recorded: RecordedRun, wanted: str) -> list[Call]:
    match = re.fullmatch(r"([^:(]+)(?::(.*)|\((.*?)\)?)?", wanted, re.DOTALL)
    if match is None:
        return []
    text = match[2] if match[2] is not None else match[3] or ""
    calls = [call for call in recorded.calls.values() if call.task and matches_task(call.task, match[1])]
    exact = [call for call in calls if text and call.label == text]
    return exact or [call for call in calls if text in call.label]
