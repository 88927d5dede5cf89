"""Promises of whole rooms that have no number, and the tests that hold them. Those of one method are beside its rows."""

from __future__ import annotations

from benchmarks.methods.row import Held

SEARCH, ALLOCATE, SCHEDULE = "tests/methods/search", "tests/methods/allocate", "tests/methods/schedule"

OF_SEARCH = [
    Held(
        item="search",
        promise="every method: a setting that makes no sense (NaN, a percentage, a part that is no function) is refused by name "
        "before anything is spent, and no setting is left out",
        tests=(
            f"{SEARCH}/test_settings.py::test_a_setting_that_makes_no_sense_is_refused_before_anything_is_spent",
            f"{SEARCH}/test_settings.py::test_every_setting_of_every_public_function_is_checked",
        ),
    ),
    Held(
        item="search",
        promise="every method: a part that gives NaN, nothing, too few or too many is named, and can be asked again",
        tests=(
            f"{SEARCH}/test_how_searches_end.py::test_a_score_that_could_not_be_compared_never_wins_or_loses_but_is_told_of",
            f"{SEARCH}/test_how_searches_end.py::test_a_scorer_that_gives_too_few_scores_is_told_of",
            f"{SEARCH}/test_how_searches_end.py::test_a_part_that_returns_nothing_is_named",
            f"{SEARCH}/test_recorded_garbage.py::test_recorded_garbage_is_named_and_can_be_asked_for_again",
        ),
    ),
    Held(
        item="search",
        promise="pure functions: no candidates, no trials, lists of unequal lengths, scores that can't be compared: one sentence",
        tests=(
            f"{SEARCH}/test_settings.py::test_a_selector_of_nothing_says_so",
            f"{SEARCH}/test_policy.py::test_there_is_nothing_to_fit_without_trials",
            f"{SEARCH}/test_allocators.py::test_scores_that_can_not_be_compared_are_refused",
            f"{SEARCH}/tree/test_backtrack.py::test_questions_that_cannot_be_compared_are_refused",
            f"{SEARCH}/tree/test_ets.py::test_a_tree_that_makes_no_sense_is_refused",
            f"{SEARCH}/samples/test_documents.py::test_profiles_that_are_none_are_refused",
        ),
    ),
    Held(
        item="search",
        promise="every method goes on after a crash with an equal result, and ends inside its budget and its deadline",
        tests=(
            f"{SEARCH}/test_searches_survive.py::test_no_recorded_call_runs_again_after_a_crash",
            f"{SEARCH}/test_searches_survive.py::test_a_program_of_searches_that_is_killed_again_and_again_ends_as_if_it_had_not_been",
            f"{SEARCH}/test_how_searches_end.py::test_every_budget_ends_a_search_with_the_best_so_far",
            f"{SEARCH}/test_how_searches_end.py::test_every_deadline_ends_a_search_in_time_with_the_best_so_far",
        ),
    ),
    Held(
        item="search",
        promise="ETS: what is kept earns as much as the best of all choices, and HiGHS keeps what earns the same; covered "
        "clusters never fall with their bonus",
        tests=(
            f"{SEARCH}/tree/test_ets.py::test_what_is_kept_earns_as_much_as_the_best_of_all_choices",
            f"{SEARCH}/tree/test_ets.py::test_the_solver_keeps_what_earns_the_same",
            f"{SEARCH}/tree/test_ets.py::test_covered_clusters_never_fall_with_the_bonus",
            f"{SEARCH}/tree/test_ets.py::test_a_tree_with_too_many_options_goes_to_the_solver_and_says_what_to_install_without_it",
        ),
    ),
    Held(
        item="search",
        promise="GroundedPRM: a path is worth what the paper says, and both kinds of paths are collected",
        tests=(
            f"{SEARCH}/tree/test_grounded.py::test_the_value_of_a_path_counts_early_steps_most",
            f"{SEARCH}/tree/test_grounded.py::test_both_kinds_of_paths_are_collected_and_then_the_search_ends",
        ),
    ),
    Held(
        item="search",
        promise="MRT: bonuses add up to the chance of a right answer, and the regret is what is lacking",
        tests=(f"{SEARCH}/stop/test_stop.py::test_bonuses_add_up_to_the_chance_and_regret_is_what_is_lacking",),
    ),
    Held(
        item="search",
        promise="CGRS: the lower the threshold the shorter the traces, and at last the worse; a resumed run draws the same bans",
        tests=(
            f"{SEARCH}/stop/test_reflection.py::test_the_lower_the_threshold_the_shorter_the_traces_and_at_last_the_worse",
            f"{SEARCH}/stop/test_reflection.py::test_a_run_that_died_draws_the_same_bans_when_it_goes_on",
        ),
    ),
    Held(
        item="search",
        promise="`headway bench scorer` rates a scorer by subsets, goes on where it was, and names the line that it can't read",
        tests=(
            f"{SEARCH}/samples/test_scorer.py::test_a_file_is_rated_by_subset_and_found_again",
            f"{SEARCH}/samples/test_scorer.py::test_the_command_shows_the_subsets_and_refuses_what_is_not_there",
            f"{SEARCH}/samples/test_scorer.py::test_what_is_no_item_is_named_with_its_line",
        ),
    ),
]

