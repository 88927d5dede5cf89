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
        "self._run.loop.call_later(GRACE_S + more_s, self._late, call, call.attempt)",
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
        "self._patience = deadline.begin_patience(functools.partial(_fail_call, deadline))",
        "",
        tests=f"{_ENDS}::test_a_block_that_is_not_left_fails_its_call",
    ),
)

_SHIELDS = "program/stops/test_shields.py"
_BESIDE = "program/stops/test_shields_beside_others.py"
_UNDOING = "sim/test_undoing_survives.py"

SHIELDS: tuple[Bug, ...] = (
    bug(
        "that a call was stopped is not recorded before it undoes something",
        "Shields._record",
        "self._decisions.record_decision(call, _name(call, call.attempt), told)",
        "",
        tests=_UNDOING,
    ),
    bug(
        "a stop that comes while a block is open is recorded when the block ends, or never",
        "Shields.interrupt",
        "self._record(call, halt)",
        "",
        tests=_UNDOING,
    ),
    bug(
        "what a call did before it undid it is found again by the next to ask",
        "Outcomes.end",
        "state != OK and has_undone(call)",
        "False",
        tests=f"{_SHIELDS}::test_who_asks_again_for_a_call_that_undid_something_gets_nothing_of_what_it_did_before",
    ),
    bug(
        "the next attempt finds what the attempt before has undone",
        "Outcomes.note_retry",
        "is_own_failure(error, x.child_errors) or has_undone(call)",
        "is_own_failure(error, x.child_errors) and not has_undone(call)",
        tests=f"{_SHIELDS}::test_so_does_the_next_attempt_of_a_call_that_took_too_long",
    ),
    bug(
        "a call that is stopped before its code has run again hears nothing of it",
        "Shields.lets_begin",
        "self._run.closing or not self._replay.may_have_begun(call) or not _can_be_told(call)",
        "True",
        tests=_UNDOING,
    ),
    bug(
        "a stop breaks in on code that is still told again what it was told",
        "Shields.interrupt",
        "self._replay.may_have_begun(call) and (self._streams.let_begin(call) or self._is_told_again(call))",
        "False",
        tests="program/stops/test_stops_in_a_second_life.py",
    ),
    bug(
        "code that hears of a stop is told ends that it had not been told of",
        "Shields.lets_ask",
        "halt.untold.add(call.key)",
        "",
        tests="program/stops/test_stops_in_a_second_life.py",
    ),
    bug(
        "a wait that a stop broke off ends well when it is told again",
        "waits:note_untold",
        "me.x.halting().untold.update([target.key for target in targets])",
        "pass",
        tests="program/stops/test_stops_in_a_second_life.py",
    ),
    bug(
        "a call that began an effect, and died with it, is taken for one that did nothing",
        "recovered:load",
        "known.acted[parent] = seq",
        "",
        tests="program/stops/test_stops_in_a_second_life.py",
    ),
    bug(
        "a rest that a stop broke off is over when it is told again",
        "context:sleep",
        "hear_stop(frame.call, until)",
        "",
        tests="program/stops/test_stops_in_a_second_life.py",
    ),
    bug(
        "a call that hears of its stop too late succeeds without what it was kept from",
        "lifecycle:_ends_stopped",
        "halt.recorded or halt.guessed or bool(halt.untold)",
        "halt.recorded or halt.guessed",
        tests="program/stops/test_stops_in_a_second_life.py::test_a_call_that_is_kept_from_what_it_asks_for_does_not_succeed",
    ),
    bug(
        "a stop does not wait for the end of a shielded block",
        "Shields.interrupt",
        "if halt.shields:\n    halt.held_off, halt.after = True, halt.shields[0].number\n    self._record(call, halt)\n"
        "    self._grant(call, halt)\n    return",
        "",
        tests=f"{_SHIELDS}::test_a_stop_that_comes_while_the_block_is_open_waits_for_its_end",
    ),
    bug(
        "what a shielded block started goes on when the block took too long",
        "Shields._expire",
        "self._lifecycle.cancel(child, reason)",
        "pass",
        tests=f"{_SHIELDS}::test_what_the_block_started_ends_with_its_time_also_where_nobody_awaits_it",
    ),
    bug(
        "what an earlier life stopped, and this one does not, ends cancelled",
        "Shields.recall",
        "told.error is None and x.stop is None",
        "False",
        tests="program/stops/test_stops_in_a_second_life.py",
    ),
    bug(
        "a call that has to undo something waits for its next attempt first",
        "Admission._resume",
        "not self.shields.recall(call) and rest_s > 0",
        "rest_s > 0 or not self.shields.recall(call)",
        tests=_UNDOING,
    ),
    bug(
        "the stop that a shielded block held off comes later when it is told again",
        "Shields.close",
        "halt.replays and halt.after == shield.number",
        "False",
        tests="program/stops/test_stops_in_a_second_life.py",
    ),
    bug(
        "a stop does not reach what has to undo something through a call that did nothing itself",
        "Replay.may_have_begun",
        "bool(known.unfinished)",
        "False",
        tests="program/stops/test_stops_in_a_second_life.py",
    ),
    bug(
        "a stream that is taken up is stopped before its code could hear of it",
        "Shields.interrupt",
        "self._streams.let_begin(call) or self._is_told_again(call)",
        "self._is_told_again(call)",
        tests="program/stops/test_stops_in_a_second_life.py",
    ),
    bug(
        "a join breaks in on a shielded block of one of its coroutines",
        "Branches._cancel",
        "if shields := self._shields_of(branch):\n    shields[0].listeners.append(lambda: self._cancel(branch))\n"
        "elif not branch.done():\n    branch.task.cancel()",
        "branch.task.cancel()",
        tests=_BESIDE,
    ),
    bug(
        "a deadline breaks off a shielded block inside of its own",
        "DeadlineScope._interrupt",
        "(shield := _find_shield(deadline)) is not None",
        "(shield := None) is not None",
        tests=_BESIDE,
    ),
    bug(
        "a block that was open before the stop and ignores its timeout runs for ever",
        "Shields.interrupt",
        "self._grant(call, halt)",
        "",
        tests=_BESIDE,
    ),
)

