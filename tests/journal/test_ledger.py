"""The ledger against a model: however often the rows are read, nothing is counted twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.journal.recovery.ledger import Ledger

NOTES = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([b"", b"s", b"t"]), st.integers(0, 50)), max_size=40)


@given(NOTES)
def test_reading_the_rows_twice_counts_them_once(notes):
    once, twice = Ledger(), Ledger()
    for ledger, times in ((once, 1), (twice, 2)):
        ledger.opened(b"t", b"s")
        for _ in range(times):
            cost: dict[tuple[int, bytes], float] = {}
            for call, scope, more in notes:
                cost[call, scope] = cost.get((call, scope), 0.0) + more
                ledger.note(bytes([call]), scope, {"tokens": cost[call, scope]})
    assert once.spent() == twice.spent()
    below = sum(more for _, scope, more in notes if scope in (b"s", b"t"))
    assert once.spent().get(b"s", {}).get("tokens", 0.0) == below


def test_a_reservation_without_an_end_counts_as_spent():
    ledger = Ledger()
    ledger.note(b"c", b"s", {"tokens": 5.0}, {"tokens": 40.0})
    assert ledger.spent() == {b"s": {"tokens": 45.0}}
    ledger.note(b"c", b"s", {"tokens": 12.0})
    assert ledger.spent() == {b"s": {"tokens": 12.0}}
