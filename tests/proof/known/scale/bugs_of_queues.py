"""Seeded bugs of queues: who is taken, how many at once, and who is woken."""

from __future__ import annotations

from seeded import Bug, bug

_TAKING, _BACK = "conformance/queues/test_taking_jobs.py", "conformance/queues/test_jobs_given_back.py"
_RECOVERY, _SCHEDULES = "conformance/queues/test_queue_recovery.py", "conformance/queues/test_schedules.py"
_LOCKS, _ENQUEUE = "journal/postgres/test_queue_locks.py", "journal/postgres/test_enqueue_in.py"

OF_QUEUES: tuple[Bug, ...] = (
    bug(
        "what is taken of a limit is counted without the queue's row",
        "SharedQueues._take",
        'f"SELECT settings, paused FROM queue WHERE name=? {self._locks.wait}"',
        "'SELECT settings, paused FROM queue WHERE name=?'",
        tests=f"{_LOCKS}::test_a_limit_counts_what_was_taken_while_it_waited_for_the_queue",
    ),
    bug(
        "a claim of a job keeps the fence of the driver before",
        "MemoryQueues._take",
        "fence=run.fence + 1",
        "fence=max(run.fence, 1)",
        tests=f"{_BACK}::test_a_run_that_is_released_is_taken_by_others_at_once",
    ),
    bug(
        "a parked run holds a slot",
        "sql.queues:_count",
        "\"SELECT key, COUNT(*) FROM job WHERE queue=? AND state='taken' GROUP BY key\"",
        "\"SELECT key, COUNT(*) FROM job WHERE queue=? AND state IN ('taken', 'parked') GROUP BY key\"",
        tests=f"{_TAKING}::test_a_run_that_is_given_back_holds_no_slot",
    ),
    bug(
        "a run that parks doesn't look whether a signal has come meanwhile",
        "sql.jobs:_give_back",
        "newest_signal=newest",
        "newest_signal=0",
        tests=f"{_BACK}::test_a_signal_that_came_while_the_run_parked_wakes_it",
    ),
    bug(
        "a run that parks doesn't look whether what it waits for has ended",
        "sql.jobs:_give_back",
        "ended=ended",
        "ended=False",
        tests=f"{_BACK}::test_a_run_that_has_ended_already_or_is_unknown_is_not_waited_for",
    ),
    bug(
        "the end of a run wakes nobody",
        "end_job",
        "wake_waiters(connection, locks, uid, now)",
        "None",
        tests=f"{_BACK}::test_the_end_of_a_run_wakes_who_waits_for_it",
    ),
    bug(
        "a driver that was swept may write on",
        "SharedQueues._sweep",
        "connection.execute(query, (RunStatus.INTERRUPTED.value, uid))",
        "None",
        tests=f"{_RECOVERY}::test_a_job_whose_lease_is_over_is_swept_with_a_pause_that_doubles_and_is_stuck_in_the_end",
    ),
    bug(
        "a batch of jobs whose answer was lost stands taken by nobody",
        "PostgresQueues._take",
        "self._find_taken(name, taker) if tries > 1 else []",
        "[]",
        tests=f"{_LOCKS}::test_a_batch_whose_answer_was_lost_is_found_again",
    ),
    bug(
        "what is enqueued in a transaction of the user's is committed by itself",
        "postgres.queues.enqueue:enqueue_in",
        "cursor.execute(asked.text(_MAKE), asked.values())",
        "cursor.execute(asked.text(_MAKE), asked.values())\nconn.commit()",
        tests=f"{_ENQUEUE}::test_nothing_is_there_when_the_user_rolls_back",
    ),
    bug(
        "a schedule forgets which run is to end before the next",
        "schedules:fire",
        "run_id if is_enqueued else info.last_run",
        "''",
        tests=f"{_SCHEDULES}::test_an_overlap_is_skipped_until_the_run_before_has_ended",
    ),
    bug(
        "a run that is stuck holds up its schedule",
        "Schedules._find_live",
        "return run if stuck is None else None",
        "return run",
        tests=f"{_SCHEDULES}::test_a_run_that_is_stuck_holds_up_no_schedule",
    ),
)
