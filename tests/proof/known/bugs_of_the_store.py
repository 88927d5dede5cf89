"""Seeded bugs of the journal, of who may write to it, of what is spent and of what is limited."""

from __future__ import annotations

from seeded import Bug, Edit, bug

_WRITER = "journal/test_writer.py"
_OFF_LOOP = "journal/test_off_loop.py"
_BUDGETS = "program/bounds/test_budgets.py"
_MOVE = "program/bounds/test_budgets_that_move.py"

JOURNAL: tuple[Bug, ...] = (
    bug(
        "the rows of a group are written in another order",
        "Log.write_group",
        "self.store.commit(self.lease, first_seq, group, self.wall(), cache=cache, ending=ending)",
        "self.store.commit(self.lease, first_seq, group[::-1], self.wall(), cache=cache, ending=ending)",
    ),
    bug(
        "the newest rows are written first",
        "Log.take_group",
        "queue.popleft()",
        "queue.pop()",
    ),
    bug(
        "a row counts as durable when it is queued",
        "Log.when_durable",
        "seq <= self.durable",
        "seq <= self._seq",
    ),
    bug(
        "a row counts as durable before its commit",
        "Log.write_group",
        "self.store.commit(self.lease, first_seq, group, self.wall(), cache=cache, ending=ending)\n"
        "self.is_given_back = ending is not None\nself.post(lambda: self._note_commit(last))",
        "self.post(lambda: self._note_commit(last))\n"
        "self.store.commit(self.lease, first_seq, group, self.wall(), cache=cache, ending=ending)\n"
        "self.is_given_back = ending is not None",
    ),
    bug(
        "a blob is written after the row that names it",
        "Log.write_group",
        "for blob in carried.blobs: ...",
        "after.extend(carried.blobs)",
        Edit("Log.write_group", "cache = []", "cache, after = [], []"),
        Edit(
            "Log.write_group",
            "self.store.commit(self.lease, first_seq, group, self.wall(), cache=cache, ending=ending)",
            "self.store.commit(self.lease, first_seq, group, self.wall(), cache=cache, ending=ending)\n"
            "for blob in after:\n"
            "    self.store.put_blob(blob.digest, blob.data)",
        ),
    ),
    bug(
        "a blob is never written",
        "Log.write_group",
        "self.store.put_blob(blob.digest, blob.data)",
        "",
    ),
    bug(
        "a group that can't be written is dropped without a word",
        "Log.fail",
        "self.post(lambda: self._note_failure(failure))",
        "",
    ),
    bug(
        "an outcome is seen before it is in the queue of the journal",
        "Outcomes.end",
        "self._record(call, state, record, encoded)",
        "self.late = (call, state, record, encoded)",
        Edit(
            "Lifecycle._conclude",
            "self._feed(call, _ENDS[outcomes.end(call, value, error, encoded)])",
            "state = outcomes.end(call, value, error, encoded)\nlate = vars(outcomes).pop('late', None)\n"
            "self._feed(call, _ENDS[state])\nif late is not None:\n    outcomes._record(*late)",
        ),
    ),
    bug(
        "an effect starts before the disk has what it depends on",
        "Lifecycle._launch",
        "if spec.effect: ...",
        "",
    ),
    bug(
        "the start of an effect is not recorded",
        "Lifecycle._launch",
        "self._outcomes.note_start(call)",
        "self._run.journal.durable",
    ),
    bug(
        "a run ends before its result is durable",
        "Driver._leave",
        "self._writer.close()",
        "",
        Edit("Driver._durable", "log.when_durable(log.last_seq, written.set)\nawait written.wait()", ""),
    ),
    bug(
        "a run is given back before the last of its rows",
        "Log.write_group",
        "self._ending if not self._queue else None",
        "self._ending",
        tests=f"{_WRITER}::test_only_the_last_of_several_commits_gives_the_run_back",
    ),
    bug(
        "a run whose last rows could not be written is done",
        "Log.give_back",
        "self._ending if self._broken_by is None else Ending(RunStatus.INTERRUPTED)",
        "self._ending",
        tests=f"{_WRITER}::test_a_run_whose_last_rows_are_too_much_for_the_disk_is_not_done",
    ),
    bug(
        "a driver looks whether its last rows were written before it has heard of it",
        "Driver._give_back",
        "self._log.hear()",
        "pass",
        tests="sim/check/test_check.py::test_a_marked_effect_and_a_reader_are_not",
    ),
    bug(
        "a run that was given back is renewed",
        "Writer._write",
        "if log.is_given_back: ...",
        "",
        tests=f"{_WRITER}::test_a_run_that_was_given_back_is_not_renewed",
    ),
    bug(
        "an effect that may have happened is not shown to its verify",
        "Launcher.launch",
        "spec.verify is not None and (call.attempt > 1 or self._may_have_happened(call))",
        "False",
    ),
    bug(
        "an effect that an earlier process began is not shown to its verify",
        "Launcher.launch",
        "call.attempt > 1 or self._may_have_happened(call)",
        "call.attempt > 1",
    ),
    bug(
        "a failed run does not say which of its errors are to be asked again",
        "Driver._leave",
        "log.last_seq if status in (RunStatus.FAILED, RunStatus.CANCELLED) else None",
        "None",
    ),
)

