"""Types as forms of answers: the schema that servers are told, and the reading of what models write."""

from __future__ import annotations

import datetime
import enum
import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import hypothesis.strategies as st
import jsonschema
import msgspec
import pydantic
import pytest
from hypothesis import given

import headway as hw
from headway import models
from headway.models.structured.closing import close_schema
from headway.models.structured.forms import form_of


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Street:
    name: str
    trees: list[str] = field(default_factory=list)


@dataclass
class City:
    """A city, as an atlas has it."""

    name: str
    people: Annotated[int, msgspec.Meta(ge=0)]
    founded: datetime.date | None = None
    colour: Colour = Colour.RED
    streets: tuple[Street, ...] = ()


class Node(msgspec.Struct):
    value: int
    children: list[Node] = []


class Square(msgspec.Struct, tag=True):
    side: float


class Circle(msgspec.Struct, tag=True):
    radius: float


class Options(TypedDict):
    depth: int
    wide: NotRequired[bool]


class Person(pydantic.BaseModel):
    name: Annotated[str, pydantic.Field(min_length=2)]
    friends: list[Person] = []

    @pydantic.field_validator("name")
    @classmethod
    def _not_all_capitals(cls, value: str) -> str:
        if value.isupper():
            raise ValueError("write it as a name, not in capitals")
        return value


@dataclass
class Cat:
    lives: int


@dataclass
class Dog:
    tricks: list[str]


class Checked(msgspec.Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
nodes = st.recursive(st.builds(Node, st.integers(0, 9)), lambda inner: st.builds(Node, st.just(1), st.lists(inner, max_size=2)))
streets = st.builds(Street, words, st.lists(words, max_size=2))
VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-(2**53), 2**53)),
    (str, words),
    (list[bool], st.lists(st.booleans())),
    (int | None, st.none() | st.integers(0, 9)),
    (dict[str, int], st.dictionaries(words, st.integers(0, 9))),
    (Literal["yes", "no"], st.sampled_from(["yes", "no"])),
    (Colour, st.sampled_from(Colour)),
    (City, st.builds(City, words, st.integers(0, 9), st.none() | st.dates(), st.sampled_from(Colour), st.tuples(streets))),
    (
        Node,
        st.recursive(st.builds(Node, st.integers(0, 9)), lambda inner: st.builds(Node, st.just(1), st.lists(inner, max_size=2))),
    ),
    (Square | Circle, st.builds(Square, st.just(1.5)) | st.builds(Circle, st.just(2.5))),
    (Options, st.fixed_dictionaries({"depth": st.integers(0, 9)}, optional={"wide": st.booleans()})),
]


@given(st.data())
def test_every_value_of_a_type_is_written_by_its_schema_and_read_back(data):
    kind, values = data.draw(st.sampled_from(VALUES))
    value, form = data.draw(values), form_of(kind)
    wrapped = list(form.schema.schema["properties"]) == ["answer"] if "properties" in form.schema.schema else False
    text = msgspec.json.encode({"answer": value} if wrapped else value).decode()
    jsonschema.Draft202012Validator(dict(form.schema.schema)).validate(json.loads(text))
    assert form.read(text) == value
    assert form.read_tolerant(f"Well then: {text} is it.") == value


@pytest.mark.parametrize("kind", [kind for kind, _ in VALUES] + [Person, Cat | Dog, list[Person], None])
def test_a_schema_is_an_object_that_needs_all_its_properties(kind):
    schema = form_of(kind).schema.schema
    jsonschema.Draft202012Validator.check_schema(dict(schema))
    assert schema["type"] == "object"
    if kind not in (dict[str, int], Options):
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])
    assert "default" not in json.dumps(schema)


@pytest.mark.parametrize(
    ("kind", "strict"),
    [(City, False), (Street, True), (Node, True), (Square | Circle, True), (Options, False), (dict[str, int], False), (Any, False)],
)
def test_a_schema_is_strict_where_strict_mode_takes_it(kind, strict):
    """A tuple of any length is a list; a map of any names and a key that may be missing are nothing that strict mode knows."""
    schema = form_of(kind).schema
    assert schema.strict == (strict or kind is City)
    assert 1 <= len(schema.name) <= 64
    assert schema.name.replace("_", "").replace("-", "").isalnum()


def test_what_may_be_missing_without_a_default_stays_so():
    closed, strict = close_schema(
        {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/N"}, "n": {"type": "integer"}},
            "required": ["n"],
            "$defs": {"N": {}},
        }
    )
    assert (closed["required"], strict) == (["n"], False)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (City, '{"name": "Rome", "people": -1}', "Expected `int` >= 0 - at `$.people`"),
        (City, '{"name": "Rome"}', "missing required field `people`"),
        (Colour, '{"answer": "blue"}', "Invalid enum value 'blue' - at `$.answer`"),
        (int, "42", "Expected `object`, got `int`"),
        (int, '{"answer": 42, "more": 1}', "unknown field `more`"),
        (City, '{"name": "Ro', "truncated"),
        (City, '```json\n{"name": "Rome", "people": 1}\n```', "malformed"),
        (Checked, '{"low": 3, "high": 1}', "low is above high"),
        (Person, '{"name": "ANN"}', "write it as a name, not in capitals - at `$.name`"),
        (Person, '{"name": "A", "friends": [{"name": 3}]}', "at `$.name`\nInput should be a valid string - at `$.friends.0.name`"),
        (Person, "[" * 100_000, "recursion"),
        (Any, '{"answer": ' + "[" * 100_000, "nested too deeply"),
        (str, '{"answer": "\ud800"}', "surrogates"),
    ],
)
def test_what_is_not_of_the_form_is_refused_in_words_for_the_model(kind, text, said):
    with pytest.raises(models.FormError) as caught:
        form_of(kind).read(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"answer": 42}', 42),
        ("42", 42),
        (" 42\n", 42),
        ('```json\n{"answer": 42}\n```', 42),
        ('Let me see.\n```\n{"answer": 41}\n```\nNo:\n```\n42\n```', 42),
        ('From {"answer": 41} and {x} it follows: {"answer": 42}. Glad to help', 42),
    ],
)
def test_a_model_that_was_only_told_the_form_is_read_with_tolerance(text, value):
    assert form_of(int).read_tolerant(text) == value


def test_tolerance_ends_where_a_text_has_no_answer():
    for text in ("I can't say", "{" * 100_000, '{"answer": "42"}', ""):
        with pytest.raises(models.FormError):
            form_of(int).read_tolerant(text)


@pytest.mark.parametrize("kind", [3, "City", complex, object, Square | Person, lambda: 1, models.Schema("a", {}), list["Nowhere"]])  # noqa: F821
def test_what_has_no_form_is_refused_at_once(kind):
    with pytest.raises(hw.UsageError):
        form_of(kind)


def test_two_types_of_one_schema_are_two_forms():
    @dataclass
    class Village:
        lives: int

    plain = form_of(Village, "one")
    assert plain.schema.schema["properties"] == form_of(Cat, "one").schema.schema["properties"]
    assert plain != form_of(Cat, "one")
