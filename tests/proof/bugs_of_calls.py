"""Seeded bugs of calls: what they are named by, what is remembered of them, how they join, stop and are tried again."""

from __future__ import annotations

from seeded import Bug, Edit, bug

ENGINE, OUTCOME, ADMISSION = "engine/engine.py", "engine/outcome.py", "engine/admission.py"
BOUNDS = "engine/bounds.py"
REPLAY, LAUNCH, BATCH, JOIN, INSIDE = "engine/replay.py", "engine/launch.py", "engine/batch.py", "join.py", "inside.py"
SIGNALS, GIVEN = "engine/signals.py", "journal/given.py"
BOOKS, SHARED, KNOWN = "engine/books.py", "engine/shared.py", "journal/known.py"
SIBLINGS, CHANGES = "engine/siblings.py", "engine/changed.py"

IDENTITY: tuple[Bug, ...] = (
    bug(
        "a call's number counts all calls of the process, not its equal siblings",
        ENGINE,
        "return sibling_key(key, ordinal) if ordinal else key, None",
        "return sibling_key(key, self.calls), None",
    ),
    bug(
        "the key of a call holds when it arrived",
        ENGINE,
        "key = hash_key(prefix + spec.name_part + asked)",
        "key = hash_key(prefix + spec.name_part + asked + bytes([self.calls % 256]))",
    ),
    bug(
        "equal siblings have one key",
        ENGINE,
        "return sibling_key(key, ordinal) if ordinal else key, None",
        "return key, None",
    ),
    bug(
        "the parent is not in the key",
        ENGINE,
        "parent._prefix = call_prefix(parent.key, parent._epoch)",
        "parent._prefix = call_prefix(self.salt, parent._epoch)",
    ),
    bug(
        "the epoch is not in the key",
        ENGINE,
        "parent._prefix = call_prefix(parent.key, parent._epoch)",
        "parent._prefix = call_prefix(parent.key, 0)",
    ),
    bug(
        "an explicit key is dropped",
        "engine/spec.py",
        "        if self.key is None:\n",
        "        if True:\n",
    ),
    bug(
        "the numbers of equal siblings go on counting in the next attempt",
        ENGINE,
        "        call._ordinals = None\n        if call",
        "        if call",
    ),
    bug(
        "a new driver gives the run's effects new idempotency keys",
        "run.py",
        'info.uid.to_bytes(8, "big") + info.spec.salt, info',
        "world.token(), info",
    ),
    bug(
        "each attempt has an idempotency key of its own",
        LAUNCH,
        "idempotency_key=hashlib.blake2b(engine.shared.effect_name(call),",
        "idempotency_key=hashlib.blake2b(engine.shared.effect_name(call) + bytes([call._attempt]),",
    ),
)

BRANCHES: tuple[Bug, ...] = (
    bug(
        "equal calls of branches are told apart by when they come",
        SIBLINGS,
        "own = equals.unclaimed.pop((branch, turn), None)",
        "own = None",
    ),
    bug(
        "a branch is given the recorded call that another branch will come for",
        SIBLINGS,
        "ordinal not in equals.taken and not self._is_awaited(slot, ordinal, branch)",
        "ordinal not in equals.taken",
    ),
    bug(
        "the next attempt forgets which branch made which of equal calls",
        SIBLINGS,
        "            self._kept.note(place)\n",
        "            pass\n",
        tests="program/test_branches.py",
    ),
    bug(
        "a fork knows how attempts failed after the call that it finds out again",
        "journal/forking.py",
        "                kept[seq] = not forgotten\n",
        "                kept[seq] = True\n",
        tests="program/test_resume.py::test_a_fork_goes_on_with_the_attempts_of_the_calls_above",
    ),
    bug(
        "in a fork the calls above have all their attempts again",
        "journal/forking.py",
        "encode_body(msgspec.structs.replace(attempt, goes_on=True))",
        "row.body",
        tests="program/test_resume.py::test_a_fork_goes_on_with_the_attempts_of_the_calls_above",
    ),
    bug(
        "a fork forgets which branch made the call that it finds out again",
        "journal/forking.py",
        "            return _only_its_place(row)\n",
        "            return False\n",
        tests="program/test_branches.py",
    ),
    bug(
        "that a branch was given the recorded call of another is not recorded",
        SIBLINGS,
        "            self._record_move(place)\n",
        "            pass\n",
        tests="program/test_branches.py",
    ),
)

