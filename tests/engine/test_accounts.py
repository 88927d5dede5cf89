"""Accounts against a model: whatever calls do, no bound is passed by reservations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.engine.scopes.account import Account, remaining_in

STEPS = st.lists(st.tuples(st.sampled_from(["reserve", "settle"]), st.integers(0, 2), st.integers(0, 40)), max_size=60)


@given(STEPS)
def test_reservations_never_overdraw_any_account_of_the_chain(steps):
    outer = Account(b"o", None, {"tokens": 100.0})
    inner = [Account(b"a", outer, {"tokens": 60.0}), Account(b"b", outer, {"tokens": 70.0}), outer]
    held: list[tuple[Account, float]] = []
    for what, which, amount in steps:
        if what == "reserve":
            if inner[which].refuses({"tokens": float(amount)}) is None:
                inner[which].reserve({"tokens": float(amount)})
                held.append((inner[which], float(amount)))
        elif held:
            account, reserved = held.pop(amount % len(held))
            account.release({"tokens": reserved})
            account.spend({"tokens": reserved * 0.5})
        for account in inner:
            assert account.spent.get("tokens", 0) + account.reserved.get("tokens", 0) <= account.limits["tokens"] + 1e-9
            assert not account.closed
        left = remaining_in(inner[0], {each.key: each.taken for each in (inner[0], outer)})
        assert left["tokens"] <= min(inner[0].remaining["tokens"], outer.remaining["tokens"])


AMOUNT = st.integers(0, 12).map(float)
SHARE = st.fixed_dictionaries({"limit": AMOUNT, "spent": AMOUNT, "reserved": AMOUNT, "waits": st.booleans()})


@given(st.lists(SHARE, min_size=1, max_size=3), st.none() | AMOUNT, st.sampled_from(["tokens", "calls"]))
def test_a_reservation_fits_or_waits_or_never_fits(shares, amount, unit):
    """Every account decides for its own bound: one that can never have it, or does not wait for it, refuses whatever others say."""
    inner: Account | None = None
    verdicts = []
    for share in reversed(shares):
        inner = Account(b"", inner, {unit: share["limit"]}, waits=share["waits"])
        inner.spent, inner.reserved = {unit: share["spent"]}, {unit: share["reserved"]}
        gone = share["spent"] + (share["reserved"] if unit == "calls" else 0)  # an attempt that has begun counts for good
        fits = _fits(share["spent"] + share["reserved"], amount, share["limit"])
        verdicts.append("fits" if fits else "waits" if share["waits"] and _fits(gone, amount, share["limit"]) else "never")
    assert inner is not None
    refusal = inner.refuses({} if amount is None else {unit: amount})
    found = "fits" if refusal is None else "waits" if refusal.may_fit else "never"
    assert found == ("never" if "never" in verdicts else "waits" if "waits" in verdicts else "fits")


def _fits(held: float, amount: float | None, limit: float) -> bool:
    return held < limit if amount is None else amount == 0 or held + amount <= limit
