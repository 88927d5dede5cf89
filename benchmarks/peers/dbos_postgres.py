"""DBOS on the Postgres server that HEADWAY_POSTGRES names, in a database of its own: the same programs as on SQLite."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from dbos import DBOS

from benchmarks.peers.dbos_sqlite import run as run
from benchmarks.peers.dbos_sqlite import stop as stop
from benchmarks.peers.dbos_sqlite import version as version


def start(folder: Path) -> None:
    url = urlunsplit(urlsplit(os.environ["HEADWAY_POSTGRES"])._replace(path="/dbos", query=""))
    DBOS(config={"name": "benchmark", "system_database_url": url, "log_level": "ERROR"})
    DBOS.launch()
