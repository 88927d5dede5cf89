"""Seeded bugs of calls: what they are named by, how they share results, how they end and are tried again."""

from __future__ import annotations

from seeded import Bug, Edit, bug

IDENTITY: tuple[Bug, ...] = (
    bug(
        "a call's number counts all calls of the process, not its equal siblings",
        "Names.name",
        "sibling_key(key, ordinal) if ordinal else key",
        "sibling_key(key, parent.engine.calls)",
    ),
    bug(
        "the key of a call holds when it arrived",
        "Names.name",
        "prefix + spec.name_part + asked",
        "prefix + spec.name_part + asked + bytes([parent.engine.calls % 256])",
    ),
    bug(
        "equal siblings have one key",
        "Names.name",
        "sibling_key(key, ordinal) if ordinal else key",
        "key",
    ),
    bug(
        "the parent is not in the key",
        "Names.name",
        "parent.key",
        "parent.engine.run.salt",
    ),
    bug(
        "the epoch is not in the key",
        "Names.name",
        "parent.epoch",
        "0",
    ),
    bug(
        "the attributes of an error are not in the key",
        "journal.codec.errors:take_apart",
        "type(each) in _SHORT",
        "False",
        tests="engine/test_identity.py::test_values_that_differ_in_content_or_type_have_different_forms",
    ),
    bug(
        "an explicit key is dropped",
        "TaskSpec.canonical",
        "self.key is None",
        "True",
    ),
    bug(
        "the numbers of equal siblings go on counting in the next attempt",
        "Lifecycle._try_again",
        "call.ordinals = None",
        "",
    ),
    bug(
        "a new driver gives the run's effects new idempotency keys",
        "run:drive",
        'claim.info.uid.to_bytes(8, "big") + claim.info.spec.salt',
        "world.token()",
    ),
    bug(
        "each attempt has an idempotency key of its own",
        "Launcher.facts",
        "self._shared.effect_name(call)",
        "self._shared.effect_name(call) + bytes([call.attempt])",
    ),
)

_IN_BLOCKS = "program/bounds/test_calls_in_blocks.py"

BRANCHES: tuple[Bug, ...] = (
    bug(
        "calls in a block that ends with its bound are numbered with those around it",
        "Engine.spawn",
        "self.names.name(spec, asked, parent, frame.path)",
        "self.names.name(spec, asked, parent, frame.branch)",
        tests=f"{_IN_BLOCKS}::test_equal_calls_and_decisions_in_two_blocks_and_behind_them_are_told_apart_alike_in_each_life",
    ),
    bug(
        "what is decided in a block that ends with its bound is numbered with what is around it",
        "Decisions.name_decision",
        'detail + b" in " + frame.path if frame.path else detail',
        'detail + b" in " + frame.branch if frame.branch else detail',
        tests=f"{_IN_BLOCKS}::test_what_is_decided_in_a_block_shifts_nothing_behind_it",
    ),
    bug(
        "a block that comes to more than before takes a call of the code behind it",
        "Siblings._is_awaited",
        "len(owner) == shared and branch[: shared + LEVEL] in self._ended",
        "False",
        tests=f"{_IN_BLOCKS}::test_a_block_that_comes_to_more_than_before_takes_nothing_that_the_code_behind_it_was_given",
    ),
    bug(
        "what a block had used when it ended is given to the code behind it",
        "Siblings._is_awaited",
        "any(owner[:end] in self._ended for end in range(shared + LEVEL, len(owner) + 1, LEVEL))",
        "False",
        tests=f"{_IN_BLOCKS}::test_a_call_behind_a_block_is_given_nothing_that_its_equals_in_the_block_were_given_or_refused",
    ),
    bug(
        "a failure in a block is given to the code behind it",
        "Siblings._choose",
        "_crosses_block(slot[0], branch) and not self._has_result(base, ordinal)",
        "False",
        tests=f"{_IN_BLOCKS}::test_a_call_behind_a_block_whose_end_is_not_recorded_is_not_given_a_failure_from_inside",
    ),
    bug(
        "equal calls of branches are told apart by when they come",
        "Siblings._choose",
        "equals.unclaimed.pop((branch, turn), None)",
        "None",
    ),
    bug(
        "a branch is given the recorded call that another branch will come for",
        "Siblings._choose",
        "ordinal not in equals.taken and not self._is_awaited(slot, ordinal, branch)",
        "ordinal not in equals.taken",
    ),
    bug(
        "the next attempt forgets which branch made which of equal calls",
        "Siblings.place",
        "self._kept.note(place)",
        "pass",
        tests="program/runs/test_branches.py::test_the_next_attempt_tells_each_branch_what_the_last_one_told_it",
    ),
    bug(
        "a fork knows how attempts failed after the call that it finds out again",
        "_attempts_above",
        "not forgotten",
        "True",
        tests="program/runs/test_forks.py::test_a_fork_goes_on_with_the_attempts_of_the_calls_above",
    ),
    bug(
        "in a fork the calls above have all their attempts again",
        "_attempts_above",
        "encode_body(msgspec.structs.replace(attempt, goes_on=True))",
        "row.body",
        tests="program/runs/test_forks.py::test_a_fork_goes_on_with_the_attempts_of_the_calls_above",
    ),
    bug(
        "a fork forgets which branch made the call that it finds out again",
        "fork_rows.keep",
        "_only_its_place(row)",
        "False",
        tests="program/runs/test_branches.py::test_a_fork_at_one_of_equal_calls_leaves_the_others_to_their_branches",
    ),
    bug(
        "that a branch was given the recorded call of another is not recorded",
        "Siblings.place",
        "self._record_move(place)",
        "pass",
        tests="program/runs/test_branches.py::test_what_a_branch_was_given_of_another_it_gets_again",
    ),
)