CHANGED: tuple[Bug, ...] = (
    bug(
        "a changed argument goes unnoticed",
        CHANGES,
        "    if not found:\n",
        "    if True:\n",
        tests="sim/test_changed_and_killed.py",
    ),
    bug(
        "what a failed attempt has done to its arguments goes unnoticed",
        ENGINE,
        "        if not fixed and error is not None:\n",
        "        if False:\n",
        tests="sim/test_changed_and_killed.py",
    ),
    bug(
        "a change of a result that came by handle goes unnoticed",
        CHANGES,
        "    if call._inputs:\n",
        "    if False:\n",
        tests="sim/test_changed_and_killed.py",
    ),
    bug(
        "what a call with a key of its own has done to its arguments goes unnoticed",
        ENGINE,
        "        if spec.key is not None:\n            note_members(call)\n",
        "",
        tests="sim/test_changed_and_killed.py",
    ),
    bug(
        "what a call has changed before it was stopped goes unnoticed",
        CHANGES,
        "    return stop is not None and not issubclass(type(stop), CallTimeout)\n",
        "    return False\n",
        tests="program/test_changed_arguments.py::test_one_that_is_stopped_after_it_changed_its_argument_fails_whoever_made_it",
    ),
    bug(
        "the next of several that get a result is not told that it has changed",
        CHANGES,
        "    if x.seen is MISSING:\n",
        "    if True:\n",
        tests="program/test_changed_arguments.py::test_a_result_that_its_caller_changes_before_another_gets_it_is_told",
    ),
)

REPLAYED: tuple[Bug, ...] = (
    bug(
        "a call that is stopped while it waits for its inputs forgets its recorded result",
        OUTCOME,
        "return state == CANCELLED and call._x is not None and call._x.recorded is not None",
        "return False",
        tests="program/test_resume.py::test_a_result_stands_though_the_call_is_stopped_while_it_waits_for_its_inputs_again",
    ),
    bug(
        "an error from before the last failure is kept for ever",
        REPLAY,
        "            if seq <= floor:\n",
        "            if False:\n",
    ),
    bug(
        "errors are always asked again",
        REPLAY,
        "            if seq <= floor:\n",
        "            if True:\n",
    ),
    bug(
        "that a call was cancelled is taken as its answer",
        REPLAY,
        "            if outcome.status == Status.CANCELLED:\n",
        "            if False:\n",
    ),
    bug(
        "a result is reused though what went into it has changed",
        REPLAY,
        "return recorded.outcome.inputs == inputs_digest(call)",
        "return True",
    ),
    bug(
        "a result is reused though its own source changed and its task says rerun",
        REPLAY,
        "            if outcome.version != spec.version and self._stale(spec):\n",
        "            if False:\n",
    ),
    bug(
        "a result is reused though the source of a task below it changed",
        REPLAY,
        "for task, version in outcome.guards:\n            guard = TASKS",
        "for task, version in ():\n            guard = TASKS",
    ),
    bug(
        "what is recorded of calls is never looked up",
        REPLAY,
        "found = self._known.outcomes.pop(call.key, None)",
        "found = None",
    ),
    bug(
        "who won a race is not recorded",
        JOIN,
        '                outcomes.record_decision(call, key, "race", handles.index(winner))',
        "                pass",
        tests="sim/test_exact_moments.py",
    ),
    bug(
        "who won a race is recorded and not looked up",
        JOIN,
        "    recalled = outcomes.recall(call, key)\n    try:",
        "    recalled = MISSING\n    try:",
    ),
    bug(
        "the order in which calls ended is not recorded",
        JOIN,
        '            outcomes.record_decision(call, key, "order", index)',
        "            pass",
    ),
    bug(
        "the order in which calls ended is recorded and not looked up",
        JOIN,
        "        index = outcomes.recall(call, key)\n",
        "        index = MISSING\n",
    ),
    bug(
        "hw.now() reads the clock again",
        INSIDE,
        'frame.call._engine.decide(frame, "now", frame.call._engine.wall)',
        "frame.call._engine.wall()",
    ),
    bug(
        "hw.remaining() looks again",
        BOOKS,
        "told = outcomes.recall(frame.call, key)",
        "told = MISSING",
    ),
    bug(
        "a decision is made again though it is recorded",
        OUTCOME,
        "        value = self.recall(frame.call, key)\n",
        "        value = MISSING\n",
    ),
    bug(
        "hw.sleep() rests its whole time again after a crash",
        INSIDE,
        'engine.outcomes.decide(frame, "sleep", b"", lambda: engine.wall() + seconds)',
        "engine.wall() + seconds",
    ),
    bug(
        "a deadline is counted from when it is opened again",
        "engine/scopes.py",
        'engine.outcomes.decide_until(frame, "deadline", place, wanted)',
        "wanted, wanted - engine.wall()",
    ),
    bug(
        "a deadline is waited for until a clock that was set back has caught up",
        "engine/outcome.py",
        "return until, left_s(until, until - found.at, now)",
        "return until, until - now",
        tests="sim/test_a_clock_that_is_set.py",
    ),
    bug(
        "a retry is waited for until a clock that was set back has caught up",
        "engine/admission.py",
        "left_s(attempt.retry_at, delay, self._engine.wall())",
        "attempt.retry_at - self._engine.wall()",
        tests="sim/test_a_clock_that_is_set.py",
    ),
    bug(
        "the code in a block hears of its deadline after a crash, and not the block",
        "engine/bounds.py",
        "        if self.expired or self.on_expiry is None or call._scope.deadline is not self or self.left_s > 0:\n",
        "        if True:\n",
        tests="sim/test_exact_moments.py",
    ),
    bug(
        "which signal answered a wait is not recorded",
        SIGNALS,
        'seq = self._engine.outcomes.record_decision(call, wait, "event", told)',
        "seq = 0",
    ),
    bug(
        "a signal is handed out a second time after a crash",
        GIVEN,
        " if number not in self.has and number not in self.kept]",
        "]",
    ),
    bug(
        "a call that ends without success keeps its signals",
        GIVEN,
        "            freed += self.let_go(own)\n",
        "",
    ),
    bug(
        "a loser of a race keeps the signal that it was told in the same moment",
        "loose.py",
        "    signals.give_back(call, lost)\n",
        "",
        tests="program/test_signals.py",
    ),
    bug(
        "a signal that goes back is not in the queue before the next resume",
        SIGNALS,
        "            self._free(self.given.let_go(waits))\n",
        "            self.given.let_go(waits)\n",
        tests="program/test_signals.py",
    ),
    bug(
        "that a signal went back is not recorded",
        SIGNALS,
        '            self._engine.outcomes.record_decision(call, given_back(waits[0]), "event-back", tuple(waits))\n',
        "",
        tests="program/test_signals.py",
    ),
    bug(
        "the signals of a call that ended without success are in the queue only after the next resume",
        SIGNALS,
        "            self._free(freed)\n",
        "",
    ),
    bug(
        "the next attempt is not told the signals of the one before",
        GIVEN,
        "            self.kept[number] = call\n",
        "            pass\n",
    ),
    bug(
        "a signal that was handed to a wait that was stopped is lost",
        SIGNALS,
        "                self._handed.discard(waiter.signal.number)\n                self._serve",
        "                self._serve",
        tests="program/test_signals.py",
    ),
    bug(
        "a wait looks at the clock before the queue",
        SIGNALS,
        "                self._serve(waiter.name)\n                if (signal",
        "                if not waiter.late:\n                    self._serve(waiter.name)\n                if (signal",
        tests="program/test_signals.py",
    ),
    bug(
        "a fork does not get the signals that nothing in it was told",
        "journal/forking.py",
        "    for signal in _not_told(store, source, rows, keep):\n",
        "    for signal in ():\n",
        tests="program/test_signals.py",
    ),
)

