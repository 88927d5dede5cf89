"""The checker of histories finds each kind of breach, and none where all is well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from histories import NEVER, Append, Entry, Histories, Notebook, Reading, find_violations, read_histories


def group(name: str, first: int, size: int = 2, *, fence: int = 1, began: int = 0, how: str = "ok") -> Append:
    entries = tuple(Entry(f"{name}{k}", 10 + k) for k in range(size))
    return Append(f"client {name}", fence, first, entries, began, NEVER if how == "info" else began + 5, how)


A, B, C = group("a", 1), group("b", 3, began=10), group("c", 5, fence=2, began=20)
GOOD = [*A.entries, *B.entries, *C.entries]


def number(entries: list[Entry]) -> list[tuple[int, Entry]]:
    return list(enumerate(entries, 1))


def promises(histories: Histories, final: list[tuple[int, Entry]], ledger: int | None = None) -> set[str]:
    return {violation.promise for violation in find_violations(histories, final, ledger)}


def test_a_history_without_a_fault_passes():
    told = [A, B, C, group("d", 7, fence=2, began=30, how="info"), group("e", 7, fence=2, began=30, how="fail")]
    seen = [Reading("x", ("a0", "a1")), Reading("y", ())]
    assert not find_violations(Histories(told, seen), number(GOOD), 6 * 10 + 3)


def test_what_is_unknown_may_be_there_once():
    unknown = group("d", 7, fence=2, began=30, how="info")
    assert not find_violations(Histories([A, B, C, unknown]), number([*GOOD, *unknown.entries]))


@pytest.mark.parametrize(
    ("promise", "told", "final"),
    [
        ("acknowledged is there", [A, B, C], number([*A.entries, *B.entries])),
        ("acknowledged is there", [A, B, C], number([*A.entries, *C.entries, *B.entries])),
        ("no row twice", [A, B, C], number([*GOOD, C.entries[1]])),
        ("no row twice", [A, replace(B, how="info")], number([*A.entries, *B.entries, *B.entries])),
        ("no row of nobody", [A, B], number(GOOD)),
        ("no gap", [A, B, C], [*number(GOOD)[:3], *[(seq + 1, entry) for seq, entry in number(GOOD)[3:]]]),
        ("failed is not there", [A, replace(B, how="fail"), C], number(GOOD)),
        ("all or nothing", [A, B, replace(C, how="info")], number(GOOD[:-1])),
        ("all or nothing", [A, replace(B, how="info")], number([A.entries[0], B.entries[0], A.entries[1], B.entries[1]])),
        ("later comes after", [A, replace(B, how="info", began=40), C], number(GOOD)),
        ("no late writer", [A, replace(B, fence=3), C], number(GOOD)),
        ("ledger", [A, B, C], number(GOOD[:-1])),
        ("ledger", [A, B, C], number([*GOOD[:-1], GOOD[-1]._replace(cost=99)])),
    ],
)  # fmt: skip
def test_each_breach_is_found(promise, told, final):
    assert promise in promises(Histories(told), final)


def test_a_row_that_was_read_and_is_gone_is_found():
    assert promises(Histories([A, B], [Reading("x", ("a0", "a1", "b0", "b1"))]), number([*A.entries])) >= {"read stays"}


def test_a_ledger_that_counts_otherwise_is_found():
    assert promises(Histories([A]), number([*A.entries]), 22) == {"ledger"}


def test_a_client_that_was_killed_knows_nothing_of_its_last_try(tmp_path: Path):
    book = Notebook(tmp_path / "one", "one")
    book.read([])
    book.invoke(1, 1, A.entries)
    book.hear("ok")
    book.invoke(1, 3, B.entries)
    found = read_histories([tmp_path / "one"])
    assert [(one.how, one.entries) for one in found.appends] == [("ok", A.entries), ("info", B.entries)]
    assert found.appends[0].began < found.appends[0].ended < found.appends[1].began
    assert found.readings == [Reading("one", ())]