CHANGED: tuple[Bug, ...] = (
    bug(
        "a changed argument goes unnoticed",
        "unless_changed",
        "not found",
        "True",
        tests="sim/test_changed_and_killed.py::test_a_program_ends_alike_wherever_it_is_killed",
    ),
    bug(
        "what a failed attempt has done to its arguments goes unnoticed",
        "Lifecycle.body_ended",
        "not fixed and error is not None",
        "False",
        tests="sim/test_changed_and_killed.py::test_a_program_ends_alike_wherever_it_is_killed",
    ),
    bug(
        "a change of a result that came by handle goes unnoticed",
        "unless_changed",
        "call.inputs",
        "False",
        tests="sim/test_changed_and_killed.py::test_a_program_ends_alike_wherever_it_is_killed",
    ),
    bug(
        "what a call with a key of its own has done to its arguments goes unnoticed",
        "Engine.spawn",
        "if spec.key is not None: ...",
        "",
        tests="sim/test_changed_and_killed.py::test_a_program_ends_alike_wherever_it_is_killed",
    ),
    bug(
        "what a call has changed before it was stopped goes unnoticed",
        "_is_stopped_by_others",
        "stop is not None and not issubclass(type(stop), CallTimeout)",
        "False",
        tests="program/changes/test_changed_while_it_ends.py::test_one_that_is_stopped_after_it_changed_its_argument_fails_whoever_made_it",
    ),
    bug(
        "the next of several that get a result is not told that it has changed",
        "note_input",
        "x.seen is MISSING",
        "True",
        tests="program/changes/test_changed_results.py::test_a_result_that_its_caller_changes_before_another_gets_it_is_told",
    ),
)

