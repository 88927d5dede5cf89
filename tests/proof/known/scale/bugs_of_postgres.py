"""Seeded bugs of the store in Postgres: what is exact there under lost answers, dead drivers, failovers and clocks that differ."""

from __future__ import annotations

from seeded import Bug, Edit, bug

_TESTS = "journal/postgres"
_OUTCOMES = f"{_TESTS}/test_unknown_outcomes.py"

OF_POSTGRES: tuple[Bug, ...] = (
    bug(
        "the checksums of a group are read in the statement that waits for its run",
        "PostgresStore._look",
        'run = self._find(connection, "uid=?", group.lease.uid, "FOR UPDATE")',
        'sums = "SELECT array_agg(crc ORDER BY seq) FROM record WHERE record.run=uid AND seq BETWEEN ? AND ?"\n'
        "asked = (group.first_seq, group.last_seq, group.lease.uid)\n"
        'found = connection.execute(f"SELECT ({sums}) FROM run WHERE uid=? FOR UPDATE", asked).fetchone()\n'
        'run = self._find(connection, "uid=?", group.lease.uid)',
        Edit(
            "PostgresStore._look",
            "there = connection.execute(query, (group.lease.uid, group.first_seq, group.last_seq)).fetchall()",
            "there = list(enumerate(found[0] or [], group.first_seq))",
        ),
        tests=f"{_OUTCOMES}::test_who_looks_for_a_group_waits_for_a_first_try_that_still_runs_and_sees_it_whole",
    ),
    bug(
        "a group whose answer was lost is sent again without a look",
        "commit_surely",
        "standing = judge(sent, look(), is_unknown=is_unknown, reported=reported, where=where)",
        "standing = Standing.ABSENT if is_unknown else judge(sent, look(), is_unknown=False, reported=reported, where=where)\n"
        "is_unknown = False",
        tests=f"{_OUTCOMES}::test_what_was_done_before_its_answer_was_lost_is_done_once",
    ),
    bug(
        "a run that another call of this process has just begun is taken for one's own",
        "Runs.begin_run",
        "self._token(statements, run.uid) == token",
        "run.owner == owner",
        tests=f"{_OUTCOMES}::test_what_was_done_before_its_answer_was_lost_is_done_once",
    ),
    bug(
        "the session of a driver that vanished keeps its run",
        "Runs.acquire",
        "self._evict(run_id, at(), take_over=take_over)",
        "",
        tests=f"{_TESTS}/test_sessions_left_behind.py::test_a_driver_takes_over_from_one_that_vanished_in_the_middle_of_a_commit",
    ),
    bug(
        "the session of a driver that may be there is ended",
        "Runs._evict",
        "if not take_over: check_takeover(run, at)",
        "",
        tests=f"{_TESTS}/test_sessions_left_behind.py::test_a_driver_that_may_be_there_keeps_its_session_and_its_run",
    ),
    bug(
        "a wait for standbys that was cancelled counts as a commit",
        "Link._hear",
        "self._unreplicated |= _NOT_REPLICATED in (notice.message_primary or '')",
        "",
        tests=f"{_TESTS}/test_failover.py::test_a_commit_whose_wait_for_standbys_was_cancelled_is_not_reported",
    ),
    bug(
        "a standby that lacks what was durable is gone on with",
        "PostgresDatabase._meet",
        "self._told.check(statements, self.url)",
        "",
        tests=f"{_TESTS}/test_failover.py::test_a_standby_that_lacks_what_was_reported_is_not_written_to",
    ),
    bug(
        "a driver passes over signals that were given the numbers of lost ones",
        "PostgresStore.signals",
        "self._told.note_signals(uid, found)",
        "",
        tests=f"{_TESTS}/test_failover.py::test_a_standby_that_lacks_what_was_reported_is_not_written_to",
    ),
    bug(
        "a store that went back is of no use for as long as its process lives",
        "PostgresStore.release",
        "self._forget(lease, given_up=True)",
        "",
        tests=f"{_TESTS}/test_failover.py::test_a_store_whose_drivers_have_given_up_goes_on_with_what_there_is",
    ),
    bug(
        "a session that was made anew outside of a commit is not named in the runs that are driven from there",
        "PostgresDatabase._meet_to_write",
        "statements.execute(_NAME, (*statements.session, list(uids), list(fences)))",
        "",
        tests=f"{_TESTS}/test_sessions_left_behind.py::"
        "test_a_session_is_named_in_the_runs_that_are_driven_from_there_and_in_no_other",
    ),
    bug(
        "who waited for a run judges its lease by the time before",
        "Runs.acquire",
        "return asked + waited_s if waited_s > WAITED_S else asked",
        "return asked",
        tests=f"{_TESTS}/test_clocks_apart.py::test_who_waits_for_a_run_judges_its_lease_by_the_time_at_which_he_gets_it",
    ),
    bug(
        "rows that came too late are kept once more when the answer was lost",
        "PostgresStore._reject",
        "tries += 1",
        "tries = 1",
        tests=f"{_OUTCOMES}::test_what_came_too_late_is_kept_aside_once_although_the_answer_was_lost",
    ),
    bug(
        "leases are counted by the clock of whoever asks",
        "ServerClock.ahead_s",
        "return ahead_s if abs(ahead_s) > self._unsure_s else 0.0",
        "return 0.0",
        tests=f"{_TESTS}/test_clocks_apart.py::test_a_lease_is_over_for_all_machines_when_it_is_for_the_server",
    ),
    bug(
        "a signal's number is given before it is its turn",
        "PostgresStore._send",
        'run = self._get_run(connection, run_id, "FOR UPDATE")',
        "run = self._get_run(connection, run_id)",
        Edit(
            "PostgresStore._send",
            'found = connection.execute("UPDATE run SET word=word+1 WHERE uid=? RETURNING word", (run.uid,)).fetchall()',
            'found = connection.execute("SELECT (2 * extract(epoch FROM clock_timestamp()))::bigint").fetchall()',
        ),
        tests=f"{_TESTS}/test_word.py::test_a_reader_that_follows_signals_misses_none_when_two_transactions_overlap",
    ),
)
