"""What a run that somebody else will drive is made of: its task, as a worker finds it again, and its arguments, as it reads them.

`hw.run` has the function at hand, and may take what can't be stored. Here both must come out of the store again, in another
process; so what can't is refused before anything is written.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from headway.engine.identity.keys import call_key
from headway.engine.tasks.carried import own_name
from headway.engine.tasks.spec import TaskSpec
from headway.engine.world import MACHINE, World
from headway.errors import RunMismatch, UsageError
from headway.journal.codec.codec import digest, encode
from headway.journal.records import RunInfo, RunSpec
from headway.journal.store import Buffer
from headway.run import new_run_id, source_of
from headway.task import Task


class Asked(NamedTuple):
    """A run to be made, and the blobs that it names. `asked`: its root's arguments in canonical form."""

    spec: RunSpec
    blobs: tuple[tuple[bytes, Buffer], ...]
    identity: str
    asked: bytes

    def check(self, found: RunInfo, store: str) -> None:
        """Raises RunMismatch where the run that has this id asks something else."""
        if found.spec.root != call_key(found.spec.salt, 0, self.identity, self.asked):
            what = found.spec.task if found.spec.task != self.spec.task else f"{found.spec.task} with other arguments"
            raise RunMismatch(
                f"run {self.spec.run_id!r} in {store} was started as {what}, so it can't be enqueued as this: use another run_id"
            )


def ask_for(
    task: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, run_id: str | None, what: str, world: World = MACHINE
) -> Asked:
    """Make the run of a task.

    Raises:
        UsageError: It is no task, or none that a worker can find, or the run can't have such an id.
        WrongArguments: The task does not take these arguments.
        NotEncodable, NoCanonicalForm: An argument can't be stored.
    """
    task, args, named = _unfold(task, args, dict(kwargs or {}), what)
    spec = task.spec
    path, module = find_source(spec, what)
    if run_id is not None and not (isinstance(run_id, str) and run_id and run_id.isprintable()):
        raise UsageError(f"run_id = {run_id!r}: a name of printable characters")
    args, bound = spec.signature.bind(args, named)
    asked = spec.canonical(args, bound)
    head, buffers = encode((args, dict(bound)), where=f"the arguments of {spec.name}")
    blobs = tuple((digest(buffer), buffer) for buffer in buffers)
    salt = world.token()
    made = RunSpec(
        run_id=run_id or new_run_id(spec.name),
        task=spec.name,
        module=module,
        qualname=own_name(spec.fn),
        path=path,
        args=head,
        blobs=tuple(name for name, _ in blobs),
        root=call_key(salt, 0, spec.identity, asked),
        salt=salt,
        created=world.wall(),
    )
    return Asked(made, blobs, spec.identity, asked)


def find_source(spec: TaskSpec, what: str) -> tuple[str, str]:
    """The file and the module in which a worker finds the task. Raises UsageError where it can't."""
    path, module = source_of(spec)
    name = own_name(spec.fn)
    if not name or "<" in name:
        shown = "a lambda" if "<lambda>" in name else f"{name or spec.name!r}"
        raise UsageError(
            f"{what}: {shown} can't be found again by a worker, which imports the task by its name: define it at the top level of "
            "a module"
        )
    if module in ("__main__", "") and not (path and Path(path).is_file()):
        raise UsageError(
            f"{what}: {name} is defined interactively, and a worker must import it from a file: put it into a module that the "
            "worker loads"
        )
    return path, module


def _unfold(
    task: Any, args: tuple[Any, ...], kwargs: dict[str, Any], what: str
) -> tuple[Task[..., Any], tuple[Any, ...], dict[str, Any]]:
    """The task, and its arguments with those of partials around it."""
    while isinstance(task, functools.partial):
        args, kwargs, task = (*task.args, *args), {**task.keywords, **kwargs}, task.func
    if not isinstance(task, Task):
        raise UsageError(
            f"{what}: {task!r:.100} is not a task. Decorate the function with @hw.task, so that workers know it by name"
        )
    return task, args, kwargs
