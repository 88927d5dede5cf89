"""A thousand documented functions as tools, with what their documentation says of them, for `toolbox`.

They are those of the standard library, numpy, pandas and torch, as installed. A function's document is its name, the first line of
its docstring and the names of its parameters. Every other sentence of its docstring (5 to 40 words, no code, without the function's
name) is somebody's way to speak of it that the document does not have: one is held out as a request, up to 20 others play the part
of synthetic queries. A sentence that several functions have belongs to none of them. One that has more than half of its words from
the document's first line is left out, and no request has more than four fifths of its words from one that is indexed.
"""

from __future__ import annotations

import importlib
import inspect
import json
import random
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import headway as hw
from headway import models, tools
from headway.tools.finding.bm25 import split_words

MODULES = (
    *("asyncio", "base64", "datetime", "heapq", "inspect", "json", "math", "os", "os.path", "pathlib", "random", "re", "shutil"),
    *("socket", "statistics", "subprocess", "tempfile", "threading", "time", "urllib.parse", "zipfile"),
    *("numpy", "numpy.fft", "numpy.lib.recfunctions", "numpy.linalg", "numpy.ma", "numpy.polynomial.chebyshev", "numpy.random"),
    *("numpy.polynomial.polynomial", "numpy.strings", "numpy.testing", "pandas", "pandas.api.types"),
    *("torch", "torch.autograd", "torch.cuda", "torch.distributed", "torch.fft", "torch.func", "torch.linalg", "torch.nn"),
    *("torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.special", "torch.utils.data"),
)
CLASSES = (
    "datetime",
    "numpy",
    "numpy.ma",
    "pandas",
    "pathlib",
    "random",
    "socket",
    "threading",
    "torch",
    "torch.nn",
    "zipfile",
)  # whose methods count
FUNCTIONS = 1_000
COPIED, ALIKE = 0.5, 0.8  # shares of a sentence's words: from the document at most, and from a synthetic query
FEWEST, MOST = 5, 40  # words of a sentence
SENTENCES = 2  # that a function has at least
REQUESTS = 500  # of a split
QUERIES = 20  # for each tool, as in the paper
_HEADING = re.compile(r"^\s*[-=~^.]{3,}\s*$|^\s*(>>>|\.\.\.|\.\. |In \[|Out\[|:\w+:|\|)|^\s*\w+ : ")
_MARKUP = re.compile(r":\w+:`[^`]*`|`+[^`]*`+|\*\*?|\\\w+|[{}$]|https?://\S+|\[\w+\]_?")


class Function(NamedTuple):
    """A documented function.

    Attributes:
        name: where it is, with `__` for dots.
        summary: the first line of its docstring.
        parameters: their names.
        sentences: what else its docstring says.
    """

    name: str
    summary: str
    parameters: tuple[str, ...]
    sentences: tuple[str, ...]


class Split(NamedTuple):
    """What a toolbox is told, and what it is asked.

    Attributes:
        offered: the tools.
        queries: sentences by the tool's name, up to 20.
        requests: held-out sentences, each with the name of the tool that it is about.
    """

    offered: list[tools.Tool]
    queries: dict[str, list[str]]
    requests: list[tuple[str, str]]


@hw.task(name="benchmarks.call_function")
async def call_function(name: str, arguments: dict[str, Any]) -> str:
    """Call a function of this process."""
    return repr(_locate(name)(**arguments))


class ByName:
    """Parameters of any type, known by their names."""

    def __init__(self, function: Function) -> None:
        self._name = function.name
        self.schema = {"type": "object", "properties": {name: {} for name in function.parameters}}

    def parse(self, arguments: str) -> dict[str, Any]:
        return dict(json.loads(arguments))

    def place(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self._name, values), {}


def make_tool(function: Function) -> tools.Tool:
    """A function as a tool."""
    parameters = ByName(function)
    spec = models.ToolSpec(function.name[-64:], function.summary, parameters.schema)
    return tools.Tool(spec, tools.Labels(), call_function, parameters)


@cache
def all_functions() -> tuple[Function, ...]:
    """The functions that say enough of themselves."""
    found: dict[str, Function] = {}
    for name, function in _documented():
        package, own = name.partition(".")[0], name.rpartition(".")[2]
        made = describe(name.replace(".", "__"), own, inspect.getdoc(function) or "", function)
        if made.summary:
            found.setdefault(f"{package} {own}", made)  # a table's method and a column's are one
    shared = Counter(sentence for each in found.values() for sentence in each.sentences)
    kept = [each._replace(sentences=tuple(s for s in each.sentences if shared[s] == 1)) for each in found.values()]
    return tuple(each for each in kept if len(each.sentences) >= SENTENCES)


def _documented() -> Iterator[tuple[str, Any]]:
    seen: dict[int, Any] = {}  # with the objects, so that no other gets the id of one that is gone
    for module_name in MODULES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(module_name)
            for name in sorted(dir(module)):
                found = [(f"{module_name}.{name}", getattr(module, name))]
                if inspect.isclass(found[0][1]) and module_name in CLASSES:
                    found += [(f"{module_name}.{name}.{each}", getattr(found[0][1], each, None)) for each in dir(found[0][1])]
                for path, function in found:
                    public = not any(part.startswith("_") for part in path.split("."))
                    if public and callable(function) and not inspect.isclass(function) and id(function) not in seen:
                        seen[id(function)] = function
                        yield path, function


def describe(name: str, own: str, docstring: str, function: Any) -> Function:
    """What a docstring says of a function, by sentences that don't name it."""
    lines = docstring.splitlines()
    if lines and re.match(rf"{own}\(", lines[0]):  # a signature
        lines = lines[1:]
    text = "\n".join(lines).strip()
    first, _, rest = text.partition("\n\n")
    summary = _plain(first).partition(". ")[0]
    sentences = dict.fromkeys(
        sentence
        for block in re.split(r"\n\s*\n", "\n".join(line if not _HEADING.match(line) else "" for line in rest.splitlines()))
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", _plain(block))
        if FEWEST <= len(sentence.split()) <= MOST and sentence[-1] in ".!?"
    )
    mine = split_words(own)
    kept = tuple(each for each in sentences if not set(mine) <= set(split_words(each)) and _is_new(each, [summary], COPIED))
    return Function(name, summary, _parameters(function), kept)


def _plain(text: str) -> str:
    return " ".join(_MARKUP.sub(" ", text).split())


def _parameters(function: Any) -> tuple[str, ...]:
    try:
        return tuple(name for name in inspect.signature(function).parameters if name not in ("self", "cls"))
    except (TypeError, ValueError):
        return ()


def _is_new(sentence: str, others: Sequence[str], most: float) -> bool:
    """Whether no other text has more than this share of a sentence's words."""
    words = set(split_words(sentence))
    return all(len(words & set(split_words(other))) <= most * len(words) for other in others)


def make_split(seed: int) -> Split:
    """A thousand functions, and of each one sentence held out."""
    rng = random.Random(f"toolbox {seed}")
    chosen = rng.sample(all_functions(), FUNCTIONS)
    queries: dict[str, list[str]] = {}
    requests: list[tuple[str, str]] = []
    offered = [make_tool(function) for function in chosen]
    for function, tool in zip(chosen, offered, strict=True):
        sentences = rng.sample(function.sentences, len(function.sentences))
        held, told = sentences[0], sentences[1 : 1 + QUERIES]
        queries[tool.name] = told
        if _is_new(held, told, ALIKE):
            requests.append((held, tool.name))
    return Split(offered, queries, rng.sample(requests, REQUESTS))


def _locate(name: str) -> Any:
    parts = name.split("__")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise LookupError(name)
