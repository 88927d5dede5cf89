"""The version of a task: a fingerprint of its source, stored beside its results.

It changes when the function may behave differently, and stays when only its looks change: comments, layout,
docstrings and decorators are left out. Values that the function closes over count where they are simple; functions
that it calls do not (a change in a helper is announced with `version=`). An explicit `version` is the whole answer:
the source is not read.

It must be the same in every process, so nothing here depends on addresses, hash seeds or line numbers.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any

from headway.engine.identity.canonical import canonical
from headway.errors import NoCanonicalForm

NBYTES = 8


def fingerprint(fn: Callable[..., Any], version: str = "") -> bytes:
    """The fingerprint of a function, 8 bytes."""
    whole = hashlib.blake2b(digest_size=NBYTES, person=b"headway.version")
    for part in [f"version {version}"] if version else _describe(fn):
        data = part.encode("utf-8", "backslashreplace")
        whole.update(len(data).to_bytes(8, "little"))
        whole.update(data)
    return whole.digest()


def _describe(fn: Any) -> Iterator[str]:
    while isinstance(fn, functools.partial):
        yield f"partial {_value(fn.args)} {_value(fn.keywords)}"
        fn = fn.func
    fn = inspect.unwrap(fn)
    code = fn if isinstance(fn, (types.FunctionType, types.MethodType)) else inspect.getattr_static(type(fn), "__call__")
    code = getattr(code, "__func__", code)
    if isinstance(code, types.FunctionType):
        yield _source(code) or _bytecode(code.__code__)
        yield from _closure(code)
    else:  # written in C
        yield f"{getattr(fn, '__module__', '')}:{getattr(fn, '__qualname__', type(fn).__qualname__)}"


# --- source ----------------------------------------------------------------------------------------------------------


def class_source(cls: type) -> str:
    """The syntax tree of a class as text; where there is none, the names of what it has."""
    return _source(cls, (ast.ClassDef,)) or f"{cls.__qualname__} {sorted(vars(cls))}"


def _source(fn: Any, kinds: tuple[type[ast.stmt], ...] = (ast.FunctionDef, ast.AsyncFunctionDef)) -> str:
    """The function's syntax tree as text; empty where there is no source, or it is not one whole function."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(fn)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return ""
    node = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or not isinstance(node, kinds):
        return ""
    if node.name != fn.__name__:
        return ""
    node.decorator_list = []
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and ast.get_docstring(inner) is not None:
            inner.body = inner.body[1:]
    return _dump(node)


_LOOKS = frozenset({"ctx", "kind", "type_comment"})


def _dump(node: object) -> str:
    """As `ast.dump`, without what newer Pythons add for nothing: an upgrade of Python is no change of source."""
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields if name not in _LOOKS)
        inner = ",".join(f"{name}={_dump(value)}" for name, value in fields if value is not None and value != [])
        return f"{type(node).__name__}({inner})"
    if isinstance(node, list):
        return f"[{','.join(map(_dump, node))}]"
    return repr(node)


# --- bytecode --------------------------------------------------------------------------------------------------------


def _bytecode(code: types.CodeType) -> str:
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {[_constant(part) for part in code.co_consts]}"


def _constant(part: object) -> str:
    if isinstance(part, types.CodeType):
        return _bytecode(part)
    if isinstance(part, frozenset):
        return f"frozenset{sorted(map(_constant, part))}"
    if isinstance(part, tuple):
        return f"({','.join(map(_constant, part))})"
    return repr(part)


# --- what it closes over ---------------------------------------------------------------------------------------------


def _closure(fn: types.FunctionType) -> Iterator[str]:
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            yield f"{name}={_value(cell.cell_contents)}"
        except ValueError:  # an empty cell
            continue


def _value(value: object) -> str:
    """Simple values by content; others only by type, since their content has no stable text."""
    try:
        return canonical(value).hex()
    except NoCanonicalForm:
        return type(value).__qualname__
