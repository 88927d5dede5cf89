"""One format for every public docstring: Google's, as the API reference reads it.

A docstring begins with a summary sentence on a line of its own. It documents every parameter that a user passes and no other, what
comes back, and each error that its text or its code speaks of. A function shows an example; `test_examples.py` runs it.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import inspect
import logging
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import griffe
import msgspec
import pytest

import headway
from headway import errors

ROOMS = (
    "headway",
    "headway.events",
    "headway.models",
    "headway.methods.allocate",
    "headway.methods.plan",
    "headway.methods.plan.matrix",
    "headway.methods.plan.research",
    "headway.methods.allocate.agents",
    "headway.methods.guard",
    "headway.methods.plan.teams",
    "headway.methods.schedule",
    "headway.methods.search",
    "headway.tools",
    "headway.checkpoint",
    "headway.pools",
    "headway.train",
    "headway.testing",
    "headway.run:RunOptions",
    "headway.models.requests:Sampling",
)
"""Where the public names are; after a colon one name that others refer to."""

FOR_THE_RUNTIME = re.compile(
    r"headway\.(MemoryStore|PostgresStore|SqliteStore)\.\w+|headway\.checkpoint\.\w+\.(put_into|members|parts|attach|end|await_end)"
)
"""Methods that the runtime calls: users make a store, or a part of a state, and hand it over."""

ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type)} | {
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)
}
SECTIONS = ("Args", "Keyword Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Source")


# --- what is public ----------------------------------------------------------------------------------------------------


def public_names() -> dict[str, object]:
    """The public names with their objects: what a room offers, and the public methods of its classes. Each object once."""
    found: dict[str, object] = {}
    seen: set[int] = set()
    for room in ROOMS:
        module_name, _, one = room.partition(":")
        module = importlib.import_module(module_name)
        offered = getattr(module, "__all__", None) or getattr(module, "_WHERE", None)  # what is imported when it is asked for
        names = [one] if one else [*(offered or (name for name in vars(module) if not name.startswith("_")))]
        for name in names:
            value = getattr(module, name)
            if id(value) in seen or not (inspect.isclass(value) or inspect.isroutine(value)):
                continue
            if not value.__module__.startswith("headway"):
                continue
            seen.add(id(value))
            found[f"{module_name}.{name}"] = value
            if inspect.isclass(value):
                found |= {f"{module_name}.{name}.{member}": each for member, each in _members(value)}
    return {name: value for name, value in found.items() if not FOR_THE_RUNTIME.fullmatch(name)}


def _members(kind: type) -> Iterator[tuple[str, object]]:
    for name, value in vars(kind).items():
        if isinstance(value, functools.cached_property):
            value = property(value.func)
        if isinstance(value, classmethod):
            value = value.__func__
        if not name.startswith("_") and (inspect.isroutine(value) or isinstance(value, property)):
            if isinstance(value, property) and value.fget is not None and value.fget.__module__ == "builtins":
                continue
            yield name, value


PUBLIC = public_names()


@functools.cache
def module_of(name: str) -> griffe.Module:
    file = importlib.import_module(name).__file__
    assert file is not None
    path = Path(file)
    return griffe.visit(name, filepath=path, code=path.read_text())


def documented(value: typing.Any) -> griffe.Object:
    """What griffe reads in the source of a public name."""
    function = inspect.unwrap(value.fget if isinstance(value, property) else value, stop=lambda f: not hasattr(f, "__wrapped__"))
    found = module_of(function.__module__)[function.__qualname__]
    assert isinstance(found, griffe.Object)
    return found


# --- what is wrong with a docstring ------------------------------------------------------------------------------------


def faults_of(value: typing.Any) -> list[str]:
    """Everything that a public docstring lacks, as sentences."""
    found = documented(value)
    if found.docstring is None:
        return ["has no docstring"]
    text = inspect.cleandoc(found.docstring.value)
    sections, warnings = parse(text, found)
    return [
        *warnings,
        *_faults_of_form(text),
        *_faults_of_parameters(value, found, sections),
        *_faults_of_results(value, found, text, sections),
        *_faults_of_errors(value, text, sections),
        *_faults_of_examples(value, sections),
    ]


def parse(text: str, found: griffe.Object) -> tuple[list[griffe.DocstringSection], list[str]]:
    """The sections of a docstring, and what griffe has to say about it."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage().partition(": ")[2])

    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)  # as `docs/examples_section.py` has it
    listener, logger = Listener(), logging.getLogger("griffe")
    logger.addHandler(listener)
    level = logger.level
    logger.setLevel(logging.WARNING)  # libraries that other tests import turn it down
    try:
        sections = griffe.Docstring(text, parent=found, lineno=1).parse("google")
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
    return sections, said