STOPPED: tuple[Bug, ...] = (
    bug(
        "a block is left before what its deadline stopped is settled",
        BOUNDS,
        "        if not self.calls and not self.inner:\n            self._stopped()\n",
        "        self._stopped()\n",
        tests="program/test_what_is_stopped.py",
    ),
    bug(
        "a deadline takes the result of a block inside that ends with it",
        BOUNDS,
        "            call = inner.call if inner.open else None\n",
        "            call = None\n",
        tests="program/test_what_is_stopped.py",
    ),
    bug(
        "a deadline that passed while nothing ran comes before what is recorded",
        BOUNDS,
        "        if (again := self._replayed_at() + REPLAY_S) > self._loop.time():\n",
        "        if (again := self._replayed_at() - 1) > self._loop.time():\n",
        tests="program/test_what_is_stopped.py",
    ),
    bug(
        "after its deadline a call is not told what is recorded of it",
        REPLAY,
        "        return call.key in self._known.parents and not",
        "        return False and not",
        tests="program/test_what_is_stopped.py",
    ),
    bug(
        "a wait that is cancelled leaves what it stopped behind",
        "engine/waits.py",
        "                yield from self.drain(me, (target,))\n",
        "",
        tests="program/test_what_is_stopped.py",
    ),
)

STRUCTURE: tuple[Bug, ...] = (
    bug(
        "the losers of a race go on running",
        JOIN,
        '    await cancel_and_drain(handles, f"{winner.describe()} won" if winner is not None else "nobody won")\n',
        "",
    ),
    bug(
        "gather does not wait for those that it cancels",
        JOIN,
        '        await cancel_and_drain(handles, f"{failed.describe()} failed beside it")\n',
        "        for handle in handles:\n            handle._awaited = True\n            handle.cancel()\n",
    ),
    bug(
        "gather lets the others go on when one fails",
        JOIN,
        '        await cancel_and_drain(handles, f"{failed.describe()} failed beside it")\n',
        "        pass\n",
    ),
    bug(
        "a call ends before its children",
        ENGINE,
        "        if call._children:\n            call._state = FINISHING\n",
        "        if False:\n            call._state = FINISHING\n",
    ),
    bug(
        "the children of a failed call go on",
        ENGINE,
        '                    self.cancel(child, f"{call.describe()} ended without it")\n',
        "                    pass\n",
    ),
    bug(
        "a call that was stopped while its children end does not stop them",
        ENGINE,
        '                self.cancel(child, f"{call.describe()} is stopping")\n',
        "                pass\n",
    ),
    bug(
        "a call keeps its result though its child was cancelled by the stop",
        ENGINE,
        "or x.cut or any(",
        "or any(",
    ),
    bug(
        "the error of a child that nobody awaited is lost",
        ENGINE,
        "            if error is None and x.failures:\n",
        "            if False:\n",
    ),
    bug(
        "a call that timed out ends as cancelled",
        ENGINE,
        "            error = x.stop\n        elif error is not None:",
        "            pass\n        elif error is not None:",
    ),
    bug(
        "a timeout never comes",
        LAUNCH,
        "        if spec.timeout_s is not None:\n",
        "        if False:\n",
    ),
    bug(
        "a call that is asked to stop is not interrupted",
        LAUNCH,
        "            call._asyncio_task.cancel(x.stop_reason)\n",
        "            pass\n",
    ),
    bug(
        "a call that leaves its batch never ends",
        BATCH,
        "        self._engine.body_ended(call, None, asyncio.CancelledError())\n",
        "",
    ),
    bug(
        "results of a batch are handed out in the wrong order",
        BATCH,
        "values[place]\n",
        "values[-1 - place]\n",
    ),
    bug(
        "a shared call that runs already is run beside itself",
        SHARED,
        "        running = self._running.get(name)\n",
        "        running = None\n",
        Edit(SHARED, "self._running.pop(name)\n", "self._running.pop(name, (call, []))\n"),
    ),
    bug(
        "a shared call is run again while its record is on the way to the disk",
        "journal/log.py",
        "        if (fresh := self._fresh.get(key)) is not None:\n",
        "        if (fresh := None) is not None:\n",
    ),
    bug(
        "a result of another run is used and not recorded in this one",
        OUTCOME,
        "        seq = engine.append(Row(_COSTED_OUTCOME, call.key, call.parent_key, body))\n",
        "        seq = 0\n",
    ),
    bug(
        "a call starts although one of its inputs failed",
        ADMISSION,
        "            if handle._state != OK:\n",
        "            if False:\n",
    ),
)

