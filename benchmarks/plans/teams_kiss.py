"""KISS Sorcar: shares that keep parents solvent, worktrees that lose no edit, and what tests hold."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from benchmarks.methods.row import Held, Pair, Row

sys.path.append(str(Path(__file__).parents[2] / "tests/methods/plan/teams"))
KISS = "tests/methods/plan/teams/test_kiss.py::"
TREE = "tests/methods/plan/teams/test_worktree.py::"
TREES, SOME = 2000, 200  # a seed: five of them are ten thousand
SHARES = "each of n parts gets 1/(n + 1) of what is left, and one share stays with the parent"


def insolvent_parents(seed: int) -> Pair:
    """Parents that could not pay for their next step, of 2,000 trees; and none."""
    from solvency import grow, insolvent  # type: ignore[import-not-found]  # of the tests

    trees = (grow(random.Random(f"trees {seed} {number}"), 3) for number in range(TREES))
    return Pair(float(insolvent(list(trees), kiss=True)), 0.0)


def insolvent_shares(seed: int) -> Pair:
    """A tenth of these trees: parents without means, by tree, where one share is kept and where none is."""
    from solvency import grow, insolvent

    trees = [grow(random.Random(f"trees {seed} {number}"), 3) for number in range(SOME)]
    return Pair(*(insolvent(trees, kiss=kiss) / SOME for kiss in (True, False)))


def lost_edits(seed: int) -> Pair:
    from lost import lost  # type: ignore[import-not-found]

    return Pair(lost(seed, apart=True), lost(seed, apart=False))


ROWS: list[Row | Held] = [
    Row(
        method="KISS Sorcar",
        function="headway.methods.plan.teams.fan_out",
        item="plan",
        claim=SHARES,
        shows="no parent is insolvent in 10,000 random trees of children that spend all that they may",
        baseline="none",
        unit="parents whose next step is refused, of 2,000 trees",
        measure=insolvent_parents,
        reached=lambda low, high: high <= 0,
        compare="difference",
        test=f"{KISS}test_no_parent_is_insolvent_in_random_trees",
        first_seed=100,
        slow=True,
    ),
    Row(
        method="KISS Sorcar",
        function="headway.methods.plan.teams.fan_out",
        item="plan",
        claim=SHARES,
        shows="parents stay solvent that would not, had they given all away",
        baseline="equal shares of all that is left, nothing kept",
        unit="parents whose next step is refused, a tree",
        measure=insolvent_shares,
        reached=lambda low, high: high < 0,
        compare="difference",
        test=f"{KISS}test_no_parent_is_insolvent_in_random_trees",
        first_seed=100,
    ),
    Row(
        method="KISS Sorcar",
        function="headway.methods.plan.teams.in_worktrees",
        item="plan",
        claim="parallel tasks work in git worktrees of their own",
        shows="of six edits of one file at a time, two of them of one line, none is lost: each is merged or told of as a conflict",
        baseline="the same six in one folder",
        unit="share of edits that are neither kept nor told of",
        measure=lost_edits,
        reached=lambda low, high: high < 0,
        compare="difference",
        test=f"{TREE}test_parts_are_merged_in_their_order_and_a_conflict_is_refused_with_a_record",
        first_seed=100,
    ),
    Held(
        item="plan",
        promise="KISS Sorcar: an agent whose steps or room are used up sums up and goes on in a new session, so often and no "
        "more; one that goes round in circles is stopped; a cap is kept before a step.",
        tests=(
            f"{KISS}test_an_agent_whose_steps_are_used_up_sums_up_and_goes_on_in_a_new_session",
            f"{KISS}test_a_conversation_that_fills_its_room_goes_on_in_a_new_session",
            f"{KISS}test_sessions_end",
            f"{KISS}test_who_goes_round_in_circles_is_stopped",
            f"{KISS}test_a_cap_is_kept_before_a_step_and_ends_the_agent_with_what_it_said",
        ),
    ),
    Held(
        item="plan",
        promise="KISS Sorcar: parts nest as deep as they may, and each agent's change goes from its worktree to the one who "
        "gave it the part.",
        tests=(
            f"{KISS}test_parts_are_given_away_as_deep_as_it_may_be",
            f"{KISS}test_each_agent_works_in_a_worktree_of_its_own_and_its_change_goes_to_who_gave_it_the_part",
            f"{KISS}test_what_is_no_part_is_told_to_the_model",
        ),
    ),
    Held(
        item="plan",
        promise="KISS Sorcar: killed with SIGKILL in the middle of three parallel edits or after them, a run goes on in its "
        "worktrees, does again only what was not recorded, and leaves no folder and no branch behind; so does one that "
        "fails.",
        tests=(
            f"{TREE}test_a_program_that_is_killed_goes_on_in_its_worktrees_and_leaves_nothing_behind",
            f"{TREE}test_a_program_that_fails_or_is_stopped_leaves_nothing_behind",
            f"{TREE}test_what_a_run_left_that_nobody_resumes_is_removed_by_hand",
            f"{KISS}test_it_is_killed_at_any_record_and_repeats_nothing",
        ),
    ),
    Held(
        item="plan",
        promise="KISS Sorcar: a merge never overwrites what its owner has not committed; what is no repository, no branch, no "
        "git, or no sensible setting is refused before anything is done.",
        tests=(
            f"{TREE}test_what_its_owner_has_not_committed_is_never_overwritten",
            f"{TREE}test_what_is_no_repository_is_refused_before_anything_is_done",
            f"{TREE}test_without_git_it_says_what_to_install",
            f"{KISS}test_settings_that_make_no_sense_are_refused_before_anything_is_asked",
        ),
    ),
]
