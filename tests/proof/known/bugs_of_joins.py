"""Seeded bugs of joins and of blocks that end with what they have."""

from __future__ import annotations

from seeded import Bug, bug

_GROUPS, _ANYTIME = "program/joins/test_groups.py", "program/bounds/test_anytime.py"

JOINS: tuple[Bug, ...] = (
    bug(
        "the order of a group that grows is not recorded",
        "Completions._next_number",
        "record(self.frame, name, NextCall(left[number]._key))",
        "pass",
    ),
    bug(
        "the order of a group that grows is recorded and not looked up",
        "Completions._next_number",
        "recall(self.frame, name, NextCall)",
        "None",
    ),
    bug(
        "a call that a group has handed out as recorded is handed out again when it ends",
        "CompletionQueue.next",
        "number in self.left",
        "True",
    ),
    bug(
        "what is left in a group goes on when its block is left",
        "Group.__aexit__",
        "await self._calls.stop('the group that it was in was left')",
        "pass",
        tests=f"{_GROUPS}::test_leaving_a_group_early_cancels_and_drains_the_rest",
    ),
    bug(
        "what a map has begun goes on when it ends early",
        "map:_map",
        "await begun.stop('hw.map ended early')",
        "pass",
        tests="program/joins/test_maps.py::test_a_failed_map_drains_what_it_began",
    ),
    bug(
        "a map that tolerates failures does not count them",
        "_Failures.hand_out",
        "self._errors.append(end.error)",
        "pass",
        tests="program/joins/test_maps_that_tolerate.py::test_too_many_failures_stop_the_rest",
    ),
    bug(
        "a scan combines in the wrong order",
        "Scan._add",
        "self._fold(self._prefixes[rest - 1], block)",
        "self._fold(block, self._prefixes[rest - 1])",
        tests="program/joins/test_scans.py::test_a_scan_equals_the_sequential_fold",
    ),
    bug(
        "a scan goes on with a block that it has used",
        "Scan._add",
        "blocks[level] = _NO_BLOCK",
        "pass",
        tests="program/joins/test_scans.py::test_a_scan_equals_the_sequential_fold",
    ),
    bug(
        "which calls a budget refused is not recorded",
        "_gather_affordable",
        "joined.record(name, Afforded(refused))",
        "pass",
        tests=f"{_ANYTIME}::test_the_same_are_left_out_when_a_failed_program_is_taken_up",
    ),
)

ANYTIME: tuple[Bug, ...] = (
    bug(
        "how a block ended is not recorded",
        "Anytime._end",
        "self._frame.call.engine.on_loop(recorded.record, self._frame, self._name, BlockEnded(stopped, kept))",
        "pass",
        tests=f"{_ANYTIME}::test_an_early_end_is_told_again_though_more_would_be_in_time_now",
    ),
    bug(
        "a block forgets on a resume why it ended",
        "Anytime._end_as_before",
        "self.stopped = before.stopped",
        "pass",
        tests=f"{_ANYTIME}::test_an_early_end_is_told_again_though_more_would_be_in_time_now",
    ),
    bug(
        "a block keeps on a resume what came too late before",
        "Anytime.keep",
        "self._times[key] <= self._in_time.get(key, 0)",
        "True",
        tests=f"{_ANYTIME}::test_an_early_end_is_told_again_though_more_would_be_in_time_now",
    ),
    bug(
        "of large answers a block records only that they were there",
        "_encode_within",
        "len(head) + sum(memoryview(buffer).nbytes for buffer in buffers) > room",
        "bool(buffers)",
        tests=f"{_ANYTIME}::test_a_large_answer_is_there_after_a_resume_that_has_no_time_to_come_to_it",
    ),
    bug(
        "the end that a bound made holds when the bound has changed",
        "Anytime._recall",
        "recorded.name_bounds(frame)",
        "b''",
        tests=f"{_ANYTIME}::test_an_end_by_the_budget_holds_while_the_budget_does",
    ),
)

OF_JOINS = (*JOINS, *ANYTIME)
