"""Seeded bugs of what is remembered of calls, of decisions and signals, and of what a deadline stops."""

from __future__ import annotations

from seeded import Bug, bug

REPLAYED: tuple[Bug, ...] = (
    bug(
        "a call that is stopped while it waits for its inputs forgets its recorded result",
        "_stands",
        "state == CANCELLED and call.x is not None and call.x.recorded is not None",
        "False",
        tests="program/runs/test_resume.py::test_a_result_stands_though_the_call_is_stopped_while_it_waits_for_its_inputs_again",
    ),
    bug(
        "an error from before the last failure is kept for ever",
        "Replay.why_not",
        "seq <= floor",
        "False",
    ),
    bug(
        "errors are always asked again",
        "Replay.why_not",
        "seq <= floor",
        "True",
    ),
    bug(
        "that a call was cancelled is taken as its answer",
        "Replay.why_not",
        "outcome.status == Status.CANCELLED",
        "False",
    ),
    bug(
        "a result is reused though what went into it has changed",
        "Replay.same_inputs",
        "recorded.outcome.inputs == inputs_digest(call)",
        "True",
    ),
    bug(
        "a result is reused though its own source changed and its task says rerun",
        "Replay.why_not",
        "outcome.version != spec.version and self._stale(spec)",
        "False",
    ),
    bug(
        "a result is reused though the source of a task below it changed",
        "Replay.why_not",
        "outcome.guards",
        "()",
    ),
    bug(
        "what is recorded of calls is never looked up",
        "Replay.find",
        "self._known.outcomes.pop(call.key, None)",
        "None",
    ),
    bug(
        "the parent of a recalled call does not hear of its failure",
        "Lifecycle.reuse_new",
        "_note_failure(call.parent, call, state)",
        "pass",
        tests="program/runs/test_resume.py::test_a_failure_that_is_recalled_and_that_nobody_awaits_still_fails_its_parent",
    ),
    bug(
        "who won a race is not recorded",
        "_race",
        "joined.record(name, Winner(parts.index(winner)))",
        "pass",
        tests="sim/test_exact_moments.py::test_a_race_that_both_have_ended_has_the_winner_that_was_recorded",
    ),
    bug(
        "who won a race is recorded and not looked up",
        "_race",
        "joined.recall(name, Winner)",
        "None, name",
    ),
    bug(
        "the order in which calls ended is not recorded",
        "as_completed",
        "record(frame, name, Arrival(place))",
        "pass",
    ),
    bug(
        "the order in which calls ended is recorded and not looked up",
        "as_completed",
        "recall(frame, name, Arrival)",
        "None",
    ),
    bug(
        "hw.now() reads the clock again",
        "now",
        'engine.on_loop(engine.decisions.decide, frame, "now", Now, lambda: Now(engine.wall()))',
        "Now(engine.wall())",
    ),
    bug(
        "hw.remaining() looks again",
        "Accounting.left",
        "decisions.recall(frame.call, key, Remaining)",
        "None",
    ),
    bug(
        "a decision is made again though it is recorded",
        "Decisions.decide",
        "self.recall(frame.call, key, kind)",
        "None",
    ),
    bug(
        "hw.sleep() rests its whole time again after a crash",
        "sleep",
        'engine.decisions.decide(frame, "sleep", Sleep, lambda: Sleep(engine.wall() + seconds))',
        "Sleep(engine.wall() + seconds)",
    ),
    bug(
        "a deadline is counted from when it is opened again",
        "Scopes.open_deadline",
        "self._decisions.decide_deadline(frame, key, wanted)",
        "wanted, wanted - run.wall()",
    ),
    bug(
        "a deadline is waited for until a clock that was set back has caught up",
        "Decisions.decide_deadline",
        "left_s(until, until - found.at, now)",
        "until - now",
        tests="sim/test_a_clock_that_is_set.py::test_a_wait_recorded_before_the_clock_was_set_lasts_no_longer_than_it_was_to",
    ),
    bug(
        "a retry is waited for until a clock that was set back has caught up",
        "Admission._take_over_attempts",
        "left_s(attempt.retry_at, attempt.retry_at - attempt.ended, self._run.wall())",
        "attempt.retry_at - self._run.wall()",
        tests="sim/test_a_clock_that_is_set.py::test_a_wait_recorded_before_the_clock_was_set_lasts_no_longer_than_it_was_to",
    ),
    bug(
        "the code in a block hears of its deadline after a crash, and not the block",
        "Deadline.is_about_to_stop",
        "self.expired or self.holds_back or self.on_expiry is None or call.scope.deadline is not self or self.left_s > 0",
        "True",
        tests="sim/test_exact_moments.py::test_a_block_that_heard_of_its_deadline_hears_of_it_again_and_not_the_code_inside",
    ),
    bug(
        "which signal answered a wait is not recorded",
        "Signals._take",
        "self._decisions.record_decision(call, wait, Event(signal))",
        "0",
    ),
    bug(
        "a signal is handed out a second time after a crash",
        "Given.free",
        "number not in self.has and number not in self.kept",
        "",
    ),
    bug(
        "a call that ends without success keeps its signals",
        "Given.end",
        "freed += self.let_go(own)",
        "",
    ),
    bug(
        "a loser of a race keeps the signal that it was told in the same moment",
        "sort_signals",
        "signals.give_back(call, lost)",
        "",
        tests="program/signals/test_signals.py::test_the_signal_of_a_loser_that_was_told_in_the_same_moment_goes_back",
    ),
    bug(
        "a signal that goes back is not in the queue before the next resume",
        "Signals.give_back",
        "self._free(self.given.let_go(waits))",
        "self.given.let_go(waits)",
        tests="program/signals/test_signals.py::test_the_signal_of_a_loser_that_was_told_in_the_same_moment_goes_back",
    ),
    bug(
        "that a signal went back is not recorded",
        "Signals.give_back",
        "self._decisions.record_decision(call, name_given_back(waits[0]), EventsGivenBack(tuple(waits)))",
        "",
        tests="program/signals/test_signals.py::test_the_signal_of_a_loser_that_was_told_in_the_same_moment_goes_back",
    ),
    bug(
        "the signals of a call that ended without success are in the queue only after the next resume",
        "Signals.end_call",
        "self._free(freed)",
        "",
    ),
    bug(
        "the next attempt is not told the signals of the one before",
        "Given.fail_attempt",
        "self.kept[number] = call",
        "pass",
    ),
    bug(
        "a signal that was handed to a wait that was stopped is lost",
        "Signals._next",
        "self._handed.discard(waiter.signal.number)",
        "",
        tests="program/signals/test_signals.py::test_a_wait_that_is_stopped_as_it_is_handed_a_signal_leaves_it_to_the_next",
    ),
    bug(
        "a wait looks at the clock before the queue",
        "Signals._next",
        "waiter.late = left is not None and left <= 0\nself._serve(waiter.name)",
        "waiter.late = left is not None and left <= 0\nif not waiter.late:\n    self._serve(waiter.name)",
        tests="program/signals/test_signals.py::test_what_nobody_got_the_result_of_goes_back",
    ),
    bug(
        "a fork does not get the signals that nothing in it was told",
        "fork_rows",
        "_not_told(store, source, rows, keep)",
        "()",
        tests="program/signals/test_signals_later.py::test_a_fork_has_the_signals_that_nothing_in_it_was_told",
    ),
)