OF_ALL: tuple[Bug, ...] = (
    bug(
        "the failure of a shared call is handed to those that wait for it",
        SHARED,
        "            self._engine.admission.start(other)\n",
        "            self._engine.outcomes.end(other, None, call._error, None)\n",
    ),
    bug(
        "the failure of a shared call is found by all its equals",
        KNOWN,
        "(seq, body) if outcome.status == Status.OK else None)",
        "(seq, body))",
    ),
    bug(
        "the result of an equal call hides the failure that a call was told",
        REPLAY,
        "        found = self._known.outcomes.pop(call.key, None)\n",
        "        answered = call._share is not None and call._share.key in self._known.shared\n"
        "        found = None if answered else self._known.outcomes.pop(call.key, None)\n",
    ),
    bug(
        "equal calls have one key whoever asks",
        ENGINE,
        "            call._share = self.shared.name(call, inputs)\n",
        "            call._share = self.shared.name(call, inputs)\n            call.key = call._share.key\n",
    ),
    bug(
        "a failure below a shared call is told to the next one that runs",
        OUTCOME,
        "        if state == OK:\n            if call._memo is not None or share is not None:\n",
        "        if state != CANCELLED:\n            if call._memo is not None or share is not None:\n",
    ),
    bug(
        "what is below a shared call is not kept for the next one that runs",
        SHARED,
        "            return self._answer(call, self._results(call))\n",
        "            return False\n",
    ),
    bug(
        "what a shared call did not like is kept for the next one that runs",
        SHARED,
        "            self._epochs[share.key] = share._epoch + 1\n",
        "            pass\n",
    ),
    bug(
        "the key of a call holds the shared names of its inputs",
        "engine/canonical.py",
        "    return Ext(Form.HANDLE, value.key)\n",
        '    return Ext(Form.HANDLE, getattr(getattr(value, "_share", None), "key", value.key))\n',
        tests="sim/test_shared_calls.py",
    ),
    bug(
        "what a shared call did not like is forgotten in a crash",
        KNOWN,
        "        if epoch > self.epochs.get(name, 0):\n",
        "        if False:\n",
        tests="sim/test_shared_calls.py",
    ),
    bug(
        "a task to rerun does not run again for those that were answered with what it gave to another",
        "engine/edits.py",
        "        above += [*parents.get(call, ()), *equals(call)]\n",
        "        above += parents.get(call, ())\n",
        tests="sim/test_shared_calls.py",
    ),
    bug(
        "a shared call waits for itself",
        "engine/waits.py",
        '        if self._needs(running, me):\n            raise CycleError(\n                f"{me.describe()} asks',
        '        if False:\n            raise CycleError(\n                f"{me.describe()} asks',
        tests="sim/test_shared_calls.py",
    ),
    bug(
        "a shared call that was stopped has what is below it asked afresh",
        OUTCOME,
        "        if error is not call.extra().stop and not issubclass(type(error), BOUNDS):\n",
        "        if True:\n",
        tests="sim/test_shared_calls.py",
    ),
    bug(
        "what one of equal calls was told is told to the others",
        OUTCOME,
        '        owner = call._share if what == "random" and call._share is not None else call\n',
        "        owner = call._share if call._share is not None else call\n",
    ),
    bug(
        "of those that wait for a shared call one is forgotten",
        SHARED,
        "        for other in waiting:\n",
        "        for other in waiting[:1]:\n",
    ),
    bug(
        "each caller of a shared effect has an idempotency key of its own",
        SHARED,
        "        return self._engine.known.effect_names.setdefault(",
        "        return call.key\n        return self._engine.known.effect_names.setdefault(",
        tests="sim/test_shared_calls.py",
    ),
)

