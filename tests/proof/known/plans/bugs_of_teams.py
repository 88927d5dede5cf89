"""Seeded bugs of agents that work together."""

from __future__ import annotations

from seeded import Bug, bug

_TEAMS = "methods/plan/teams"

OF_TEAMS: tuple[Bug, ...] = (
    bug(
        "an agent gives all that it has to its helpers, and its own share with it",
        "kiss:_shares",
        "child_budgets(count)",
        "[budget(wait=False, **{unit: amount / count for unit, amount in remaining().items()}) for _ in range(count)]",
        tests=f"{_TEAMS}/test_kiss.py::test_no_parent_is_insolvent_in_random_trees",
    ),
    bug(
        "the cap of an agent is not opened",
        "kiss:work_on",
        "budget(wait=False, **brief.caps)",
        "contextlib.nullcontext()",
        tests=f"{_TEAMS}/test_kiss.py::test_a_cap_is_kept_before_a_step_and_ends_the_agent_with_what_it_said",
    ),
    bug(
        "worktrees are left behind",
        "worktree:in_worktrees",
        "await close_worktree(tree)",
        "None",
        tests=f"{_TEAMS}/test_worktree.py::test_a_program_that_fails_or_is_stopped_leaves_nothing_behind",
    ),
    bug(
        "a branch moves over what its owner has not committed",
        "worktree:_move",
        "_try(owner, 'merge', '--quiet', '--ff-only', commit)",
        "_try(owner, 'reset', '--quiet', '--hard', commit)",
        tests=f"{_TEAMS}/test_worktree.py::test_what_its_owner_has_not_committed_is_never_overwritten",
    ),
    bug(
        "the change of a part that failed is merged",
        "worktree:in_worktrees",
        "Worked(None, change, None, describe_error(end.error))",
        "Worked(None, change, await merge_change(tree, change, start.branch, part), describe_error(end.error))",
        tests=f"{_TEAMS}/test_worktree.py::test_a_part_that_fails_takes_nobody_with_it_and_its_change_is_kept_and_not_merged",
    ),
    bug(
        "a sub-agent that fails ends the whole round",
        "orchestra:_play",
        "not is_answer(end.error)",
        "True",
        tests=f"{_TEAMS}/test_orchestra.py::test_a_task_that_fails_or_can_not_be_begun_takes_nobody_with_it",
    ),
)