_ENDS = "program/bounds/test_ends_of_blocks.py::test_a_block_that_was_left_in_time_is_left_so_again"

STOPPED: tuple[Bug, ...] = (
    bug(
        "how the code left the block of a deadline is not recorded",
        "Scopes.leave_deadline",
        "frame.over or self._run.closing",
        "True",
        tests=f"{_ENDS}[alone-deadline-fails]",
    ),
    bug(
        "a deadline breaks in on a block that an earlier life left in time",
        "Scopes.open_deadline",
        "self._was_in_time(frame.call, deadline, left)",
        "False",
        tests=f"{_ENDS}[alone-anytime-fails]",
    ),
    bug(
        "a deadline breaks in on a block inside of one that an earlier life left in time",
        "Scopes._was_in_time",
        "deadline.outer is not None and deadline.outer.holds_back",
        "False",
        tests=f"{_ENDS}[below-deadline-fails]",
    ),
    bug(
        "a call is refused in a block that an earlier life left in time",
        "Lifecycle.begin",
        "scope.deadline.holds_back",
        "False",
        tests=f"{_ENDS}[in_a_thread-deadline-fails]",
    ),
    bug(
        "a block that failed before its run did is held to that end",
        "Scopes._was_in_time",
        "left.row > call.floor",
        "True",
        tests="program/bounds/test_ends_of_blocks.py::"
        "test_a_block_that_failed_before_its_run_did_may_end_otherwise[False-DeadlineExceeded]",
    ),
    bug(
        "a call that a block kept from beginning is never begun, though it has to hear of its stop",
        "Lifecycle._end_unrun",
        "self._accounting.line.leave(call) or _is_let_go(call)",
        "self._accounting.line.leave(call)",
        tests="program/bounds/test_ends_of_blocks.py::"
        "test_a_call_that_went_on_behind_its_block_hears_of_its_stop_in_the_next_life[deadline]",
    ),
    bug(
        "a block that an earlier life has left gets no more time than another",
        "Deadline.begin_patience",
        "PATIENCE_AGAIN_S if self.was_left else PATIENCE_S",
        "PATIENCE_S",
        tests="program/bounds/test_ends_of_blocks.py::test_code_that_left_its_block_before_may_take_longer_to_leave_it_again",
    ),
    bug(
        "a block is left before what its deadline stopped is settled",
        "Deadline._stop_what_can_stop",
        "if not self.calls and not self.inner: ...",
        "self._end_stop()",
        tests="program/stops/test_what_is_stopped.py::test_what_was_stopped_is_booked_when_its_block_is_left_so_that_a_fallback_fits",
    ),
    bug(
        "a deadline takes the result of a block inside that ends with it",
        "Deadline._around_blocks",
        "inner.call if inner.open else None",
        "None",
        tests="program/stops/test_what_is_stopped.py::"
        "test_a_block_inside_hands_on_what_it_has_when_the_deadline_around_it_passes_with_it",
    ),
    bug(
        "a deadline that passed while nothing ran comes before what is recorded",
        "Deadline._quiet_in",
        "HELD_BACK_S if self.holds_back else self._replayed_at() + REPLAY_S - self._loop.time()",
        "-1.0",
        tests="program/stops/test_what_is_stopped.py::test_a_program_is_told_all_that_is_recorded_though_its_deadline_has_passed",
    ),
    bug(
        "after its deadline a call is not told what is recorded of it",
        "Replay.goes_on",
        "call.key in self._known.parents",
        "False",
        tests="program/stops/test_what_is_stopped.py::test_a_program_is_told_all_that_is_recorded_though_its_deadline_has_passed",
    ),
    bug(
        "a wait that is cancelled leaves what it stopped behind",
        "Waits.wait_for",
        "yield from self.drain(me, (target,))",
        "",
        tests="program/stops/test_what_is_stopped.py::test_what_was_stopped_is_booked_when_its_block_is_left_so_that_a_fallback_fits",
    ),
    bug(
        "an attempt that fails before it hears of a stop ends its call for good though it has attempts left",
        "Lifecycle._conclude",
        "outcomes.is_cut_short(call, error)",
        "False",
        tests="program/stops/test_stops_in_a_second_life.py"
        "::test_an_attempt_that_fails_before_it_hears_of_a_stop_does_not_end_the_call_for_good",
    ),
    bug(
        "only the coroutine that asks for something new hears of a stop that waited for that",
        "Halt.hear",
        "own.cancel(reason)",
        "pass",
        tests="program/stops/test_stops_in_a_second_life.py"
        "::test_the_code_of_a_call_hears_of_a_stop_that_its_coroutines_are_the_first_to_hear_of",
    ),
    bug(
        "a stop that a coroutine hears of breaks into the shielded block of another",
        "Halt.hear",
        "if self.shields: ...",
        "if False: ...",
        tests="program/stops/test_stops_in_a_second_life.py"
        "::test_the_code_of_a_call_hears_of_a_stop_that_its_coroutines_are_the_first_to_hear_of",
    ),
    bug(
        "a rest in a block is over when a late life waits for it again, though its deadline had broken it off",
        "Scopes.is_broken_off",
        "deadline.at < until",
        "False",
        tests="sim/test_undoing_survives.py"
        "::test_code_in_a_block_hears_of_its_deadline_at_the_same_place_however_late_its_run_is_taken_up",
    ),
    bug(
        "a call that was stopped with its input has failed because of it",
        "Admission._inputs_there",
        "call.x is not None and call.x.stop is not None",
        "False",
        tests="proof/test_random_programs.py::test_a_program_that_once_found_a_fault_finds_none[killed again and again-762915860]",
    ),
)

OF_REPLAYS = (*REPLAYED, *STOPPED)
