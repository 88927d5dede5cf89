"""How the tests of one run are shared out to several processes.

The tests of a file stay together, because they share what the file sets up. Those of the files below set up nothing: each goes to
whoever is free. So a file of many minutes keeps no process waiting at the end.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

SPREAD = {
    "test_disks.py",
    "test_kills.py",
    "test_random_programs.py",
    "test_ranks_die.py",
    "test_searches_survive.py",
    "test_sharers.py",
    "test_the_proof_proves.py",
    "test_workers.py",
}


class Spread(LoadScopeScheduling):
    """Hands out files, and tests one by one where they stand alone."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.rpartition("/")[2] in SPREAD else file