LEASES: tuple[Bug, ...] = (
    bug(
        "the store in memory takes rows from a driver that lost its lease",
        "MemoryStore._find_held",
        "(run.uid, run.fence, run.owner) == (lease.uid, lease.fence, lease.owner)",
        "run.uid == lease.uid",
    ),
    bug(
        "the store in memory gives a run to a second driver while the first one lives",
        "MemoryStore.acquire",
        "not take_over",
        "False",
        tests="conformance/test_runs_and_leases.py::test_a_run_with_a_live_lease_is_owned_and_the_message_says_what_to_do",
    ),
    bug(
        "a driver does not renew its lease",
        "Upkeep.renew",
        "self._log.store.renew(self._log.lease, self._log.wall())",
        "pass",
        tests="sim/test_single_flight.py::test_a_computation_that_takes_longer_than_a_lease_keeps_its_claim",
    ),
    bug(
        "a driver that lost its lease goes on",
        "Log._note_failure",
        "self._on_failure(error)",
        "pass",
    ),
    bug(
        "SQLite takes rows from a driver that lost its lease",
        "SqliteStore.commit",
        'move = "UPDATE run SET nrows=? WHERE uid=? AND fence=? AND owner=? AND nrows=?"\n'
        "where = (lease.uid, lease.fence, lease.owner, first_seq - 1)",
        'move = "UPDATE run SET nrows=? WHERE uid=? AND nrows=?"\nwhere = (lease.uid, first_seq - 1)',
        tests="conformance/test_fencing.py::test_a_driver_that_lost_its_lease_changes_nothing_and_its_rows_are_kept_as_rejected",
    ),
    bug(
        "SQLite renews a lease that somebody else has",
        "SqliteStore.renew",
        "not connection.execute(query, (now + lease.ttl_s, lease.uid, lease.fence, lease.owner)).rowcount",
        "connection.execute(query, (now + lease.ttl_s, lease.uid, lease.fence, lease.owner)).rowcount < 0",
        tests="conformance/test_fencing.py::test_a_driver_that_lost_its_lease_changes_nothing_and_its_rows_are_kept_as_rejected",
    ),
    bug(
        "SQLite gives a fence a second time",
        "SqliteStore.acquire",
        "(run.fence + 1, owner, now, now + ttl_s, RunStatus.RUNNING.value, run.uid)",
        "(max(1, run.fence), owner, now, now + ttl_s, RunStatus.RUNNING.value, run.uid)",
        tests="conformance/test_fencing.py::test_a_driver_that_lost_its_lease_changes_nothing_and_its_rows_are_kept_as_rejected",
    ),
    bug(
        "SQLite drops what a late driver brought",
        "SqliteStore.commit",
        "checked_rows.insert_rejected(connection, lease, first_seq, rows, now)",
        "pass",
        tests="conformance/test_fencing.py::test_a_driver_that_lost_its_lease_changes_nothing_and_its_rows_are_kept_as_rejected",
    ),
    bug(
        "SQLite commits rows in parts",
        "Database.writing",
        'connection.execute("ROLLBACK")',
        'connection.execute("COMMIT")',
        tests="conformance/test_atomicity.py::test_a_commit_whose_rows_fail_in_the_middle_leaves_nothing",
    ),
)