def _faults_of_form(text: str) -> Iterator[str]:
    first, _, rest = text.partition("\n")
    if not re.search(r"[.:]`*$", first) or (rest and not rest.startswith("\n")):
        yield "has no summary sentence on a line of its own"
    for line in text.splitlines():
        if (heading := re.fullmatch(r"([A-Z]\w+(?: Args)?):", line)) and heading[1] not in SECTIONS:
            yield f"has a section {heading[1]!r}; there are {', '.join(SECTIONS)}"


def _faults_of_parameters(value: typing.Any, found: griffe.Object, sections: list[griffe.DocstringSection]) -> Iterator[str]:
    told = {name for section in sections for name in _names_in(section)}
    wanted = _fields(value, found) if inspect.isclass(value) else _parameters(value)
    if wanted is None:
        return
    if missing := sorted(wanted - told):
        yield f"does not document {', '.join(missing)}"
    if more := sorted(told - wanted - _attributes(value, found)):
        yield f"documents {', '.join(more)}, which it does not take"


def _names_in(section: griffe.DocstringSection) -> Iterator[str]:
    if section.kind.value in ("parameters", "other parameters", "attributes"):
        yield from (each.name.lstrip("*") for each in section.value)


def _parameters(value: typing.Any) -> set[str]:
    """What a user passes to a function. Where overloads spell `**options` out, these are the options."""
    if isinstance(value, property):
        return set()
    own = ("self", "cls") if "." in value.__qualname__ else ()
    parameters = [each for each in inspect.signature(value).parameters.values() if each.name not in own]
    spelled_out = [each for one in typing.get_overloads(value) for each in inspect.signature(one).parameters.values()]
    if spelled_out and not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in spelled_out):
        options = {each.name for each in spelled_out if each.kind is inspect.Parameter.KEYWORD_ONLY}
        return options | {each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD}
    return {each.name for each in parameters}


def _fields(value: type, found: griffe.Object) -> set[str] | None:
    """What has to be said of a class: its fields, or what makes one; None where a function makes it, or it is told elsewhere."""
    described = {name for name, member in found.members.items() if member.is_attribute and member.docstring}
    if issubclass(value, BaseException):
        return set()
    if fields := getattr(value, "__dataclass_fields__", None):
        return {name for name in fields if not name.startswith("_")} - described
    if issubclass(value, msgspec.Struct):
        return {*value.__annotations__} - {"at"} - described
    if typing.is_typeddict(value):
        return {*value.__annotations__}
    if re.search(r"[Mm]ade by ", found.docstring.value if found.docstring else "") or getattr(value, "_is_protocol", False):
        return None
    if "__init__" not in vars(value):
        return None
    return {name for name in inspect.signature(value).parameters if not name.startswith("_")}


def _attributes(value: typing.Any, found: griffe.Object) -> set[str]:
    return {name for name, member in found.members.items() if member.is_attribute} if inspect.isclass(value) else set()


def _faults_of_results(
    value: typing.Any, found: griffe.Object, text: str, sections: list[griffe.DocstringSection]
) -> Iterator[str]:
    if inspect.isclass(value) or isinstance(value, property):
        return
    kinds = {section.kind.value for section in sections}
    returns = inspect.signature(value).return_annotation
    if returns in (None, "None", inspect.Signature.empty):
        if "returns" in kinds:
            yield "says Returns and returns nothing"
    elif not kinds & {"returns", "yields"} and not ("\n" not in text and not _parameters(value)):
        yield "does not say what it returns"


