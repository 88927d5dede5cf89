"""The example of a service runs end to end: orders, three workers, an approval, a schedule, and a worker that is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import psycopg

from postgres_server import shared_server

DEMO = Path(__file__).parents[2] / "examples" / "service" / "run_all.py"


def test_every_order_is_charged_once_although_a_worker_is_killed() -> None:
    name = f"shop_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(shared_server().url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    env = {**os.environ, "DATABASE_URL": shared_server().url.replace("/postgres", f"/{name}")}
    done = subprocess.run([sys.executable, str(DEMO)], env=env, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for told in (
        "killed one of the workers with SIGKILL",
        "the piano waits for an approval; no worker holds its run",
        "approved: receipt 10",
        "orders, ",  # the schedule's report
        "every order was charged once",
    ):
        assert told in done.stdout
