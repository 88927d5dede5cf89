"""Seeded bugs of searches: what they keep, count and choose."""

from __future__ import annotations

from seeded import Bug, bug

SEARCH = "methods/search"
OF_SEARCHES: tuple[Bug, ...] = (
    bug(
        "continuations are rounded down, and what is left over is lost",
        "largest_remainder",
        "for place in order[: total - sum(counts)]: ...",
        "",
        tests=f"{SEARCH}/test_allocators.py::test_rounding_is_never_off_by_one_or_more",
    ),
    bug(
        "a state of DORA weighs what its whole direction does",
        "allocators:dora_weights",
        "weight * share",
        "weight",
        tests=f"{SEARCH}/test_allocators.py::test_dora_gives_a_direction_its_softmax_share_whatever_its_size",
    ),
    bug(
        "a node of ETS earns what it costs",
        "_options",
        "option.earns - tree.node_cost",
        "option.earns + tree.node_cost",
        tests=f"{SEARCH}/tree/test_ets.py::test_what_is_kept_earns_as_much_as_the_best_of_all_choices",
    ),
    bug(
        "a cluster of ETS is paid for once a state",
        "worth",
        "len({tree.clusters[place] for place in kept})",
        "len([tree.clusters[place] for place in kept])",
        tests=f"{SEARCH}/tree/test_ets.py::test_what_is_kept_earns_as_much_as_the_best_of_all_choices",
    ),
    bug(
        "a vote counts a group of pruned traces as one",
        "deep_prune",
        "leaf(ended, float(len(group)))",
        "leaf(ended, 1.0)",
        tests=f"{SEARCH}/sample/test_deep_prune.py::test_a_vote_of_one_for_each_group_counts_rare_answers_as_much_as_the_frequent_one",
    ),
    bug(
        "late steps of a path count most",
        "value_of_path",
        "label * (count - place) / count",
        "label * (place + 1) / count",
        tests=f"{SEARCH}/tree/test_grounded.py::test_the_value_of_a_path_counts_early_steps_most",
    ),
    bug(
        "words are banned where the model is unsure",
        "chance_of_ban",
        "(certain - delta) / (1 - delta)",
        "(delta - certain) / (1 - delta)",
        tests=f"{SEARCH}/stop/test_reflection.py::test_bans_begin_at_the_threshold_and_are_sure_at_full_certainty",
    ),
    bug(
        "half of the verdicts are an agreement",
        "find_agreed_verdict",
        "2 * len(same) > len(verdicts)",
        "2 * len(same) >= len(verdicts)",
        tests=f"{SEARCH}/test_selectors.py::test_verdicts_agree_where_enough_say_the_same",
    ),
    bug(
        "every round of a long prompt has the same order",
        "batch_prompt",
        "draws.shuffle(left)",
        "",
        tests=f"{SEARCH}/samples/test_batch_prompt.py::test_each_round_asks_what_is_left_in_a_new_order",
    ),
    bug(
        "a search that goes back begins again",
        "backtrack:backtrack",
        "path[:1] if restart else _go_back(path, width if callable(width) else lambda _: width)",
        "path[:1]",
        tests=f"{SEARCH}/tree/test_backtrack.py::test_a_dead_end_goes_back_to_the_last_state_that_can_be_continued",
    ),
)
