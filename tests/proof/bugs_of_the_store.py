"""Seeded bugs of the journal, of who may write to it, of what is spent and of what is limited."""

from __future__ import annotations

from seeded import Bug, Edit, bug

ENGINE, OUTCOME = "engine/engine.py", "engine/outcome.py"
LOG, WRITER, DRIVE, MEMORY, SQLITE = (
    "journal/log.py",
    "journal/writer.py",
    "engine/drive.py",
    "journal/memory.py",
    "journal/sqlite.py",
)
DESK, LIMITS_OF_THE_STORE, RATES = "engine/desk.py", "journal/limits.py", "journal/rates.py"
BOOKS, LEDGER, READY, BOUNDS, LAUNCH = (
    "engine/books.py",
    "journal/ledger.py",
    "engine/ready.py",
    "engine/bounds.py",
    "engine/launch.py",
)

_BLOBS = """                for blob in carried.blobs:
                    self.store.put_blob(blob.digest, blob.data)
                    self._bytes_out += len(blob.data)
"""
_COMMIT = "        self.store.commit(self.lease, first_seq, group, self.wall(), cache=cache)\n"
_POSTED = "        self.post(lambda: self._committed(last))\n"
_ENDED = """            self._record(call, state, record, encoded)
        if engine.emit:
            self._emit_ended(call, state, engine.wall())
        engine.deliver(call, state)
"""

JOURNAL: tuple[Bug, ...] = (
    bug(
        "the rows of a group are written in another order",
        LOG,
        "first_seq, group, self.wall()",
        "first_seq, group[::-1], self.wall()",
    ),
    bug("the newest rows are written first", LOG, "            row = queue.popleft()\n", "            row = queue.pop()\n"),
    bug("a row counts as durable when it is queued", LOG, "        if seq <= self.durable:\n", "        if seq <= self._seq:\n"),
    bug("a row counts as durable before its commit", LOG, _COMMIT + _POSTED, _POSTED + _COMMIT),
    bug(
        "a blob is written after the row that names it",
        LOG,
        _BLOBS,
        "                after.extend(carried.blobs)\n",
        Edit(LOG, "        cache = []\n", "        cache, after = [], []\n"),
        Edit(LOG, _COMMIT, _COMMIT + "        for blob in after:\n            self.store.put_blob(blob.digest, blob.data)\n"),
    ),
    bug("a blob is never written", LOG, "                    self.store.put_blob(blob.digest, blob.data)\n", ""),
    bug("a group that can't be written is dropped without a word", LOG, "        self.post(lambda: self._failed(failure))\n", ""),
    bug(
        "an outcome is seen before it is in the queue of the journal",
        OUTCOME,
        _ENDED,
        "            pass\n        if engine.emit:\n            self._emit_ended(call, state, engine.wall())\n"
        "        engine.deliver(call, state)\n"
        "        if not engine.closing:\n            self._record(call, state, record, encoded)\n",
    ),
    bug(
        "an effect starts before the disk has what it depends on",
        ENGINE,
        "            if spec.effect:\n                self.launcher.when_durable(call, seq)\n                return\n",
        "",
    ),
    bug(
        "the start of an effect is not recorded",
        ENGINE,
        "            seq = self.outcomes.note_start(call)\n",
        "            seq = self.journal.durable\n",
    ),
    bug(
        "a run ends before its result is durable",
        DRIVE,
        "            journal.when_durable(journal.last_seq, written.set)\n            await written.wait()\n",
        "",
    ),
    bug(
        "an effect that may have happened is not shown to its verify",
        LAUNCH,
        "        if spec.verify is not None and (call._attempt > 1 or self._may_have_happened(call)):\n",
        "        if False:\n",
    ),
    bug(
        "an effect that an earlier process began is not shown to its verify",
        LAUNCH,
        "(call._attempt > 1 or self._may_have_happened(call))",
        "call._attempt > 1",
    ),
    bug(
        "a failed run does not say which of its errors are to be asked again",
        DRIVE,
        "                floor = engine.journal.durable\n",
        "                floor = None\n",
    ),
)

