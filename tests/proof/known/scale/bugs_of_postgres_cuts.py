"""Seeded bugs of a store in Postgres whose connections break inside a commit."""

from __future__ import annotations

from seeded import Bug, Edit, bug

_REPLIES = "chaos/postgres/test_replies.py::test_commits_that_are_cut_at_each_place_are_there_once_or_never"
_PARTITIONS = "chaos/postgres/test_partitions.py"

OF_POSTGRES_CUTS: tuple[Bug, ...] = (
    bug(
        "a commit whose reply was lost is taken for a failure",
        "commit_surely",
        "broke = error",
        "raise",
        tests=_REPLIES,
    ),
    bug(
        "a commit whose reply was lost is taken for durable",
        "commit_surely",
        "broke = error",
        "return Standing.DURABLE",
        tests=_REPLIES,
    ),
    bug(
        "a commit whose reply was lost is taken for another's",
        "outcome:judge",
        "list(found.sums) == list(sent.sums)",
        "False",
        tests=_REPLIES,
    ),
    bug(
        "the session of a connection that broke keeps the run from the next one",
        "Link._ask",
        "self._session.pid",
        "False",
        tests=f"{_PARTITIONS}::test_a_driver_goes_on_although_its_old_session_still_holds_its_run",
    ),
    bug(
        "a session that was made anew is not named in the run that it may hang in",
        "PostgresStore._look",
        "connection.execute(query, (*connection.session, group.lease.uid, group.lease.fence, group.lease.owner))",
        "",
        Edit("PostgresDatabase._meet_to_write", "statements.execute(_NAME, (*statements.session, list(uids), list(fences)))", ""),
        tests=f"{_PARTITIONS}::test_a_driver_takes_over_from_one_that_is_gone_whose_session_still_holds_the_run",
    ),
)
