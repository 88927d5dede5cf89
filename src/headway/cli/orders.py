"""`--order`: the order in which calls that wait are started, by name."""

from __future__ import annotations

from headway.engine.dispatch.order import Order
from headway.errors import UsageError
from headway.methods.schedule.orders import ORDERS
from headway.near import near_misses
from headway.pools.program import load_object


def load_order(name: str) -> Order:
    """The order of a name, or that of `program.py:function`."""
    if name in ORDERS:
        return ORDERS[name]
    if ":" not in name:
        near = near_misses(name, ORDERS)
        said = f"{near} There" if near.endswith("?") else "there"
        raise UsageError(f"--order {name!r}: {said} are {', '.join(ORDERS)}; one of your own is FILE:FUNCTION")
    order: Order = load_object(name)
    if not callable(order):
        raise UsageError(f"--order {name}: {type(order).__name__}, not a function of the calls that wait")
    return order
