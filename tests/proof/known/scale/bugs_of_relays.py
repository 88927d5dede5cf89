"""Seeded bugs of calls from workers: whose they are, where they stand, and what becomes of them when a worker fails or dies."""

from __future__ import annotations

from seeded import Bug, bug

_ASKED = "relay/test_what_a_worker_asks.py"
_REAL = "relay/test_real_workers.py"

OF_RELAYS: tuple[Bug, ...] = (
    bug(
        "a worker's calls know no blocks",
        "Host._answer",
        "self._places.get(place)",
        "self._places.get(0)",
        tests=f"{_ASKED}::test_a_budget_is_that_of_the_body_and_refuses_at_once",
    ),
    bug(
        "a child's error is the body's own when it comes from a worker",
        "Launcher._submit",
        "host.trace(error, answer.origins)",
        "error",
        tests=f"{_ASKED}::test_an_attempt_after_a_failure_keeps_and_repeats_what_it_does_at_home",
    ),
    bug(
        "what a dead worker had called is called again",
        "is_own_failure",
        "issubclass(kind, WorkerDied)",
        "False",
        tests=f"{_REAL}::test_a_worker_that_is_killed_repeats_no_child_that_had_ended",
    ),
    bug(
        "a worker that waits no more is waited for",
        "host:Host.hear",
        "task.cancel()",
        "pass",
        tests=f"{_ASKED}::test_a_wait_that_the_code_gives_up_stops_what_it_waited_for",
    ),
    bug(
        "a fence lets everything through",
        "_find_spec",
        "host.allow is not None and not host.allow(question.task)",
        "False",
        tests=f"{_REAL}::test_a_pool_may_say_which_tasks_its_code_may_ask_for",
    ),
)
