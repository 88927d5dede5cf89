"""What the tests of the command line share: an empty folder to work in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commandline import Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("HEADWAY_STORE", raising=False)
    return Folder(tmp_path)