OF_ALLOCATE = [
    Held(
        item="allocate",
        promise="`View`: a policy sees what is recorded and nothing else: what is ready, what runs, what has ended, what is left",
        tests=(f"{ALLOCATE}/test_executor.py::test_a_policy_sees_what_is_recorded_and_nothing_else",),
    ),
    Held(
        item="allocate",
        promise="a policy is attached to a plan or a map in one line, and the very same object is simulated",
        tests=(
            f"{ALLOCATE}/test_allocate_docs.py::test_the_examples_print_what_the_page_says",
            "tests/test_examples.py::test_the_examples_of_a_module_run",
            f"{ALLOCATE}/test_mcpp.py::test_a_run_under_it_does_what_the_simulation_says",
        ),
    ),
    Held(
        item="allocate",
        promise="MCPP: actions are compared on the same draws, the first verified success stops the others, within the error it "
        "starts what the best base policy would, and the paper's own variant can be chosen",
        tests=(
            f"{ALLOCATE}/test_mcpp.py::test_actions_are_compared_on_the_same_draws",
            f"{ALLOCATE}/test_executor.py::test_the_first_success_of_a_batch_stops_the_others",
            f"{ALLOCATE}/test_mcpp.py::test_within_the_error_it_starts_what_the_best_base_policy_would",
            f"{ALLOCATE}/test_mcpp.py::test_the_variant_of_the_paper_runs_too_and_looks_at_base_actions_first",
        ),
    ),
    Held(
        item="allocate",
        promise="policies: settings that make no sense, a table without a choice, no numpy, a class for a policy: one sentence",
        tests=(
            f"{ALLOCATE}/test_mcpp.py::test_senseless_settings_are_refused_in_a_sentence",
            f"{ALLOCATE}/test_mcpp.py::test_senseless_base_policies_are_refused",
            f"{ALLOCATE}/test_mcpp.py::test_without_numpy_it_says_what_to_install",
            f"{ALLOCATE}/test_executor.py::test_senseless_arguments_are_refused_in_a_sentence",
        ),
    ),
    Held(
        item="allocate",
        promise="`headway bench allocate` goes on where it was killed, and shows a table and a picture of the whole grid",
        tests=(
            f"{ALLOCATE}/test_bench_allocate.py::test_the_command_compares_shows_and_goes_on_where_it_was",
            f"{ALLOCATE}/test_bench_allocate.py::test_the_picture_shows_every_cell_of_every_policy",
            f"{ALLOCATE}/test_bench_allocate.py::test_what_it_cannot_compare_it_refuses",
            f"{ALLOCATE}/test_bench_allocate.py::test_without_numpy_it_says_what_to_install_before_it_begins_a_run",
        ),
    ),
    Held(
        item="allocate",
        promise="a check of spending can fail: attempts that charge more than they reserve are found",
        tests=(f"{ALLOCATE}/test_never_passes_a_bound.py::test_what_passes_its_budget_is_found",),
    ),
]

