"""Promises of many machines that have no number, and the tests that hold them."""

from __future__ import annotations

from benchmarks.methods.row import Held, Row

POSTGRES, CHAOS, QUEUES = "tests/journal/postgres", "tests/chaos/postgres", "tests/conformance/queues"
SERVICE, AGENTS, RELAY, COPYING = "tests/service", "tests/pools/agents", "tests/relay", "tests/journal/copying"


def held(item: str, promise: str, **tests: tuple[str, ...]) -> Held:
    """A promise; tests by file, of which each is named as in `FILES`."""
    return Held(
        item=item, promise=promise, tests=tuple(f"{FILES[file]}::test_{name}" for file, names in tests.items() for name in names)
    )


FILES = {
    "outcomes": f"{POSTGRES}/test_unknown_outcomes.py",
    "left": f"{POSTGRES}/test_sessions_left_behind.py",
    "word": f"{POSTGRES}/test_word.py",
    "clocks": f"{POSTGRES}/test_clocks_apart.py",
    "processes": f"{POSTGRES}/test_many_processes.py",
    "migrations": f"{POSTGRES}/test_migrations.py",
    "poolers": f"{POSTGRES}/test_poolers.py",
    "failover": f"{POSTGRES}/test_failover.py",
    "errors": f"{POSTGRES}/test_errors_read_aloud.py",
    "own": f"{POSTGRES}/test_enqueue_in.py",
    "locks": f"{POSTGRES}/test_queue_locks.py",
    "blobs": "tests/conformance/test_kept_blobs.py",
    "gc": "tests/journal/upkeep/test_gc_in_postgres.py",
    "doctor": "tests/journal/upkeep/test_doctor_in_postgres.py",
    "checkpoints": "tests/checkpoint/test_checkpoints_in_postgres.py",
    "pages": "tests/conformance/test_pages_of_runs.py",
    "copies": f"{COPYING}/test_copying.py",
    "copied": f"{COPYING}/test_any_history_is_copied.py",
    "taking": f"{QUEUES}/test_taking_jobs.py",
    "given": f"{QUEUES}/test_jobs_given_back.py",
    "races": f"{QUEUES}/test_queue_races.py",
    "recovery": f"{QUEUES}/test_queue_recovery.py",
    "schedules": f"{QUEUES}/test_schedules.py",
    "parking": f"{SERVICE}/test_parking.py",
    "worker": f"{SERVICE}/test_worker.py",
    "workers": f"{SERVICE}/test_processes.py",
    "asking": f"{SERVICE}/test_asking.py",
    "transaction": f"{SERVICE}/test_own_transaction.py",
    "page": f"{SERVICE}/test_page.py",
    "example": "tests/examples/test_service_example.py",
    "hired": f"{AGENTS}/test_agents_hired.py",
    "lost": f"{AGENTS}/test_agents_lost.py",
    "gangs": f"{AGENTS}/test_agent_gangs.py",
    "ray": f"{AGENTS}/test_ray.py",
    "wire": f"{AGENTS}/test_wire.py",
    "direct": f"{AGENTS}/test_direct.py",
    "same": f"{RELAY}/test_same_calls.py",
    "asked": f"{RELAY}/test_what_a_worker_asks.py",
    "real": f"{RELAY}/test_real_workers.py",
    "may_not": f"{RELAY}/test_what_a_worker_may_not.py",
    "far": "tests/proof/test_far.py",
    "cuts": f"{CHAOS}/test_replies.py",
    "crashes": f"{CHAOS}/test_crashes.py",
    "partitions": f"{CHAOS}/test_partitions.py",
    "scarcity": f"{CHAOS}/test_scarcity.py",
    "standbys": f"{CHAOS}/test_standbys.py",
    "drivers": f"{CHAOS}/test_drivers.py",
    "kills": f"{CHAOS}/test_many_kills.py",
    "histories": f"{CHAOS}/test_histories.py",
}

