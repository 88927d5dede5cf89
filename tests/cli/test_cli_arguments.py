"""Texts of a command line become arguments of a task, or are refused by name."""

from __future__ import annotations

import doctest
import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import pydantic
import pytest

from headway.cli import arguments
from headway.cli.arguments import parse_amounts, parse_arguments, parse_value
from headway.errors import UsageError


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Config:
    depth: int
    name: str = "x"


class Struct(msgspec.Struct):
    depth: int


class Model(pydantic.BaseModel):
    depth: int


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("why is 5 > 3?", str, "why is 5 > 3?"),
        ("5", str, "5"),
        ("null", str, "null"),
        ('"x"', str, '"x"'),
        ("5", int, 5),
        ("5", float, 5.0),
        ("true", bool, True),
        ("5", Any, 5),
        ("five", Any, "five"),
        ("5", str | int, 5),
        ("five", str | None, "five"),
        ("null", str | None, None),
        ("5", str | None, "5"),
        ('["a", "b"]', list[str], ["a", "b"]),
        ("[1, 2]", tuple[int, int], (1, 2)),
        ('{"a": 1}', dict[str, int], {"a": 1}),
        ("red", Colour, Colour.RED),
        ("fast", Literal["fast", "slow"], "fast"),
        ("a/b.txt", Path, Path("a/b.txt")),
        ('{"depth": 3}', Config, Config(3)),
        ('{"depth": 3}', Struct, Struct(3)),
        ('{"depth": 3}', Model, Model(depth=3)),
        ("[1, 2]", list[Any], [1, 2]),
    ],
)
def test_a_text_becomes_what_the_parameter_is_annotated_with(text: str, hint: Any, value: Any) -> None:
    parsed = parse_value(text, hint, "x")
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(("text", "hint"), [("five", int), ("1.5", int), ("[1, 2, 3]", tuple[int, int]), ('{"depth": "x"}', Model)])
def test_what_does_not_fit_is_refused_with_the_name_of_the_parameter(text: str, hint: Any) -> None:
    with pytest.raises(UsageError, match="argument depth: "):
        parse_value(text, hint, "depth")


def program(question: str, *tries: int, depth: int = 1, **more: float) -> None: ...


def test_texts_are_bound_as_python_would() -> None:
    assert parse_arguments(program, ["7", "1", "2"], ["depth=3", "rate=0.5"]) == (["7", 1, 2], {"depth": 3, "rate": 0.5})


@pytest.mark.parametrize(
    ("texts", "keywords", "message"),
    [
        ([], [], "missing a required argument: 'question'"),
        (["a"], ["question=b"], "multiple values for argument 'question'"),
        (["a"], ["depth"], "--kw depth: write a parameter's name and its value"),
        (["a"], ["two words=1"], "--kw two words=1"),
    ],
)
def test_wrong_arguments_are_said_before_anything_runs(texts: list[str], keywords: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_arguments(program, texts, keywords)


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parse_arguments(program, ["a"], ["depth=1"])[1] == {"depth": 1}
    assert parse_arguments(lambda text: None, [], ["text=a=b"])[1] == {"text": "a=b"}


def test_amounts_are_numbers_with_a_unit() -> None:
    assert parse_amounts(["tokens=20_000", "usd=1.5"], "--budget") == {"tokens": 20_000.0, "usd": 1.5}
    with pytest.raises(UsageError, match="--budget tokens: write a unit and an amount"):
        parse_amounts(["tokens"], "--budget")


def test_the_examples_hold() -> None:
    assert doctest.testmod(arguments).failed == 0
