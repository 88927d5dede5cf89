"""Worktrees: what is merged, what is refused, and that nothing is left behind, whoever is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from teammates import CLEAN, Repository

import headway as hw
from headway.errors import UsageError
from headway.methods.plan import teams

EDITING = Path(__file__).parent / "editing.py"
MERGED = "['merged', 'merged', 'conflict']"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def run(repository: Repository, work: Any, parts: list[str], **options: Any) -> tuple[teams.Worked[Any], ...]:
    @hw.task(name="teams.tests.worktrees")
    async def program() -> tuple[teams.Worked[Any], ...]:
        return await teams.in_worktrees(repository.folder, work, parts, **options)

    return hw.run(program, store=None, progress=False)


@hw.task(name="teams.tests.edit", effect=True)
def edit(part: str, folder: str) -> str:
    """Edit as the part says: `file:line:what`."""
    name, line, what = part.split(":")
    path = Path(folder, name)
    text = path.read_text() if path.exists() else f"{line}\n"
    path.write_text(text.replace(line, what))
    if what == "fail":
        raise ValueError("the pencil broke")
    return path.read_text()


def test_parts_are_merged_in_their_order_and_a_conflict_is_refused_with_a_record(repository):
    worked = run(repository, edit, ["a:first:one", "b:second:two", "a:first:three", "new:x:y"])
    assert [each.merge.how for each in worked] == ["merged", "merged", "conflict", "merged"]
    assert repository.read("a").splitlines()[0] == "one"
    assert repository.read("b").splitlines()[1] == "two"
    assert repository.read("new") == "y"
    refused = worked[2]
    assert (refused.ok, refused.merge.files) == (False, ("a",))
    assert "CONFLICT (content): Merge conflict in a" in refused.merge.why
    assert b"+three" in refused.change.diff, "what is not merged is kept in the record"
    assert repository.left() == CLEAN


def test_no_part_sees_what_another_one_does(repository):
    worked = run(repository, edit, ["a:first:one", "a:third:two"])
    assert [each.value for each in worked] == ["one\nsecond\nthird\n", "first\nsecond\ntwo\n"]


def test_a_part_that_fails_takes_nobody_with_it_and_its_change_is_kept_and_not_merged(repository):
    worked = run(repository, edit, ["a:first:fail", "b:first:one", "c:nothing:happens"])
    assert [(each.ok, each.error) for each in worked] == [(False, "ValueError: the pencil broke"), (True, ""), (True, "")]
    assert worked[0].merge is None
    assert b"+fail" in worked[0].change.diff
    assert worked[2].merge.how == "empty"
    assert "fail" not in repository.read("a")
    assert repository.left() == CLEAN


def test_what_its_owner_has_not_committed_is_never_overwritten(repository):
    (repository.folder / "a").write_text("mine\n")
    worked = run(repository, edit, ["a:first:one", "b:first:two"])
    assert [each.merge.how for each in worked] == ["refused", "merged"]
    assert "would be overwritten" in worked[0].merge.why
    assert (repository.folder / "a").read_text() == "mine\n"
    assert (repository.folder / "b").read_text().startswith("two")
    assert repository.left() == ([], [], "M a")


def test_changes_go_to_a_branch_that_nobody_has_checked_out(repository):
    repository.git("branch", "other")
    run(repository, edit, ["a:first:one"], into="other")
    assert repository.git("show", "other:a").startswith("one")
    assert repository.read("a").startswith("first")
    repository.git("branch", "-D", "other")
    assert repository.left() == CLEAN


def test_files_that_are_no_text_are_kept_byte_by_byte(repository):
    @hw.task(name="teams.tests.bytes", effect=True)
    def write(part: str, folder: str) -> int:
        return Path(folder, part).write_bytes(bytes(range(256)) + b"latin \xe4\n")

    (worked,) = run(repository, write, ["raw"])
    assert worked.merge.how == "merged"
    assert (repository.folder / "raw").read_bytes() == bytes(range(256)) + b"latin \xe4\n"
    assert isinstance(worked.change.diff, bytes)


def test_a_program_that_fails_or_is_stopped_leaves_nothing_behind(repository):
    begun: list[str] = []

    @hw.task(name="teams.tests.slow")
    async def slow(part: str, folder: str) -> None:
        Path(folder, "half").write_text("done")
        begun.append(part)
        await hw.sleep(3600)

    @hw.task(name="teams.tests.parts")
    async def parts() -> None:
        await teams.in_worktrees(repository.folder, slow, ["a", "b"])

    @hw.task(name="teams.tests.stopped")
    async def program() -> bool:
        working = parts()
        while len(begun) < 2:
            await hw.sleep(0.01)
        assert repository.left() != CLEAN
        working.cancel()
        (end,) = await hw.settle(working)
        return end.cancelled

    assert hw.run(program, store=None, progress=False)
    assert repository.left() == CLEAN


def start(tmp_path: Path, *pause_at: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        str(EDITING),
        str(tmp_path / "store"),
        str(tmp_path / "repository"),
        str(tmp_path / "log"),
        *pause_at,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text().split("\n") if (tmp_path / "log").exists() else []


def kill_at(tmp_path: Path, what: str) -> None:
    process = start(tmp_path, what)
    while "paused" not in said(tmp_path) and process.poll() is None:
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGKILL)
    told = process.communicate()[1]
    assert process.returncode == -signal.SIGKILL, told


@pytest.mark.parametrize("where", ["edited two", "merged"])
def test_a_program_that_is_killed_goes_on_in_its_worktrees_and_leaves_nothing_behind(tmp_path, repository, where):
    kill_at(tmp_path, where)
    assert repository.left() != CLEAN or where == "merged", "it was killed in the middle"
    again = start(tmp_path)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert out.strip() == MERGED
    assert repository.read("a").startswith("first by one")
    assert repository.git("log", "--format=%s", "--first-parent", "main").split("\n") == ["two", "one", "begin"]
    assert repository.left() == CLEAN
    done = Counter(line for line in said(tmp_path) if line.startswith("edited"))
    assert done["edited one"] == done["edited three"] == 1
    assert done["edited two"] == (2 if where == "edited two" else 1), "only what was not recorded is done again"


def test_what_a_run_left_that_nobody_resumes_is_removed_by_hand(tmp_path, repository):
    kill_at(tmp_path, "edited two")
    assert repository.left() != CLEAN
    assert len(teams.remove_worktrees(str(repository.folder))) == 3
    assert repository.left() == CLEAN
    assert teams.remove_worktrees(str(repository.folder)) == ()


def test_what_is_no_repository_is_refused_before_anything_is_done(tmp_path, repository):
    for folder, says in [
        (tmp_path / "nowhere", "there is no such folder"),
        (tmp_path, "not a git repository"),
    ]:
        with pytest.raises(UsageError, match=says):
            run_at(folder, ["a"])
    with pytest.raises(UsageError, match="no commit on a branch 'other'"):
        run(repository, edit, ["a:first:one"], into="other")
    for parts in ("abc", [""], [1], None):
        with pytest.raises(UsageError, match="parts="):
            run(repository, edit, parts)
    repository.git("checkout", "--quiet", "--detach")
    with pytest.raises(UsageError, match="say into="):
        run(repository, edit, ["a:first:one"])
    repository.git("checkout", "--quiet", "main")
    assert repository.left() == CLEAN


def run_at(folder: Path, parts: list[str]) -> Any:
    @hw.task(name="teams.tests.nowhere")
    async def program() -> Any:
        return await teams.in_worktrees(folder, edit, parts)

    return hw.run(program, store=None, progress=False)


def test_without_git_it_says_what_to_install(monkeypatch, repository):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="needs git"):
        run(repository, edit, ["a:first:one"])
