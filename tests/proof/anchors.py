"""Find a piece of code by the symbol it is in and by its shape, and put another in its place.

A symbol is a function, a class or a name that is assigned at the top of a module or class: `"Engine.spawn"`, `"hash_key"`,
`"outer.inner"`. It is looked for in every module of a package, so a file may move and a module may be cut in two. Where two
modules have one of the same name, the end of the module's name tells them apart: `"bounds:Scope.open"`.

Code is compared as syntax, so its layout, its quotes and its comments do not matter. What is looked for may be

- an expression, a decorator or a default among them;
- one or more statements that follow each other;
- a keyword argument: `name=value`;
- an `except` clause.

`...` at the end of a block stands for whatever follows in it, `else` and `finally` included, and the same `...` in the new code
puts it there again. So `if found: ...` names a condition, whatever is done then. New code that is empty removes what was found.

A piece must be found exactly once. It is never guessed which one was meant: `Unfit` says what is there instead.
"""

from __future__ import annotations

import ast
import difflib
import functools
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NEAR, SHOWN = 3, 90  # how many near misses are named, and how much of each is shown


class Unfit(Exception):
    """A symbol or a piece of code that is not there, or not there once."""


@dataclass(frozen=True)
class Slot:
    """Where a node is held: in a field of `parent`, at `index` where the field is a list."""

    parent: ast.AST
    field: str
    index: int | None = None

    @property
    def node(self) -> ast.AST:
        held = getattr(self.parent, self.field)
        found: ast.AST = held if self.index is None else held[self.index]
        return found


# --- symbols ---------------------------------------------------------------------------------------------------------


class Package:
    """The modules of a package, by dotted name: read once, parsed when one is needed."""

    def __init__(self, root: Path) -> None:
        self._files = {_module(root, path): path for path in sorted(root.rglob("*.py"))}

    @functools.cached_property
    def _texts(self) -> dict[str, str]:
        return {module: path.read_text() for module, path in self._files.items()}

    @functools.cached_property
    def _known(self) -> dict[str, tuple[ast.Module, dict[str, list[Slot]]]]:
        """The modules that were looked into so far, and what each defines."""
        return {}

    def path(self, module: str) -> Path:
        return self._files[module]

    def parse(self, module: str) -> ast.Module:
        """A tree of its own for whoever wants to change it."""
        return ast.parse(self._texts[module])

    def _look(self, module: str) -> tuple[ast.Module, dict[str, list[Slot]]]:
        if module not in self._known:
            tree = self.parse(module)
            self._known[module] = tree, symbols(tree)
        return self._known[module]

    def _holding(self, text: str) -> list[str]:
        """The modules in which all words of the text are: only these need a look."""
        words = [re.compile(rf"\b{word}\b") for word in set(re.findall(r"\w+", text))]
        return [module for module, source in self._texts.items() if all(word.search(source) for word in words)]

    def find(self, symbol: str) -> str:
        """The module that defines it. Raises Unfit."""
        where, _, name = symbol.rpartition(":")
        found = [module for module in self._holding(name) if _ends_with(module, where) and name in self._look(module)[1]]
        if len(found) == 1:
            return found[0]
        if found:
            raise Unfit(f"{len(found)} modules define {symbol}. Say which: {', '.join(self._prefixes(found, name))}")
        raise Unfit(f"nothing defines {symbol}.{self._near(name)}")

    def _prefixes(self, modules: Sequence[str], name: str) -> list[str]:
        """The shortest ways to name the symbol in each of them."""
        made = []
        for module in modules:
            parts = module.split(".")
            ends = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
            made.append(next(end for end in ends if sum(_ends_with(other, end) for other in modules) == 1) + f":{name}")
        return made

    def _near(self, name: str) -> str:
        named = {f"{module}:{found}": found for module in self._files for found in self._look(module)[1]}
        last = name.rpartition(".")[2]
        same = [full for full, found in named.items() if found.rpartition(".")[2] == last]
        alike = difflib.get_close_matches(name, set(named.values()), NEAR, 0.7)
        near = list(dict.fromkeys([*same, *(full for full, found in named.items() if found in alike)]))[: 2 * NEAR]
        return f" Near: {', '.join(near)}." if near else ""

    def places_of(self, old: str) -> list[str]:
        """The symbols that hold the code, wherever it is now."""
        piece = read(old)
        places = []
        for module in self._holding("".join(ast.unparse(node) for node in piece.nodes)):
            tree, defined = self._look(module)
            inside = {id(node): name for name, slots in defined.items() for slot in slots for node in ast.walk(slot.node)}
            places += [f"{module}:{inside.get(id(match.slot.node), '')}" for match in piece.matches(list(_slots(tree)))]
        return list(dict.fromkeys(places))