LEASES: tuple[Bug, ...] = (
    bug(
        "the store in memory takes rows from a driver that lost its lease",
        MEMORY,
        "(run.uid, run.fence, run.owner) == (lease.uid, lease.fence, lease.owner)",
        "run.uid == lease.uid",
    ),
    bug(
        "the store in memory gives a run to a second driver while the first one lives",
        MEMORY,
        "            if not take_over:\n",
        "            if False:\n",
    ),
    bug(
        "a driver does not renew its lease",
        WRITER,
        "        self._log.store.renew(self._log.lease, self._log.wall())\n",
        "        pass\n",
    ),
    bug("a driver that lost its lease goes on", LOG, "            self._on_failure(error)\n", "            pass\n"),
    bug(
        "SQLite takes rows from a driver that lost its lease",
        SQLITE,
        '        move = "UPDATE run SET nrows=? WHERE uid=? AND fence=? AND owner=? AND nrows=?"\n'
        "        where = (lease.uid, lease.fence, lease.owner, first_seq - 1)\n",
        '        move = "UPDATE run SET nrows=? WHERE uid=? AND nrows=?"\n        where = (lease.uid, first_seq - 1)\n',
        tests="conformance/test_fencing.py",
    ),
    bug(
        "SQLite renews a lease that somebody else has",
        SQLITE,
        "            if not connection.execute(query, (now + lease.ttl_s, lease.uid, lease.fence, lease.owner)).rowcount:\n",
        "            if connection.execute(query, (now + lease.ttl_s, lease.uid, lease.fence, lease.owner)).rowcount < 0:\n",
        tests="conformance/test_fencing.py",
    ),
    bug(
        "SQLite gives a fence a second time",
        SQLITE,
        "(run.fence + 1, owner, now,",
        "(max(1, run.fence), owner, now,",
        tests="conformance/test_fencing.py",
    ),
    bug(
        "SQLite drops what a late driver brought",
        SQLITE,
        "            tables.insert_rejected(connection, lease, first_seq, rows, now)\n",
        "            pass\n",
        tests="conformance/test_fencing.py",
    ),
    bug(
        "SQLite commits rows in parts",
        SQLITE,
        '                connection.execute("ROLLBACK")\n',
        '                connection.execute("COMMIT")\n',
        tests="conformance/test_atomicity.py",
    ),
)

