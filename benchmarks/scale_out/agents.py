"""A call on an agent that Ray has placed, beside a task of Ray's that does nothing."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from benchmarks import hired
from benchmarks.methods.row import Held, Pair, Row
from benchmarks.scale_out.alone import alone

CALLS, ROUNDS = 1_000, 7

IN_SEQUENCE = "a call crosses two sockets there and two back, and on a machine that is busy each crossing waits for a core"
AT_ONCE = (
    "a call takes about 120 µs of CPU time (270 where nothing is sent ahead): 62 in the driver, whose "
    "one thread bounds the rate, 25 in the agent, 30 in the workers"
)


def beside_ray(shape: str) -> Callable[[int], Pair]:
    """Microseconds a call of both, the medians of rounds that alternate."""

    def take(seed: int) -> Pair:
        with alone():
            hired.TASKS[:] = [hired.make_ray_task()]
            found = hired.measure(CALLS, ROUNDS, None)
        return Pair(median(found[f"headway {shape}"]), median(found[f"ray {shape}"]))

    return take


ROWS: list[Row | Held] = [
    Row(
        method="Ray",
        function="headway.Hired",
        item="agents",
        claim="Ray places agents, and calls go to them directly",
        shows=f"a call on a Ray-hired agent, {shape}: at most 0.2x of a `ray.remote` no-op",
        baseline="a task of Ray's, max_retries=0",
        unit="µs a call",
        measure=beside_ray(shape),
        reached=lambda low, high: high <= 0.2,
        test="tests/pools/agents/test_ray.py::test_a_program_runs_on_agents_that_ray_has_placed_and_gives_the_room_back",
        reason=reason,
    )
    for shape, reason in (("sequential", IN_SEQUENCE), ("fan-out", AT_ONCE))
]
