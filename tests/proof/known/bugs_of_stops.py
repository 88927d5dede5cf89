"""Seeded bugs of errors, of stops and of the table of moves: what fails a call fails nothing else, and every stop ends."""

from __future__ import annotations

from seeded import Bug, bug

_ODD, _ENDS = "program/tasks/test_odd_errors.py", "program/stops/test_stops_end.py"

ERRORS: tuple[Bug, ...] = (
    bug(
        "what is no Exception passes through every caller and ends the run",
        "failures:as_exception",
        "issubclass(kind, Exception)",
        "True",
        tests=f"{_ODD}::test_a_resumed_program_sees_of_an_error_what_it_saw_before",
    ),
    bug(
        "the first life is told an error that no later one can be told",
        "Outcomes.end",
        "keep_error(error)",
        "keep_error(error).record, error",
        tests=f"{_ODD}::test_a_resumed_program_sees_of_an_error_what_it_saw_before",
    ),
    bug(
        "an error that is made again says what its class makes of it",
        "_pin_if_needed",
        "record if plain else msgspec.structs.replace(record, pinned=True)",
        "record",
        tests=f"{_ODD}::test_a_resumed_program_sees_of_an_error_what_it_saw_before",
    ),
    bug(
        "an error whose class is not loaded is caught by nothing that it was a kind of",
        "record_error",
        "kept.bases if kept else [] if cls in _PYTHONS_OWN else real_bases(cls)",
        "[]",
        tests=f"{_ODD}::test_a_resumed_program_sees_of_an_error_what_it_saw_before",
    ),
    bug(
        "a retry that can't decide ends the run",
        "Lifecycle._conclude",
        "except UsageError as wrong: ...",
        "except ZeroDivisionError as wrong: ...",
        tests="program/tasks/test_given_functions.py::test_a_predicate_that_fails_fails_its_call_and_its_siblings_go_on",
    ),
)

STOPS: tuple[Bug, ...] = (
    bug(
        "code that catches its cancellation is waited for for ever",
        "Stops.grant",
        "self._run.loop.call_later(GRACE_S, self._late, call, call.attempt)",
        "None",
    ),
    bug(
        "code that was left behind makes calls and is told things",
        "Frame.over",
        "if call.state >= OK or call.engine.stops.over: ...",
        "if True:\n    return False",
    ),
    bug(
        "code that is left when the run stops is told things",
        "Frame.over",
        "call.state >= OK or call.engine.stops.over",
        "call.state >= OK",
    ),
    bug(
        "an attempt that was left behind ends the next one",
        "Launcher._code",
        "if call.state == RUNNING and call.attempt == attempt:\n    self._ends.body_ended(call, value, None)",
        "self._ends.body_ended(call, value, None)",
        tests=f"{_ENDS}::test_an_attempt_that_was_left_behind_does_not_meddle_with_the_next",
    ),
    bug(
        "the end of a wait that an attempt left behind counts for the next",
        "ready:_is_past",
        "call.attempt != attempt or call.state in (READY, RESTING)",
        "call.attempt != attempt",
        tests="program/tasks/test_attempts.py::test_waits_that_an_attempt_leaves_behind_do_not_count_for_the_next",
    ),
    bug(
        "an attempt that is over takes places in limits for the next",
        "Ready._let_reenter",
        "if _is_past(call, attempt):\n    future.set_result(None)\n    continue",
        "",
        tests="program/tasks/test_attempts.py::test_an_attempt_that_waits_for_its_place_in_a_limit_takes_none_for_the_next",
    ),
    bug(
        "what is under code that was left behind is stopped level by level",
        "Stops._late",
        'self._stop_below(call, f"{what} was left behind")',
        "",
        tests=f"{_ENDS}::test_its_children_are_stopped_too_however_deep",
    ),
    bug(
        "the slot of code that was left behind is free at once",
        "Ready._has_room",
        "self.active + self.left_behind",
        "self.active",
        tests=f"{_ENDS}::test_its_slot_stays_taken_until_it_has_ended",
    ),
    bug(
        "the places of code that was left behind are free at once",
        "Ready.leave_behind",
        "held = self.keep(call)",
        "held: list[Held] = []",
        tests=f"{_ENDS}::test_its_places_in_limits_and_its_resources_stay_taken_until_it_has_ended",
    ),
    bug(
        "the places of a thread that goes on are free at once",
        "Launcher._abandon",
        "self._ready.keep(call) if x.held else None",
        "None",
        tests=f"{_ENDS}::test_the_place_of_a_thread_that_was_stopped_stays_taken_until_its_code_has_ended",
    ),
    bug(
        "what is under code that was left behind hears of it from below",
        "Stops._stop_below",
        "self._lifecycle.cancel(child, reason)\nself._stop_below(child, reason)",
        "self._stop_below(child, reason)\nself._lifecycle.cancel(child, reason)",
        tests=f"{_ENDS}::test_what_waits_for_a_child_that_is_stopped_with_it_does_not_succeed",
    ),
    bug(
        "a run that nobody awaits any more leaves its calls running",
        "Driver._drive",
        "await self._wind_down()\nawait engine.stops.close(root)",
        "",
        tests=f"{_ENDS}::test_a_run_that_nobody_awaits_any_more_leaves_nothing_behind",
    ),
    bug(
        "a block that is not left after its deadline goes on for ever",
        "DeadlineScope._interrupt",
        "self._patience = deadline.call.engine.loop.call_later(PATIENCE_S, _fail_call, deadline)",
        "",
        tests=f"{_ENDS}::test_a_block_that_is_not_left_fails_its_call",
    ),
)

MOVES: tuple[Bug, ...] = (
    bug(
        "a call that is stopped between two attempts has the next one",
        "transitions:_table",
        "Move(RESTING, do.END_UNRUN)",
        "Move(RESTING, do.NOTHING)",
    ),
    bug(
        "a call that is stopped while it waits for room runs",
        "transitions:_table",
        "Move(READY, do.END_UNRUN)",
        "Move(READY, do.NOTHING)",
    ),
    bug(
        "a call that is stopped while it waits for the disk runs",
        "transitions:_table",
        "Move(STARTING, do.END_UNRUN)",
        "Move(STARTING, do.NOTHING)",
    ),
    bug(
        "a failed attempt is not forgotten before the next",
        "transitions:_table",
        "Move(RESTING, do.TRY_AGAIN)",
        "Move(RESTING, do.REST)",
    ),
    bug(
        "a call whose rest a crash cut short begins its next attempt at once",
        "transitions:_table",
        "Move(RESTING, do.REST)",
        "Move(READY, do.ENQUEUE)",
        tests="sim/test_exact_moments.py::test_a_call_that_rested_when_its_process_died_rests_out_its_time",
    ),
)

OF_STOPS = (*ERRORS, *STOPS, *MOVES)
