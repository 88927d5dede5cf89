"""Seeded bugs of pools: their answers, and what goes along with a call to another process.

A worker process imports a Headway of its own, without the bug. So a bug of what travels is put where it is sent.
"""

from __future__ import annotations

from seeded import Bug, bug

_CARRIED = "pools/test_logs_and_context.py"

OF_POOLS: tuple[Bug, ...] = (
    bug(
        "a pool's second answer goes unnoticed",
        "Guarded._take_answer",
        "job not in self._open",
        "False",
        tests="pools/test_own_pools.py::test_the_check_finds_what_a_pool_does_not_keep",
    ),
    bug(
        "levels do not travel",
        "RemoteWorker.assign",
        "levels=logs.levels_here()",
        "levels={}",
        tests=f"{_CARRIED}::test_what_nobody_hears_is_not_sent",
    ),
    bug(
        "context is not carried",
        "RemoteWorker.assign",
        "encode_carried(job.context, job.facts.task)",
        'b""',
        tests=f"{_CARRIED}::test_a_declared_variable_has_the_caller_s_value_in_a_process",
    ),
    bug(
        "members share their random state",
        "_Own.in_place",
        "torch.set_rng_state(self._torch)",
        "pass",
        tests="sim/check/test_check_pools.py::test_members_have_what_a_process_has_for_itself",
    ),
)
