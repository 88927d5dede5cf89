"""Seeded bugs of collections, of failures that are asked again, and of results that were given by hand."""

from __future__ import annotations

from seeded import Bug, bug

_FAILED, _BY_HAND = "program/runs/test_retry_failed.py", "program/runs/test_set_by_hand.py"

COLLECTIONS: tuple[Bug, ...] = (
    bug(
        "an append that is made again is another item",
        "Collecting.append",
        "key=run.nonce",
        "key=__import__('os').urandom(8)",
        tests="sim/test_collections_survive.py::test_a_run_that_is_killed_after_any_record_appends_each_item_once",
    ),
    bug(
        "an append doesn't wait for what it was made from",
        "collection:append",
        "effect=True",
        "",
        tests="sim/test_collections_survive.py::test_a_run_that_is_killed_after_any_record_appends_each_item_once",
    ),
    bug(
        "an append that is stopped loses those it wrote for",
        "Collecting._write",
        "one.number is None and one is not mine and not one.left",
        "False",
        tests="program/joins/test_collections.py::test_an_append_that_is_stopped_while_it_writes_for_others_leaves_them_be",
    ),
    bug(
        "gc removes what items need",
        "gc:_find_named_blobs",
        "item.blobs",
        "()",
        tests="journal/upkeep/test_collections_kept.py::test_gc_keeps_the_items_of_a_run_that_is_deleted",
    ),
)

FAILURES: tuple[Bug, ...] = (
    bug(
        "a failure of an attempt that was given up counts",
        "_Seen.is_final",
        "self.tried.get(key, 0) > seq",
        "False",
        tests=f"{_FAILED}::test_a_call_that_a_retry_gave_up_is_no_reason_to_run_anything",
    ),
    bug(
        "failures that were kept are told again",
        "Driver._error_floor",
        "return known.last_seq",
        "return 0",
        tests=f"{_FAILED}::test_a_kept_failure_is_asked_again_with_what_is_around_it_and_nothing_else",
    ),
    bug(
        "who was answered with a result that has a failure below keeps it",
        "around_failures",
        "[seen.parents.get(call, NO_PARENT), *seen.equals.get(seen.names.get(call, b''), ())]",
        "[seen.parents.get(call, NO_PARENT)]",
        tests=f"{_FAILED}::test_results_that_runs_share_are_asked_again_where_a_failure_is_below_them",
    ),
)

BY_HAND: tuple[Bug, ...] = (
    bug(
        "a result by hand holds only for the inputs that the call had",
        "_with_result",
        "inputs=BY_HAND",
        "inputs=known.inputs",
        tests=f"{_BY_HAND}::test_an_effect_that_hangs_is_not_run_again",
    ),
    bug(
        "what a call had reserved is forgotten when it is given a result",
        "_with_result",
        "cost=ledger.cost_of(row.key, known.scope)",
        "",
        tests=f"{_BY_HAND}::test_what_a_call_had_reserved_when_it_died_counts_as_spent",
    ),
)

OF_WHAT_IS_KEPT = (*COLLECTIONS, *FAILURES, *BY_HAND)
