"""The reader of tags gives the same blocks however a text is cut, loses nothing, and lets no foreign text speak."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import UsageError
from headway.methods.plan.tags.reading import (
    DEEPEST,
    Block,
    Closed,
    Event,
    Opened,
    Said,
    TagReader,
    quote,
    read_blocks,
    read_events,
    tops,
)

TAGS = {"spawn", "join", "joined"}
PIECES = st.sampled_from(
    ["<", ">", "/", "spawn", "join", "ed", "<join>", "</join>", "<spawn>", "</spawn>", "</joined>", "<b>", " a", "\n"]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)


def say(event: Event) -> str:
    """What an event stands for in the text."""
    if isinstance(event, Said):
        return event.text
    return f"<{event.tag}>" if isinstance(event, Opened) else f"</{event.block.tag}>" * event.block.closed


@given(TEXTS)
def test_nothing_of_a_text_is_lost_or_added(text: str) -> None:
    assert "".join(map(say, read_events([text], TAGS))) == text


@given(TEXTS, st.lists(st.integers(0, 200), max_size=30))
def test_a_text_gives_the_same_blocks_however_it_is_cut(text: str, cuts: list[int]) -> None:
    at = [0, *sorted(cut for cut in cuts if cut <= len(text)), len(text)]
    pieces = [text[first:last] for first, last in pairwise(at)]
    assert tops(read_events(pieces, TAGS)) == read_blocks(text, TAGS)
    assert tops(read_events(list(text), TAGS)) == read_blocks(text, TAGS)


@given(TEXTS)
def test_a_text_that_was_quoted_has_no_tags(text: str) -> None:
    quoted = quote(text, TAGS)
    assert all(isinstance(event, Said) for event in read_events([quoted], TAGS))
    assert quoted.replace("&lt;", "<") == text


def test_a_text_is_handed_on_as_soon_as_it_can_be_no_tag() -> None:
    reader = TagReader(TAGS)
    assert reader.read("a <jo") == [Said("a ", 0)]
    assert reader.read("b") == [Said("<job", 0)]
    assert reader.read(" <spawn") == [Said(" ", 0)]
    assert reader.read(">") == [Opened("spawn", 0)]
    assert reader.open == ("spawn",)


def test_a_tag_that_nobody_knows_is_text() -> None:
    assert read_blocks("<spawn><b>bold</b></spawn><think>", TAGS) == (Block("spawn", ("<b>bold</b>",)), "<think>")


def test_blocks_nest_and_end_where_their_own_tag_is() -> None:
    inner = Block("join", ("x",))
    assert read_blocks("<spawn>a<join>x</join>b</spawn>", TAGS) == (Block("spawn", ("a", inner, "b")),)
    assert Block("spawn", ("a", inner, "b")).whole == "<spawn>a<join>x</join>b</spawn>"


def test_a_block_of_the_same_name_may_stand_in_another() -> None:
    assert read_blocks("<spawn><spawn>a</spawn></spawn>", TAGS) == (Block("spawn", (Block("spawn", ("a",)),)),)


def test_what_is_open_when_the_text_ends_is_marked() -> None:
    assert read_blocks("<spawn>a<join>b", TAGS) == (Block("spawn", ("a", Block("join", ("b",), closed=False)), closed=False),)


def test_what_is_open_when_a_block_around_it_closes_is_marked() -> None:
    (spawn,) = read_blocks("<spawn>a<join>b</spawn>", TAGS)
    assert spawn == Block("spawn", ("a", Block("join", ("b",), closed=False)))


def test_a_closing_tag_of_nothing_is_text() -> None:
    assert read_blocks("a</join><spawn></join></spawn>", TAGS) == ("a</join>", Block("spawn", ("</join>",)))


def test_a_text_of_opening_tags_alone_ends() -> None:
    text = "<spawn>" * 20_000
    events = read_events([text], TAGS)
    assert sum(isinstance(event, Opened) for event in events) == DEEPEST
    assert "".join(map(say, events)) == text
    assert [event.depth for event in events if isinstance(event, Closed)] == list(reversed(range(DEEPEST)))


@pytest.mark.parametrize("tags", ["spawn", [], ["<spawn>"], [""], [3], ["a b"]])
def test_names_that_are_no_tags_are_refused(tags: object) -> None:
    with pytest.raises(UsageError, match="without brackets"):
        TagReader(tags)  # type: ignore[arg-type]