SPENT: tuple[Bug, ...] = (
    bug(
        "a budget is looked at when a call starts, and nothing is reserved",
        BOOKS,
        "        account.reserve(wanted)\n",
        "",
        Edit(BOOKS, "                account.release(x.reserved)\n", "                pass\n"),
        Edit(BOOKS, "                        account.release({unit: used})\n", "                        pass\n"),
    ),
    bug(
        "a call that its budget refuses starts all the same",
        ENGINE,
        "            if (refused := self.books.reserve(call)) is not None:\n",
        "            self.books.reserve(call)\n            if (refused := None) is not None:\n",
    ),
    bug(
        "only the innermost budget is asked",
        LEDGER,
        "                    return Refusal(account, unit, amount)\n            account = account.parent\n",
        "                    return Refusal(account, unit, amount)\n            account = None\n",
    ),
    bug(
        "the budget around a budget is not charged",
        LEDGER,
        "                entries[unit] = entries.get(unit, 0.0) + sign * amount\n            account = account.parent\n",
        "                entries[unit] = entries.get(unit, 0.0) + sign * amount\n            account = None\n",
    ),
    bug(
        "what is spent after a crash is not counted on top of what was spent before",
        BOOKS,
        "account.spent if account else self._spent.get(key)",
        "account.spent if account else None",
    ),
    bug(
        "a cost starts at nothing after a crash",
        BOOKS,
        "        if self._engine.resumed:\n            self.resume(call)\n",
        "",
    ),
    bug(
        "a call that is asked again in the next attempt of another forgets its cost",
        BOOKS,
        "        if self.recall(call):\n            return True\n",
        "",
    ),
    bug(
        "what was charged before a crash is charged again",
        BOOKS,
        "        if x.recharged and not over:\n",
        "        if False:\n",
    ),
    bug(
        "what a call charged in an attempt that failed is left to it once more",
        BOOKS,
        "        if call._x is None or call._spec.cost:\n",
        "        if True:\n",
        tests="sim/test_what_is_left_to_spend.py",
    ),
    bug(
        "what a call was told is left survives a crash without what it charged at once",
        BOOKS,
        "                self._engine.journal.hold()  # until what",
        "                pass  # until what",
        tests="sim/test_what_is_left_to_spend.py",
    ),
    bug(
        "what a call charges while its run stops is not booked",
        BOOKS,
        "        if journal.failure is None:\n",
        "        if journal.failure is None and not self._engine.closing:\n",
        tests="program/test_what_a_stopped_run_spent.py",
    ),
    bug(
        "a call of a stopped run is booked at what it had reserved",
        BOOKS,
        "        if held and account is not None and self._engine.closing:\n",
        "        if False:\n",
        tests="program/test_what_a_stopped_run_spent.py",
    ),
    bug(
        "a reservation is settled twice",
        BOOKS,
        '                self._book(call, account.key if account else b"", account, due)\n        if account',
        '                self._book(call, account.key if account else b"", account, due)\n'
        '                self._book(call, account.key if account else b"", account, due)\n        if account',
    ),
    bug(
        "a reservation is never given back",
        BOOKS,
        "                account.release(x.reserved)\n",
        "                pass\n",
    ),
    bug(
        "a call that was stopped before its code ran pays its price",
        BOOKS,
        "            if call._state == STARTING:  # its code",
        "            if False:  # its code",
    ),
    bug(
        "a call that is not run again because its input fails forgets what it has cost",
        "engine/engine.py",
        "            self.books.take_over(call)\n        x = call._x\n",
        "            pass\n        x = call._x\n",
        tests="sim/test_exact_moments.py::test_a_call_that_is_not_run_again_because_its_input_fails_keeps_what_it_has_cost",
    ),
    bug(
        "what a call had reserved when its process died is forgotten",
        "journal/known.py",
        "            ledger.note(key, start.scope, start.cost, start.reserved)\n",
        "            ledger.note(key, start.scope, start.cost)\n",
    ),
    bug(
        "who is answered with the result of an equal call pays for it as well",
        OUTCOME,
        '            scope=account.key if account is not None else b"",\n            cost=engine.books.home_cost(call),\n'
        "            inputs=",
        '            scope=account.key if account is not None else b"",\n            inputs=',
    ),
    bug(
        "the unused part of a reservation is spent as well",
        BOOKS,
        "for unit, amount in x.reserved.items() if unit not in x.charged and amount}",
        "for unit, amount in x.reserved.items() if amount}",
    ),
)

