"""What is refused in a sentence before anything is done, and the tests that hold it."""

from __future__ import annotations

from benchmarks.methods.row import Held, Row
from benchmarks.scale_out.promises import held

ROWS: list[Row | Held] = [
    held(
        "postgres",
        "Bad input: the name of a store, a server that is away or refuses, a schema of somebody else: one sentence each, and no "
        "password in it",
        errors=(
            "a_url_that_names_no_store_is_refused_before_anything_is_done",
            "what_people_are_shown_of_a_url_has_no_password",
            "no_server",
            "wrong_password",
            "no_database",
            "no_permission",
            "a_schema_with_somebody_elses_tables_is_left_alone",
            "without_psycopg_there_is_one_sentence_with_the_line_of_pip",
            "without_libpq_there_is_one_sentence_with_the_line_of_pip",
            "a_server_that_is_too_old",
        ),
    ),
    held(
        "service",
        "Bad input: queues: what can't be enqueued, a queue that is full, settings and schedules that make no sense",
        asking=(
            "what_makes_no_sense_is_refused_and_nothing_is_written",
            "a_full_queue_says_so",
            "settings_of_a_queue_that_make_no_sense_are_refused",
            "a_schedule_that_makes_no_sense_is_refused",
            "a_schedule_has_a_name_of_which_runs_can_be_named",
            "a_queue_that_is_not_there_can_not_be_paused",
            "a_task_that_was_typed_into_an_interpreter_is_refused",
            "a_worker_whose_store_nobody_else_sees_is_refused",
            "commands_refuse_bad_input_in_a_sentence",
        ),
    ),
    held(
        "agents",
        "Bad input: agents: one that never comes, a cluster that is missing or too small, versions that differ",
        hired=(
            "an_agent_that_never_comes_is_given_up",
            "an_agent_of_another_version_is_refused_on_both_sides",
            "what_can_t_be_hired_is_refused_before_anything_begins",
            "nonsense_about_agents_is_refused",
            "without_ray_the_pip_line_is_said",
        ),
        wire=("what_is_no_invitation_is_said_in_a_sentence", "an_invitation_to_speak_plain_text_off_this_machine_is_refused"),
        ray=("a_cluster_that_is_not_there_is_said", "what_the_cluster_has_no_room_for_is_said"),
    ),
    held(
        "calls",
        "Bad input: calls from workers: what can't be asked is refused in a sentence",
        asked=("what_can_not_be_asked_is_refused_in_a_sentence", "a_wrong_call_is_refused_where_it_is_made"),
        may_not=(
            "what_can_not_be_done_in_a_worker_is_said",
            "code_of_a_fenced_pool_may_not_say_what_the_driver_tries_again",
        ),
    ),
]
