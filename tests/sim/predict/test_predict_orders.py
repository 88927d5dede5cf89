"""Orders of the calls that wait, compared on the trials of one workload."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import headway as hw
from headway.methods.schedule.orders import ORDERS
from headway.sim.predict import Stage, Workload, estimate_workload, predict


def last_first(waiting: Sequence[hw.Waiting]) -> list[float]:
    return [-each.number for each in waiting]


def mixed(spread_s: float = 0.0) -> Workload:
    """Twenty short calls, and two long ones that are asked for after them."""
    return estimate_workload([Stage("short", 20, 1.0, spread_s), Stage("long", 2, 10.0, spread_s)])


def test_the_long_calls_last_take_longer_and_the_prediction_says_by_how_much() -> None:
    orders = {name: ORDERS[name] for name in ("first-come", "longest-first")} | {"mine": last_first}
    answer = predict(mixed(), workers=4, curve=(), orders=orders)
    found = {each.order: each for each in answer.orders}
    assert found["first-come"].makespan_s.p50 == pytest.approx(15.0)
    assert found["mine"].makespan_s.p50 == pytest.approx(10.0)
    assert found["longest-first"].makespan_s.p50 <= 11.0
    assert found["first-come"].saved == pytest.approx(1 - 15.0 / answer.makespan_s.p50)


def test_orders_are_compared_trial_by_trial() -> None:
    answer = predict(mixed(0.5), workers=4, trials=20, curve=(1, 8), orders={"first-come": ORDERS["first-come"]})
    (first,) = answer.orders
    assert first.low < first.saved < first.high < 0.0
    assert [point.workers for point in answer.curve] == [1, 4, 8], "the curve is that of the order of a run without one"
    assert all(point.trials <= 20 for point in answer.curve)


def test_the_same_seed_gives_the_same_comparison_in_one_process_and_in_two() -> None:
    asked = {"workers": 3, "trials": 6, "curve": (), "orders": {"longest": ORDERS["longest-first"], "mine": last_first}}
    assert predict(mixed(0.5), processes=1, **asked).orders == predict(mixed(0.5), processes=2, **asked).orders


def test_what_is_no_order_is_refused() -> None:
    with pytest.raises(hw.UsageError, match="order soonest = 'soonest': a function of the calls that wait"):
        predict(mixed(), workers=4, orders={"soonest": "soonest"})
