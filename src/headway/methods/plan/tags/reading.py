"""Reads tags in what a model writes, piece by piece: `<join>`, `</join>` and whatever else a method knows.

    reader = TagReader({"spawn", "join"})
    for piece in pieces:
        for event in reader.read(piece): ...
    rest = reader.end()

A tag may be split across pieces anywhere. Models make mistakes, and no text is refused for its tags: what is no known tag is text,
a closing tag without its opening is text, and so is an opening tag more than `DEEPEST` blocks deep. A block that is still open when
one around it closes, or when the text ends, is marked as not closed. So the same events come of a text however it was cut into
pieces, and nothing of it is lost.

Text that comes from elsewhere must not speak as the program: put it through `quote` before it becomes part of a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from headway.errors import UsageError

DEEPEST = 64
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]*")


@dataclass(frozen=True)
class Block:
    """A tag with what stands in it.

    Attributes:
        tag: its name.
        parts: texts and blocks, in order.
        closed: whether its own closing tag was there.
    """

    tag: str
    parts: tuple[str | Block, ...] = ()
    closed: bool = True

    @property
    def text(self) -> str:
        """What stands in it, with the tags of inner blocks."""
        return "".join(part if isinstance(part, str) else part.whole for part in self.parts)

    @property
    def whole(self) -> str:
        """It as it was written."""
        return f"<{self.tag}>{self.text}" + f"</{self.tag}>" * self.closed

    def blocks(self, tag: str) -> list[Block]:
        """The blocks of a name that stand directly in it."""
        return [part for part in self.parts if isinstance(part, Block) and part.tag == tag]


@dataclass(frozen=True)
class Said:
    """Text outside of tags, or between them. `depth`: how many blocks are open around it."""

    text: str
    depth: int


@dataclass(frozen=True)
class Opened:
    """A block begins. `depth`: how many blocks are open around it."""

    tag: str
    depth: int


@dataclass(frozen=True)
class Closed:
    """A block ends. `depth`: how many blocks are open around it."""

    block: Block
    depth: int


Event: TypeAlias = Said | Opened | Closed


@dataclass
class _Open:
    tag: str
    parts: list[str | Block] = field(default_factory=list)


class TagReader:
    """Reads the tags of a text that comes in pieces. Its state is what it has read; it does nothing else.

    Args:
        tags: the names that are tags, without brackets.

    Raises:
        UsageError: a name that can't be one.

    Example:
        >>> reader = TagReader({"join"})
        >>> reader.read("It is <jo"), reader.read("in>42</join>")
        ([Said(text='It is ', depth=0)], [Opened(tag='join', depth=0), Said(text='42', depth=1), \
Closed(block=Block(tag='join', parts=('42',), closed=True), depth=0)])
    """

    def __init__(self, tags: Collection[str]) -> None:
        self._token, self._heads = _compile(tags)
        self._held = ""
        self._open: list[_Open] = []

    @property
    def open(self) -> tuple[str, ...]:
        """The tags that are open, the outermost first."""
        return tuple(each.tag for each in self._open)

    def read(self, piece: str) -> list[Event]:
        """Read a piece.

        Args:
            piece: the next of the text.

        Returns:
            What it adds. What may be the beginning of a tag waits for the next piece.
        """
        text = self._held + piece
        found: list[Event] = []
        at = 0
        for tag in self._token.finditer(text):
            self._say(text[at : tag.start()], found)
            self._take(tag[2], bool(tag[1]), found)
            at = tag.end()
        rest = text[at:]
        begins = rest.rfind("<")
        self._held = rest[begins:] if begins >= 0 and rest[begins:] in self._heads else ""
        self._say(rest[: len(rest) - len(self._held)], found)
        return found

    def end(self) -> list[Event]:
        """End the text. Blocks that are open are marked as not closed.

        Returns:
            What is left of it.
        """
        found: list[Event] = []
        self._say(self._held, found)
        self._held = ""
        while self._open:
            self._close(False, found)
        return found

    def _say(self, text: str, found: list[Event]) -> None:
        if not text:
            return
        if self._open:
            self._open[-1].parts.append(text)
        found.append(Said(text, len(self._open)))

    def _take(self, tag: str, closes: bool, found: list[Event]) -> None:
        if not closes and len(self._open) == DEEPEST:
            self._say(f"<{tag}>", found)
        elif not closes:
            found.append(Opened(tag, len(self._open)))
            self._open.append(_Open(tag))
        elif any(each.tag == tag for each in self._open):
            while self._open[-1].tag != tag:
                self._close(False, found)
            self._close(True, found)
        else:
            self._say(f"</{tag}>", found)

    def _close(self, closed: bool, found: list[Event]) -> None:
        ended = self._open.pop()
        block = Block(ended.tag, tuple(_joined(ended.parts)), closed)
        if self._open:
            self._open[-1].parts.append(block)
        found.append(Closed(block, len(self._open)))


def _joined(parts: list[str | Block]) -> Iterator[str | Block]:
    """The parts, with texts that follow each other as one: how a text was cut leaves no trace."""
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if texts:
            yield "".join(texts)
            texts = []
        yield part
    if texts:
        yield "".join(texts)


def _compile(tags: Collection[str]) -> tuple[re.Pattern[str], frozenset[str]]:
    """What finds a tag, and all beginnings of one."""
    if isinstance(tags, str) or not tags or not all(isinstance(tag, str) and _NAME.fullmatch(tag) for tag in tags):
        raise UsageError(f"tags={tags!r:.80}: a set of names such as {{'spawn', 'join'}}, without brackets")
    names = sorted(tags)
    whole = [f"<{slash}{name}>" for name in names for slash in ("", "/")]
    heads = frozenset(each[:length] for each in whole for length in range(1, len(each)))
    return re.compile(f"<(/?)({'|'.join(map(re.escape, names))})>"), heads


def read_blocks(text: str, tags: Collection[str]) -> tuple[str | Block, ...]:
    """Read a whole text.

    Args:
        text: what a model wrote.
        tags: the names that are tags.

    Returns:
        The texts and blocks at its top, in order.

    Raises:
        UsageError: a name that can't be a tag's.

    Example:
        >>> read_blocks("so <join>42", {"join"})
        ('so ', Block(tag='join', parts=('42',), closed=False))
    """
    return tops(read_events([text], tags))


def read_events(pieces: Iterable[str], tags: Collection[str]) -> list[Event]:
    """All events of a text that came in pieces.

    Args:
        pieces: the text.
        tags: the names that are tags.

    Returns:
        The events, in order.

    Raises:
        UsageError: a name that can't be a tag's.
    """
    reader = TagReader(tags)
    return [event for piece in pieces for event in reader.read(piece)] + reader.end()


def tops(events: Iterable[Event]) -> tuple[str | Block, ...]:
    """The texts and blocks at the top of a text.

    Args:
        events: all of its events.

    Returns:
        They, in order.
    """
    parts = [
        event.text if isinstance(event, Said) else event.block
        for event in events
        if not isinstance(event, Opened) and not event.depth
    ]
    return tuple(_joined(parts))


def quote(text: str, tags: Collection[str]) -> str:
    """Take the power from tags in a text that comes from elsewhere, such as a helper's message.

    Args:
        text: the text.
        tags: the names that are tags.

    Returns:
        The same, with `&lt;` in the place of each bracket that begins one of these tags.

    Raises:
        UsageError: a name that can't be a tag's.

    Example:
        >>> quote("a < b, </messages> and <b>", {"messages"})
        'a < b, &lt;/messages> and <b>'
    """
    token, _ = _compile(tags)
    return token.sub(lambda tag: f"&lt;{tag[0][1:]}", text)