STRUCTURE: tuple[Bug, ...] = (
    bug(
        "the losers of a race go on running",
        "_race",
        'await joined.stop(f"{winner.describe()} won" if winner is not None else "nobody won")',
        "",
    ),
    bug(
        "gather does not wait for those that it cancels",
        "_gather",
        'await joined.stop(f"{failed.describe()} failed beside it")',
        "for part in joined.parts if joined._branches is None else ():\n    part.awaited = True\n    part.engine.cancel(part, '')",
    ),
    bug(
        "gather lets the others go on when one fails",
        "_gather",
        'await joined.stop(f"{failed.describe()} failed beside it")',
        "pass",
    ),
    bug(
        "a call ends before its children",
        "Lifecycle.body_ended",
        "if not call.children: ...",
        "if True: ...",
    ),
    bug(
        "the children of a failed call go on",
        "transitions:_table",
        "left = {on.BODY_BROKE: Move(FINISHING, do.STOP_CHILDREN)}",
        "left = {on.BODY_BROKE: Move(FINISHING, do.NOTHING)}",
    ),
    bug(
        "a call that was stopped while its children end does not stop them",
        "transitions:_table",
        "{on.STOPPED: Move(FINISHING, do.STOP_CHILDREN), on.CHILDREN_ENDED: Move(CONCLUDING, do.CONCLUDE)}",
        "{on.STOPPED: Move(FINISHING, do.NOTHING), on.CHILDREN_ENDED: Move(CONCLUDING, do.CONCLUDE)}",
        tests="program/stops/test_what_is_stopped.py::test_a_call_whose_code_has_ended_is_stopped_with_the_children_that_it_waits_for",
    ),
    bug(
        "a call keeps its result though its child was cancelled by the stop",
        "Lifecycle._children_ended",
        "x.cut",
        "",
        tests="program/stops/test_what_is_stopped.py::test_a_call_whose_code_has_ended_is_stopped_with_the_children_that_it_waits_for",
    ),
    bug(
        "the error of a child that nobody awaited is lost",
        "Lifecycle._conclude",
        "error is None and x.failures",
        "False",
    ),
    bug(
        "a call that timed out ends as cancelled",
        "Lifecycle.body_ended",
        "error = x.stop",
        "pass",
    ),
    bug(
        "a timeout never comes",
        "Launcher._begin",
        "spec.timeout_s is not None",
        "False",
    ),
    bug(
        "a call that is asked to stop is not interrupted",
        "Launcher.interrupt",
        "call.asyncio_task.cancel(x.stop_reason)",
        "pass",
    ),
    bug(
        "a call that leaves its batch never ends",
        "Batches.drop",
        "self._ends.body_ended(call, None, asyncio.CancelledError())",
        "",
    ),
    bug(
        "results of a batch are handed out in the wrong order",
        "Batches._end",
        "values[place]",
        "values[-1 - place]",
    ),
    bug(
        "a shared call that runs already is run beside itself",
        "Shared.answered",
        "self._running.get(name)",
        "None",
        Edit("Shared._serve_waiting", "self._running.pop(name)", "self._running.pop(name, (call, []))"),
    ),
    bug(
        "a shared call is run again while its record is on the way to the disk",
        "Log.fresh",
        "self._fresh.get(key)",
        "None",
    ),
    bug(
        "a result of another run is used and not recorded in this one",
        "Outcomes.answer",
        "run.append(Row(_COSTED_OUTCOME, call.key, call.parent_key, body))",
        "0",
    ),
    bug(
        "a call starts although one of its inputs failed",
        "Admission._inputs_there",
        "handle.state != OK",
        "False",
    ),
)

