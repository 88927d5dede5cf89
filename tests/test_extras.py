"""Every library that the core does without: where it is missing, one sentence says what needs it and what to install."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from headway.extras import EXTRAS

HOME = Path(__file__).parent.parent
CORE = {"headway", "msgspec", "rich", "typer", "click"}
TESTING = {"pytest"}  # for the plugin that pytest itself loads

CASES = [
    ("numpy", "hw.Checkpoints('runs')", "hw.Checkpoints needs numpy: pip install 'headway[numpy]'"),
    ("xxhash", "hw.Checkpoints('runs')", "hw.Checkpoints needs xxhash: pip install 'headway[numpy]'"),
    ("xxhash", "hw.checkpoint.Streams", "headway.checkpoint.Streams needs xxhash: pip install 'headway[numpy]'"),
    ("xxhash", "command('ckpt', 'ls', 'runs')", "headway ckpt needs xxhash: pip install 'headway[numpy]'"),
    ("ml_dtypes", "dtypes.numpy_dtype('BF16')", "an array of bfloat16 needs ml_dtypes: pip install 'headway[numpy]'"),
    ("torch", "saved().load(arrays='torch')", "load(arrays='torch') needs torch: pip install 'headway[torch]'"),
    ("torch", "saved().open()['w'].tensor()", "a tensor of torch needs torch: pip install 'headway[torch]'"),
    ("numpy", "hw.models.open('countdown')", "the Countdown model needs numpy: pip install 'headway[torch]'"),
    ("torch", "hw.models.open('countdown')", "the Countdown model needs torch: pip install 'headway[torch]'"),
    (
        "torch",
        "__import__('headway.reference.countdown', fromlist=['x']).CountdownModel",
        "CountdownModel needs torch: pip install 'headway[torch]'",
    ),
    ("torch", "train.DataParallel()", "DataParallel needs torch: pip install 'headway[torch]'"),
    ("torch", "member.join_gang(Seat(0, 2, 'folder')).__enter__()", "a gang needs torch: pip install 'headway[torch]'"),
    ("torch", "command('bench', 'search')", "headway bench search needs torch: pip install 'headway[torch,solve]'"),
    ("torch", "command('bench', 'scorer')", "headway bench scorer on Countdown needs torch: pip install 'headway[torch,solve]'"),
    ("safetensors", "hw.models.open('countdown')", "a file of the Countdown model needs safetensors: pip install 'headway[torch]'"),
    ("ortools", "command('bench', 'schedule')", "headway bench schedule needs ortools: pip install 'headway[solvers]'"),
    (
        "ortools",
        "__import__('headway.methods.schedule', fromlist=['x']).solve(None)",
        "headway.methods.schedule.solve needs ortools: pip install 'headway[solvers]'",
    ),
    ("obstore", "hw.Checkpoints('s3://b/r')", "the object store s3://b/r needs obstore: pip install 'headway[objects]'"),
    ("psycopg", "hw.PostgresStore('postgresql://h/d')", "a Postgres store needs psycopg: pip install 'headway[postgres]'"),
    ("psycopg", "command('ls', '--store', 'postgresql://h/d')", "a Postgres store needs psycopg: pip install 'headway[postgres]'"),
    ("openai", "hw.models.Endpoint('gpt')", "models.Endpoint needs openai: pip install 'headway[models]'"),
    ("openai", "hw.models.open('openai:gpt')", "models.Endpoint needs openai: pip install 'headway[models]'"),
    (
        "mcp",
        "__import__('headway.tools').tools.McpServer(name='a', url='http://a/mcp')",
        "tools.McpServer needs mcp: pip install 'headway[mcp]'",
    ),
    (
        "mcp",
        "__import__('headway.tools.mcp.offering', fromlist=['all']).make_server([])",
        "headway mcp needs mcp: pip install 'headway[mcp]'",
    ),
    (
        "detect_secrets",
        "__import__('headway.methods.guard', fromlist=['all']).redact('x')",
        "redact needs detect_secrets: pip install 'headway[guard]'",
    ),
    ("xllamacpp", "hw.models.Local()", "models.Local needs xllamacpp: pip install 'headway[local]'"),
    ("starlette", "command('serve', 'countdown')", "headway serve needs starlette: pip install 'headway[ui]'"),
    ("uvicorn", "command('serve', 'countdown')", "headway serve needs uvicorn: pip install 'headway[ui]'"),
    (
        "pydantic_ai",
        "__import__('headway.integrations.pydantic_ai', fromlist=['x']).HeadwayDurability",
        "headway.integrations.pydantic_ai.HeadwayDurability needs pydantic_ai: pip install 'headway[agents]'",
    ),
    (
        "langgraph",
        "__import__('headway.integrations.langgraph', fromlist=['x']).HeadwaySaver",
        "headway.integrations.langgraph.HeadwaySaver needs langgraph: pip install 'headway[langgraph]'",
    ),
    (
        "reasoning_gym",
        "judge.solves('9 3 2 -> 24\\n9+3=12\\n12*2=24\\n')",
        "the judge of Countdown needs reasoning_gym: pip install 'headway[solve]'",
    ),
]

PROGRAM = """
import contextlib, io, json, os, sys
import headway as hw