def _faults_of_errors(value: typing.Any, text: str, sections: list[griffe.DocstringSection]) -> Iterator[str]:
    lines = [str(each.annotation) for section in sections if section.kind.value == "raises" for each in section.value]
    told = {name for line in lines for name in re.findall(r"\w+", line)}
    if unknown := sorted(told - ERRORS):
        yield f"says that it raises {', '.join(unknown)}, which is no error"
    if isinstance(value, property):
        value = value.fget
    if inspect.isclass(value) and (issubclass(value, BaseException) or getattr(value, "_is_protocol", False)):
        return
    prose = re.split(r"^(?:Raises|Example):$", text, flags=re.MULTILINE)[0]
    promised = {
        name
        for sentence in re.split(r"(?<=[.:])\s", prose)
        if re.search(r"\braise[sd]?\b", sentence)
        for name in re.findall(r"\b[A-Z]\w+\b", sentence)
        if name in ERRORS
    }
    if missing := sorted((promised | _raised_in(value)) - told):
        yield f"does not say that it raises {', '.join(missing)}"


def _raised_in(value: typing.Any) -> set[str]:
    """The errors that the code of a function raises itself."""
    if inspect.isclass(value):
        value = vars(value).get("__post_init__" if hasattr(value, "__post_init__") else "__init__")
        if value is None or value.__code__.co_filename == "<string>":  # made by a decorator
            return set()
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(inspect.unwrap(value))))
    names = {
        each.exc.func.id
        for each in ast.walk(tree)
        if isinstance(each, ast.Raise) and isinstance(each.exc, ast.Call) and isinstance(each.exc.func, ast.Name)
    }
    return names & ERRORS


def _faults_of_examples(value: typing.Any, sections: list[griffe.DocstringSection]) -> Iterator[str]:
    examples = [section for section in sections if section.kind.value == "examples"]
    is_function = inspect.isfunction(value) and "." not in value.__qualname__
    if is_function and not examples and value.__module__ != "headway.pools.parcel":  # docs/pools.md has a pool that uses all of it
        yield "shows no example"
    for section in examples:
        if not any(kind.value == "examples" for kind, _ in section.value):
            yield "has an example without >>>"


# --- the tests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_docstring_says_what_its_reader_needs(name: str) -> None:
    faults = faults_of(PUBLIC[name])
    assert not faults, f"the docstring of {name}\n- " + "\n- ".join(faults)


def _make(body: str) -> griffe.Module:
    return griffe.visit("made", filepath=Path("made.py"), code=body)


def test_griffe_complains_about_a_parameter_that_is_not_there() -> None:
    module = _make("def f(x: int) -> None: ...")
    _, said = parse("Do it.\n\nArgs:\n    y: what.\n", typing.cast("griffe.Object", module["f"]))
    assert any("'y' does not appear" in each for each in said)


def double(x: int) -> int:
    if x < 0:
        raise errors.UsageError("negative")
    return 2 * x


GOOD = """Double a number.

Args:
    x: the number.

Returns:
    Twice the number.

Raises:
    UsageError: it is negative.

Example:
    >>> double(2)
    4
"""


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("", "", ""),
        ("Double a number.", "Double a number", "no summary sentence"),
        ("number.\n\nArgs", "number.\nIt is\n\nArgs", "no summary sentence"),
        ("    x: the number.", "    y: the number.", "does not document x"),
        ("    x: the number.", "    x: the number.\n    z: another.", "documents z"),
        ("Returns:\n    Twice the number.\n\n", "", "does not say what it returns"),
        ("    UsageError: it is negative.", "    Nonsense: it is negative.", "raises Nonsense, which is no error"),
        ("a number.\n", "a number.\n\nIt raises RunOwned now and then.\n", "does not say that it raises RunOwned"),
        ("Example:\n    >>> double(2)\n    4\n", "", "shows no example"),
        ("Example:", "Beispiel:", "has a section 'Beispiel'"),
    ],
)
def test_each_rule_finds_what_it_is_for(monkeypatch: pytest.MonkeyPatch, old: str, new: str, fault: str) -> None:
    monkeypatch.setattr(double, "__doc__", GOOD.replace(old, new) if old else GOOD)
    found = _make("class errors: ...\ndef double(x: int) -> int:\n    ...")["double"]
    found.docstring = griffe.Docstring(double.__doc__ or "", parent=found)
    monkeypatch.setitem(globals(), "documented", lambda value: found)
    faults = "\n".join(faults_of(double))
    assert fault in faults if fault else not faults


def test_the_errors_that_code_raises_are_found() -> None:
    assert _raised_in(headway.limit) == {"UsageError"}
