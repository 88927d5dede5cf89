"""Bugs that are put on purpose into what a store's lies touch, and how many of them the simulator catches."""

from __future__ import annotations

import sys

from benchmarks.methods.row import Held, Pair, Row
from benchmarks.scale_out.alone import alone
from benchmarks.sides import ROOT

LEAST = 15
PROVES = "tests/proof/test_the_proof_proves.py"


def caught(seed: int) -> Pair:
    """How many bugs of far stores and queues are caught, and how many there are."""
    sys.path.append(str(ROOT / "tests" / "proof"))
    from known.scale.bugs_of_far_stores import OF_FAR_STORES
    from seeded import hunt
    from where import WHERE

    bugs = [bug for bug in OF_FAR_STORES if bug.tests or bug.name in WHERE]
    if len(bugs) < LEAST:
        raise RuntimeError(f"{len(bugs)} bugs, not {LEAST}")
    with alone():
        return Pair(sum(hunt(bug) is not None for bug in bugs), len(bugs))


ROWS: list[Row | Held] = [
    Row(
        method="Lies",
        function="headway.sim.far.remote.RemoteStore",
        item="simulation",
        claim="a proof says something only if it would have found what is there to find",
        shows=f"at least {LEAST} bugs on purpose in commits, leases, signals, limits, queues and parking, each caught by "
        "drivers, workers and queues on a store that lies",
        baseline="bugs that were put in",
        unit="bugs caught",
        measure=caught,
        compare="difference",
        reached=lambda low, high: low == high == 0,
        exact=True,
        slow=True,
        test=f"{PROVES}::test_stores_that_lie_have_bugs_of_their_own",
    ),
    Held(
        item="proof",
        promise="Bugs on purpose in the store in Postgres, in queues, workers, agents, relays and copies, each caught by a "
        "test of theirs",
        tests=(f"{PROVES}::test_a_seeded_bug_is_caught", f"{PROVES}::test_every_seeded_bug_is_one_of_the_code_as_it_is"),
    ),
]