SPENT: tuple[Bug, ...] = (
    bug(
        "a budget is looked at when a call starts, and nothing is reserved",
        "Accounting.reserve",
        "account.reserve(wanted)",
        "",
        Edit("Accounting.settle", "account.release(x.reserved)", "pass"),
        Edit("Accounting.charge", "account.release({unit: used})", "pass"),
    ),
    bug(
        "a call that its budget refuses starts all the same",
        "Lifecycle.begin",
        "if (refused := self._accounting.reserve(call, goes_on=goes_on)) is not None: ...",
        "self._accounting.reserve(call, goes_on=goes_on)\nif (refused := None) is not None: ...",
    ),
    bug(
        "a call that used its budget up is refused after a crash",
        "Lifecycle.begin",
        "self._run.resumed and self._replay.is_under_way(call)",
        "False",
        tests=f"{_BUDGETS}::test_a_call_that_used_a_budget_up_goes_on_after_a_crash_and_another_may_not_begin",
    ),
    bug(
        "a call that goes on after a crash passes a used-up budget in each attempt",
        "Replay.is_under_way",
        "call.floor",
        "0",
        tests=f"{_BUDGETS}::test_another_attempt_of_a_call_that_used_a_budget_up_may_not_begin_after_a_crash_either",
    ),
    bug(
        "only the innermost budget is asked",
        "Account.refuses",
        "account = account.parent",
        "account = None",
    ),
    bug(
        "the budget around a budget is not charged",
        "Account._add",
        "account = account.parent",
        "account = None",
    ),
    bug(
        "a budget that another attempt opens inside of another one counts in the one before",
        "Accounting.open",
        "account.parent is not outer",
        "",
        tests=f"{_MOVE}::test_a_budget_that_another_attempt_opens_with_less_binds_what_is_inside_of_it",
    ),
    bug(
        "what a budget had spent before it moved counts where it is now",
        "Ledger.note_budget",
        "self._kept[line] = around",
        "",
        tests=f"{_MOVE}::test_what_a_budget_spent_before_an_edit_put_it_inside_of_another_does_not_count_there",
    ),
    bug(
        "what is spent after a crash is not counted on top of what was spent before",
        "Accounting.open",
        "self._spent.get(key)",
        "None",
    ),
    bug(
        "a cost starts at nothing after a crash",
        "Accounting.take_over",
        "if self._run.resumed: ...",
        "",
    ),
    bug(
        "a call that is asked again in the next attempt of another forgets its cost",
        "Accounting.take_over",
        "if self.recall(call): ...",
        "",
    ),
    bug(
        "what was charged before a crash is charged again",
        "Accounting.charge",
        "x.recharged and not over",
        "False",
    ),
    bug(
        "what a call charged in an attempt that failed is left to it once more",
        "Accounting._charged",
        "call.x is None or call.spec.cost",
        "True",
        tests="sim/test_what_is_left_to_spend.py::test_what_a_call_spent_in_vain_is_not_left_to_it_when_it_is_asked_again",
    ),
    bug(
        "what a call was told is left survives a crash without what it charged at once",
        "Accounting.left",
        "self._run.journal.hold()",
        "pass",
        tests="sim/test_what_is_left_to_spend.py::test_who_was_told_what_is_left_has_spent_it_or_is_told_anew_after_a_crash",
    ),
    bug(
        "what a call charges while its run stops is not booked",
        "Accounting._note",
        "journal.failure is None",
        "journal.failure is None and not self._run.closing",
        tests="program/bounds/test_what_a_stopped_run_spent.py::test_a_stopped_run_books_what_its_calls_charged_on_their_way_out",
    ),
    bug(
        "a call of a stopped run is booked at what it had reserved",
        "Accounting.settle",
        "held and account is not None and self._run.closing",
        "False",
        tests="program/bounds/test_what_a_stopped_run_spent.py::test_a_stopped_run_books_what_its_calls_charged_on_their_way_out",
    ),
    bug(
        "a reservation is settled twice",
        "Accounting.settle",
        'self._book(call, account.key if account else b"", account, due)',
        'self._book(call, account.key if account else b"", account, due)\n'
        'self._book(call, account.key if account else b"", account, due)',
    ),
    bug(
        "a reservation is never given back",
        "Accounting.settle",
        "account.release(x.reserved)",
        "pass",
    ),
    bug(
        "a call that was stopped before its code ran pays its price",
        "Accounting.settle",
        "not ran",
        "False",
    ),
    bug(
        "a call that is not run again because its input fails forgets what it has cost",
        "Lifecycle._conclude",
        "self._accounting.take_over(call)",
        "pass",
        tests="sim/test_exact_moments.py::test_a_call_that_is_not_run_again_because_its_input_fails_keeps_what_it_has_cost",
    ),
    bug(
        "what a call had reserved when its process died is forgotten",
        "Ledger.note_start",
        "Line(start.cost, start.reserved, promised)",
        "Line(start.cost, {}, {})",
    ),
    bug(
        "who is answered with the result of an equal call pays for it as well",
        "Outcomes.answer",
        "cost=self._accounting.home_cost(call)",
        "",
    ),
    bug(
        "the unused part of a reservation is spent as well",
        "Accounting.settle",
        "unit not in x.charged and amount",
        "amount",
    ),
)

