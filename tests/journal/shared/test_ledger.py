"""The ledger against a model: however often the rows are read, nothing is counted twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.journal.records import Amounts, Charge, Start
from headway.journal.recovery.ledger import Ledger

NOTES = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([b"", b"s", b"t"]), st.integers(0, 50)), max_size=40)


@given(NOTES)
def test_reading_the_rows_twice_counts_them_once(notes):
    once, twice = Ledger(), Ledger()
    for ledger, times in ((once, 1), (twice, 2)):
        ledger.note_budget(b"t", b"s")
        for _ in range(times):
            cost: dict[tuple[int, bytes], float] = {}
            for call, scope, more in notes:
                cost[call, scope] = cost.get((call, scope), 0.0) + more
                ledger.note_end(bytes([call]), scope, {"tokens": cost[call, scope]})
    assert once.spent() == twice.spent()
    below = sum(more for _, scope, more in notes if scope in (b"s", b"t"))
    assert once.spent().get(b"s", {}).get("tokens", 0.0) == below


def begin(ledger: Ledger, *, cost: Amounts, reserved: Amounts) -> None:
    ledger.note_start(b"c", Start("task", "", 1, 0, 0.0, scope=b"s", cost=cost, reserved=reserved))


def test_a_reservation_without_an_end_counts_as_spent():
    ledger = Ledger()
    begin(ledger, cost={"tokens": 5.0}, reserved={"tokens": 40.0})
    assert ledger.spent() == {b"s": {"tokens": 45.0}}
    assert (ledger.settled(), ledger.held()) == ({b"s": {"tokens": 5.0}}, {b"s": {"tokens": 40.0}})
    ledger.note_end(b"c", b"s", {"tokens": 12.0})
    assert ledger.spent() == ledger.settled() == {b"s": {"tokens": 12.0}}


def test_what_a_call_charges_is_taken_off_its_reservation():
    ledger = Ledger()
    begin(ledger, cost={"tokens": 5.0}, reserved={"tokens": 40.0, "money": 1.0})
    ledger.note_charge(b"c", Charge("task", b"s", {"tokens": 20.0}))
    assert ledger.held() == {b"s": {"tokens": 25.0, "money": 1.0}}
    ledger.note_charge(b"c", Charge("task", b"s", {"tokens": 60.0}))
    assert ledger.held() == {b"s": {"tokens": 0.0, "money": 1.0}}
    ledger.note_charge(b"c", Charge("task", b"out", {"tokens": 7.0}))
    assert ledger.cost_of(b"c", b"s") == {"tokens": 60.0, "money": 1.0}
    assert ledger.costs() == {b"c": {"tokens": 67.0}}


def test_what_was_settled_is_not_reserved_again_by_a_late_charge():
    ledger = Ledger()
    begin(ledger, cost={}, reserved={"tokens": 40.0})
    ledger.note_charge(b"c", Charge("task", b"s", {"tokens": 10.0}, settled=True))
    ledger.note_charge(b"c", Charge("task", b"s", {"tokens": 11.0}))
    assert ledger.spent() == {b"s": {"tokens": 11.0}}
