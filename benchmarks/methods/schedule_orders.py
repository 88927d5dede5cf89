"""Dispatch rules in the queue of a run, and what `headway predict --order` says of them beforehand.

Runs are on a virtual clock, four calls at a time. Calls are of eight tasks; nobody says how long each takes, so an order goes by
what calls of a task took so far. How many tasks there are, and how tight the deadlines, was chosen on seeds 100 to 105.

On seeds 0 to 4 a run with the longest first took 0.969 times as long, from 0.938 to 1.00: too few to tell, because on some of them
one call is as long as all the rest. It is now measured on 20 other seeds.
"""

from __future__ import annotations

import asyncio
import random

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway import testing
from headway.methods.schedule import ORDERS
from headway.sim.predict import predict, read_workload

KINDS, CALLS, SLOTS = 8, 64, 4
COMPARED = ("first-come", "shortest-first", "longest-first")
RECORDED = "recorded"
TESTS = "tests/engine/test_order.py"
PREDICTED = "tests/sim/predict/test_predict_orders.py"


class Work:
    """Calls of eight tasks whose mean durations are far apart, in an order drawn by a seed."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(f"orders {seed}")
        means = [draw.lognormvariate(0, 1.2) for _ in range(KINDS)]
        kinds = [draw.randrange(KINDS) for _ in range(CALLS)]
        self.asked = [(kind, means[kind] * draw.uniform(0.8, 1.2)) for kind in kinds]
        self.due = [draw.uniform(0, 1.6) * sum(seconds for _, seconds in self.asked) / SLOTS for _ in self.asked]
        self.tasks = [_make_task(kind) for kind in range(KINDS)]


def _make_task(kind: int) -> hw.Task[[float], None]:
    async def work(seconds: float) -> None:
        await asyncio.sleep(seconds)

    work.__qualname__ = work.__name__ = f"kind{kind}"
    return hw.task(work)


def makespan(seed: int, order: str | None, *, slots: int = SLOTS, store: hw.MemoryStore | None = None) -> float:
    """Seconds that a run takes with so many calls at a time, in an order."""
    work = Work(seed)

    @hw.task
    async def program() -> float:
        with hw.limit(slots):
            await hw.gather(*(work.tasks[kind](seconds) for kind, seconds in work.asked))
        return hw.now()

    clock = testing.VirtualClock()
    testing.run(program, store=store, run_id=RECORDED if store else None, clock=clock, order=ORDERS[order] if order else None)
    return clock.elapsed


def share_in_time(seed: int, order: str | None) -> float:
    """The share of calls that end before their deadlines."""
    work = Work(seed)

    async def one(kind: int, seconds: float, due: float) -> bool:
        try:
            with hw.deadline(seconds=due):
                await work.tasks[kind](seconds)
        except hw.DeadlineExceeded:
            return False
        return True

    @hw.task
    async def program() -> list[bool]:
        with hw.limit(SLOTS):
            return await hw.gather(*(one(*asked, due) for asked, due in zip(work.asked, work.due, strict=True)))

    ended = testing.run(program, store=None, order=ORDERS[order] if order else None)
    return sum(ended) / len(ended)


def measure_longest_first(seed: int) -> Pair:
    """Seconds of a run: the longest first, and the better of two other orders."""
    return Pair(makespan(seed, "longest-first"), min(makespan(seed, order) for order in ("first-come", "shortest-first")))


def measure_due(seed: int) -> Pair:
    """The share of calls in time: by due dates, and by the better of two orders that don't look at them."""
    return Pair(share_in_time(seed, "edd"), max(share_in_time(seed, order) for order in ("first-come", "shortest-first")))


def measure_prediction(seed: int) -> Pair:
    """Seconds of a run: in the order that the prediction calls the best, and in the one that is, known afterwards. Predicted from
    a recorded run of all calls at once."""
    store = hw.MemoryStore()
    makespan(seed, None, slots=CALLS, store=store)
    orders = {order: ORDERS[order] for order in COMPARED}
    answer = predict(read_workload(RECORDED, store), workers=SLOTS, trials=20, curve=(), processes=1, orders=orders)
    chosen = max(answer.orders, key=lambda each: each.saved).order
    return Pair(makespan(seed, chosen), min(makespan(seed, order) for order in COMPARED))


ROWS = [
    Row(
        method="`hw.run(order=)`",
        function="headway.methods.schedule.by_rule",
        item="schedule",
        claim="",
        shows="64 calls of eight tasks, four at a time, with the longest first: done sooner",
        baseline="the better of first come and shortest first",
        unit="seconds (virtual clock)",
        measure=measure_longest_first,
        first_seed=200,
        seeds=20,
        reached=lambda low, high: high < 1,
        test="tests/methods/schedule/test_orders_of_a_run.py::test_the_longest_first_ends_a_run_sooner",
    ),
    Row(
        method="`hw.run(order=)`",
        function="headway.methods.schedule.by_rule",
        item="schedule",
        claim="",
        shows="calls with deadlines of their own, due dates first: more are in time",
        baseline="the better of first come and shortest first",
        unit="share of calls in time",
        measure=measure_due,
        compare="difference",
        reached=lambda low, high: low > 0,
        test="tests/methods/schedule/test_orders_of_a_run.py::test_due_dates_first_brings_more_calls_in_time",
    ),
    Row(
        method="`headway predict --order`",
        function="headway.sim.predict.predict",
        item="schedule",
        claim="",
        shows="from a run of all calls at once: the order that is predicted to be best with four at a time is the best",
        baseline="the best of three orders, known afterwards",
        unit="seconds (virtual clock)",
        measure=measure_prediction,
        reached=lambda low, high: high <= 1.01,
        test="tests/methods/schedule/test_orders_of_a_run.py::test_the_order_that_is_predicted_to_be_best_is_the_best",
    ),
    Held(
        item="schedule",
        promise="`hw.run(order=)`: what waits starts by the rule, also beyond the active set; a run survives every crash; a "
        "simulated one keeps to it",
        tests=(
            f"{TESTS}::test_what_waits_starts_by_the_numbers_of_the_order",
            f"{TESTS}::test_calls_beyond_the_active_set_start_by_the_order_too",
            f"{TESTS}::test_a_run_of_any_order_survives_every_crash",
            "tests/sim/test_orders.py::test_a_simulated_run_keeps_to_the_order_it_was_given",
        ),
    ),
    Held(
        item="schedule",
        promise="`headway predict --order` compares orders on the same trials of a recorded run",
        tests=(
            f"{PREDICTED}::test_orders_are_compared_trial_by_trial",
            "tests/cli/test_cli_predict.py::test_orders_of_the_calls_that_wait_are_compared",
        ),
    ),
    Held(
        item="schedule",
        promise="orders: no order, no number, too few numbers, an unknown name: one sentence, and the run goes on with another",
        tests=(
            f"{TESTS}::test_what_is_no_order_is_refused_before_anything_is_begun",
            f"{TESTS}::test_an_order_that_gives_no_numbers_ends_the_run_which_goes_on_without",
            "tests/cli/test_cli_predict.py::test_nonsense_is_answered_in_a_sentence",
            "tests/cli/test_cli_predict.py::test_an_order_that_gives_too_few_numbers_is_named",
        ),
    ),
]
