"""Seeded bugs of streams: what was handed out is handed out again, and nobody is ahead of the record."""

from __future__ import annotations

from seeded import Bug, Edit, bug

_SIM = "sim/test_streams_survive.py"
_READ = "program/joins/test_streams_are_read.py"
_GROUPS = "program/joins/test_groups_read_streams.py"
_KEPT = "journal/upkeep/test_streams_kept.py"

OF_STREAMS: tuple[Bug, ...] = (
    bug(
        "the end of a stream is committed without its outcome",
        "Streams.close",
        "self._run.journal.hold()",
        "",
        Edit("Streams.close", "self._run.loop.call_soon(self._run.journal.release)", ""),
        tests=f"{_SIM}::test_a_run_that_is_killed_after_any_record_hands_out_what_it_had_handed_out",
    ),
    bug(
        "code that runs again may yield other items",
        "Streams._add",
        "item != feed.items[number]",
        "False",
        tests=f"{_SIM}::test_what_was_handed_out_is_handed_out_again_or_the_run_fails_and_says_so",
    ),
    bug(
        "recorded items are not handed out again",
        "Streams._take_up",
        'self._replay.policy(call.spec) != "rerun"',
        'self._replay.policy(call.spec) == "rerun"',
        tests=f"{_SIM}::test_what_was_handed_out_is_handed_out_again_or_the_run_fails_and_says_so",
    ),
    bug(
        "a stream is left running when its loop is left",
        "Streams._stop_unread",
        "call.state < OK and not feed.readers and not feed.counted",
        "False",
        tests=f"{_READ}::test_leaving_the_loop_cancels_the_call_and_runs_its_finally",
    ),
    bug(
        "a stream does not wait for its readers",
        "Streams._until_read",
        "len(feed.items) - feed.read > most and not feed.unbounded",
        "False",
        tests=f"{_READ}::test_the_task_is_ahead_of_its_reader_by_a_window_of_items_and_no_more",
    ),
    bug(
        "a retry of a stream makes its calls afresh",
        "Outcomes.note_retry",
        "not has_handed_out(call)",
        "",
        tests="program/joins/test_streams_again.py::test_a_retry_goes_on_after_the_items_that_were_handed_out",
    ),
    bug(
        "gc takes the blobs of items",
        "named:blobs_of",
        "return item.blobs",
        "return ()",
        tests=f"{_KEPT}::test_a_collection_of_garbage_keeps_the_blobs_of_items",
    ),
    bug(
        "a reader that is stopped is told that a stream has ended which handed it items",
        "CompletionQueue.until",
        "not is_told_again(me, stream)",
        "False",
        tests=f"{_GROUPS}::test_code_that_was_told_of_an_item_is_never_told_that_there_was_none",
    ),
    bug(
        "a stream that a group has left runs on",
        "Completions.stop",
        "part.leave()",
        "pass",
        Edit("Completions.stop", "[part._call for part in left]", "[part._call for part in left if not isinstance(part, Reading)]"),
        tests=f"{_GROUPS}::test_leaving_the_group_stops_the_stream",
    ),
)