RETRIED: tuple[Bug, ...] = (
    bug(
        "a call that failed by itself keeps its children",
        OUTCOME,
        "        if afresh := _by_itself(error, x.child_errors):\n            call._epoch += 1\n            call._prefix",
        "        if afresh := False:\n            call._epoch += 1\n            call._prefix",
    ),
    bug(
        "a call that failed because of a child asks all of them afresh",
        OUTCOME,
        "        if afresh := _by_itself(error, x.child_errors):\n            call._epoch += 1\n            call._prefix",
        "        if afresh := True:\n            call._epoch += 1\n            call._prefix",
    ),
    bug(
        "a child that succeeded runs again in the next attempt",
        OUTCOME,
        "                if call._memo is not None:\n                    call._memo[call.key] = recorded\n",
        "",
    ),
    bug(
        "a crash gives a call new attempts",
        ADMISSION,
        "            call._attempt = attempt.attempt\n",
        "",
    ),
    bug(
        "after a crash a retried call asks for the children of its first attempt",
        ADMISSION,
        "            call._epoch = max(call._epoch, attempt.epoch)\n",
        "",
    ),
    bug(
        "a call that is asked again in one life likes again what it did not like",
        OUTCOME,
        "            if state != OK and call._epoch and call._memo is not None:\n",
        "            if False:\n",
        tests="sim/test_exact_moments.py::"
        "test_a_call_that_is_asked_again_after_its_last_attempt_keeps_what_it_did_not_like_in_one_life_as_in_two",
    ),
    bug(
        "the next attempt is answered with the errors of the last one",
        OUTCOME,
        "        call._floor = self._note_attempt(call, error, engine.wall() + delay)\n",
        "        self._note_attempt(call, error, engine.wall() + delay)\n",
        Edit(ADMISSION, "            call._floor = seq if attempt.goes_on else max(call._floor, seq)\n", ""),
        tests="sim/test_exact_moments.py",
    ),
    bug(
        "the last attempt is one too many",
        OUTCOME,
        "call._attempt >= retry.attempts or",
        "call._attempt > retry.attempts or",
    ),
)

OF_CALLS = (*IDENTITY, *BRANCHES, *CHANGED, *REPLAYED, *STOPPED, *STRUCTURE, *OF_ALL, *RETRIED)