def command(*words):
    from headway.cli import main

    said, sys.argv = io.StringIO(), ["headway", *words]
    with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        main()
    raise hw.UsageError(said.getvalue().strip())

def saved():
    import numpy

    with hw.Checkpoints("saved") as ck:
        ck.save({"w": numpy.zeros(2)}, 1).durable()
        return ck

class Without:  # a finder that does not find a library
    def __init__(self, finder, package):
        self.finder, self.package = finder, package

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] == self.package else self.finder.find_spec(name, path, target)

def say(library, code):
    sys.meta_path[:] = [Without(finder, library) for finder in sys.meta_path]
    try:
        names = {"hw": hw, "command": command, "saved": saved}
        for imported in ("import headway.checkpoint", "import headway.models", "from headway import train",
                         "from headway.checkpoint.layout import dtypes", "from headway.pools import member",
                         "from headway.pools.base import Seat", "from headway.reference.countdown import judge"):
            if imported.rpartition(" ")[2].rpartition(".")[2] + "." in code or "Seat" in imported and "Seat" in code:
                exec(imported, names)
        return repr(eval(code, names))
    except hw.UsageError as error:
        return str(error)
    except BaseException as error:
        return repr(error)

for library, code in json.loads(sys.argv[1]):
    sys.stdout.flush()
    if os.fork() == 0:
        print(json.dumps([library, code, say(library, code)]), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """What each case says, each in a process of its own that has not imported anything yet."""
    cases = json.dumps([case[:2] for case in CASES])
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, cases]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path_factory.mktemp("extras"), timeout=100)
    return {(library, code): text for library, code, text in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize(("library", "code", "sentence"), CASES)
def test_a_missing_library_is_one_sentence_with_what_to_install(
    said: dict[tuple[str, str], str], library: str, code: str, sentence: str
) -> None:
    assert said[library, code] == sentence


def imported() -> set[str]:
    """All libraries that the package imports anywhere."""
    found: set[str] = set()
    for file in (HOME / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
                if isinstance(node.args[0], ast.Constant):
                    found.add(str(node.args[0].value))
    return {name.partition(".")[0] for name in found}


def test_every_library_is_of_the_core_or_of_an_extra_that_brings_it() -> None:
    assert imported() - sys.stdlib_module_names - CORE - TESTING == set(EXTRAS)
    extras = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for library, extra in EXTRAS.items():
        assert any(each.replace("-", "_").startswith(library) for each in extras[extra]), library


def test_a_library_that_is_there_and_broken_is_no_missing_extra(tmp_path: Path) -> None:
    (tmp_path / "obstore.py").write_text("import not_there_either")
    program = "import headway as hw; hw.Checkpoints('s3://b/r')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=100)
    assert "No module named 'not_there_either'" in done.stderr
    assert "UsageError" not in done.stderr