def symbols(tree: ast.AST, above: str = "", *, local: bool = False) -> dict[str, list[Slot]]:
    """What a tree defines, by qualified name, and where; a name that is defined twice has two slots."""
    found: dict[str, list[Slot]] = {}
    for slot in _slots(tree):
        node = slot.node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.setdefault(above + node.name, []).append(slot)
            inner = symbols(node, f"{above}{node.name}.", local=not isinstance(node, ast.ClassDef))
        else:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
            for target in targets:
                if isinstance(target, ast.Name) and not local:
                    found.setdefault(above + target.id, []).append(slot)
            inner = {} if isinstance(node, ast.expr) else symbols(node, above, local=local)
        for name, slots in inner.items():
            found.setdefault(name, []).extend(slots)
    return found


def _module(root: Path, path: Path) -> str:
    parts = [root.name, *path.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _ends_with(module: str, where: str) -> bool:
    return not where or module == where or module.endswith(f".{where}")


def _slots(node: ast.AST) -> Iterator[Slot]:
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield Slot(node, name)
        elif isinstance(value, list):
            yield from (Slot(node, name, index) for index, held in enumerate(value) if isinstance(held, ast.AST))


# --- pieces of code --------------------------------------------------------------------------------------------------


@dataclass
class Match:
    """Where a piece was found: from `slot` on, `length` nodes; and what stood for each `...`."""

    slot: Slot
    length: int = 1
    rests: list[Rest] = field(default_factory=list)


@dataclass(frozen=True)
class Rest:
    """The end of a block, and the other blocks of its statement."""

    body: list[ast.stmt]
    others: dict[str, list[ast.AST]]


@dataclass(frozen=True)
class Piece:
    """Code to look for, or to put there: nodes of one kind that follow each other."""

    text: str
    nodes: tuple[ast.AST, ...]
    keyword: ast.keyword | None = None  # a statement `name = value` may be an argument as well

    @property
    def kind(self) -> type[ast.AST] | None:
        return next(
            (kind for kind in (ast.expr, ast.stmt, ast.excepthandler) if self.nodes and isinstance(self.nodes[0], kind)), None
        )

    def matches(self, definitions: Sequence[Slot]) -> list[Match]:
        """Each place inside the definitions, themselves included."""
        return [match for slot in definitions for match in self._at(slot, alone=True)]

    def _at(self, slot: Slot, *, alone: bool = False) -> Iterator[Match]:
        """At the slot or below. `alone`: what follows it is no part of the definition."""
        node = slot.node
        rests: list[Rest] = []
        if len(self.nodes) == 1 or (slot.index is not None and not alone):
            run = [node] if slot.index is None else getattr(slot.parent, slot.field)[slot.index :][: len(self.nodes)]
            if _fit_all(self.nodes, run, rests):
                yield Match(slot, len(self.nodes), rests)
        if self.keyword is not None and _fits(self.keyword, node, []):
            yield Match(slot)
        for inner in _slots(node):
            yield from self._at(inner)


def read(text: str) -> Piece:
    """Raises Unfit for what is no Python."""
    text = textwrap.dedent(text).strip()
    try:
        return Piece(text, (ast.parse(text, mode="eval").body,)) if text else Piece(text, ())
    except SyntaxError:
        pass
    try:
        if text.startswith("except"):
            (tried,) = ast.parse(f"try:\n    pass\n{text}").body
            return Piece(text, tuple(tried.handlers)) if isinstance(tried, ast.Try) else Piece(text, ())
        return Piece(text, tuple(ast.parse(text).body), _keyword(text))
    except SyntaxError as error:
        raise Unfit(f"no Python: {error}\n{text}") from error


def _keyword(text: str) -> ast.keyword | None:
    try:
        call = ast.parse(f"_({text})", mode="eval").body
    except SyntaxError:
        return None
    return call.keywords[0] if isinstance(call, ast.Call) and len(call.keywords) == 1 and not call.args else None


def _fit_all(pattern: Sequence[object], nodes: Sequence[object], rests: list[Rest]) -> bool:
    return len(pattern) == len(nodes) and all(_fits(old, new, rests) for old, new in zip(pattern, nodes, strict=True))


def _fits(pattern: object, node: object, rests: list[Rest]) -> bool:
    """Whether they are the same code; notes what stands for each `...`."""
    if not isinstance(pattern, ast.AST):
        if isinstance(pattern, list):
            return isinstance(node, list) and _fit_all(pattern, node, rests)
        return type(pattern) is type(node) and pattern == node
    if type(pattern) is not type(node):
        return False
    fields = list(pattern._fields)
    if _is_open(pattern):
        told = pattern.body[:-1]  # type: ignore[attr-defined]
        body = node.body  # type: ignore[union-attr]
        others = [name for name in fields if name in _OTHERS and not getattr(pattern, name)]
        fields = [name for name in fields if name != "body" and name not in others]
        rests.append(Rest(body[len(told) :], {name: getattr(node, name) for name in others}))
        if not _fit_all(told, body[: len(told)], rests):
            return False
    return all(_fits(getattr(pattern, name, None), getattr(node, name, None), rests) for name in fields)


_OTHERS = ("orelse", "finalbody", "handlers")


def _is_open(node: object) -> bool:
    body = getattr(node, "body", None)
    last = body[-1] if isinstance(body, list) and body else None
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and last.value.value is Ellipsis


# --- replacing -------------------------------------------------------------------------------------------------------


def replace(tree: ast.Module, name: str, old: str, new: str) -> None:
    """Put `new` in the place of `old` in the tree, inside of what is defined as `name`. Raises Unfit."""
    definitions, piece = symbols(tree).get(name, []), read(old)
    if not piece.nodes:
        raise Unfit("no code to look for")
    found = piece.matches(definitions)
    if len(found) != 1:
        raise Unfit(f"the code occurs {len(found)} times in {name}, not once.{'' if found else _like(piece, definitions)}")
    _put(tree, piece, found[0], read(new))
    ast.fix_missing_locations(tree)


def _put(tree: ast.Module, piece: Piece, match: Match, new: Piece) -> None:
    slot = match.slot
    nodes = _made(new, match)
    if isinstance(slot.node, ast.keyword):
        if new.nodes and new.keyword is None:
            raise Unfit(f"no keyword argument, which it is put in the place of:\n{new.text}")
        nodes = [new.keyword] if new.keyword is not None else []
    elif piece.kind is ast.expr and new.kind is not ast.expr:
        if isinstance(slot.parent, ast.Expr):
            slot = next(place for node in ast.walk(tree) for place in _slots(node) if place.node is slot.parent)
        elif new.nodes:
            raise Unfit(f"no expression, which it is put in the place of:\n{new.text}")
    elif piece.kind is ast.stmt and new.kind is ast.expr:
        nodes = [ast.Expr(node) for node in nodes if isinstance(node, ast.expr)]
    elif new.nodes and new.kind is not piece.kind:
        raise Unfit(f"not of the kind of what it is put in the place of:\n{new.text}")
    if not nodes and (slot.index is None or isinstance(slot.parent, ast.Compare | ast.Dict | ast.JoinedStr)):
        raise Unfit(f"it can't be left out of {_shown(slot.parent)}: put something in its place")
    _hold(slot, nodes, match.length)
    if isinstance(slot.parent, ast.BoolOp) and len(slot.parent.values) == 1:  # one operand of `and` or `or` is just itself
        _hold(next(place for node in ast.walk(tree) for place in _slots(node) if place.node is slot.parent), slot.parent.values)


def _hold(slot: Slot, nodes: Sequence[ast.AST], length: int = 1) -> None:
    """Put the nodes where `length` of them are held now."""
    if slot.index is None:
        (node,) = nodes
        setattr(slot.parent, slot.field, node)
        return
    held = getattr(slot.parent, slot.field)
    held[slot.index : slot.index + length] = nodes
    if slot.field == "body" and not held:
        held.append(ast.Pass())


def _made(new: Piece, match: Match) -> list[ast.AST]:
    """The nodes of the new code, at the lines of the old, with what stood for each `...`."""
    rests = iter(match.rests)
    opened = []
    for node in [below for above in (*new.nodes, new.keyword) if above is not None for below in _all(above)]:
        if "lineno" in node._attributes:
            ast.copy_location(node, match.slot.node)
        if _is_open(node):
            opened.append(node)
    for node in opened:
        if (rest := next(rests, None)) is not None:
            node.body[-1:] = rest.body  # type: ignore[attr-defined]
            for name, others in rest.others.items():
                if name in node._fields and not getattr(node, name):
                    setattr(node, name, others)
            node.body = node.body or [ast.Pass()]  # type: ignore[attr-defined]
    return list(new.nodes)


def _all(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below, in the order in which `_fits` looks at them."""
    yield node
    for slot in list(_slots(node)):
        yield from _all(slot.node)


def _like(piece: Piece, definitions: Sequence[Slot]) -> str:
    """What is there instead, most like it first."""
    first = piece.nodes[0]
    looked = " ".join(_lines(first))
    there = {
        shown
        for slot in definitions
        for node in ast.walk(slot.node)
        if isinstance(node, type(first)) and (shown := " ".join(_lines(node))) != looked
    }
    near = difflib.get_close_matches(looked, there, NEAR, 0.6)
    return f" Near: {', '.join(f'`{line[:SHOWN]}`' for line in near)}." if near else ""


def _lines(node: ast.AST) -> list[str]:
    return [line.strip() for line in ast.unparse(ast.fix_missing_locations(node)).splitlines()]


def _shown(node: ast.AST) -> str:
    return f"`{' '.join(_lines(node))[:SHOWN]}`"
