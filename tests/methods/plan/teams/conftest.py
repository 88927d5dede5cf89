"""Lets the tests in this folder import `teammates`, and serves `desk` to them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway import models

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def desk() -> Iterator[models.Endpoint]:
    """A model behind a server of its own, that answers from a script."""
    pytest.importorskip("uvicorn")
    command = [sys.executable, "-m", "headway", "serve", f"{HERE / 'desk.py'}:desk", "--port", "0"]
    path = os.pathsep.join([str(HERE), *(path for path in sys.path if path)])
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    assert server.stdout is not None
    url = [server.stdout.readline(), server.stdout.readline()][0].strip().rpartition(" ")[2]
    yield models.Endpoint("desk", base_url=url, price=models.FREE)
    server.terminate()
    server.wait(timeout=60)
    server.stdout.close()
