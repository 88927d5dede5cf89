"""Seeded bugs of the service: a run that is parked at the wrong moment, a worker that keeps or strands what it took."""

from __future__ import annotations

from seeded import Bug, bug

PARKING = "service/test_parking.py::"
WORKER = "service/test_worker.py::"

OF_THE_SERVICE: tuple[Bug, ...] = (
    bug(
        "a run is parked although code of it waits for the world",
        "waiting.parking:decide_parking",
        "standing.waiting != sum(call.waits for call in standing.calls)",
        "False",
        tests=f"{PARKING}test_a_run_stays_while_something_goes_on_in_it_that_another_process_would_not_have",
    ),
    bug(
        "a run is parked although an effect of it has begun",
        "Parking._keeps",
        "spec.effect",
        "False",
        tests=f"{PARKING}test_a_run_stays_while_something_goes_on_in_it_that_another_process_would_not_have",
    ),
    bug(
        "a run is parked although a timer of its code goes on",
        "Parking._is_foreign",
        'not module.startswith("headway.")',
        "False",
        tests=f"{PARKING}test_a_run_stays_while_something_goes_on_in_it_that_another_process_would_not_have",
    ),
    bug(
        "a run that is parked does not say which signals it has heard",
        "Parking._park_if_idle",
        "self._signals.heard",
        "1 << 40",
        tests=f"{PARKING}test_a_signal_that_is_sent_while_a_run_is_being_parked_wakes_it",
    ),
    bug(
        "a call pays again each time that its run is parked",
        "Accounting.settle",
        "due and not self._run.parked",
        "due",
        tests=f"{PARKING}test_a_budget_counts_a_call_once_however_often_its_run_was_parked",
    ),
    bug(
        "a worker takes back what dead workers left only when it starts",
        "service.worker:Worker._look",
        "store.sweep_jobs(now, SWEPT)",
        "store.sweep_jobs(now, SWEPT if now == self._since else 0)",
        tests=f"{WORKER}test_a_dead_workers_run_goes_on_with_a_worker_that_was_there_before_it_died",
    ),
    bug(
        "a worker keeps what it took while it was told to leave",
        "service.worker:Worker._poll",
        "await self._world.aside(self._hand_back, looked.taken)",
        "",
        tests=f"{WORKER}test_what_was_taken_while_the_worker_was_told_to_leave_is_given_back_at_once",
    ),
    bug(
        "a worker that is told to leave gives its runs no time",
        "service.worker:Worker._drain",
        "self._options.grace_s",
        "0.0",
        tests=f"{WORKER}test_a_worker_that_is_told_to_leave_takes_nothing_more_and_lets_its_runs_end",
    ),
    bug(
        "a call cancels the run that it started before that is on record",
        "_Started.drive",
        "await self._until_durable(self._note(CANCELLED_HERE))",
        "self._note(CANCELLED_HERE)",
        tests="service/test_started.py::test_that_a_call_cancels_its_run_is_on_record_before_it_does",
    ),
)
