"""Conversations of many turns: the journal grows with them, not with their square, and no call is taken for another."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted, Turn, double

import headway as hw
from headway import tools
from headway.engine.identity.canonical import canonical
from headway.methods.agent import agent
from headway.methods.agent.compacting import SUMMED_UP
from headway.models import Audio, Image, Message, Request, Text, ToolCall, ToolSpec
from headway.models.condensed import FEW, Condensed, condense
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


@tools.tool
async def read(page: int) -> str:
    """Read a page."""
    return f"page {page}: " + 40 * "so it goes "


def read_on(messages: list[Message]) -> Turn:
    page = sum(message.role == "assistant" for message in messages)
    return "That was all." if page == 200 else [("read", {"page": page}), ("double", {"number": page})]


def test_the_journal_grows_with_a_conversation_and_not_with_its_square():
    model = Scripted(read_on)

    @hw.task(name="agent.tests.archive")
    async def program() -> int:
        with hw.budget(tokens=1e9):
            return (await agent(model, [read, double], "Read it all.", turns=201)).turns

    store = hw.MemoryStore()
    assert hw.run(program, store=store, run_id="archive", progress=False) == 201
    rows = [row for _, row in store.rows(store.run("archive").uid)]
    sizes = [len(row.body) for row in rows]
    half = len(sizes) // 2
    assert sum(sizes[half:]) <= 1.2 * sum(sizes[:half])
    assert max(sizes) < 4_000, "no record holds the conversation"
    assert sum(sizes) < 200 * 8_000


def test_a_summary_is_recorded_and_not_written_again():
    def script(messages: list[Message]) -> Turn:
        if messages[0].text.startswith("Sum up"):
            return "There were doubles."
        summed_up = any(SUMMED_UP in message.text for message in messages)
        return "Done." if summed_up else [("double", {"number": len(messages)}), ("rest", {})]

    model = Scripted(script)

    @hw.task(name="agent.tests.summing")
    async def program() -> str | None:
        return (await agent(model, [double], "Double " + "and double " * 40, room=400, turns=50, tell_budget=False)).value

    whole = History(1, STEADY)
    assert whole.live(program).value == "Done. "
    summaries = [request for request in model.asked if str(request.prompt).find("Sum up this part") >= 0]
    assert len(summaries) == 1
    history = History(1, STEADY)
    assert history.live(program, crash=Crash(len(whole.rows()) - 2, "after")).how == "died"
    model.asked.clear()
    assert history.live(program).value == "Done. "
    assert not [request for request in model.asked if str(request.prompt).find("Sum up this part") >= 0]


CALLS = st.builds(ToolCall, st.sampled_from(["a", "b"]), st.sampled_from(["f", "g"]), st.sampled_from(["{}", '{"x": 1}']))
CONTENTS = st.one_of(
    st.sampled_from(["", "x", "y"]),
    st.sampled_from([(Text("x"),), (Text("x"), Text("y")), (Image(b"x", "image/png"),), (Audio(b"x", "wav"),)]),
)
MESSAGES = st.one_of(
    st.builds(Message, st.sampled_from(["user", "system"]), CONTENTS),
    st.builds(
        Message, st.just("assistant"), CONTENTS, st.lists(CALLS, max_size=2).map(tuple), thoughts=st.sampled_from(["", "hm"])
    ),
    st.builds(Message, st.just("tool"), st.sampled_from(["1", "2"]), call_id=st.sampled_from(["a", "b"]), name=st.just("f")),
)
TOOLS = st.lists(
    st.builds(ToolSpec, st.sampled_from(["f", "g"]), st.sampled_from(["", "does"]), st.sampled_from([{}, {"type": "object"}])),
    max_size=2,
).map(tuple)
REQUESTS = st.builds(
    Request,
    prompt=st.lists(MESSAGES, min_size=1, max_size=FEW + 4).map(tuple),
    tools=TOOLS,
    temperature=st.sampled_from([0.0, 1.0]),
    tool_choice=st.sampled_from(["auto", "none"]),
)


@st.composite
def neighbours(draw: Any) -> tuple[Request, Request]:
    """A request and one that differs in one place, if at all."""
    first = draw(REQUESTS)
    change = draw(st.sampled_from(["nothing", "replace", "remove", "add", "swap", "tools", "temperature"]))
    prompt, at = list(first.prompt), draw(st.integers(0, len(first.prompt) - 1))
    if change == "replace":
        prompt[at] = draw(MESSAGES)
    elif change == "remove" and len(prompt) > 1:
        del prompt[at]
    elif change == "add":
        prompt.insert(at, draw(MESSAGES))
    elif change == "swap":
        prompt[at], prompt[0] = prompt[0], prompt[at]
    elif change == "tools":
        return first, replace(first, tools=draw(TOOLS))
    elif change == "temperature":
        return first, replace(first, temperature=1 - first.temperature)
    return first, replace(first, prompt=tuple(prompt))


def name(request: Request) -> bytes:
    return canonical(condense(request))


@settings(max_examples=300)
@given(neighbours())
def test_two_requests_have_one_condensed_form_if_and_only_if_they_are_equal(pair):
    one, other = pair
    assert (name(one) == name(other)) == (canonical(one) == canonical(other))


def test_every_beginning_of_a_conversation_has_a_name_of_its_own():
    said = [Message("user", "task")]
    for turn in range(12):
        said += [Message("assistant", "", (ToolCall(f"c{turn}", "f", "{}"),)), Message("tool", "1", call_id=f"c{turn}", name="f")]
    requests = [Request(prompt=tuple(said[:length])) for length in range(1, len(said) + 1)]
    requests += [replace(request, tools=(ToolSpec("f", "", {}),)) for request in requests]
    for one, other in combinations(requests, 2):
        assert name(one) != name(other)


def test_all_that_a_model_is_told_of_its_tools_is_part_of_a_requests_name():
    request = Request(prompt=(Message("user", "x"),), tools=(ToolSpec("f", "", {}), ToolSpec("g", "", {})))
    others = [
        (ToolSpec("f", "does", {}), ToolSpec("g", "", {})),
        (ToolSpec("f", "", {"type": "object"}), ToolSpec("g", "", {})),
        (ToolSpec("f", "", {}, strict=True), ToolSpec("g", "", {})),
        (ToolSpec("g", "", {}), ToolSpec("f", "", {})),
        (ToolSpec("f", "", {}),),
        (),
    ]
    assert len({name(request), *(name(replace(request, tools=offered)) for offered in others)}) == 1 + len(others)


def test_what_is_condensed_holds_what_is_new_and_nothing_of_what_was_said_before():
    said = [Message("user", "the task")]
    for turn in range(9):
        said += [Message("assistant", f"word {turn}"), Message("user", f"and {turn}")]
    condensed = condense(Request(prompt=tuple(said)))
    assert isinstance(condensed, Condensed)
    assert [message.text for message in condensed.request.prompt] == ["and 8"]
    assert condensed.messages == len(said)


def test_a_short_conversation_without_tools_is_recorded_as_it_is():
    request = Request(prompt=(Message("user", "x"),))
    assert condense(request) is request
