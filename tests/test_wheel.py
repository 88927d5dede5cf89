"""What a user gets: the wheel, built from this tree and installed in an environment that has nothing else.

It runs on every Python that pyproject.toml names and that this machine has.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAMED = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if re.fullmatch(r".*Python :: 3\.\d+", one)]
DATA = {
    "headway/bench/allocate/outcomes.json": "`headway bench allocate` draws from what the model did",
    "headway/bench/allocate/shapes.json": "`headway bench allocate` runs plans of these shapes",
    "headway/methods/schedule/instances/classic.txt.xz": "`headway bench schedule` solves them",
    "headway/reference/arithmetic/trained/arithmetic.safetensors": "`headway serve` and the benches run it",
    "headway/reference/countdown/searching/trained/countdown-search.safetensors": "searches with helpers are measured on it",
    "headway/reference/countdown/trained/countdown.safetensors": "`headway serve` and the benches run it",
    "headway/reference/planner/trained/planner.safetensors": "`headway serve` and methods of plans run it",
    "headway/reference/planner/trained/planner-noisy.safetensors": "methods that vote or plan again are measured on it",
}
pytestmark = pytest.mark.long


def call(*command: str | Path, cwd: Path | None = None) -> str:
    """What a command prints. It sees nothing of this tree."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def find_python(version: str) -> str | None:
    """An interpreter of this version, "3.12"; None where this machine has none."""
    if sys.version.startswith(f"{version}."):
        return sys.executable
    kept = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python"))
    return str(kept[-1]) if kept else shutil.which(f"python{version}")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "pip", "wheel", ROOT, "--no-deps", "-q", "-w", folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"headway", f"headway-{PROJECT['version']}.dist-info"}
    assert "headway/py.typed" in names
    others = [name for name in names if name.startswith("headway/") and not name.endswith((".py", "/py.typed"))]
    assert sorted(others) == sorted(DATA)
    assert {f"src/{name}" for name in names if name.endswith(".py")} == {
        str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.py")
    }


def test_the_readme_says_how_large_it_is(wheel):
    (said,) = re.findall(r"wheel of about ([\d.]+) MB", (ROOT / "README.md").read_text())
    assert float(said) == pytest.approx(wheel.stat().st_size / 1e6, rel=0.15)


@pytest.mark.parametrize("version", NAMED)
def test_the_first_program_runs_where_only_the_wheel_is_installed(wheel, version, tmp_path):
    python = find_python(version)
    if python is None:
        pytest.skip(f"this machine has no Python {version}")
    call(python, "-m", "venv", tmp_path / "venv")
    inside = tmp_path / "venv" / "bin"
    call(inside / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel)
    for missing in ("numpy", "torch", "openai", "pyarrow"):
        call(inside / "python", "-c", f"import importlib.util as u; assert u.find_spec({missing!r}) is None")

    program = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "program.py").write_text(program)
    first = call(inside / "python", "-W", "error", "program.py", cwd=folder)
    assert first.count("a page about why is the sky blue? 20") == 6
    assert call(inside / "python", "program.py", cwd=folder) == first
    assert "8 ok" in call(inside / "headway", "show", "sky", cwd=folder)
    assert "whole" in call(inside / "headway", "doctor", cwd=folder)
    assert "resume" in call(inside / "headway", "--help", cwd=folder)
    asked = "import headway as hw\ntry:\n    hw.Checkpoints('x')\nexcept Exception as error:\n    print(error)"
    assert "pip install" in call(inside / "python", "-c", asked, cwd=folder)