OF_SCHEDULE = [
    Held(
        item="schedule",
        promise="problems have precedences, resources, downtime, windows, groups that must be apart and due dates; one checker "
        "finds each kind of violation",
        tests=(
            f"{SCHEDULE}/test_schedule_check.py::test_each_kind_of_violation_is_found",
            f"{SCHEDULE}/test_schedule_check.py::test_a_schedule_that_is_allowed_breaks_what_is_tightened_behind_it",
            f"{SCHEDULE}/test_schedule_check.py::test_values_are_those_of_the_definition",
        ),
    ),
    Held(
        item="schedule",
        promise="files of PSPLIB and of job shops are read, and all 162 classic job shops are there with bounds that hold",
        tests=(
            f"{SCHEDULE}/test_instances.py::test_a_project_of_psplib_is_read",
            f"{SCHEDULE}/test_instances.py::test_a_job_shop_is_read",
            f"{SCHEDULE}/test_instances.py::test_all_classic_job_shops_are_there_with_bounds_that_hold",
        ),
    ),
    Held(
        item="schedule",
        promise="R-ConstraintBench's ramp: each step has all of the step before, no precedence follows from others, and there is a "
        "schedule",
        tests=(
            f"{SCHEDULE}/test_instances.py::test_each_step_of_a_ramp_has_all_of_the_step_before_and_keeps_its_witness",
            f"{SCHEDULE}/test_instances.py::test_no_precedence_of_a_ramp_follows_from_others",
        ),
    ),
    Held(
        item="schedule",
        promise="one list scheduler: both schemes keep everything under every rule, and nothing waits that fits",
        tests=(
            f"{SCHEDULE}/test_list_schedule.py::test_both_schemes_keep_everything",
            f"{SCHEDULE}/test_list_schedule.py::test_nothing_can_start_earlier_than_the_serial_scheme_has_it",
            f"{SCHEDULE}/test_list_schedule.py::test_the_parallel_scheme_never_lets_wait_what_fits",
        ),
    ),
    Held(
        item="schedule",
        promise="CP-SAT finds the optimum of small problems, and its bound is never above what is possible",
        tests=(
            f"{SCHEDULE}/test_cp_sat.py::test_it_finds_the_least_of_every_objective",
            f"{SCHEDULE}/test_cp_sat.py::test_it_agrees_with_dynamic_programming_on_one_machine",
            f"{SCHEDULE}/test_cp_sat.py::test_classic_job_shops_end_between_bound_and_rule",
        ),
    ),
    Held(
        item="schedule",
        promise="`headway bench schedule` shows a table and pictures of every way",
        tests=(
            f"{SCHEDULE}/test_bench_schedule.py::test_the_page_and_its_pictures_show_every_way",
            f"{SCHEDULE}/test_bench_schedule.py::test_the_same_command_is_the_same_run_and_another_one_another",
            f"{SCHEDULE}/test_bench_schedule.py::test_an_unknown_job_shop_is_named_with_those_that_exist",
        ),
    ),
]

OF_WORKLOADS = [
    Held(
        item="workloads",
        promise="`headway bench search` runs every method on both workloads, and compares against the strongest other method",
        tests=(
            f"{SEARCH}/test_bench_search.py::test_a_saving_is_against_the_strongest_other_method",
            f"{SEARCH}/test_bench_search.py::test_the_page_and_its_pictures_show_every_method",
            "tests/cli/test_cli_bench.py::test_an_id_that_is_given_names_a_run_of_each_workload",
        ),
    ),
    Held(
        item="workloads",
        promise="both models come with Headway, in at most 8 MB each",
        tests=("tests/reference/test_solving_arithmetic.py::test_all_models_are_small",),
    ),
]

OF_CATALOGUE = [
    Held(
        item="catalogue",
        promise="the pages are what the command prints, from docstrings and kept results",
        tests=(
            "tests/test_catalogue.py::test_the_pages_are_what_the_command_prints",
            "tests/test_catalogue.py::test_a_row_names_what_implements_it_and_its_paper",
            "tests/test_catalogue.py::test_departures_are_read_from_the_docstring",
        ),
    ),
    Held(
        item="catalogue",
        promise="every row has a test that there is, and was measured on all of its seeds",
        tests=(
            "tests/test_catalogue.py::test_a_row_names_a_test_that_there_is",
            "tests/test_catalogue.py::test_every_row_was_measured_on_its_seeds",
        ),
    ),
    Held(
        item="catalogue",
        promise="every method that people look for has a row, and so has all that must be shown and refused",
        tests=(
            "tests/test_catalogue.py::test_a_method_that_people_look_for_has_a_row",
            "tests/test_catalogue.py::test_what_must_be_shown_and_refused_has_rows",
        ),
    ),
]

ROWS = [*OF_SEARCH, *OF_ALLOCATE, *OF_SCHEDULE, *OF_WORKLOADS, *OF_CATALOGUE]
