"""A git worktree for each part of a task: parts are worked on side by side, and what each changed is merged, or refused and kept.

    worked = await in_worktrees("/home/ada/project", work, ["mend the parser", "write its tests"])

Each part gets a branch and a folder of its own inside of the repository's `.git`, so no part sees what another one has not
finished. When all have ended their changes are merged one after the other, in the order of the parts. A merge that conflicts
changes nothing: the record names the files and holds the whole change as a diff.

Every use of git is an effect that may be repeated: it looks at what is there before it does anything. So a run that was killed
anywhere goes on in the folders that it had, and a program that ends, well or not, leaves no folder and no branch behind. Merges are
made of objects alone (`git merge-tree`), never in anybody's files; a branch that is checked out moves only where no change of its
owner is in the way. Hooks and signatures are off: they belong to people.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from headway.context import random
from headway.engine.tasks.callables import describe_error
from headway.errors import HeadwayError, UsageError
from headway.joins.bound import bound_of
from headway.joins.gather import settle
from headway.methods import settings
from headway.scopes.shield import shielded
from headway.task import task
from headway.tools.faults import is_answer

T = TypeVar("T")

FOLDER = "headway"  # in the repository's .git: all that this file makes is there
MOVES = 8  # how often a branch that others move is tried again
_SETTINGS = ("user.name=headway", "user.email=headway@localhost", "commit.gpgsign=false", "core.hooksPath=/dev/null")
_OF_OTHERS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE")


class GitFailed(HeadwayError):
    """Raised when git refuses what a worktree needs; its text is what git said."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a part changed.

    Attributes:
        commit: the commit that holds it; the one that it began from where nothing changed.
        files: the files that differ, by their paths in the repository.
        diff: all of it, as `git apply` takes it.
    """

    commit: str
    files: tuple[str, ...] = ()
    diff: bytes = b""


@dataclass(frozen=True, slots=True)
class Merge:
    """What became of a change.

    Attributes:
        how: "merged"; "empty", there was nothing to merge; "conflict", others changed the same lines; "refused", a change that was
            not committed is in the way.
        commit: where the branch stands since; empty where it did not move.
        files: where the conflict is.
        why: what git said.
    """

    how: Literal["merged", "empty", "conflict", "refused"]
    commit: str = ""
    files: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Worked(Generic[T]):
    """What came of a part.

    Attributes:
        value: what the work gave; None where it failed.
        change: what it changed. Of a part that failed it is kept here and not merged.
        merge: what became of the change; None where the part failed.
        error: why the part failed; empty where it did not.
    """

    value: T | None
    change: Change
    merge: Merge | None
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended well and its change, if any, is merged."""
        return self.merge is not None and self.merge.how in ("merged", "empty")


