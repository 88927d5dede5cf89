"""Seeded bugs of plans in tags: forks, helpers and their messages."""

from __future__ import annotations

from seeded import Bug, bug

APR = "methods/plan/tags/test_apr.py::"

OF_TAGS: tuple[Bug, ...] = (
    bug(
        "a helper's message speaks for its parent",
        "Speech.hear",
        "said is not None and quote(said, self.tags) != said",
        "False",
        tests=f"{APR}test_a_message_can_not_speak_for_the_parent",
    ),
    bug(
        "a spawn that was cut off starts helpers",
        "writing:write",
        'sample.finish == "length" or innermost not in ends',
        "innermost not in ends",
        tests=f"{APR}test_a_text_that_is_cut_within_a_tag_starts_nobody",
    ),
    bug(
        "a thread's helpers may each write all that is left",
        "Limits.share",
        "(self.total - spent.total) // (among + 1)",
        "self.total - spent.total",
        tests=f"{APR}test_nobody_writes_more_than_the_bounds",
    ),
    bug(
        "a path's text closes what is around it",
        "multiverse:_balanced",
        "quote(part, TAGS)",
        "part",
        tests="methods/plan/tags/test_multiverse.py::test_a_path_can_not_break_what_is_around_it",
    ),
    bug(
        "a task that was never closed goes to its expert",
        "unified:_read_task",
        "block.tag not in experts or not block.closed",
        "block.tag not in experts",
        tests="methods/plan/tags/test_unified.py::test_a_task_that_the_answer_ends_in_is_named_and_given_to_nobody",
    ),
)
