"""What a function takes, as a schema for a model; and a model's JSON as the function's arguments, or as an error it can act on."""

from __future__ import annotations

import datetime
import enum
import functools
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import jsonschema
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headway as hw
from headway import tools


class Unit(enum.Enum):
    KM2 = "km2"
    MI2 = "mi2"


@dataclass
class Point:
    x: int
    y: float = 0.5


class Person(pydantic.BaseModel):
    name: str
    age: Annotated[int, pydantic.Field(ge=0)] = 30


class Firm(pydantic.BaseModel):
    owner: Person
    staff: list[Person] = []


class Options(TypedDict, total=False):
    deep: bool


class NoSchema:
    pass


@tools.tool
async def plot(
    points: list[Point],
    title: str = "Chart",
    *,
    unit: Unit = Unit.KM2,
    kind: Literal["line", "bar"] = "line",
    size: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10,
    when: datetime.date | None = None,
    tags: dict[str, int] | None = None,
    options: Options | None = None,
) -> str:
    """Draw points.

    Says how it went.

    Args:
        points: where they are,
            in order.
        size (int): how large.

    Returns:
        A report.
    """
    return f"{title} {points} {unit} {kind} {size} {when} {tags}"


@tools.tool
async def hire(person: Person, firm: Firm | None = None, either: Person | Firm | None = None, point: Point | None = None) -> str:
    """Hire somebody."""
    return person.name


def test_a_schema_has_types_bounds_choices_and_defaults():
    properties = plot.spec.parameters["properties"]
    assert plot.spec.parameters["type"] == "object"
    assert plot.spec.parameters["required"] == ["points"]
    assert plot.spec.parameters["additionalProperties"] is False
    assert properties["size"] | {"description": ""} == {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "default": 10,
        "description": "",
    }
    assert properties["kind"] == {"enum": ["bar", "line"], "default": "line"}
    assert properties["when"]["anyOf"] == [{"type": "string", "format": "date"}, {"type": "null"}]
    assert "$ref" not in plot.spec.parameters
    jsonschema.Draft202012Validator.check_schema(plot.spec.parameters)


def test_descriptions_come_from_the_docstring():
    properties = plot.spec.parameters["properties"]
    assert plot.spec.description == "Draw points.\n\nSays how it went."
    assert properties["points"]["description"] == "where they are, in order."
    assert properties["size"]["description"] == "how large."
    assert "description" not in properties["title"]


def test_a_description_in_the_hint_comes_first():
    async def look(where: Annotated[str, "a folder"], how: Annotated[str, msgspec.Meta(description="slowly")], who: str) -> None:
        """Look.

        Args:
            where: in the docstring.
            how: in the docstring.
            who: in the docstring.
        """

    said = {name: each["description"] for name, each in tools.tool(look).spec.parameters["properties"].items()}
    assert said == {"where": "a folder", "how": "slowly", "who": "in the docstring."}


def test_arguments_are_read_into_the_types_of_the_hints():
    read = plot.parse('{"points": [{"x": 1}, {"x": 2, "y": 3}], "unit": "mi2", "when": "2026-11-30", "options": {"deep": true}}')
    assert read == {
        "points": [Point(1), Point(2, 3.0)],
        "unit": Unit.MI2,
        "when": datetime.date(2026, 11, 30),
        "options": {"deep": True},
    }


def test_what_was_left_out_is_left_to_the_function():
    assert plot.parse('{"points": []}') == {"points": []}


def test_what_is_harmless_is_converted():
    assert plot.parse('{"points": [{"x": "7"}], "size": "5"}') == {"points": [Point(7)], "size": 5}


@pytest.mark.parametrize("empty", ["", "  ", "{}"])
def test_no_arguments_are_an_object_without_members(empty):
    async def now() -> str:
        """The time."""
        return "late"

    assert tools.tool(now).parse(empty) == {}


