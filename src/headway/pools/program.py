"""Finds functions by name: the program that a command names, and the function that another process should run.

A program given as a file becomes an ordinary module under the file's stem, with its folder on `sys.path`, exactly as
`python program.py` would see it; so pickle finds its classes again, here and in workers. The file that runs as
`__main__` is never loaded a second time under another name: its classes would exist twice and not be equal.

This file must never run anything but the import itself, and never guess: what cannot be found is an error that says
where it looked.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from headway.errors import UsageError
from headway.pools.base import FunctionRef
from headway.pools.current import loading_program

_MAIN = ("__main__", "__mp_main__")
FOLDER_OF_DRIVER = "HEADWAY_FOLDER_OF_DRIVER"
"""Where the driver works, in the environment of workers on other machines: programs may lie under another folder there."""


def load_program(path: str | Path) -> ModuleType:
    """The module of a program file, loaded once. Raises UsageError for a missing, broken or shadowed file."""
    file = _find_file(path)
    if not file.is_file():
        raise UsageError(f"there is no program file {str(path)!r} (looked for {file})")
    if is_file_of(sys.modules.get("__main__"), file):
        return sys.modules["__main__"]
    name = file.stem
    if "." in name or file.suffix != ".py":
        raise UsageError(f"the program {file.name!r} cannot be a module: rename it to a plain name that ends in .py")
    loaded = sys.modules.get(name)
    if is_file_of(loaded, file) and loaded is not None:
        return loaded
    if loaded is not None:
        where = getattr(loaded, "__file__", None) or "the interpreter"
        raise UsageError(f"the program {file} has the name of the module {name!r} of {where}: rename the file")
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    return _execute(name, file)


def _find_file(path: str | Path) -> Path:
    """Where a program is: at its path, or, on another machine than the driver's, at the same place under the working folder."""
    file, folder = Path(path).resolve(), os.environ.get(FOLDER_OF_DRIVER)
    if folder and not file.is_file() and file.is_relative_to(folder) and (here := Path.cwd() / file.relative_to(folder)).is_file():
        return here
    return file


def load_object(target: str) -> Any:
    """Load what `program.py:name` or `package.module:name` names. Raises UsageError saying which half cannot be found."""
    where, colon, qualname = target.rpartition(":")
    if not colon or not where or not qualname:
        raise UsageError(f"{target!r} does not name a task: write program.py:task or package.module:task")
    if where.endswith(".py") or "/" in where:
        return _attribute(load_program(where), qualname)
    try:
        module = importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{where}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"there is no module {where!r} (for a file, write {where}.py:{qualname})") from error
    return _attribute(module, qualname)


def function_ref(fn: Callable[..., Any]) -> FunctionRef:
    """How a worker finds this function. Raises UsageError for one that only exists inside this process."""
    module, qualname = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    if not module or not qualname:
        raise UsageError(f"{fn!r} cannot run in another process: a process task must be a function defined in a module")
    if "<" in qualname:
        what = "a lambda" if qualname.endswith("<lambda>") else f"{qualname!r}"
        raise UsageError(
            f"{what} cannot run in another process: a process task must be defined at the top level of a module "
            f'(here: {module}). Move it there, or use pool="thread"'
        )
    file = getattr(sys.modules.get(module), "__file__", None)
    if module in _MAIN:
        if not file or not Path(file).is_file():
            raise UsageError(
                f"{qualname!r} cannot run in another process: it is defined interactively, and a worker must import it "
                f'from a file. Put it into a module, or use pool="thread"'
            )
        return FunctionRef("__main__", qualname, str(Path(file).resolve()))
    path = str(Path(file).resolve()) if file and Path(file).stem == module else ""
    return FunctionRef(module, qualname, path)


def check_importable(fn: Callable[..., Any]) -> None:
    """Raises UsageError for a method of an object, which no other process has."""
    owner = getattr(fn, "__self__", None)
    if owner is not None and not isinstance(owner, type | ModuleType):
        raise UsageError(
            f"{getattr(fn, '__qualname__', fn)} cannot run in another process: it is a method of {owner!r:.100}, which only this "
            "one has. Make it a function that takes the object as an argument"
        )


def find(ref: FunctionRef) -> Any:
    """The object that the reference names, as its module has it. Raises UsageError."""
    return _attribute(_module(ref), ref.qualname)


def resolve(ref: FunctionRef) -> Callable[..., Any]:
    """The plain function that the reference names, under whatever a decorator put there. Raises UsageError."""
    found = plain_function(find(ref))
    if not callable(found):
        raise UsageError(f"{ref.qualname!r} in {ref.path or ref.module} is {type(found).__name__}, not a function")
    if ref.digest and (here := code_digest(ref)) != ref.digest:
        file = getattr(sys.modules.get(ref.module), "__file__", None) or ref.path or ref.module
        raise UsageError(
            f"{file} on {platform.node()} is not the file that the driver has (its digest here is {here[:12] or 'unknown'}, there "
            f"{ref.digest[:12]}): copy the program to that machine again"
        )
    return found  # type: ignore[no-any-return]  # callable, as the test says


def code_digest(ref: FunctionRef) -> str:
    """The digest of the file that has the function, hexadecimal; empty where its module has no file of Python."""
    file = getattr(sys.modules.get(ref.module), "__file__", None) or ref.path
    if not file or not file.endswith(".py"):
        return ""
    try:
        return _file_digest(file, Path(file).stat().st_mtime_ns)
    except OSError:
        return ""


@functools.lru_cache(maxsize=1024)
def _file_digest(file: str, changed_ns: int) -> str:
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()


def plain_function(found: Any) -> Any:
    """The function that a task was made of, also where another decorator was put on top of the task."""
    layer = found
    while layer is not None:
        fn = getattr(layer, "fn", None)
        if callable(fn):
            return fn
        layer = getattr(layer, "__wrapped__", None)
    return found


def is_file_of(module: ModuleType | None, file: Path) -> bool:
    """Whether the module was made of this (resolved) file."""
    own = getattr(module, "__file__", None)
    return bool(own) and Path(str(own)).resolve() == file


def _module(ref: FunctionRef) -> ModuleType:
    loaded = sys.modules.get(ref.module)
    if not ref.path:
        return loaded or importlib.import_module(ref.module)
    if loaded is not None and (is_file_of(loaded, _find_file(ref.path)) or hasattr(loaded, ref.qualname.partition(".")[0])):
        return loaded
    return load_program(ref.path)


def _attribute(module: ModuleType, qualname: str) -> Any:
    found: Any = module
    for part in qualname.split("."):
        if not hasattr(found, part):
            raise UsageError(_missing(module, found, qualname, part))
        found = getattr(found, part)
    return found


def _missing(module: ModuleType, found: Any, qualname: str, part: str) -> str:
    where = getattr(module, "__file__", None) or module.__name__
    near = difflib.get_close_matches(part, dir(found), n=1)
    tasks = [name for name, value in vars(module).items() if callable(getattr(value, "fn", None))]
    hint = f"; did you mean {near[0]!r}?" if near else f"; its tasks are {', '.join(tasks)}" if tasks else ""
    return f"there is no {qualname!r} in {where}{hint}"


def _execute(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"the program {file} cannot be loaded as a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with loading_program():
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, UsageError):
            raise
        if isinstance(error, SyntaxError):
            raise UsageError(f"{error.filename or file}, line {error.lineno}: {error.msg}") from error
        if isinstance(error, Exception):
            raise UsageError(f"the program {file} cannot be loaded: {type(error).__name__}: {error}") from error
        raise
    return module
