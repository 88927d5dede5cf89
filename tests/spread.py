"""How the tests of one run are shared out to several processes.

The tests of a file stay together, because they share what the file sets up. Those of the files below set up nothing: each goes to
whoever is free. So a file of many minutes keeps no process waiting at the end.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

SPREAD = (
    "tests/chaos/test_disks.py",
    "tests/chaos/test_kills.py",
    "tests/chaos/test_sharers.py",
    "tests/chaos/test_workers.py",
    "tests/checkpoint/test_ranks_die.py",
    "tests/proof/",
    "tests/search/test_searches_survive.py",
)


class Spread(LoadScopeScheduling):
    """Hands out files, and tests one by one where they stand alone."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(SPREAD) else nodeid.partition("::")[0]
