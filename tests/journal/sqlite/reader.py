"""A process that may not write: a user's is one, and root's is where it gives up the right to write anywhere.

Run as a program it does what its arguments say and prints one line of JSON for each: what it found, or the error.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CAPABILITIES = "-dac_override,-dac_read_search,-fowner"


def as_a_user(*command: str) -> list[str]:
    """The command line under which permissions count."""
    if os.geteuid():
        return list(command)
    if shutil.which("setpriv") is None:
        pytest.skip("permissions don't count for root, and there is no setpriv to give that up")
    return ["setpriv", f"--bounding-set={CAPABILITIES}", f"--inh-caps={CAPABILITIES}", *command]


def python(*arguments: str) -> list[str]:
    return as_a_user(sys.executable, *arguments)


def do(*steps: str) -> list[dict[str, Any]]:
    """What a process without permission finds, step by step."""
    path = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error"}
    done = subprocess.run(python(__file__, *steps), env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def protect(folder: Path, mask: int = 0o222) -> None:
    """Take a permission (writing) from everything in a folder, and from itself."""
    for path in (*folder.rglob("*"), folder):
        path.chmod(path.stat().st_mode & ~mask)


def step(text: str) -> dict[str, Any]:
    from typer.testing import CliRunner

    import headway as hw
    from headway.cli.app import app
    from headway.errors import HeadwayError
    from headway.journal.decisions import decode_decision
    from headway.journal.open import open_to_read

    what, _, rest = text.partition(" ")
    if what == "cli":
        result = CliRunner().invoke(app, rest.split(" "))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            return {"raised": repr(result.exception)}
        return {"code": result.exit_code, "out": result.stdout, "err": result.stderr}
    try:
        if what == "rows":
            store = open_to_read(rest)
            try:
                return {
                    "rows": [decode_decision(row.body).told.call.decode() for run in store.runs() for _, row in store.rows(run.uid)]
                }
            finally:
                store.close()
        if what == "between":
            return between(rest)
        if what == "run":
            hw.run(hw.task(lambda: 1, name="one"), store=rest, progress=False)
        if what == "load":
            import numpy as np

            state = {"x": np.zeros(3)}
            with hw.Checkpoints(rest) as checkpoints:
                checkpoints.load(state)
            return {"x": state["x"].tolist()}
        if what == "open":
            import numpy as np

            with hw.Checkpoints(rest) as checkpoints, checkpoints.open() as checkpoint:
                return {"x": np.asarray(checkpoint["x"]).tolist()}
        if what == "send":
            hw.signal("sky", "go", 1, store=rest)
    except HeadwayError as error:
        return {"raised": f"{type(error).__name__}: {error}"}
    return {}


def between(folder: str) -> dict[str, Any]:
    """Read a store of which `damage` spoils the only record between its opening and its reading."""
    from headway.journal.open import open_to_read

    store = open_to_read(folder)
    try:
        print(json.dumps({"opened": True}), flush=True)
        sys.stdin.readline()
        return {"rows": len(list(store.rows(store.runs()[0].uid)))}
    finally:
        store.close()


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(json.dumps(step(argument)), flush=True)