LIMITS: tuple[Bug, ...] = (
    bug(
        "simulated drivers have one name in every universe",
        "SimLoop.__init__",
        'f"driver {number} of simulation [{universe.seed!r}]"',
        'f"{name} of a simulation"',
        tests="sim/test_exact_moments.py::test_a_driver_that_died_is_not_taken_for_one_of_another_universe",
    ),
    bug(
        "a call that is stopped keeps its place in a limit",
        "Launcher.leave",
        "x.held",
        "x.held and x.stop is None",
    ),
    bug(
        "a call that waits for others keeps its place in a limit",
        "Ready._give_back",
        "if isinstance(held.source, Limit): ...",
        "pass",
        Edit("Ready._retake", "held.source.used += 1", "pass"),
    ),
    bug(
        "leased places of a shared limit are not given back at the end",
        "Desk.close",
        "self._say(name, limit, (), now)._replace(used=0, keep=0)",
        "self._say(name, limit, (), now)",
    ),
    bug(
        "a place is used while the store may be giving it away",
        "Desk._say",
        "limit.room = min(limit.room, limit.used)",
        "pass",
        tests="program/bounds/test_limits.py::test_no_place_is_used_while_the_store_takes_it_back",
    ),
    bug(
        "a lease from before the clock was set back lasts until the clock has caught up",
        "SqliteStore.acquire",
        "self.shorten_leases(now + ttl_s, run_id)",
        "pass",
        tests="conformance/test_runs_and_leases.py::test_a_lease_from_before_the_clock_was_set_back_lasts_no_longer_than_a_lease",
    ),
    bug(
        "a driver whose clock was set ahead is taken for one that is gone",
        "Upkeep.compare_clocks",
        "self.renew()",
        "",
        tests="journal/test_writer.py::test_a_driver_renews_its_lease_as_soon_as_it_finds_the_clock_set",
    ),
    bug(
        "places that are held when the clock is set ahead are over by the new time",
        "Scopes.clock_jumped",
        "self.desk.clock_jumped()",
        "pass",
        tests="sim/test_a_clock_that_is_set.py::test_a_place_that_is_held_when_the_clock_is_set_is_held_by_the_new_time_soon_after",
    ),
    bug(
        "a process that was silent for long loses its places to whoever opens the store next",
        "_sweep",
        'board.forget("", is_alive)',
        'board.forget("", lambda _: None)',
        tests="conformance/test_rows_and_blobs.py::test_a_long_silent_process_keeps_its_places_when_the_store_is_opened_again",
    ),
    bug(
        "a leased place is kept although another process waits for it",
        "_fair_share",
        "not any(place.wants for place in others.values())",
        "True",
        tests="journal/shared/test_sharing_limits.py::test_who_waits_gets_its_share_as_calls_end_and_unused_places_at_once",
    ),
    bug(
        "a place is kept while another one is waited for",
        "share_out",
        "ask if ask.name not in short else ask._replace(keep=0)",
        "ask",
        tests="journal/shared/test_sharing_limits.py::test_nobody_holds_one_place_while_waiting_for_another",
    ),
    bug(
        "a process that has more than its share starts as many as it ends",
        "_lease",
        "ask.used + got + min(0, free)",
        "ask.used + got",
        tests="journal/shared/test_sharing_limits.py::test_who_waits_gets_its_share_as_calls_end_and_unused_places_at_once",
    ),
    bug(
        "a block takes away the numbers of a limit of its name that is open around it",
        "Scopes.open_limit",
        "name and found in frame.scope.limits",
        "False",
        tests="program/bounds/test_limits.py::test_a_block_in_another_of_one_name_takes_no_number_away",
    ),
    bug(
        "a limit lets one more in",
        "Limit.ready_in",
        "self.used >= self.room",
        "self.used > self.room",
        tests="program/bounds/test_limited_blocks.py::test_a_limit_bounds_concurrency_of_all_that_is_inside",
    ),
    bug(
        "a rate is counted by buckets of its window",
        "Window.wait_s",
        "drop_marks(marks, now, self.length_s)",
        "marks.clear()",
        tests="journal/shared/test_rates.py::test_no_window_holds_more_than_the_rate_and_nothing_waits_longer_than_that_needs",
    ),
    bug(
        "a start counts when its call gets room, not when it begins",
        "Launcher._code",
        "if x is not None and x.held: ...",
        "",
        Edit(
            "Ready._take",
            "for name, amount in call.spec.resources.items(): ...",
            "for name, amount in call.spec.resources.items(): ...\nself.begins(call)",
        ),
        tests="program/bounds/test_limits.py::test_calls_that_are_stopped_before_they_begin_use_up_nothing",
    ),
    bug(
        "starts that a dead process was promised are free again",
        "Board.forget",
        "promise.end + self.length_s <= self.at",
        "other != holder",
        tests="journal/shared/test_sharing_limits.py::test_what_a_process_was_promised_and_died_with_counts_as_begun",
    ),
    bug(
        "what waits for a shared limit waits until a clock that was set back has caught up",
        "Board.look",
        "self.at - now > SET_BACK_S",
        "False",
        tests="journal/shared/test_sharing_limits.py::test_a_clock_that_is_set_back_delays_nothing_longer_than_it_was_to_last",
    ),
    bug(
        "nobody looks for room when a place in a limit is free again",
        "Ready.release",
        "self.dispatch_soon()",
        "",
        tests="program/bounds/test_limits.py::test_what_code_held_that_ended_while_a_coroutine_of_it_waits_is_free_at_once",
    ),
    bug(
        "nobody looks for those that go on when a call begins to wait",
        "Ready.waiting",
        "self._reentering",
        "",
        tests="program/bounds/test_limits.py::test_a_call_that_rested_goes_on_when_the_one_that_took_its_place_rests",
    ),
    bug(
        "a call that waits for others counts as active",
        "Ready.park",
        "self.active -= not call.spec.batch",
        "pass",
        Edit("Ready.unpark", "self.active += not call.spec.batch", "pass"),
    ),
)

READING: tuple[Bug, ...] = (
    bug(
        "a large result is read on the loop",
        "StoreReader.when_read",
        "not call.unread",
        "True",
        tests=f"{_OFF_LOOP}::test_large_results_are_there_for_awaits_joins_and_arguments",
    ),
    bug(
        "a call runs before its inputs are read",
        "Admission._let_run",
        "given.unread",
        "False",
        tests=f"{_OFF_LOOP}::test_a_large_result_is_read_before_a_new_call_that_gets_it_runs",
    ),
    bug(
        "locks are dropped by opening the index",
        "frames_in_use",
        """
        descriptor = descriptor_of(index)
        head = os.pread(descriptor, 2 * _INDEX.size, 0) if descriptor is not None else b""
        """,
        """
        with index.open("rb") as opened:
            head = opened.read(2 * _INDEX.size)
        """,
        tests="journal/sqlite/test_wal.py::test_looking_at_the_index_keeps_the_lock_of_a_write_that_is_under_way",
    ),
)

OF_THE_STORE = (*JOURNAL, *LEASES, *SPENT, *LIMITS, *READING)
