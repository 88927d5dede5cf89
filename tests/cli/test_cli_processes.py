"""What only a process of its own can show: dying, being interrupted, pipes, and how fast it answers."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from commandline import Folder


def test_a_run_that_was_killed_is_crashed_and_is_resumed(folder: Folder) -> None:
    killed = folder.process("run", folder.target("answer"), "why?", "-k", "how=die", "--run-id", "sky")
    assert killed.code == -signal.SIGKILL
    run = folder.process("ls", "--json").json["runs"][0]
    assert (run["status"], run["driven_by"]) == ("crashed", None)
    shown = folder.process("show", "sky").out
    assert "is gone: go on with `headway resume sky`" in shown
    Path("mended").touch()
    answer = folder.process("resume", "sky")
    assert (answer.code, answer.out) == (0, "why?: 3\n")
    run = folder.process("ls", "--json").json["runs"][0]
    assert (run["status"], run["drives"], run["spent"]) == ("done", 2, {"tokens": 200.0})


def test_an_interrupted_run_says_how_to_go_on(folder: Folder) -> None:
    stopped = folder.process("run", folder.target("answer"), "why?", "-k", "how=stop", "--run-id", "sky", "--progress")
    assert stopped.code == 130
    assert stopped.out == ""
    assert "Traceback" not in stopped.err
    assert "headway resume sky" in stopped.err
    assert folder.process("ls", "--json").json["runs"][0]["status"] == "interrupted"
    Path("mended").touch()
    assert folder.process("resume", "sky").out == "why?: 3\n"


def test_a_run_is_signalled_and_cancelled_from_another_process(folder: Folder) -> None:
    command = [sys.executable, "-m", "headway", "run", folder.target("answer"), "why?", "-k", "how=wait", "--run-id"]
    with subprocess.Popen([*command, "sky", "--events", "sky.jsonl"], stdout=subprocess.PIPE, text=True) as waiting:
        _until_the_event(Path("sky.jsonl"), b"Committed")
        owned = folder.process("resume", "sky")
        assert (owned.code, "is driven by pid" in owned.err) == (3, True)
        assert folder.process("signal", "sky", "go", '["now"]').code == 0
        assert waiting.communicate(timeout=60)[0] == "['now']\n"
    with subprocess.Popen([*command, "sea", "--events", "sea.jsonl"], stderr=subprocess.PIPE, text=True) as waiting:
        _until_the_event(Path("sea.jsonl"), b"Committed")
        assert folder.process("ls", "--json").json["runs"][1]["status"] == "running"
        assert "driven by pid" in folder.process("show", "sea").out
        assert folder.process("cancel", "sea").code == 0
        assert "was cancelled" in waiting.communicate(timeout=60)[1]
        assert waiting.returncode == 3


def _until_the_event(path: Path, kind: bytes) -> None:
    """Block until an event of this kind is in the file."""
    wait = f"until grep -qs {kind.decode()} {path}; do sleep 0.02; done"
    subprocess.run(["timeout", "60", "sh", "-c", wait], check=True)


def test_a_reader_that_goes_away_is_no_error(folder: Folder) -> None:
    folder.process("run", folder.target("answer"), "why?", "300", "--run-id", "sky")
    command = f"{sys.executable} -m headway show sky --all | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("sky  ")
    assert "Traceback" not in done.stderr


def test_help_does_not_load_what_a_command_needs(folder: Folder) -> None:
    code = (
        "import sys, headway.cli.app as a\n"
        "try: a.app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('rich.live', 'headway.observe.pictures.gantt', 'headway.cli.commands.runs', 'numpy')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
