"""What tests of teams share: a model that follows a script, repositories, and a look at what a history repeated."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import headway as hw
from headway import models
from headway.journal.records import COSTED, Kind, Row, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.models import Message, Request
from headway.sim.history import History

Turn = str | Sequence[tuple[str, Any]]
"""What it says: words, or the tools it asks for with their arguments."""


class Talker:
    """Says what the script says of the conversation; a word is a token. Protocol paths need words that are known beforehand."""

    price = models.Price(read=0.0, written=1.0)

    def __init__(self, script: Callable[[list[Message]], Turn], name: str = "talker", *, rest_s: float = 0.0) -> None:
        self.name, self._script, self._rest_s = name, script, rest_s
        self.abilities = frozenset({"tools"})
        self.asked: list[list[Message]] = []

    def count(self, prompt: str | tuple[Message, ...]) -> int:
        return 1

    async def stream(self, request: Request) -> AsyncGenerator[models.Piece, None]:
        prompt = request.prompt
        messages = [Message("user", prompt)] if isinstance(prompt, str) else list(prompt)
        self.asked.append(messages)
        if self._rest_s:
            await hw.sleep(self._rest_s)
        said = self._script(messages)
        if isinstance(said, str):
            tokens = len(said.split())
            yield models.Piece(said, finish="stop", tokens=tokens)
        else:
            turn, tokens = sum(message.role == "assistant" for message in messages), 3 * len(said)
            for place, (name, arguments) in enumerate(said):
                written = arguments if isinstance(arguments, str) else json.dumps(arguments)
                yield models.Piece(calls=(models.CallPiece(place, f"c{turn}-{place}", name, written),), tokens=3)
            yield models.Piece(finish="tool")
        yield models.Piece(usage=models.Usage(self.count(prompt), tokens))


def turns(*script: Turn) -> Callable[[list[Message]], Turn]:
    """Say these one after the other; the last again and again."""
    return lambda messages: script[min(sum(message.role == "assistant" for message in messages), len(script) - 1)]


class Repository:
    """A repository of git with three files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.git("init", "--quiet", "-b", "main")
        for name in ("a", "b", "c"):
            (folder / name).write_text("first\nsecond\nthird\n")
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "begin")

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=ada", "-c", "user.email=ada@localhost")
        done = subprocess.run(["git", *who, *words], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def read(self, name: str) -> str:
        return self.git("show", f"main:{name}")

    def left(self) -> tuple[list[str], list[str], str]:
        """What should not be there: folders and branches of parts, and files that are not as they were committed."""
        folders = [str(path) for path in (self.folder / ".git").glob("headway*")]
        folders += [str(path) for path in (self.folder / ".git" / "worktrees").glob("*")]
        branches = self.git("branch", "--format=%(refname:short)").split()
        return folders, [branch for branch in branches if branch != "main"], self.git("status", "--short")


CLEAN: tuple[list[str], list[str], str] = ([], [], "")


def successes(rows: Iterable[Row]) -> Counter[str]:
    """How often the success of each call is recorded."""
    ends = [(row.key, decode_outcome(row.body)) for row in rows if row.kind & ~COSTED == Kind.OUTCOME]
    return Counter(key.hex() for key, end in ends if end.status == Status.OK)


def check_nothing_ran_again(history: History) -> None:
    """No recorded call was begun again in a later life, and each success is recorded once."""
    for life in history.lives:
        begun = {event.key for event in life.event_log if isinstance(event, hw.events.CallStarted)}
        assert not begun & successes(life.before).keys(), "what was recorded ran again"
    assert set(successes(history.rows()).values()) == {1}
