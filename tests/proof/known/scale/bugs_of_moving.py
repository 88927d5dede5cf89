"""Seeded bugs of stores in databases as users meet them: names, lists of runs, garbage, and runs that move to another store."""

from __future__ import annotations

from seeded import Bug, Edit, bug

_GC = "journal/upkeep/test_gc_in_postgres.py"
_COPY = "journal/copying/test_copying.py"

OF_MOVING: tuple[Bug, ...] = (
    bug(
        "a password in the options of a URL is shown",
        "address:parse_address",
        "HIDDEN if name in _SECRETS else value",
        "value",
        tests="journal/test_places_in_postgres.py::test_an_address_shows_no_password_however_it_is_printed",
    ),
    bug(
        "a page of runs begins with the last run of the one before",
        "runs:_page",
        """("uid<?", "uid DESC") if newest_first else ("uid>?", "uid")""",
        """("uid<=?", "uid DESC") if newest_first else ("uid>=?", "uid")""",
        tests="conformance/test_pages_of_runs.py::test_pages_follow_one_another_until_one_is_not_full",
    ),
    bug(
        "a blob that was put again since it was listed is removed from a database",
        "PostgresHeap.remove_blobs",
        "before = self.store.by_server(before)",
        "before = float('inf')",
        tests=f"{_GC}::test_a_blob_that_is_put_again_after_it_was_listed_stays",
    ),
    bug(
        "a large blob is written before its row",
        "postgres.store:PostgresStore.put_blob",
        """
        if small is None:
            self._large.check_place(nbytes, self.url)
        """,
        """
        if not small:
            self._large.put(digest, data)
        """,
        Edit("postgres.store:PostgresStore.put_blob", "if small is None:\n    self._large.put(digest, data)", ""),
        tests=f"{_GC}::test_a_blob_that_is_written_while_it_is_being_removed_is_there_afterwards",
    ),
    bug(
        "a run that is taken up while it is copied is copied all the same",
        "_Copy._put_run",
        "self._check_unchanged(info, signals)",
        "",
        tests=f"{_COPY}::test_a_run_that_is_taken_up_while_it_is_copied_does_not_appear",
    ),
    bug(
        "the rows of a copy are not compared",
        "_Copy._verify",
        "mine != theirs",
        "False",
        tests=f"{_COPY}::test_a_run_that_the_target_does_not_have_as_it_was_written_is_taken_out_again",
    ),
    bug(
        "a signal to a copied run is numbered as one that it has heard",
        "ArrivingRuns.put_signals",
        """connection.execute("UPDATE run SET word=? WHERE uid=?", (heard, uid))""",
        "",
        tests=f"{_COPY}::test_a_signal_that_comes_later_is_not_taken_for_one_that_was_heard",
    ),
)