LIMITS: tuple[Bug, ...] = (
    bug(
        "simulated drivers have one name in every universe",
        "sim/loop.py",
        'f"driver {number} of simulation [{universe.seed!r}]"',
        'f"{name} of a simulation"',
        tests="sim/test_exact_moments.py",
    ),
    bug(
        "a call that is stopped keeps its place in a limit",
        LAUNCH,
        "        if x.held:\n            engine.ready.release(call)\n",
        "        if x.held and x.stop is None:\n            engine.ready.release(call)\n",
    ),
    bug(
        "a call that waits for others keeps its place in a limit",
        READY,
        "            if isinstance(held.source, Limit):\n                held.source.give()\n",
        "            pass\n",
        Edit(READY, "                held.source.used += 1  # going on costs no start\n", "                pass\n"),
    ),
    bug(
        "leased places of a shared limit are not given back at the end",
        DESK,
        "._replace(used=0, keep=0) for name",
        " for name",
    ),
    bug(
        "a place is used while the store may be giving it away",
        DESK,
        "            limit.room = min(limit.room, limit.used)\n",
        "            pass\n",
        tests="program/test_limits.py",
    ),
    bug(
        "a lease from before the clock was set back lasts until the clock has caught up",
        SQLITE,
        "            self.shorten_leases(now + ttl_s, run_id)\n",
        "            pass\n",
        tests="conformance/test_runs_and_leases.py",
    ),
    bug(
        "a driver whose clock was set ahead is taken for one that is gone",
        WRITER,
        "            self.renew()\n            self._log.post",
        "            self._log.post",
        tests="journal/test_writer.py",
    ),
    bug(
        "places that are held when the clock is set ahead are over by the new time",
        "engine/scopes.py",
        "            self._engine.desk.clock_jumped()\n",
        "            pass\n",
        tests="sim/test_a_clock_that_is_set.py",
    ),
    bug(
        "a process that was silent for long loses its places to whoever opens the store next",
        LIMITS_OF_THE_STORE,
        '        board.forget("", is_alive)\n',
        '        board.forget("", lambda _: None)\n',
        tests="conformance/test_rows_and_blobs.py",
    ),
    bug(
        "a leased place is kept although another process waits for it",
        LIMITS_OF_THE_STORE,
        "    if not any(place.wants for place in others.values()):\n",
        "    if True:\n",
        tests="journal/test_sharing_limits.py",
    ),
    bug(
        "a place is kept while another one is waited for",
        LIMITS_OF_THE_STORE,
        "            kept = ask if ask.name not in short else ask._replace(keep=0)\n",
        "            kept = ask\n",
        tests="journal/test_sharing_limits.py",
    ),
    bug(
        "a process that has more than its share starts as many as it ends",
        LIMITS_OF_THE_STORE,
        "ask.used + got + min(0, free)",
        "ask.used + got",
        tests="journal/test_sharing_limits.py",
    ),
    bug(
        "a block takes away the numbers of a limit of its name that is open around it",
        "engine/scopes.py",
        "            if name and found in frame.scope.limits:\n",
        "            if False:\n",
        tests="program/test_limits.py",
    ),
    bug(
        "a limit lets one more in",
        BOUNDS,
        "        if self.used >= self.room:\n",
        "        if self.used > self.room:\n",
    ),
    bug(
        "a rate is counted by buckets of its window",
        RATES,
        "        if marks and marks[0][0] + self.length_s <= now:\n            drop_marks(marks, now, self.length_s)\n",
        "        if marks and marks[0][0] + self.length_s <= now:\n            marks.clear()\n",
        tests="journal/test_rates.py",
    ),
    bug(
        "a start counts when its call gets room, not when it begins",
        LAUNCH,
        "        if x is not None and x.held:\n            self._engine.ready.begins(call)\n",
        "",
        Edit(
            READY,
            "                x.held.append(Held(resource, amount))\n",
            "                x.held.append(Held(resource, amount))\n            self.begins(call)\n",
        ),
        tests="program/test_limits.py",
    ),
    bug(
        "starts that a dead process was promised are free again",
        LIMITS_OF_THE_STORE,
        "            if promise.end + self.length_s <= self.at:\n",
        "            if other != holder:\n",
        tests="journal/test_sharing_limits.py",
    ),
    bug(
        "what waits for a shared limit waits until a clock that was set back has caught up",
        LIMITS_OF_THE_STORE,
        "        if self.at - now > SET_BACK_S:\n",
        "        if False:\n",
        tests="journal/test_sharing_limits.py",
    ),
    bug(
        "nobody looks for room when a place in a limit is free again",
        READY,
        "        x.held = []\n        self.dispatch_soon()\n",
        "        x.held = []\n",
        tests="program/test_limits.py::test_what_code_held_that_ended_while_a_coroutine_of_it_waits_is_free_at_once",
    ),
    bug(
        "nobody looks for those that go on when a call begins to wait",
        READY,
        "        return bool(self._line or self._queues or self._reentering)\n",
        "        return bool(self._line or self._queues)\n",
        tests="program/test_limits.py::test_a_call_that_rested_goes_on_when_the_one_that_took_its_place_rests",
    ),
    bug(
        "a call that waits for others counts as active",
        READY,
        "            self.active -= not call._spec.batch\n",
        "            pass\n",
        Edit(READY, "            self.active += not call._spec.batch\n", "            pass\n"),
    ),
)

OF_THE_STORE = (*JOURNAL, *LEASES, *SPENT, *LIMITS)