ROWS: list[Row | Held] = [
    held(
        "postgres",
        "Postgres: a commit whose answer is lost is found out by a look under the run's lock, and is there once or never",
        outcomes=(
            "what_there_is_of_a_group_is_told_by_its_checksums_and_the_run",
            "who_looks_for_a_group_waits_for_a_first_try_that_still_runs_and_sees_it_whole",
            "a_first_try_that_comes_late_is_found_and_not_written_again",
        ),
        cuts=(
            "commits_that_are_cut_at_each_place_are_there_once_or_never",
            "hundreds_of_swallowed_replies_lose_and_double_nothing",
        ),
    ),
    held(
        "postgres",
        "Postgres: a driver that vanished in the middle of a commit is evicted, and one that may be there is not",
        left=(
            "a_driver_takes_over_from_one_that_vanished_in_the_middle_of_a_commit",
            "a_driver_that_may_be_there_keeps_its_session_and_its_run",
            "a_session_that_got_the_process_id_of_another_one_is_left_alone",
        ),
        partitions=("a_driver_takes_over_from_one_that_is_gone_whose_session_still_holds_the_run",),
    ),
    held(
        "postgres",
        "Postgres: signals are numbered by run in the order of commits, so that a reader misses none; an idle driver asks one "
        "small question a second at most",
        word=(
            "a_reader_that_follows_signals_misses_none_when_two_transactions_overlap",
            "word_comes_to_those_who_listen_and_to_those_who_only_ask",
            "an_idle_driver_asks_one_small_question_a_second_at_most",
            "a_commit_notifies_nobody",
        ),
    ),
    held(
        "postgres",
        "Postgres: machines whose clocks differ by hours agree on leases, places and times to wake at",
        clocks=(
            "a_lease_is_over_for_all_machines_when_it_is_for_the_server",
            "a_clock_that_is_set_while_a_run_is_driven_moves_no_lease",
            "a_run_that_is_parked_by_a_machine_whose_clock_is_off_is_woken_by_the_server_s_clock",
        ),
    ),
    held(
        "postgres",
        "Postgres: locks are taken in one order, and what met a deadlock is done again",
        processes=(
            "a_deadlock_ends_for_both_with_what_they_asked_for",
            "items_that_processes_append_at_once_have_one_number_each",
            "each_name_that_processes_claim_at_once_is_computed_by_one",
        ),
    ),
    held(
        "postgres",
        "Postgres: a value up to 1 MiB lies in the database, a larger one in the folder or object store that goes with it",
        blobs=("a_blob_that_exists_is_never_written_again", "a_blob_with_other_bytes_is_never_returned"),
        gc=("large_blobs_go_from_their_place_too",),
    ),
    held(
        "postgres",
        "Postgres: migrations run beside live drivers, leave nothing half made, and keep out only those that can't go on",
        migrations=(
            "a_driver_goes_on_beside_a_schema_that_was_added_to_and_so_does_one_that_opens_it_then",
            "a_migration_that_meets_a_lock_lets_drivers_pass_and_is_tried_again",
            "a_migration_that_fails_leaves_nothing",
            "an_index_that_was_left_half_made_is_made_again_by_the_next_one",
        ),
    ),
    held(
        "postgres",
        "Postgres: behind a pooler in transaction mode nothing is kept in a session",
        poolers=(
            "many_drivers_share_few_sessions_and_none_of_them_keeps_anything_of_another_one",
            "who_forgets_to_say_that_there_is_a_pooler_is_told_so",
        ),
    ),
    held(
        "postgres",
        "Postgres: after a failover the server that takes writes is found, and one that lacks what was reported is not written to",
        failover=(
            "of_several_hosts_the_one_that_takes_writes_is_used_and_the_dead_one_passed_over",
            "a_standby_that_lacks_what_was_reported_is_not_written_to",
            "a_commit_whose_wait_for_standbys_was_cancelled_is_not_reported",
        ),
    ),
    held(
        "postgres",
        "Postgres: runs are forgotten, and blobs that nothing names, in batches and beside live drivers",
        gc=(
            "what_an_interrupted_deletion_left_is_said_and_removed_in_batches",
            "a_blob_that_is_written_while_it_is_being_removed_is_there_afterwards",
            "a_run_goes_with_its_records_signals_and_checkpoints_and_a_live_one_does_not",
        ),
    ),
    held(
        "postgres",
        "Postgres: checkpoints of its runs lie in the folder or object store that goes with it",
        checkpoints=(
            "a_call_finds_its_checkpoints_in_the_folder_again",
            "a_call_finds_its_checkpoints_in_an_object_store_again",
            "without_a_place_one_sentence_says_what_to_add",
        ),
    ),
    held(
        "postgres",
        "Postgres: runs are listed by pages",
        pages=(
            "pages_follow_one_another_until_one_is_not_full",
            "the_newest_come_first_where_that_is_asked",
            "only_runs_of_the_statuses_fill_a_page",
        ),
    ),
    held(
        "postgres",
        "Postgres: the doctor finds damage, and says what the server's settings allow to be promised",
        doctor=(
            "damage_is_found_and_what_it_means_for_the_run_is_said",
            "what_a_server_promises_follows_from_what_it_says",
            "a_server_without_fsync_is_at_risk",
        ),
    ),
    held(
        "postgres",
        "Copies: runs move between stores in either direction, verified row by row; a copy that is killed goes on",
        copied=("any_history_is_the_same_there_and_back",),
        copies=(
            "a_run_that_was_broken_off_goes_on_in_another_store_and_repeats_nothing",
            "a_copy_that_is_killed_anywhere_leaves_nothing_half_written_and_goes_on",
            "a_run_that_somebody_drives_is_refused_and_the_others_are_copied",
            "a_copy_that_was_sent_something_since_is_refused_and_left_as_it_is",
        ),
    ),
    held(
        "service",
        "Queues: a run is enqueued once for its id, in the caller's own transaction where that is asked",
        taking=("a_run_id_is_enqueued_once_whatever_became_of_its_run",),
        transaction=(
            "a_row_and_its_run_are_there_together_when_the_transaction_commits",
            "neither_is_there_when_it_is_rolled_back",
        ),
    ),
    held(
        "service",
        "Queues: limits of a queue and of its keys hold while workers are killed",
        taking=("both_limits_hold_at_once",),
        races=("limits_hold_and_every_run_ends_once_while_workers_are_killed", "a_limit_holds_however_many_take_at_once"),
        locks=("a_limit_counts_what_was_taken_while_it_waited_for_the_queue",),
    ),
    held(
        "service",
        "Queues: keys take turns by weight, however much one of them has enqueued",
        taking=("keys_take_turns_however_much_one_of_them_has_enqueued", "a_key_of_twice_the_weight_has_twice_the_turns"),
    ),
    held(
        "service",
        "Queues: delays, priorities, pauses and a bound on the depth",
        taking=(
            "a_delayed_job_is_not_taken_before_its_time",
            "a_higher_priority_goes_first",
            "a_paused_queue_gives_nothing_until_it_goes_on",
            "a_queue_that_is_as_deep_as_it_may_be_refuses_more_but_not_what_is_there",
        ),
    ),
    held(
        "service",
        "Schedules: a due time is one run whoever looks, by time zone, with an overlap policy and a catch-up time",
        schedules=(
            "workers_that_fire_at_the_same_moment_make_one_run_of_a_due_time",
            "a_run_a_day_where_clocks_are_changed_is_a_run_a_day",
            "what_was_due_while_nobody_looked_is_made_up_for_as_far_as_the_catch_up_goes",
            "an_overlap_that_cancels_begins_when_the_cancelled_run_has_ended",
        ),
    ),
    held(
        "service",
        "Workers: one that is told to leave goes on renewing and hearing, and hands over what has not ended; it takes only what it "
        "can run",
        worker=(
            "a_worker_that_is_told_to_leave_takes_nothing_more_and_lets_its_runs_end",
            "a_run_of_a_draining_worker_hears_of_its_cancel",
            "after_the_grace_a_run_is_handed_over_and_taken_by_another_at_once",
            "a_worker_takes_only_tasks_that_it_has_loaded_and_versions_that_it_runs",
        ),
    ),
    held(
        "service",
        "Workers: a killed worker's runs go on with any other, all of them, as soon as the lease is over or the process is seen to "
        "be gone; after so many deaths a run is stuck and shown",
        workers=("runs_of_a_killed_worker_go_on_with_others_and_nothing_recorded_is_done_again",),
        worker=("a_run_whose_workers_die_again_and_again_is_stuck_and_shown",),
        recovery=("a_job_whose_process_is_dead_is_swept_at_once",),
    ),
    held(
        "service",
        "Parked runs: a run that only sleeps or waits holds no process and no slot, and nothing of it is lost",
        parking=(
            "a_run_that_sleeps_is_given_back_until_it_wakes",
            "a_signal_that_is_sent_while_a_run_is_being_parked_wakes_it",
            "a_run_stays_while_something_goes_on_in_it_that_another_process_would_not_have",
        ),
        worker=("a_parked_run_holds_no_slot",),
    ),
    held(
        "service",
        "The page of the service and its example work as they are typed",
        page=("the_page_of_the_service_works_as_it_is_typed",),
        example=("every_order_is_charged_once_although_a_worker_is_killed",),
    ),
    held(
        "agents",
        "Agents: whoever dials proves the token, speaks TLS off the loopback, and has the driver's code",
        wire=(
            "both_prove_that_they_know_the_token",
            "who_stands_between_with_another_certificate_proves_nothing",
            "an_agent_talks_only_to_the_driver_with_the_pinned_certificate",
        ),
        hired=("code_that_is_not_the_driver_s_is_refused_and_says_so", "off_the_loopback_agents_speak_tls"),
    ),
    held(
        "agents",
        "Agents: what dies takes its calls along and nothing else, and nothing outlives the driver",
        lost=(
            "a_killed_agent_takes_its_calls_with_it_and_the_next_call_hires_another",
            "a_stopped_agent_is_missed_and_ended",
            "when_the_driver_is_killed_nothing_is_left_of_it_anywhere",
        ),
        direct=("a_large_result_is_put_into_the_store_by_the_agent_and_journaled_as_any_other",),
    ),
    held(
        "agents",
        "Agents: a gang across two agents that lost a rank is begun again whole",
        gangs=("a_gang_across_two_agents_that_lost_a_rank_is_begun_again_whole",),
    ),
    held(
        "agents",
        "Ray: agents in placement groups; a killed actor takes its agent along, and another is hired",
        ray=(
            "a_program_runs_on_agents_that_ray_has_placed_and_gives_the_room_back",
            "a_killed_actor_takes_its_agent_and_its_call_along_and_another_is_hired",
        ),
    ),
    held(
        "calls",
        "Calls from workers: calls and decisions of a body elsewhere have the names that they have at home, and are found again",
        same=(
            "calls_and_decisions_of_a_body_in_a_process_have_the_names_that_they_have_at_home",
            "a_run_begun_at_home_goes_on_in_a_process_and_repeats_nothing",
            "a_driver_that_is_killed_after_any_record_finds_all_again",
        ),
        real=("a_worker_that_is_killed_repeats_no_child_that_had_ended",),
    ),
    held(
        "calls",
        "Calls from workers: budgets, deadlines, limits, cancels and errors hold as at home; one slot is enough",
        asked=(
            "a_budget_is_that_of_the_body_and_refuses_at_once",
            "a_deadline_binds_what_is_called_inside_of_it",
            "a_body_that_is_cancelled_takes_its_children_with_it",
            "bodies_that_wait_for_each_other_do_with_one_slot",
        ),
        real=("a_pool_may_say_which_tasks_its_code_may_ask_for",),
    ),
    held(
        "simulation",
        "Lies: a store that lies in 23 ways, each counted, and every promise is kept: late and lost answers, duplicates, a store "
        "that went back, lost word, clocks hours apart, several drivers, workers and a queue",
        far=(
            "each_promise_is_kept_on_a_store_that_lies_and_each_lie_was_told",
            "a_far_store_that_once_found_a_fault_finds_none",
        ),
    ),
    held(
        "proof",
        "Injections: replies swallowed and cut, sessions and servers killed and frozen, disks full, connections used up, locks, "
        "standbys, poolers; drivers killed, frozen, with clocks that are off: each counted",
        crashes=("what_was_acknowledged_outlives_sessions_and_servers", "a_server_that_is_frozen_for_longer_than_a_lease_goes_on"),
        scarcity=(
            "a_full_data_disk_is_said_and_what_was_acknowledged_is_there",
            "a_server_without_a_connection_left_is_waited_for",
        ),
        standbys=("a_standby_that_lacks_the_last_commits_is_found_out_and_nothing_more_is_reported",),
        drivers=("a_driver_that_wakes_after_its_lease_is_fenced_and_its_payments_are_seen",),
        histories=("each_breach_is_found",),
    ),
    held(
        "proof",
        "Kills: 2,000 of drivers, sessions, backends and servers with nothing lost ([the figures](../proof.md))",
        kills=("runs_end_right_whoever_is_killed",),
    ),
]