@dataclass(frozen=True, slots=True)
class Start:
    """What parts begin from: the repository, its `.git`, the branch, and the commit of that branch."""

    repository: str
    common: str
    branch: str
    commit: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A worktree: the repository, where it is, its branch, and the commit that it began from."""

    repository: str
    folder: str
    branch: str
    base: str


async def in_worktrees(
    repository: str | Path, work: Callable[[str, str], Awaitable[T]], parts: Sequence[str], *, into: str = ""
) -> tuple[Worked[T], ...]:
    """Work on parts side by side, each in a worktree of its own, and merge what each changed.

    It departs in that a person of the original looks at each change before it is merged. It departs in that merges are made one
    after the other in the order of the parts, whoever was done first, so that a resumed run merges alike.

    Args:
        repository: a folder of the repository.
        work: does a part: `work(part, folder)`. Usually a task, or an async function that calls tasks.
        parts: what is to be done; each is also what its commit says.
        into: the branch that the parts begin from and are merged into; by default the one that is checked out.

    Returns:
        What came of each part, in their order. A part that fails takes nobody with it.

    Raises:
        UsageError: it is no repository of git, it has no such branch or no commit, or git is not there; before anything is done.
        HeadwayError: as `GitFailed`: git refuses what is needed: a full disk, a lock that somebody holds.

    Example:
        >>> import pathlib, subprocess, tempfile
        >>> from headway.methods.plan import teams
        >>> repository = tempfile.mkdtemp()
        >>> def git(*words):
        ...     who = ("-c", "user.name=ada", "-c", "user.email=ada@localhost")
        ...     return subprocess.run(["git", *who, *words], cwd=repository, check=True, capture_output=True, text=True).stdout
        >>> _ = git("init", "-b", "main"), git("commit", "--allow-empty", "-m", "begin")
        >>> @hw.task(effect=True)
        ... async def write(part: str, folder: str) -> int:
        ...     return pathlib.Path(folder, f"{part}.txt").write_text(part)
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     return [each.merge.how for each in await teams.in_worktrees(repository, write, ["one", "two"])]
        >>> hw.run(program, store=None)
        ['merged', 'merged']
        >>> git("ls-tree", "--name-only", "main").split()
        ['one.txt', 'two.txt']

    Source:
        KISS Sorcar, arXiv 2604.23822: a git worktree for each task.
    """
    where = "in_worktrees"
    settings.function(where, work=work)
    if isinstance(parts, str) or not isinstance(parts, Sequence) or not all(isinstance(part, str) and part for part in parts):
        raise UsageError(f"{where}: parts={parts!r:.80}: a list of texts, each of which says what is to be done")
    start = await find_start(str(repository), into)
    stamp = f"{random().getrandbits(48):012x}"
    trees = [_tree(start, f"{stamp}-{place}") for place in range(len(parts))]
    try:
        for tree in trees:
            await open_worktree(tree)
        ends = await settle(*(work(part, tree.folder) for part, tree in zip(parts, trees, strict=True)))
        worked: list[Worked[T]] = []
        for part, tree, end in zip(parts, trees, ends, strict=True):
            if end.error is not None and not is_answer(end.error) and bound_of(end.error) != "budget":
                raise end.error
            change = await collect_change(tree, part)
            if end.error is not None:
                worked.append(Worked(None, change, None, describe_error(end.error)))
            else:
                worked.append(Worked(end.value, change, await merge_change(tree, change, start.branch, part)))
        return tuple(worked)
    finally:
        with shielded():
            for tree in trees:
                await close_worktree(tree)


def _tree(start: Start, name: str) -> Tree:
    return Tree(start.repository, str(Path(start.common, FOLDER, name)), f"{FOLDER}/{name}", start.commit)


def remove_worktrees(repository: str) -> tuple[str, ...]:
    """Remove the worktrees and branches of runs that were killed and will not be resumed.

    Args:
        repository: a folder of the repository. No run may be at work in it.

    Returns:
        The branches that were removed.

    Raises:
        UsageError: it is no repository of git.

    Example:
        >>> import subprocess, tempfile
        >>> from headway.methods.plan import teams
        >>> repository = tempfile.mkdtemp()
        >>> _ = subprocess.run(["git", "init"], cwd=repository, check=True, capture_output=True)
        >>> teams.remove_worktrees(repository)
        ()
    """
    top, common = _find_repository(repository)
    branches = _git(top, "for-each-ref", "--format=%(refname:short)", f"refs/heads/{FOLDER}/").split()
    for branch in branches:
        name = branch.removeprefix(f"{FOLDER}/")
        _close(Tree(top, str(Path(common, FOLDER, name)), branch, ""))
    return tuple(branches)


# --- uses of git: each looks at what is there, and may be repeated -----------------------------------------------------


@task(name="worktree.start")
def find_start(repository: str, into: str) -> Start:
    """Find the branch that is worked on, and its commit."""
    top, common = _find_repository(repository)
    branch = into or _try(top, "symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()
    if not branch:
        raise UsageError(f"in_worktrees: {top} has no branch checked out: say into= which one the changes go to")
    found = _try(top, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")
    if found.returncode:
        raise UsageError(f"in_worktrees: {top} has no commit on a branch {branch!r}: make one, or say another into=")
    return Start(top, common, branch, found.stdout.strip())


def _find_repository(repository: str) -> tuple[str, str]:
    """The top of a repository, and its `.git`."""
    if shutil.which("git") is None:
        raise UsageError("in_worktrees needs git: install it with the packages of your system")
    if not Path(repository).is_dir():
        raise UsageError(f"in_worktrees: repository={repository!r:.200}: there is no such folder")
    done = _try(repository, "rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir")
    if done.returncode:
        raise UsageError(f"in_worktrees: repository={repository!r:.200}: {_said(done)}")
    top, common = done.stdout.splitlines()
    return top, common


@task(name="worktree.open", effect=True)
def open_worktree(tree: Tree) -> str:
    """The folder of a worktree: the one that is there, if this run made it before it was killed."""
    folder = Path(tree.folder)
    if _is_open(tree):
        return tree.folder
    shutil.rmtree(folder, ignore_errors=True)  # of a worktree that was only half made
    _git(tree.repository, "worktree", "prune")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if _try(tree.repository, "rev-parse", "--verify", "--quiet", f"refs/heads/{tree.branch}").returncode:
        _git(tree.repository, "worktree", "add", "--quiet", "-b", tree.branch, tree.folder, tree.base)
    else:
        _git(tree.repository, "worktree", "add", "--quiet", tree.folder, tree.branch)
    return tree.folder


@task(name="worktree.commit", effect=True)
def commit_work(folder: str, says: str) -> str:
    """Commit what a worktree holds, where anything has changed. Returns its commit."""
    _git(folder, "add", "--all")
    if _try(folder, "diff", "--cached", "--quiet", "HEAD").returncode:
        _git(folder, "commit", "--quiet", "--no-verify", "-m", says)
    return _git(folder, "rev-parse", "HEAD").strip()


@task(name="worktree.collect", effect=True)
def collect_change(tree: Tree, says: str) -> Change:
    """Commit what a worktree holds, and give it as a diff."""
    if not _is_open(tree):
        raise GitFailed(f"the worktree {tree.folder} is gone, and what was changed in it with it: run the program anew")
    commit: str = commit_work.fn(tree.folder, says)
    names = _git(tree.folder, "diff", "--name-only", "-z", tree.base, commit)
    diff = _git(tree.folder, "diff", "--binary", tree.base, commit).encode("utf-8", "surrogateescape")
    return Change(commit, _paths(names.split("\0")), diff)


@task(name="worktree.merge", effect=True)
def merge_change(tree: Tree, change: Change, into: str, says: str) -> Merge:
    """Merge a change into a branch, or say why not. Nothing but the branch, and its files where it is checked out, moves."""
    if change.commit == tree.base:
        return Merge("empty")
    for _ in range(MOVES):
        tip = _git(tree.repository, "rev-parse", f"refs/heads/{into}").strip()
        if not _try(tree.repository, "merge-base", "--is-ancestor", change.commit, tip).returncode:
            return Merge("merged", tip)  # before this run was killed
        made = _try(tree.repository, "merge-tree", "--write-tree", "-z", "--name-only", tip, change.commit)
        if made.returncode > 1:
            raise GitFailed(f"git merge-tree, which needs git 2.38: {_said(made)}")
        merged, *told = made.stdout.split("\0")
        if made.returncode:
            why = "; ".join(line.strip() for line in told if line.startswith("CONFLICT (") and ":" in line)
            return Merge("conflict", files=_paths(told[: told.index("")]), why=why)
        commit = _git(tree.repository, "commit-tree", merged, "-p", tip, "-p", change.commit, "-m", says).strip()
        if refusal := _move(tree.repository, into, tip, commit):
            if refusal.how != "conflict":
                return refusal
            continue  # somebody else has moved it
        return Merge("merged", commit)
    raise GitFailed(f"{into} moved {MOVES} times while a change was merged into it: somebody else is working on it")


@task(name="worktree.close", effect=True)
def close_worktree(tree: Tree) -> None:
    """Leave nothing of a worktree behind."""
    _close(tree)


def _close(tree: Tree) -> None:
    _try(tree.repository, "worktree", "remove", "--force", "--force", tree.folder)
    shutil.rmtree(tree.folder, ignore_errors=True)
    _git(tree.repository, "worktree", "prune")
    if not _try(tree.repository, "rev-parse", "--verify", "--quiet", f"refs/heads/{tree.branch}").returncode:
        _git(tree.repository, "branch", "--quiet", "-D", tree.branch)
    parent = Path(tree.folder).parent
    if parent.is_dir() and not any(parent.iterdir()):
        parent.rmdir()


def _move(repository: str, branch: str, tip: str, commit: str) -> Merge | None:
    """Move a branch, with its files where it is checked out. None where it moved; a "conflict" where others moved it."""
    owner = _checked_out(repository, branch)
    if owner is None:
        done = _try(repository, "update-ref", f"refs/heads/{branch}", commit, tip)
        return Merge("conflict") if done.returncode else None
    done = _try(owner, "merge", "--quiet", "--ff-only", commit)
    if not done.returncode:
        return None
    moved = _git(repository, "rev-parse", f"refs/heads/{branch}").strip() != tip
    return Merge("conflict") if moved else Merge("refused", why=_said(done))


def _checked_out(repository: str, branch: str) -> str | None:
    """The folder in which a branch is checked out."""
    folder = ""
    for line in _git(repository, "worktree", "list", "--porcelain", "-z").split("\0"):
        if line.startswith("worktree "):
            folder = line.removeprefix("worktree ")
        elif line == f"branch refs/heads/{branch}":
            return folder
    return None


def _is_open(tree: Tree) -> bool:
    """Whether the folder is a worktree that stands on its branch."""
    return Path(tree.folder, ".git").is_file() and (
        _try(tree.folder, "symbolic-ref", "--quiet", "HEAD").stdout.strip() == f"refs/heads/{tree.branch}"
    )


def _paths(names: Sequence[str]) -> tuple[str, ...]:
    """Paths as text that can be kept."""
    return tuple(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for name in names if name)


def _git(folder: str, *words: str) -> str:
    """What git prints. Raises GitFailed."""
    done = _try(folder, *words)
    if done.returncode:
        raise GitFailed(f"git {' '.join(words[:3])} in {folder}: {_said(done)}")
    return done.stdout


def _try(folder: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in _OF_OTHERS}
    env |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", *(word for each in _SETTINGS for word in ("-c", each)), *words]
    return subprocess.run(
        command,
        cwd=folder,
        env=env,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}")[:400]
