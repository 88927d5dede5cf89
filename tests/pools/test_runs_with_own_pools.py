"""Runs that bring pools: what may stand there, what is refused and when, and that nothing is lost when they are killed."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import own_program
import pytest
from test_own_pools import Broken

import headway as hw
from headway.pools import Answer, Demand, Job, Traits
from headway.pools.registry import BUILT_IN, TRAITS

PROGRAM = Path(own_program.__file__)


@hw.task(pool="box")
def boxed(x: int) -> int:
    return x + 1


@hw.task
async def program(n: int) -> int:
    return sum(await hw.gather(*(boxed(x) for x in range(n))))


@hw.task(pool="bax", name="misnamed")
def misnamed(x: int) -> int:
    return x


@hw.task(pool="box", needs={"image": "python"})
def with_an_image(x: int) -> int:
    return x


@hw.task(pool="box", processes=2)
def with_processes(x: int) -> int:
    return x


@hw.task(pool="box", batch=2)
def in_batches(items: list[int]) -> list[int]:
    return items


@hw.task(pool="box")
async def on_the_loop() -> int:
    return 1


class Box(Broken):
    """A simple pool with an option."""

    traits = Traits(asks=True, cancel="cooperative", needs={"image": lambda value: "" if value in ("python", "go") else "an image"})


class NeedsImports(Broken):
    traits = Traits(imports=True, copies=True, batches=False)


def test_a_program_in_pools_of_its_own_survives_a_kill(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "notes"
    folder.mkdir()
    assert _run_program(folder, store, tmp_path / "first") == -signal.SIGKILL
    assert (folder / "killed").exists()
    assert _run_program(folder, store, tmp_path / "second") == 0
    assert (tmp_path / "second").read_text().splitlines()[-1] == str(sum(8 * x for x in range(4)) + 4)
    ran = {path.name: path.read_text() for path in folder.iterdir() if path.name != "killed"}
    assert ran == {f"{name}-{x}": "x" for name in ("boxed", "far") for x in range(4)}


def _run_program(folder: Path, store: Path, said: Path) -> int:
    """Its exit code. Processes of an executor outlive a driver that was killed, so they are ended here."""
    with said.open("w") as file:
        command = [sys.executable, str(PROGRAM), str(folder), str(store)]
        child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            return child.wait(120)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


@pytest.mark.parametrize("pool", [Box(), Box, lambda: Box()], ids=["a pool", "a class", "a function"])
def test_a_pool_is_given_as_it_is_or_by_what_makes_it(pool: Any, go: Callable[..., Any]) -> None:
    assert go(program, 3, store=None, pools={"box": pool}) == 6


def test_one_pool_serves_one_run_after_another(go: Callable[..., Any], tmp_path: Path) -> None:
    box = Box()
    assert [go(program, n, store=None, pools={"box": box}) for n in (1, 2)] == [1, 3]
    assert go(program, 2, pools={"box": box}) == 3
    assert hw.resume("run", store=tmp_path / "store", pools={"box": box}) == 3


def test_two_runs_at_a_time_need_a_pool_each() -> None:
    box = Box()

    async def both(pool: Any) -> list[int]:
        runs = (hw.arun(program, 2, store=None, progress=False, pools={"box": pool}) for _ in range(2))
        return await asyncio.gather(*runs)

    assert asyncio.run(both(Box)) == [3, 3]
    with pytest.raises(hw.UsageError, match=r"'box' works for another run now: give each run one of its own"):
        asyncio.run(both(box))


def test_all_runs_that_go_on_at_once_get_pools_of_their_own(tmp_path: Path) -> None:
    for number in range(2):
        with pytest.raises(hw.UsageError, match="wants pool='box', which this run does not have"):
            hw.run(program, number + 1, store=tmp_path, run_id=f"run {number}", progress=False)
    ended = hw.resume_all(store=tmp_path, status="failed", pools={"box": Box})
    assert {run: end.value for run, end in ended.items()} == {"run 0": 1, "run 1": 3}


def test_a_finished_call_needs_its_pool_no_more(go: Callable[..., Any]) -> None:
    @hw.task
    async def again(way: list[str]) -> int:
        found = await boxed(1)
        if not way:
            raise ValueError("not yet")
        return found

    way: list[str] = []
    keyed = again.options(key="again")
    with pytest.raises(ValueError, match="not yet"):
        go(keyed, way, pools={"box": Box})
    way.append("now")
    assert go(keyed, way) == 2


@pytest.mark.parametrize(
    ("task", "pool", "message"),
    [
        (misnamed, Box, "task misnamed wants pool='bax', which this run does not have; did you mean 'box'?"),
        (with_processes, Box, 'processes= is for pool="gang": add that'),
        (with_an_image, Broken, "pool='box' has no option 'image' in needs=; there are none"),
        (with_an_image.options(needs={"image": "rust"}), Box, "image='rust': an image"),
        (with_an_image.options(needs={"imago": 1}), Box, "pool='box' has no option 'imago' in needs=; did you mean 'image'?"),
        (on_the_loop, Box, "an async function runs on the event loop, not in pool='box'"),
        (in_batches, NeedsImports, "a task of pool='box' can't be a batch task"),
    ],
)
def test_a_task_that_its_pool_can_not_take_is_refused_where_it_is_first_used(
    task: Any, pool: type[Broken], message: str, go: Callable[..., Any]
) -> None:
    @hw.task
    async def uses() -> object:
        return await (task() if task is on_the_loop else task(1))

    with pytest.raises(hw.UsageError) as raised:
        go(uses, store=None, pools={"box": pool})
    assert message in str(raised.value)


def test_a_function_that_no_other_process_can_find_is_refused_at_its_first_use(go: Callable[..., Any]) -> None:
    inner = hw.task(pool="box", name="inner")(lambda x: x)

    @hw.task
    async def uses() -> int:
        return await inner(1)

    with pytest.raises(hw.UsageError, match="a lambda cannot run in another process"):
        go(uses, store=None, pools={"box": NeedsImports})


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ({"thread": Box()}, "that is a pool of Headway's own; give a size, or another name"),
        ({"process": 0}, "process = 0: a whole number, at least 1"),
        ({"inline": 3}, "max_active= says how many calls run on it"),
        ({"threads": 3}, "pools= has no 'threads'; did you mean 'thread'? Of your own, give the pool"),
        ({"box": 3}, "pools= has no 'box'"),
        ({"box": "Box"}, "pools= has no 'box'"),
        ({"box": object()}, "is no pool: it has no free and no submit and no cancel and no start and no close"),
        ({1: Box()}, "pools= names a pool 1: a name is a text"),
        ([Box()], "expected a dictionary"),
    ],
)
def test_what_is_no_pool_is_refused_before_anything_is_begun(pools: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(hw.UsageError) as raised:
        hw.run(program, 1, store=tmp_path / "store", pools=pools)
    assert message in str(raised.value)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        (None, "traits is None: give a headway.pools.Traits"),
        (Traits(asks=True, copies=True), "asks and copies"),
        (Traits(lends=True), "lends and does not ask"),
        (Traits(cancel="maybe"), "'cooperative', 'killed', 'abandoned'"),  # type: ignore[arg-type]
    ],
)
def test_traits_that_contradict_each_other_are_refused(traits: Any, message: str) -> None:
    box = Box()
    box.traits = traits  # type: ignore[misc]
    with pytest.raises(hw.UsageError) as raised:
        hw.run(program, 1, store=None, pools={"box": box})
    assert message in str(raised.value)


class FailsAtFree(Broken):
    def free(self, need: Demand) -> int:
        raise ZeroDivisionError("no free")


class CanNotStart(Broken):
    def start(self, on_free: Any, emit: Any) -> None:
        raise OSError("no machine")


class AnswersNonsense(Broken):
    def answer(self, job: Job, answer: Answer) -> None:
        job.on_done(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pool", "error", "message"),
    [
        (
            FailsAtFree,
            hw.PoolFailed,
            "(FailsAtFree) failed when it was asked for free slots: ZeroDivisionError: no free",
        ),
        (CanNotStart, hw.PoolFailed, "pool 'box' (CanNotStart) could not start: OSError: no machine"),
        (AnswersNonsense, hw.PoolFailed, "answered test_runs_with_own_pools.boxed with 7: an Answer was expected"),
    ],
)
def test_a_pool_that_fails_ends_the_run_with_a_sentence(pool: type[Broken], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        hw.run(program, 1, store=None, progress=False, pools={"box": pool})
    assert message in str(raised.value)


def test_answers_from_other_threads_and_from_inside_submit_are_heard(go: Callable[..., Any]) -> None:
    class AtOnce(Broken):
        def submit(self, job: Job) -> None:
            job.on_done(Answer(value=job.fn(*job.args)))

    assert go(program, 3, store=None, pools={"box": AtOnce}) == 6


def test_no_other_place_knows_a_pool_of_members_by_its_name() -> None:
    """Whoever adds a pool adds it to the registry, and to nothing else."""
    import io
    import tokenize

    package = Path(hw.__file__).parent
    knows = {"pools/gang.py", "pools/member.py", "pools/registry.py", "pools/agents/gang.py"}
    found = set()
    for path in package.rglob("*.py"):
        name = path.relative_to(package).as_posix()
        if name in knows or name.startswith(("train/", "reference/")):  # tasks that run in it
            continue
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            is_doc = token.type == tokenize.STRING and (token.string.startswith(('"""', 'r"""')) or " " in token.string)
            if token.type in (tokenize.NAME, tokenize.STRING) and "gang" in token.string.lower() and not is_doc:
                found.add(f"{name}: {token.line.strip()}")
    assert not found


def test_the_pools_know_nothing_of_the_engine() -> None:
    package = Path(hw.__file__).parent
    above = {"engine", "sim", "cli", "observe", "train", "methods", "models", "task", "run", "join", "scope", "context", "testing"}
    found = []
    for path in (package / "pools").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "headway":
                floor = node.module.split(".")[1] if "." in node.module else ""
                found += [f"{path.name}: {node.module}"] if floor in above else []
    assert not found


def test_every_built_in_pool_says_what_it_is() -> None:
    assert TRAITS.keys() == {"inline", *BUILT_IN}
    for name, built in BUILT_IN.items():
        assert built.make(1).traits == TRAITS[name]
