"""Seeded bugs of a store in Postgres whose connections break, whose server goes back and whose clock is another."""

from __future__ import annotations

from seeded import Bug, bug

_REPLIES = "chaos/postgres/test_replies.py::test_commits_that_are_cut_at_each_place_are_there_once_or_never"
_PARTITIONS = "chaos/postgres/test_partitions.py"
_STANDBYS = "chaos/postgres/test_standbys.py"
_DRIVERS = "chaos/postgres/test_drivers.py"

OF_POSTGRES_CUTS: tuple[Bug, ...] = (
    bug(
        "a commit whose reply was lost is taken for a failure",
        "PostgresStore.commit",
        "is_unknown = True",
        "raise",
        tests=_REPLIES,
    ),
    bug(
        "a commit whose reply was lost is taken for durable",
        "PostgresStore.commit",
        "is_unknown = True",
        "break",
        tests=_REPLIES,
    ),
    bug(
        "a commit whose reply was lost is sent again for other rows",
        "commit:look",
        "stored == list(zip(columns[0], columns[5], strict=True))",
        "False",
        tests=_REPLIES,
    ),
    bug(
        "the session of a connection that broke keeps the run",
        "Link._end_session_before",
        "self._session is not None",
        "False",
        tests=f"{_PARTITIONS}::test_a_driver_goes_on_although_its_old_session_still_holds_its_run",
    ),
    bug(
        "a server that went back to an earlier state is believed",
        "commit:look",
        "run.nrows < reported",
        "False",
        tests=f"{_STANDBYS}::test_a_standby_that_lacks_the_last_commits_is_found_out_and_nothing_more_is_reported",
    ),
    bug(
        "a commit that stopped waiting for its standby is reported as durable",
        "PostgresDatabase.talking",
        "self._writer.check_replicated(self.url)",
        "",
        tests=f"{_STANDBYS}::test_a_commit_that_no_longer_waits_for_its_standby_is_not_reported_as_durable",
    ),
    bug(
        "a lease follows this machine's clock when that is set",
        "PostgresStore._ahead_s",
        "set_s if abs(set_s) > SET_S else 0.0",
        "0.0",
        tests=f"{_DRIVERS}::test_a_driver_whose_clock_is_set_keeps_its_run",
    ),
)