_FROZEN = "program/bounds/test_frozen.py"

PATIENCE: tuple[Bug, ...] = (
    bug(
        "a freeze of the process uses up the patience of a deadline",
        "patience:Patience._count_slice",
        "min(took_s, SLICE_S)",
        "took_s",
        tests=f"{_FROZEN}::test_after_a_freeze_code_has_the_time_that_it_had_left",
    ),
    bug(
        "a deadline breaks in on its block a turn after a freeze, where little patience was left",
        "patience:Patience._count_slice",
        "took_s > LATE_S and not self._was_late",
        "False",
        tests=f"{_FROZEN}::test_a_block_whose_code_was_frozen_on_its_way_out_is_left_with_what_it_has",
    ),
    bug(
        "the patience of a deadline never ends with code that blocks its loop again and again",
        "patience:Patience._count_slice",
        "took_s > LATE_S and not self._was_late",
        "took_s > LATE_S",
        tests=f"{_FROZEN}::test_code_that_blocks_its_loop_again_and_again_uses_up_its_patience",
    ),
    bug(
        "patience counts time in which a step that was ready had no turn",
        "patience:Patience._begin_slice",
        "self._loop.call_later(min(SLICE_S, self._left_s), self._after_ready, self._count_slice)",
        "self._loop.call_later(min(SLICE_S, self._left_s), self._count_slice)",
        tests=f"{_FROZEN}::test_no_step_that_is_held_up_costs_a_block_its_result",
    ),
    bug(
        "patience with a replay does not begin anew with a recorded answer",
        "patience:Patience._count_slice",
        "(heard_at := self._replayed_at()) > self._heard_at",
        "(heard_at := self._replayed_at()) > math.inf",
        tests="program/bounds/test_ends_of_blocks.py::test_a_block_is_held_back_anew_after_each_recorded_answer",
    ),
    bug(
        "a freeze in which a deadline falls due counts as time in which a replay was quiet",
        "Deadline._quiet_in",
        "HELD_BACK_S if self.holds_back else self._replayed_at() + REPLAY_S - self._loop.time()",
        "self._replayed_at() + (HELD_BACK_S if self.holds_back else REPLAY_S) - self._loop.time()",
        tests=f"{_FROZEN}::test_a_block_that_was_left_in_time_is_left_so_again_though_its_process_was_frozen",
    ),
    bug(
        "the patience with a shielded block that a deadline waits for is gone when it is left",
        "Deadline.begin_patience",
        "seconds + max(0.0, more_s)",
        "max(0.0, more_s)",
        tests=f"{_FROZEN}::test_what_a_shielded_block_does_at_its_end_is_not_broken_off_after_a_freeze",
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

OF_STOPS = (*ERRORS, *STOPS, *SHIELDS, *PATIENCE, *MOVES)