OF_ALL: tuple[Bug, ...] = (
    bug(
        "the failure of a shared call is handed to those that wait for it",
        "Shared._serve_waiting",
        "self.answers.start(other)",
        "self.answers.start(other) if call.error is None else self.answers.refuse(other, call.error)",
        tests="sim/test_shared_calls.py::test_of_equal_calls_that_run_at_once_each_one_gets_its_own_failure",
    ),
    bug(
        "the failure of a shared call is found by all its equals",
        "recovered:load",
        "body if outcome.status == Status.OK else None",
        "body",
    ),
    bug(
        "the result of an equal call hides the failure that a call was told",
        "Replay.find",
        "found = self._known.outcomes.pop(call.key, None)",
        "answered = call.share is not None and call.share.key in self._known.shared\n"
        "found = None if answered else self._known.outcomes.pop(call.key, None)",
    ),
    bug(
        "equal calls have one key whoever asks",
        "Engine.spawn",
        "call.share = self.shared.name(call, inputs)",
        "call.share = self.shared.name(call, inputs)\ncall.key = call.share.key",
    ),
    bug(
        "a failure below a shared call is told to the next one that runs",
        "Outcomes._record",
        "if state == OK: ...",
        "if state != CANCELLED: ...",
    ),
    bug(
        "what is below a shared call is not kept for the next one that runs",
        "Shared.answered",
        "return self._answer(call, self._results(call))",
        "return False",
    ),
    bug(
        "what a shared call did not like is kept for the next one that runs",
        "Shared.ask_afresh",
        "self._epochs[share.key] = share.epoch + 1",
        "pass",
    ),
    bug(
        "the key of a call holds the shared names of its inputs",
        "_lower_handle",
        "value._key",
        "value._call.share.key if hasattr(value, '_call') and value._call.share is not None else value._key",
        tests="sim/test_shared_calls.py::test_what_a_call_has_done_outlives_a_crash_and_the_failure_of_an_equal_one",
    ),
    bug(
        "what a shared call did not like is forgotten in a crash",
        "RecoveredState.note_shared",
        "epoch > self.epochs.get(name, 0)",
        "False",
        tests="sim/test_shared_calls.py::test_after_one_that_failed_by_itself_the_next_asks_what_is_below_afresh",
    ),
    bug(
        "a task to rerun does not run again for those that were answered with what it gave to another",
        "on_change:_mark",
        "[*parents.get(call, ()), *equals(call)]",
        "parents.get(call, ())",
        tests="sim/test_shared_calls.py::test_a_task_to_rerun_below_a_shared_call_runs_again_for_all_that_were_answered",
    ),
    bug(
        "a shared call waits for itself",
        "Waits.join",
        "self._needs(running, me)",
        "False",
        tests="sim/test_shared_calls.py::test_a_shared_call_that_needs_its_own_result_is_refused_instead_of_waiting_for_ever",
    ),
    bug(
        "a shared call that was stopped has what is below it asked afresh",
        "Outcomes._ask_afresh",
        "error is not call.extra().stop and not issubclass(type(error), BOUNDS)",
        "True",
        tests="sim/test_shared_calls.py::test_what_a_deadline_cut_short_goes_on_for_the_next",
    ),
    bug(
        "what one of equal calls was told is told to the others",
        "Decisions.name_decision",
        'what == "random" and call.share is not None',
        "call.share is not None",
    ),
    bug(
        "of those that wait for a shared call one is forgotten",
        "Shared._serve_waiting",
        "for other in waiting: ...",
        "for other in waiting[:1]: ...",
    ),
    bug(
        "each caller of a shared effect has an idempotency key of its own",
        "Shared.effect_name",
        "if call.share is None: ...",
        "if call.share is None: ...\nreturn call.key",
        tests="sim/test_shared_calls.py::test_equal_effects_have_one_idempotency_key",
    ),
)

RETRIED: tuple[Bug, ...] = (
    bug(
        "a call that failed by itself keeps its children",
        "Outcomes.note_retry",
        "is_own_failure(error, x.child_errors)",
        "False",
    ),
    bug(
        "a call that failed because of a child asks all of them afresh",
        "Outcomes.note_retry",
        "is_own_failure(error, x.child_errors)",
        "True",
    ),
    bug(
        "a child that succeeded runs again in the next attempt",
        "Outcomes._record",
        "if call.memo is not None: ...",
        "",
    ),
    bug(
        "a crash gives a call new attempts",
        "Admission._take_over_attempts",
        "call.attempt = attempt.attempt",
        "",
    ),
    bug(
        "after a crash a retried call asks for the children of its first attempt",
        "Admission._take_over_attempts",
        "call.epoch = max(call.epoch, attempt.epoch)",
        "",
    ),
    bug(
        "a call that is asked again in one life likes again what it did not like",
        "Outcomes.end",
        "state != OK and call.epoch and call.memo is not None",
        "False",
        tests="sim/test_exact_moments.py::test_a_call_asked_again_after_its_last_attempt_makes_the_same_calls_after_a_crash",
    ),
    bug(
        "the next attempt is answered with the errors of the last one",
        "Outcomes._note_failed",
        "call.floor = run.append(Row(Kind.ATTEMPT | COSTED, call.key, call.parent_key, encode_body(attempt)))",
        "run.append(Row(Kind.ATTEMPT | COSTED, call.key, call.parent_key, encode_body(attempt)))",
        Edit("Admission._take_over_attempts", "call.floor = seq if attempt.goes_on else max(call.floor, seq)", ""),
        tests="sim/test_exact_moments.py::test_the_next_attempt_is_not_answered_with_the_errors_of_the_last_one",
    ),
    bug(
        "the last attempt is one too many",
        "Outcomes._tries_again",
        "0 < call.attempt < retry.attempts",
        "0 < call.attempt <= retry.attempts",
    ),
)

OF_CALLS = (*IDENTITY, *BRANCHES, *CHANGED, *STRUCTURE, *OF_ALL, *RETRIED)
