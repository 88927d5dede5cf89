"""`make demo-research`: killed, going on, and nothing done twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyworldatlas", reason="without the extra `assistant`")
pytest.importorskip("mcp", reason="without the extra `mcp`")

import headway as hw
from library import own_questions
from library.lines import read_lines

EXAMPLES = Path(__file__).parents[2] / "examples"


def start(store: Path, *options: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(EXAMPLES), str(Path(hw.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(EXAMPLES / "research.py"), "--store", str(store), *options]
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.long
def test_it_is_killed_and_goes_on_and_files_nothing_twice(tmp_path):
    data = tmp_path / "questions.json"
    data.write_text(json.dumps(own_questions.make_questions(2)))
    asked = ["--data", str(data), "--questions", "2", "--ways", "dataflow", "--planned", "0", "--planners", "--latency", "0.1"]
    done = start(tmp_path / "store", *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed with SIGKILL; recorded so far: 1 answers" in done.stdout
    assert "100.0% │ 100.0%" in done.stdout
    assert "2 reports filed, 0 of them twice." in done.stdout
    assert len(read_lines(tmp_path / "store" / "library_dataflow" / "filed.jsonl")) == 2
    picture = (tmp_path / "store" / "oracle.svg").read_text()
    assert picture.startswith("<svg")
    assert "What is the capital of" in picture


def test_without_questions_it_says_how_to_fetch_them(tmp_path):
    done = start(tmp_path / "store", "--data", str(tmp_path / "fanoutqa-1.1.1-py3-none-any.whl"))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("fanoutqa==1.1.1")
    assert "Traceback" not in done.stderr