def test_an_object_in_a_text_is_read_like_the_object():
    assert plot.parse(json.dumps('{"points": []}')) == {"points": []}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('{"points": [], "size": 101}', r"Expected `int` <= 100 - at `\$\.size`.*size \(integer, optional\)"),
        ('{"points": [{"x": "far"}]}', r"Expected `int`, got `str` - at `\$\.points\[0\]\.x`"),
        ('{"points": [], "kind": "pie"}', r"Invalid enum value 'pie' - at `\$\.kind`.*one of 'bar', 'line'"),
        ("{}", "missing required field `points`"),
        ('{"points": [], "titel": "x"}', "unknown field `titel`; did you mean 'title'"),
        ("[1, 2]", "Expected `object`, got `array`"),
        ('{"points": [', "cut off. Send it again"),
        ('{"points": [], "title": "half', "cut off. Send it again"),
        ("points=[]", "no valid JSON"),
        ('{"points": [], "title": "\\ud800"}', "no valid JSON"),
        ('{"points": []} {"points": []}', "no valid JSON.*trailing"),
        ("[" * 100_000, "plot: "),
        ('{"points": [], "unit": "acre"}', "Invalid enum value 'acre'.*one of 'km2', 'mi2'"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_is_allowed(wrong, said):
    with pytest.raises(tools.ToolArgumentsError, match=said) as caught:
        plot.parse(wrong)
    assert str(caught.value).startswith("plot: ")
    assert len(str(caught.value)) < 1500


def test_models_of_pydantic_are_parameters():
    assert hire.parse('{"person": {"name": "Ada", "age": "36"}, "point": {"x": 1}}') == {
        "person": Person(name="Ada", age=36),
        "point": Point(1),
    }
    nested = hire.parse('{"person": {"name": "A"}, "firm": {"owner": {"name": "B"}}, "either": {"owner": {"name": "C"}}}')
    assert nested["firm"] == Firm(owner=Person(name="B"))
    assert nested["either"] == Firm(owner=Person(name="C"))
    jsonschema.Draft202012Validator.check_schema(hire.spec.parameters)
    refs = {ref.rpartition("/")[2] for ref in _refs(hire.spec.parameters)}
    assert refs <= hire.spec.parameters["$defs"].keys()


def test_an_error_of_pydantic_says_where_it_is():
    with pytest.raises(tools.ToolArgumentsError, match=r"age: Input should be greater than or equal to 0 - at `\$\.person`"):
        hire.parse('{"person": {"name": "Ada", "age": -1}}')


def test_two_types_of_one_name_keep_their_own_schemas():
    class Outer(pydantic.BaseModel):
        person: Person

    def other() -> type[pydantic.BaseModel]:
        class Person(pydantic.BaseModel):
            nickname: str

        class Inner(pydantic.BaseModel):
            person: Person

        return Inner

    inner = other()

    async def meet(one: Any, two: Any) -> None:
        """Meet."""

    meet.__annotations__ = {"one": Outer, "two": inner}
    schema = tools.tool(meet).spec.parameters
    seen = {"one": {"person": {"name": "Ada"}}, "two": {"person": {"nickname": "Bob"}}}
    jsonschema.validate(seen, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"one": seen["two"], "two": seen["one"]}, schema)


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (NoSchema, "the parameter it has no JSON schema: NoSchema"),
        (list[NoSchema], "the parameter it has no JSON schema"),
        (Annotated[int, hw.unkeyed], "the parameter it is unkeyed, so it is not the model's to give"),
        (None, "the parameter it has no type hint"),
        ("Nowhere", "name 'Nowhere' is not defined"),
    ],
)
def test_a_parameter_without_a_schema_is_refused_when_the_tool_is_made(hint, said):
    async def use(it):
        """Use it."""

    use.__annotations__ = {} if hint is None else {"it": hint}
    with pytest.raises(hw.UsageError, match=f"^tool use: .*{said}"):
        tools.tool(use)


def test_any_number_of_arguments_is_refused():
    async def spread(*words: str) -> None:
        """Spread."""

    async def name(**words: str) -> None:
        """Name."""

    for each, parameter in ((spread, "words"), (name, "words")):
        with pytest.raises(hw.UsageError, match=f"the parameter {parameter} takes any number of arguments"):
            tools.tool(each)


def test_an_unkeyed_parameter_with_a_default_is_not_the_models():
    async def fetch(url: str, client: Annotated[object, hw.unkeyed] = None) -> str:
        """Fetch."""
        return url

    made = tools.tool(fetch)
    assert list(made.spec.parameters["properties"]) == ["url"]
    with pytest.raises(tools.ToolArgumentsError, match="unknown field `client`"):
        made.parse('{"url": "a", "client": 1}')


def test_a_task_for_batches_takes_one_item():
    @hw.task(batch=8)
    async def embed(texts: list[str]) -> list[int]:
        """The length of a text."""
        return [len(text) for text in texts]

    made = tools.tool(embed)
    assert made.spec.parameters["properties"]["texts"]["type"] == "string"
    assert made.parse('{"texts": "abc"}') == {"texts": "abc"}


def test_arguments_by_place_only_go_to_their_places():
    async def divide(a: int, b: int = 1, /, *, digits: int = 2) -> float:
        """Divide."""
        return round(a / b, digits)

    made = tools.tool(divide)
    assert made.parameters.place(made.parse('{"b": 4, "a": 1, "digits": 3}')) == ((1, 4), {"digits": 3})


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: tools.tool(lambda: None), "can't name a tool.*name="),
        (lambda: tools.tool(plot.task, name="a b"), "'a b' can't name a tool"),
        (lambda: tools.tool(plot.task, name="x" * 65), "can't name a tool"),
        (lambda: tools.tool(5), "expected a typed function or a task"),
        (lambda: tools.tool(plot.task, effect=True), r"write @hw\.task\(effect=True\)"),
        (lambda: tools.tool(stream), "hands out items"),
        (lambda: tools.tool(raw), "returns bytes"),
    ],
)
def test_what_can_be_no_tool_is_refused(made, said):
    with pytest.raises(hw.UsageError, match=said):
        made()


async def stream(n: int):
    """Count."""
    yield n


async def raw(n: int) -> bytes:
    """Bytes."""
    return bytes(n)


def test_a_tool_keeps_what_its_task_is():
    @hw.task(effect=True, retry=hw.Retry(attempts=3), pool="thread")
    def send(to: str) -> str:
        """Send."""
        return to

    made = tools.tool(send, name="post", description="Post a letter.", needs_approval=True)
    assert made.task is send
    assert made.labels == tools.Labels(effect=True, reads_untrusted=False, needs_approval=True)
    assert (made.name, made.spec.description) == ("post", "Post a letter.")
    assert tools.tool(send, effect=False).labels.effect is False
    assert tools.tool(made) is made
    changed = tools.tool(made, reads_untrusted=True)
    assert (changed.name, changed.spec.description, changed.labels) == ("post", "Post a letter.", tools.Labels(True, True, True))


def test_a_partial_is_a_tool_where_it_has_a_name():
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    made = tools.tool(functools.partial(add, 2), name="add_two")
    assert list(made.spec.parameters["properties"]) == ["b"]
    assert hw.run(_call, made, '{"b": 40}', store=None) == "42"


@hw.task
async def _call(made: Annotated[tools.Tool, hw.unkeyed], arguments: str) -> Any:
    from headway import models

    (result,) = await tools.run_calls([made], [models.ToolCall("1", made.name, arguments)])
    return result.content


@settings(max_examples=30)
@given(
    st.fixed_dictionaries(
        {"points": st.lists(st.fixed_dictionaries({"x": st.integers(-(2**63), 2**63 - 1)}, optional={"y": st.floats(-1e9, 1e9)}))},
        optional={
            "title": st.text(st.characters(exclude_categories=["Cs"])),
            "unit": st.sampled_from(["km2", "mi2"]),
            "kind": st.sampled_from(["line", "bar"]),
            "size": st.integers(1, 100),
            "when": st.none() | st.dates().map(str),
            "tags": st.none() | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-9, 9)),
        },
    )
)
def test_what_the_schema_allows_is_read_as_it_was_written(arguments):
    jsonschema.validate(arguments, plot.spec.parameters)
    read = plot.parse(json.dumps(arguments))
    again = msgspec.to_builtins(read)
    for point in again.get("points", []):
        point.pop("y", None)
    for point in arguments["points"]:
        point.pop("y", None)
    assert again == arguments


def _refs(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
        return own + [ref for each in schema.values() for ref in _refs(each)]
    return [ref for each in schema for ref in _refs(each)] if isinstance(schema, list) else []
